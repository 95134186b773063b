//! The executor is killed, and what a job said of its run holds all the same: its time limit, how it is
//! stopped, that it is held, that nothing of it stays behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{LIMIT, alive, runs_again, submit, wait_status};

both_engines!(terms_outlive_the_executor, a_held_task_stays_held);

/// A process that cannot be asked to end, by a name of its own.
fn deaf(secs: u32) -> String {
  format!("trap '' TERM INT; echo > up.$HETUFLOW_TASK_ID; while :; do sleep {secs}; done")
}

async fn is_up(cluster: &Cluster, api: &Api, id: &str) -> Result<()> {
  wait_status(api, id, &["running"]).await?;
  let file = cluster.dir().join(format!("agent-0/work/up.{id}"));
  wait::until("the process to be up", LIMIT, || async { file.exists().then_some(()) }).await
}

async fn terms_outlive_the_executor(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(6).start().await?;
  let api = cluster.api();
  let run = |config: Value| {
    let api = api.clone();
    async move { submit(&api, &json!({ "config": config })).await }
  };
  let timed = run(json!({ "command": deaf(1234561), "timeout": 6, "stop_grace_secs": 1 })).await?;
  // By its own grace the kill would come in an hour: that it was asked to end is remembered, too.
  let asked =
    run(json!({ "command": deaf(1234562), "stop_signal": "INT", "stop_grace_secs": 2 })).await?;
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let leaves = format!("(sleep 1234563) & echo > up.$HETUFLOW_TASK_ID; {hold}");
  let whole = run(json!({ "command": leaves, "allow_background": false })).await?;
  let leaves = format!("(sleep 1234564) & echo > up.$HETUFLOW_TASK_ID; {hold}");
  let lets = run(json!({ "command": leaves })).await?;
  for id in [&timed, &asked, &whole, &lets] {
    is_up(&cluster, &api, id).await?;
  }
  api.post_ok(&format!("/tasks/{asked}/cancel"), &json!({})).await?;
  wait_status(&api, &asked, &["cancelling"]).await?;
  cluster.agent(0).kill9_executor()?;

  let ended = wait_status(&api, &timed, &["failed"]).await?;
  assert_eq!(ended["reason"], "timed_out", "{ended}");
  wait_status(&api, &asked, &["cancelled"]).await?;
  for gone in ["sleep 1234561", "sleep 1234562"] {
    assert_eq!(alive(cluster.dir(), gone), []);
  }
  std::fs::write(&gate, "")?;
  for id in [&whole, &lets] {
    let ended = wait_status(&api, id, &["failed"]).await?;
    assert_eq!(ended["reason"], "exit_unknown", "{ended}");
  }
  assert_eq!(alive(cluster.dir(), "sleep 1234563"), [], "nothing of it may stay");
  ensure!(!alive(cluster.dir(), "sleep 1234564").is_empty(), "this one was let go");
  for (pid, _) in alive(cluster.dir(), "sleep 1234564") {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("pid")?;
    kill_process(pid, Signal::KILL)?;
  }
  let next = run(json!({ "command": "true" })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_held_task_stays_held(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let count = "i=0; echo > up.$HETUFLOW_TASK_ID; \
    while :; do i=$((i+1)); echo $i > tick.$HETUFLOW_TASK_ID; sleep 0.05; done";
  let id = submit(&api, &json!({ "config": { "command": count, "timeout": 3600 } })).await?;
  is_up(&cluster, &api, &id).await?;
  api.post_ok(&format!("/tasks/{id}/pause"), &json!({})).await?;
  wait_status(&api, &id, &["paused"]).await?;
  let before = cluster.agent(0).executor_pid()?;
  cluster.agent(0).kill9_executor()?;
  let lock = cluster.dir().join("agent-0/state/executor.lock");
  wait::until_ok("the next executor", LIMIT, || async {
    let now = std::fs::read_to_string(&lock).unwrap_or_default();
    if now.trim().parse().is_ok_and(|now: u32| now != before) { Ok(()) } else { Err(now) }
  })
  .await?;
  // Another task has run since: the next executor has had its turns.
  let other = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &other, &["succeeded"]).await?;
  let file = cluster.dir().join(format!("agent-0/work/tick.{id}"));
  let ticks = std::fs::read_to_string(&file)?;
  tokio::time::sleep(Duration::from_millis(500)).await;
  assert_eq!(std::fs::read_to_string(&file)?, ticks, "it counts");
  wait_status(&api, &id, &["paused"]).await?;
  api.post_ok(&format!("/tasks/{id}/resume"), &json!({})).await?;
  wait_status(&api, &id, &["running"]).await?;
  wait::until_ok("it to count on", LIMIT, || async {
    let now = std::fs::read_to_string(&file).unwrap_or_default();
    if !now.is_empty() && now != ticks { Ok(()) } else { Err(now) }
  })
  .await?;
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  wait_status(&api, &id, &["cancelled"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}
