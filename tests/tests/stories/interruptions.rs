//! Orderly stops and small mishaps: an agent told to stop, a task cancelled before it starts,
//! a reader of output whose server dies.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, all, attempts, output, submit, submit_all, task, text, wait_all_succeeded, wait_status,
};

both_engines!(
  a_stopped_agent_gives_back_what_it_had_not_started,
  a_cancel_before_the_start_means_no_start,
  a_cancel_ends_the_wait_for_a_retry,
  a_reader_goes_on_behind_a_killed_server,
);

/// A script that waits for a file.
fn until_exists(path: &std::path::Path) -> String {
  format!("until [ -e '{}' ]; do sleep 0.05; done", path.display())
}

async fn a_stopped_agent_gives_back_what_it_had_not_started(engine: Engine) -> Result<()> {
  let quick = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '2s'\n\
     lost_after = '2s'";
  let builder = Cluster::builder().engine(engine).slots(2).server_settings(quick);
  let builder = builder.agent_settings(
    "[agent]\nshutdown_grace = '500ms'\n[agent.connection]\nheartbeat_interval = '250ms'",
  );
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let item = json!({ "config": { "script": truth.payload(&until_exists(&gate)) } });
  let ids = submit_all(&api, &vec![item; 10]).await?;
  wait::until("two starts", LIMIT, || async { (truth.starts().ok()?.len() == 2).then_some(()) })
    .await?;
  let running: Vec<String> = truth.starts()?.into_keys().map(|(id, _)| id).collect();
  cluster.stop_agent(0)?;
  // What ran was stopped with it, and that is told; what had not started waits.
  // Told by the agent before it goes, not found out by its silence.
  for id in &running {
    let ended = wait_status(&api, id, &["failed", "cancelled", "lost"]).await?;
    let reason = text(&ended, "reason")?;
    ensure!(!reason.contains("unreachable"), "the agent did not say what it stopped: {ended}");
  }
  std::fs::write(&gate, "")?;
  cluster.restart_agent(0)?;
  let rest: Vec<String> = ids.iter().filter(|id| !running.contains(id)).cloned().collect();
  wait_all_succeeded(&api, &rest).await?;
  let mut started = BTreeMap::new();
  for ((id, _), count) in truth.starts()? {
    *started.entry(id).or_insert(0) += count;
  }
  assert_eq!(started, ids.iter().map(|id| (id.clone(), 1)).collect());
  cluster.finish()
}

async fn a_cancel_before_the_start_means_no_start(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(1).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let item = json!({ "config": { "script": truth.payload(&until_exists(&gate)) } });
  let ids = submit_all(&api, &vec![item.clone(); 6]).await?;
  let mut later = item.clone();
  later["scheduled_at"] = json!("2199-01-01T00:00:00Z");
  let later = submit(&api, &later).await?;
  let mut nowhere = item;
  nowhere["config"]["selector"] = json!({ "zone": "nowhere" });
  let nowhere = submit(&api, &nowhere).await?;
  wait::until("a start", LIMIT, || async { (truth.starts().ok()?.len() == 1).then_some(()) })
    .await?;
  let first = truth.starts()?.into_keys().next().context("a start")?.0;
  let mut cancelled: Vec<&String> = ids.iter().filter(|id| **id != first).collect();
  cancelled.extend([&later, &nowhere]);
  for id in &cancelled {
    let (status, answer) = api.post(&format!("/tasks/{id}/cancel"), &json!({})).await?;
    ensure!(status == StatusCode::OK || status == StatusCode::ACCEPTED, "{status} {answer}");
  }
  for id in &cancelled {
    let task = wait_status(&api, id, &["cancelled"]).await?;
    ensure!(text(&task, "reason")?.starts_with("cancelled("), "{task}");
    ensure!(task["started_at"].is_null(), "{task}");
  }
  std::fs::write(&gate, "")?;
  wait_status(&api, &first, &["succeeded"]).await?;
  // Whatever came too late would have started by the time another task is through.
  let last = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &last, &["succeeded"]).await?;
  assert_eq!(truth.starts()?.len(), 1);
  cluster.finish()
}

async fn a_cancel_ends_the_wait_for_a_retry(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "exit 5", "max_retries": 5, "retry_interval": "1h",
    "retry": { "strategy": "fixed" } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let waiting = wait_status(&api, &id, &["waiting_retry"]).await?;
  ensure!(waiting["eligible_at"].is_string(), "{waiting}");
  let (status, answer) = api.post(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("cancelled")), "{answer}");
  let ran: Vec<Value> = attempts(&api, &id).await?;
  assert_eq!(ran.iter().filter(|one| one["attempt"] != 0).count(), 1, "{ran:?}");
  // And by hand: a new task that says where it comes from.
  let (status, again) = api.post(&format!("/tasks/{id}/retry"), &json!({})).await?;
  assert_eq!(status, StatusCode::CREATED, "{again}");
  wait_status(&api, &text(&again, "id")?, &["waiting_retry"]).await?;
  api.post_ok(&format!("/tasks/{}/cancel", text(&again, "id")?), &json!({})).await?;
  assert_eq!(all(&api, "/tasks").await?.len(), 2);
  cluster.finish()
}

async fn a_reader_goes_on_behind_a_killed_server(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (first, second) = (cluster.dir().join("first"), cluster.dir().join("second"));
  let script = format!(
    "seq 1 20000; {}; seq 20001 40000; {}; seq 40001 60000; exit 7",
    until_exists(&first),
    until_exists(&second)
  );
  let mut command = tokio::process::Command::new(Binaries::find()?.ctl);
  command.args(["run", "--cmd", &script, "--wait", "--logs"]).env("HOME", cluster.dir());
  command.env("HETUFLOW_SERVER", cluster.server(0).url());
  command.env("HETUFLOW_TOKEN_FILE", cluster.dir().join("admin.token"));
  command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
  let reader = tokio::spawn(command.output());

  let api = cluster.api();
  let id = wait::until_ok("the task to have written", LIMIT, || async {
    let tasks = all(&api, "/tasks").await.map_err(|error| format!("{error:#}"))?;
    let id = tasks.first().map(|task| text(task, "id")).ok_or("no task yet")?;
    let id = id.map_err(|error| error.to_string())?;
    match output(&api, &id, "").await {
      Ok(bytes) if bytes.ends_with(b"\n20000\n") => Ok(id),
      Ok(bytes) => Err(format!("{} bytes", bytes.len())),
      Err(error) => Err(format!("{error:#}")),
    }
  })
  .await?;
  cluster.kill9_server(0)?;
  std::fs::write(&first, "")?;
  cluster.restart_server(0).await?;
  wait::until_ok("the second part", LIMIT, || async {
    match output(&api, &id, "").await {
      Ok(bytes) if bytes.ends_with(b"\n40000\n") => Ok(()),
      Ok(bytes) => Err(format!("{} bytes", bytes.len())),
      Err(error) => Err(format!("{error:#}")),
    }
  })
  .await?;
  assert_eq!(task(&api, &id).await?["status"], "running");
  std::fs::write(&second, "")?;
  let told = tokio::time::timeout(Duration::from_secs(60), reader).await;
  let told = told.context("the reader hangs")???;
  let notes = String::from_utf8_lossy(&told.stderr).into_owned();
  assert_eq!(told.status.code(), Some(7), "{notes}");
  let wanted: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
  let got = String::from_utf8(told.stdout)?;
  ensure!(got == wanted, "{} of {} bytes; {notes}", got.len(), wanted.len());
  cluster.finish()
}
