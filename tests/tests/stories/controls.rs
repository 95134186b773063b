//! What people do to a task that runs: hold it, let it go on, start it anew, send it signals.

use anyhow::{Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, output, submit, text, wait_status};

both_engines!(
  a_process_is_held_and_goes_on,
  a_restart_is_a_new_attempt_at_once,
  signals_reach_the_process_once,
  what_has_no_process_takes_no_orders,
);

async fn order(api: &Api, id: &str, verb: &str, body: Value) -> Result<Value> {
  let (status, answer) = api.post(&format!("/tasks/{id}/{verb}"), &body).await?;
  ensure!(status == StatusCode::ACCEPTED, "{verb}: {status} {answer}");
  Ok(answer)
}

/// Waits until the output has this in it.
async fn wait_output(api: &Api, id: &str, part: &str) -> Result<()> {
  wait::until_ok(&format!("{part:?} in the output"), LIMIT, || async {
    let bytes = output(api, id, "").await.map_err(|error| format!("{error:#}"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.contains(part) { Ok(()) } else { Err(text) }
  })
  .await
}

/// A process that says its name, then counts for ever.
fn counting() -> Value {
  json!({ "config": { "command": "trap 'echo got USR1' USR1; i=0; echo $i > tick.$HETUFLOW_TASK_ID; echo ready; while :; do sleep 0.05; i=$((i+1)); echo $i > tick.$HETUFLOW_TASK_ID; done" } })
}

async fn a_process_is_held_and_goes_on(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let id = submit(&api, &counting()).await?;
  let running = wait_status(&api, &id, &["running"]).await?;
  wait_output(&api, &id, "ready").await?;
  order(&api, &id, "pause", json!({ "reason": "disk is full" })).await?;
  let held = wait_status(&api, &id, &["paused"]).await?;
  assert_eq!(held["reason"], "disk is full");
  assert_eq!(attempts(&api, &id).await?[0]["status"], "paused");
  let file = cluster.dir().join(format!("agent-0/work/tick.{id}"));
  let ticks = std::fs::read_to_string(&file)?;
  // Again changes nothing; and a second look finds the count where it was.
  order(&api, &id, "pause", json!({})).await?;
  assert_eq!(wait_status(&api, &id, &["paused"]).await?["reason"], "disk is full");
  assert_eq!(std::fs::read_to_string(&file)?, ticks);
  order(&api, &id, "resume", json!({})).await?;
  let again = wait_status(&api, &id, &["running"]).await?;
  assert_eq!(again["started_at"], running["started_at"]);
  ensure!(again["reason"].is_null(), "{again}");
  wait::until_ok("the process to count on", LIMIT, || async {
    let now = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    if now == ticks { Err(now) } else { Ok(()) }
  })
  .await?;
  // By the attempt, and a process that is held can be stopped.
  let instance = text(&again, "instance_id")?;
  let path = format!("/task-instances/{instance}/control");
  api.post_ok(&path, &json!({ "control_type": "pause" })).await?;
  wait_status(&api, &id, &["paused"]).await?;
  let seen = api.get_ok("/events/snapshot?scope=tasks&filter=state=paused").await?;
  assert_eq!(seen["matched"], 1, "{seen}");
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  wait_status(&api, &id, &["cancelled"]).await?;
  cluster.finish()
}

async fn a_restart_is_a_new_attempt_at_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "echo attempt $HETUFLOW_ATTEMPT; [ $HETUFLOW_ATTEMPT = 2 ] || sleep 600";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait_output(&api, &id, "attempt 1").await?;
  let begun = std::time::Instant::now();
  order(&api, &id, "restart", json!({ "reason": "new settings" })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  ensure!(begun.elapsed() < LIMIT / 2, "no wait as before a retry");
  let all = attempts(&api, &id).await?;
  let states: Vec<&Value> = all.iter().map(|attempt| &attempt["status"]).collect();
  assert_eq!(states, ["cancelled", "succeeded"]);
  assert_eq!(all[0]["reason"], "cancelled(new settings)", "{}", all[0]);
  // What is skipped ends as skipped, even where it runs.
  let id = submit(&api, &json!({ "config": { "command": "sleep 600" } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  order(&api, &id, "skip", json!({})).await?;
  wait_status(&api, &id, &["skipped"]).await?;
  cluster.finish()
}

async fn signals_reach_the_process_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let id = submit(&api, &counting()).await?;
  wait_output(&api, &id, "ready").await?;
  order(&api, &id, "signal", json!({ "signal": "SIGUSR1" })).await?;
  wait_output(&api, &id, "got USR1").await?;
  let (status, answer) =
    api.post(&format!("/tasks/{id}/signal"), &json!({ "signal": "NONE" })).await?;
  assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (422, &json!("signal.unknown")));
  order(&api, &id, "control", json!({ "control_type": "signal", "signal": "KILL" })).await?;
  let ended = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(ended["signal"], 9);
  let told = String::from_utf8(output(&api, &id, "stdout").await?)?;
  assert_eq!(told.matches("got USR1").count(), 1, "{told}");
  cluster.finish()
}

async fn what_has_no_process_takes_no_orders(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let later = json!({ "config": { "command": "true" }, "scheduled_at": "2099-01-01T00:00:00Z" });
  let later = submit(&api, &later).await?;
  for verb in ["pause", "resume", "restart"] {
    let (status, answer) = api.post(&format!("/tasks/{later}/{verb}"), &json!({})).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{verb}: {answer}");
    assert_eq!(answer["errors"][0]["code"], "control.not_running", "{verb}");
  }
  let (status, answer) = api.post(&format!("/tasks/{later}/skip"), &json!({})).await?;
  assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("skipped")));
  let done = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &done, &["succeeded"]).await?;
  let (status, answer) = api.post(&format!("/tasks/{done}/pause"), &json!({})).await?;
  assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (409, &json!("attempt.terminal")));
  cluster.finish()
}
