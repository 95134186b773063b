//! What a task's own settings hold it to: output, start deadline, instant.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{LIMIT, attempts, output, submit, text, wait_status};

both_engines!(
  output_over_its_limit_is_declared,
  a_start_deadline_holds,
  a_run_waits_for_its_instant,
  an_attempt_tells_its_process_and_its_lateness
);

async fn output_over_its_limit_is_declared(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "seq 1 100000", "max_output_size": 1000 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let whole: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
  assert_eq!(output(&api, &id, "stdout").await?, whole.as_bytes()[..1000]);
  let said = String::from_utf8(output(&api, &id, "system").await?)?;
  ensure!(said.contains(&format!("{} bytes dropped", whole.len() - 1000)), "{said}");

  let config = json!({ "command": "echo out; echo err >&2", "capture_output": false });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(output(&api, &id, "").await?, b"");
  cluster.finish()
}

async fn a_start_deadline_holds(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(1).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let script = truth.payload(&format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display()));
  let first = submit(&api, &json!({ "config": { "script": script } })).await?;
  wait_status(&api, &first, &["running"]).await?;
  let hurried = json!({ "script": truth.payload("true"), "start_deadline_secs": 1.5 });
  let mut nowhere = hurried.clone();
  nowhere["selector"] = json!({ "zone": "nowhere" });
  let queued = submit(&api, &json!({ "config": hurried })).await?;
  let nowhere = submit(&api, &json!({ "config": nowhere })).await?;
  for id in [&queued, &nowhere] {
    let task = wait_status(&api, id, &["expired", "failed"]).await?;
    let told = format!("{} {}", task["status"], task["reason"]);
    ensure!(told.contains("expired"), "{task}");
    ensure!(task["started_at"].is_null(), "{task}");
  }
  std::fs::write(&gate, "")?;
  wait_status(&api, &first, &["succeeded"]).await?;
  let last = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &last, &["succeeded"]).await?;
  assert_eq!(truth.starts()?.len(), 1);
  cluster.finish()
}

async fn a_run_waits_for_its_instant(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let due = Timestamp::now() + SignedDuration::from_millis(2500);
  let task = json!({ "config": { "script": truth.payload("true") }, "scheduled_at": due });
  let id = submit(&api, &task).await?;
  wait::until("a start", LIMIT, || async { (truth.starts().ok()?.len() == 1).then_some(()) })
    .await?;
  let at = truth.read()?.first().context("a start")?.at_ns;
  let at = Timestamp::from_nanosecond(i128::try_from(at)?)?;
  ensure!(at >= due - SignedDuration::from_millis(1), "started at {at}, due at {due}");
  let task = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(text(&task, "trigger_source")?, "manual");
  cluster.finish()
}

async fn an_attempt_tells_its_process_and_its_lateness(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  // The short one starts and ends in one report, the long one in two.
  for script in ["echo $$", "echo $$; sleep 1"] {
    let id = submit(&api, &json!({ "config": { "script": script } })).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
    let told = String::from_utf8(output(&api, &id, "").await?)?;
    let attempt = attempts(&api, &id).await?.remove(0);
    assert_eq!(attempt["pid"].to_string(), told.trim(), "{script}: {attempt}");
    ensure!(attempt["start_skew_us"].as_i64().is_some_and(|skew| skew >= -1000), "{attempt}");
  }
  cluster.finish()
}
