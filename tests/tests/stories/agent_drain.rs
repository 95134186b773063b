//! Agents are emptied: nothing new, a time for what runs, and what becomes of the rest.

use anyhow::{Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, alive, attempts, submit, task, wait_status};

both_engines!(
  a_drain_waits_for_what_runs,
  a_drain_leaves_what_outlasts_it_alone,
  a_drain_stops_what_outlasts_it,
  a_drain_of_an_agent_that_died_loses_no_retry,
);

async fn until_drained(api: &Api, agent: &str) -> Result<Value> {
  wait::until_ok(&format!("{agent} to be drained"), LIMIT, || async {
    let told = api.get_ok(&format!("/agents/{agent}")).await.map_err(|error| error.to_string())?;
    if told["drained_at"].is_string() { Ok(told) } else { Err(told.to_string()) }
  })
  .await
}

/// The agents of a status, as the list names them.
async fn of_status(cluster: &Cluster, status: &str) -> Result<String> {
  let out = cluster.ctl(&["agent", "list", "--status", status, "-o", "name"]).await?;
  ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
  Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}

/// Also when agent and server die in between. What had not started is given back.
async fn a_drain_waits_for_what_runs(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(1).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  // Short ones first, so that the agent takes more than it can start.
  for _ in 0..20 {
    let short = submit(&api, &json!({ "config": { "command": "true" } })).await?;
    wait_status(&api, &short, &["succeeded"]).await?;
  }
  let runs = submit(&api, &json!({ "config": { "script": truth.payload(&hold) } })).await?;
  wait_status(&api, &runs, &["running"]).await?;
  let mut rest = Vec::new();
  for _ in 0..5 {
    rest.push(submit(&api, &json!({ "config": { "script": truth.payload("true") } })).await?);
  }
  let request = json!({ "reason": "new kernel" });
  let told = api.post_ok("/agents/agent-0/drain", &request).await?;
  assert_eq!((&told["cordoned"], &told["drain_reason"]), (&json!(true), &json!("new kernel")));
  assert_eq!(told["drain_then"], "leave");
  assert_eq!(of_status(&cluster, "draining").await?, "agent/agent-0");
  let given_back = |id: String| {
    let api = &api;
    async move {
      let told = task(api, &id).await.map_err(|error| error.to_string())?;
      let waits = matches!(told["status"].as_str(), Some("pending" | "waiting_retry"));
      if waits { Ok(()) } else { Err(told.to_string()) }
    }
  };
  for id in &rest {
    wait::until_ok("what had not started to be given back", LIMIT, || given_back(id.clone()))
      .await?;
  }
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  cluster.wait_agent(0).await?;
  let told = api.get_ok("/agents/agent-0").await?;
  ensure!(told["drain_since"].is_string() && told["drained_at"].is_null(), "{told}");
  assert_eq!(
    (task(&api, &runs).await?["status"].as_str(), truth.starts()?.len()),
    (Some("running"), 1)
  );
  let wait = ["agent", "drain", "agent-0", "--wait", "--reason", "new kernel"];
  let (output, opened) = tokio::join!(cluster.ctl(&wait), async { std::fs::write(&gate, "") });
  opened?;
  let output = output?;
  let words = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(output.status.success() && words.contains("agent-0  is empty"), "{words}");
  wait_status(&api, &runs, &["succeeded"]).await?;
  until_drained(&api, "agent-0").await?;
  assert_eq!(truth.starts()?.len(), 1, "nothing new was started");
  assert_eq!(of_status(&cluster, "draining").await?, "", "it is drained, not draining");
  assert_eq!(of_status(&cluster, "cordoned").await?, "agent/agent-0");
  let list = cluster.ctl(&["agent", "list"]).await?;
  ensure!(String::from_utf8_lossy(&list.stdout).contains("drained"), "the list says so");

  // After healing everything runs again.
  let output = cluster.ctl(&["agent", "undrain", "agent-0"]).await?;
  ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
  for id in &rest {
    let done = wait_status(&api, id, &["succeeded"]).await?;
    ensure!(done["attempt"].as_i64() >= Some(1), "{done}");
  }
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (6, Vec::new()));
  ensure!(api.get_ok("/agents/agent-0").await?["drain_since"].is_null(), "the drain is over");
  cluster.finish()
}

async fn a_drain_leaves_what_outlasts_it_alone(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let runs = submit(&api, &json!({ "config": { "command": hold } })).await?;
  wait_status(&api, &runs, &["running"]).await?;
  let wait = ["agent", "drain", "agent-0", "--timeout", "300ms", "--wait"];
  let output = cluster.ctl(&wait).await?;
  let words = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(output.status.success() && words.contains("its time is over, 1 task goes on"), "{words}");
  let told = until_drained(&api, "agent-0").await?;
  assert_eq!(told["cordoned"], true);
  assert_eq!(task(&api, &runs).await?["status"], "running");
  std::fs::write(&gate, "")?;
  wait_status(&api, &runs, &["succeeded"]).await?;
  let (status, answer) = api.post("/agents/agent-0/drain", &json!({ "then": "kill" })).await?;
  assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (422, &json!("drain.no_timeout")));
  let (status, _) = api.post("/agents/nobody/drain", &json!({})).await?;
  assert_eq!(status.as_u16(), 404);
  cluster.finish()
}

async fn a_drain_stops_what_outlasts_it(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).start().await?;
  let api = cluster.api();
  api.post_ok("/agents/agent-1/cordon", &json!({})).await?;
  let command = "[ $HETUFLOW_ATTEMPT = 2 ] || sleep 1234567";
  let again = json!({ "config": { "command": command, "max_retries": 1 } });
  let again = submit(&api, &again).await?;
  let once = submit(&api, &json!({ "config": { "command": "sleep 1234567" } })).await?;
  let asked = submit(&api, &json!({ "config": { "command": "trap '' TERM; sleep 7654321; sleep 7654321", "stop_grace_secs": 600, "max_retries": 3 } })).await?;
  for id in [&again, &once, &asked] {
    assert_eq!(wait_status(&api, id, &["running"]).await?["agent_id"], "agent-0");
  }
  // What somebody has asked to stop stays stopped, whatever the drain does.
  api.post_ok(&format!("/tasks/{asked}/cancel"), &json!({ "reason": "mine" })).await?;
  api.post_ok("/agents/agent-1/uncordon", &json!({})).await?;
  api.post_ok("/agents/agent-0/drain", &json!({ "timeout": 0, "then": "kill" })).await?;
  let done = wait_status(&api, &again, &["succeeded"]).await?;
  assert_eq!((&done["agent_id"], &done["attempt"]), (&json!("agent-1"), &json!(2)));
  let all = attempts(&api, &again).await?;
  assert_eq!(
    (&all[0]["status"], &all[0]["reason"]),
    (&json!("cancelled"), &json!("cancelled(drain)"))
  );
  let done = wait_status(&api, &once, &["cancelled"]).await?;
  assert_eq!(done["reason"], "cancelled(drain)");
  assert_eq!(alive(cluster.dir(), "sleep 1234567"), []);
  assert_eq!(task(&api, &asked).await?["status"], "cancelling");
  api.post_ok(&format!("/tasks/{asked}/cancel"), &json!({ "force": true })).await?;
  assert_eq!(wait_status(&api, &asked, &["cancelled"]).await?["attempt"], 1);
  until_drained(&api, "agent-0").await?;
  cluster.finish()
}

/// The order to stop never arrives: the attempt is lost as it would have been, and tried again.
async fn a_drain_of_an_agent_that_died_loses_no_retry(engine: Engine) -> Result<()> {
  let quick = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
    lost_after = '1500ms'";
  let builder = Cluster::builder().engine(engine).agents(2).server_settings(quick);
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  api.post_ok("/agents/agent-1/cordon", &json!({})).await?;
  let command = "[ $HETUFLOW_ATTEMPT = 2 ] || sleep 1234567";
  let config = json!({ "command": command, "max_retries": 1, "retry_interval": 0.1 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["running"]).await?;
  cluster.kill9_agent(0)?;
  api.post_ok("/agents/agent-1/uncordon", &json!({})).await?;
  api.post_ok("/agents/agent-0/drain", &json!({ "timeout": 0, "then": "kill" })).await?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!((&done["agent_id"], &done["attempt"]), (&json!("agent-1"), &json!(2)));
  let all = attempts(&api, &id).await?;
  assert_eq!(all[0]["reason"], "lost(unreachable)", "{}", all[0]);
  until_drained(&api, "agent-0").await?;
  // Back again it is still empty, and what it ran for nobody ends.
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  wait::until_ok("the lost attempt to end", LIMIT, || async {
    let left = alive(cluster.dir(), "sleep 1234567");
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
  })
  .await?;
  assert_eq!(api.get_ok("/agents/agent-0").await?["cordoned"], true);
  cluster.finish()
}
