//! The disks of an agent are full, or cannot be written: tasks that need them are refused with the
//! reason, nothing that runs is lost, the agent stays connected, and with room it goes on.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::tmpfs::Tmpfs;
use hetuflow_tests::truth::TruthLog;
use serde_json::{Value, json};

use crate::support::{attempts, output, submit, submit_all, task, text, wait_online, wait_status};

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
  refuses_scripts(&cluster, "ENOSPC").await?;
  disk.empty()?;
  runs_again(&cluster).await?;
  drop(disk);
  cluster.finish()
}

/// D05: the same where the disk has turned read-only.
async fn a_work_folder_that_cannot_be_written(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let disk = Tmpfs::over(&cluster.dir().join("agent-0/state/runs"), 1 << 20)?;
  disk.read_only(true)?;
  refuses_scripts(&cluster, "errno 30").await?;
  disk.read_only(false)?;
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
  let mut refused = None;
  for id in ids {
    let end = wait_status(&api, &id, &["succeeded", "failed"]).await?;
    refused = refused.or_else(|| (end["status"] == "failed").then_some(id));
  }
  let Some(refused) = refused else { anyhow::bail!("a full disk has refused nothing") };
  let attempt = attempts(&api, &refused).await?.pop().unwrap_or_default();
  assert_eq!(attempt["status"], "not_started", "{attempt}");
  let why = text(&attempt, "error_message")?;
  ensure!(why.contains("cannot be written down"), "{why}");
  std::fs::write(&gate, "")?;
  wait_status(&api, &running, &["succeeded"]).await?;
  assert_eq!(output(&api, &running, "").await?, b"before\nafter\n");
  disk.empty()?;
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

/// A script fails with the reason and is not tried again; a plain command runs; the agent stays.
async fn refuses_scripts(cluster: &Cluster, errno: &str) -> Result<()> {
  let api = cluster.api();
  let before = api.get_ok("/agents/agent-0").await?["connection_epoch"].clone();
  let id = submit(&api, &json!({ "config": { "script": "echo never" } })).await?;
  let end = wait_status(&api, &id, &["failed"]).await?;
  let attempts = attempts(&api, &id).await?;
  assert_eq!(attempts.len(), 1, "{end}");
  let reason = text(&attempts[0], "reason")?;
  ensure!(reason.contains(errno) && reason.contains("runs"), "{reason}");
  let plain = submit(&api, &json!({ "config": { "command": "echo plain" } })).await?;
  wait_status(&api, &plain, &["succeeded"]).await?;
  assert_eq!(api.get_ok("/agents/agent-0").await?["connection_epoch"], before);
  Ok(())
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
