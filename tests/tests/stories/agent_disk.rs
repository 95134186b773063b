//! The disks of an agent are full, or cannot be written: tasks that need them are given back with the
//! reason, nothing that runs is lost, the agent stays connected, and with room all of them run.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::tmpfs::Tmpfs;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, attempts, output, submit, submit_all, task, text, wait_all_succeeded, wait_online,
  wait_status,
};

both_engines!(
  a_full_work_folder,
  a_work_folder_that_cannot_be_written,
  a_full_state_folder,
  a_full_log_folder,
);

/// D05: scripts have no room for their file.
async fn a_full_work_folder(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let disk = Tmpfs::over(&cluster.dir().join("agent-0/state/runs"), 1 << 20)?;
  disk.fill()?;
  let waits = gives_scripts_back(&cluster, "ENOSPC").await?;
  disk.empty()?;
  wait_status(&cluster.api(), &waits, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  drop(disk);
  cluster.finish()
}

/// D05: the same where the disk has turned read-only.
async fn a_work_folder_that_cannot_be_written(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let disk = Tmpfs::over(&cluster.dir().join("agent-0/state/runs"), 1 << 20)?;
  disk.read_only(true)?;
  let waits = gives_scripts_back(&cluster, "EROFS").await?;
  disk.read_only(false)?;
  wait_status(&cluster.api(), &waits, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  drop(disk);
  cluster.finish()
}

/// D04 of what must not be forgotten: without room in the journal nothing is started, what runs
/// goes on and is told, and nothing is started twice.
async fn a_full_state_folder(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  cluster.stop_agent(0)?;
  let state = cluster.agent(0).state_dir().to_owned();
  // The executor that still lingers keeps to the folder below.
  let disk = Tmpfs::over(&state, 4 << 20)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body =
    format!("echo before; until [ -e '{}' ]; do sleep 0.1; done; echo after", gate.display());
  let running = submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?;
  wait_status(&api, &running, &["running"]).await?;
  disk.fill()?;
  // The journal takes its room in advance: it is used up first.
  let ids = submit_all(&api, &vec![json!({ "config": { "command": "true" } }); 3000]).await?;
  let refused = wait::until_ok("a start that cannot be written down", LIMIT, || async {
    let path = "/tasks?status=waiting_retry&limit=1";
    let found = api.get_ok(path).await.map_err(|error| format!("{error:#}"))?;
    found["data"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| found.to_string())
  })
  .await?;
  let attempt = attempts(&api, &refused).await?.remove(0);
  assert_eq!(
    (&attempt["status"], &attempt["reason"]),
    (&json!("not_started"), &json!("not_started(disk)"))
  );
  let why = text(&attempt, "error_message")?;
  ensure!(why.contains("cannot be written down"), "{why}");
  std::fs::write(&gate, "")?;
  wait_status(&api, &running, &["succeeded"]).await?;
  assert_eq!(output(&api, &running, "").await?, b"before\nafter\n");
  disk.empty()?;
  // Nothing of what had to wait is lost.
  wait_all_succeeded(&api, &ids).await?;
  runs_again(&cluster).await?;
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (1, Vec::new()));
  cluster.stop_agent(0)?;
  drop(disk);
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

/// The agent's own log has no room: nobody waits for it.
async fn a_full_log_folder(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let state = cluster.agent(0).state_dir().to_owned();
  cluster.stop_agent(0)?;
  let disk = Tmpfs::over(&state.join("log"), 1 << 16)?;
  disk.fill()?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&cluster).await?;
  cluster.stop_agent(0)?;
  drop(disk);
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

/// A script is given back with the reason and waits; a plain command runs; the agent stays. Gives the
/// task that waits.
async fn gives_scripts_back(cluster: &Cluster, errno: &str) -> Result<String> {
  let api = cluster.api();
  let before = api.get_ok("/agents/agent-0").await?["connection_epoch"].clone();
  let id = submit(&api, &json!({ "config": { "script": "echo now" } })).await?;
  wait_status(&api, &id, &["waiting_retry"]).await?;
  let first = attempts(&api, &id).await?.remove(0);
  assert_eq!(
    (&first["status"], &first["reason"]),
    (&json!("not_started"), &json!("not_started(disk)"))
  );
  let why = text(&first, "error_message")?;
  ensure!(why.contains(errno) && why.contains("runs"), "{why}");
  let plain = submit(&api, &json!({ "config": { "command": "echo plain" } })).await?;
  wait_status(&api, &plain, &["succeeded"]).await?;
  assert_eq!(api.get_ok("/agents/agent-0").await?["connection_epoch"], before);
  Ok(id)
}

/// After healing everything runs again.
async fn runs_again(cluster: &Cluster) -> Result<()> {
  let api = cluster.api();
  wait_online(&api, "agent-0").await?;
  for config in [json!({ "script": "echo script" }), json!({ "command": "echo command" })] {
    let id = submit(&api, &json!({ "config": config })).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
    let done: Value = task(&api, &id).await?;
    assert_eq!(done["exit_code"], 0);
  }
  Ok(())
}
