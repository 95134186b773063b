//! Two agents with one identity: a machine was copied with its state folder.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::process::Process;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::json;

use crate::support::{LIMIT, alive, runs_again, submit, task, wait_status};

both_engines!(the_newer_copy_wins_and_the_older_one_leaves);

/// Copies the state of an agent and starts a second one on it.
fn copy(cluster: &mut Cluster) -> Result<Process> {
  let dir = cluster.dir().to_owned();
  let state = cluster.agent(0).state_dir().to_owned();
  let copied = dir.join("copied");
  std::fs::create_dir(&copied)?;
  for name in ["journal", "epoch"] {
    std::fs::copy(state.join(name), copied.join(name)).with_context(|| name.to_owned())?;
  }
  let mut recipe = cluster.agent(0).process().recipe().clone();
  let config = recipe.dir.join(format!("{}.toml", recipe.name));
  let text = std::fs::read_to_string(&config)?;
  let text = text.replace(&state.display().to_string(), &copied.display().to_string());
  let config_of_copy = dir.join("copied.toml");
  std::fs::write(&config_of_copy, text)?;
  for arg in &mut recipe.args {
    if arg.to_string_lossy().contains(&*config.to_string_lossy()) {
      *arg = config_of_copy.clone().into();
    }
  }
  recipe.name = "copied".to_owned();
  recipe.log = dir.join("copied.log");
  Process::spawn(recipe)
}

async fn the_newer_copy_wins_and_the_older_one_leaves(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let mut newer = copy(&mut cluster)?;
  let status = cluster.agent(0).process().wait(LIMIT)?;
  assert_eq!(status.code(), Some(79), "{}", cluster.agent(0).process().log_tail(20));
  ensure!(cluster.agent(0).process().log().contains("superseded"), "it says why");

  // Only the newer one works, and the older one cannot come back.
  let payload = json!({ "config": { "script": truth.payload("sleep 1234567") } });
  let id = submit(&api, &payload).await?;
  wait_status(&api, &id, &["running"]).await?;
  wait::until("its start", LIMIT, || async { (truth.starts().ok()?.len() == 1).then_some(()) })
    .await?;
  cluster.restart_agent(0)?;
  let winner = cluster.agent(0).process().pid();
  // Started again it is the newest: what the other one runs is not its own, and that one leaves.
  assert_eq!(newer.wait(LIMIT)?.code(), Some(79), "{}", newer.log_tail(20));
  wait::until_ok("the task to be judged", LIMIT, || async {
    let task = task(&api, &id).await.map_err(|error| format!("{error:#}"))?;
    if task["status"] == "lost" { Ok(()) } else { Err(task.to_string()) }
  })
  .await?;
  wait::until_ok("nothing of it to be left", LIMIT, || async {
    let alive = alive(cluster.dir(), "sleep 1234567");
    if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
  })
  .await?;
  assert_eq!(cluster.agent(0).process().pid(), winner);
  let next = submit(&api, &json!({ "config": { "script": truth.payload("true") } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (2, Vec::new()));
  runs_again(&cluster).await?;
  cluster.finish()
}
