//! Labels, figures, versions, and agents that nobody has heard of for long.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, sql, submit, task, text, wait_status};

both_engines!(
  labels_given_on_the_server_count_at_once,
  what_an_attempt_used_is_kept,
  an_agent_says_what_its_host_has,
  agents_that_are_gone_for_long_are_forgotten,
);

/// A task for agents with a label.
fn on(key: &str, value: &str, command: &str) -> Value {
  json!({ "config": { "command": command, "selector": { key: value } } })
}

async fn label(api: &Api, agent: &str, labels: Value) -> Result<Value> {
  let (status, answer) =
    api.patch(&format!("/agents/{agent}"), &json!({ "labels": labels })).await?;
  ensure!(status.is_success(), "{status} {answer}");
  Ok(answer)
}

async fn labels_given_on_the_server_count_at_once(engine: Engine) -> Result<()> {
  let zone = "[agent.labels]\nzone = 'a'";
  let mut cluster =
    Cluster::builder().engine(engine).agents(2).agent_settings(zone).start().await?;
  let api = cluster.api();
  // Nobody has it; the next claim after the change sees it.
  let first = submit(&api, &on("gpu", "h100", "echo here")).await?;
  let told = label(&api, "agent-1", json!({ "gpu": "h100", "zone": "b" })).await?;
  assert_eq!((&told["labels"]["zone"], &told["labels"]["gpu"]), (&json!("b"), &json!("h100")));
  let done = wait_status(&api, &first, &["succeeded"]).await?;
  assert_eq!(done["agent_id"], "agent-1");

  // What runs stays; what waits is not given to it any more.
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let stays = submit(&api, &on("gpu", "*", &hold)).await?;
  wait_status(&api, &stays, &["running"]).await?;
  let args = ["agent", "label", "agent-1", "gpu-", "team=x"];
  let output = cluster.ctl(&args).await?;
  ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
  let waits = submit(&api, &on("gpu", "*", "true")).await?;
  // A task that anybody may run is claimed after the change was seen.
  let other = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &other, &["succeeded"]).await?;
  assert_eq!(task(&api, &waits).await?["status"], "pending");
  assert_eq!(task(&api, &stays).await?["status"], "running");

  // The agent comes back, and the server after it: what was given is still there, above its own.
  cluster.kill9_agent(1)?;
  cluster.restart_agent(1)?;
  cluster.wait_agent(1).await?;
  cluster.stop_server(0)?;
  cluster.restart_server(0).await?;
  cluster.wait_agent(1).await?;
  let agent = api.get_ok("/agents/agent-1").await?;
  assert_eq!((&agent["labels"]["zone"], &agent["labels"]["team"]), (&json!("b"), &json!("x")));
  assert_eq!(agent["given_labels"], json!({ "zone": "b", "team": "x" }));
  assert_eq!(agent["capabilities"]["labels"]["zone"], "a");
  let there = submit(&api, &on("zone", "b", "true")).await?;
  assert_eq!(wait_status(&api, &there, &["succeeded"]).await?["agent_id"], "agent-1");
  // Taken back, its own shows again.
  let told = label(&api, "agent-1", json!({ "zone": null })).await?;
  assert_eq!(told["labels"]["zone"], "a");
  for key in ["sys_os", "agent", "a b"] {
    let labels = json!({ "labels": { key: "x" } });
    let (status, _) = api.patch("/agents/agent-1", &labels).await?;
    assert_eq!(status.as_u16(), 422, "{key}");
  }
  std::fs::write(&gate, "")?;
  wait_status(&api, &stays, &["succeeded"]).await?;
  label(&api, "agent-0", json!({ "gpu": "a100" })).await?;
  assert_eq!(wait_status(&api, &waits, &["succeeded"]).await?["agent_id"], "agent-0");
  cluster.finish()
}

/// A change over the server that does not hold the agent's connection.
#[tokio::test(flavor = "multi_thread")]
async fn labels_count_on_every_server() -> Result<()> {
  let cluster = Cluster::builder().postgres().servers(2).agents(1).start().await?;
  let (near, far) = (cluster.api_of(0), cluster.api_of(1));
  let waits = submit(&near, &on("gpu", "*", "true")).await?;
  label(&far, "agent-0", json!({ "gpu": "h100" })).await?;
  wait_status(&near, &waits, &["succeeded"]).await?;
  let order = json!({ "command": "health_check" });
  let answer = far.post_ok("/agents/agent-0/command", &order).await?;
  assert_eq!(answer["result"]["healthy"], true, "{answer}");
  cluster.finish()
}

async fn what_an_attempt_used_is_kept(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 100000 /dev/zero > big";
  let command = format!("{busy}; until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  let running = wait_status(&api, &id, &["running"]).await?;
  let path = format!("/task-instances/{}/metrics", text(&running, "instance_id")?);
  let (status, answer) = api.get(&path).await?;
  assert_eq!(status.as_u16(), 404, "{answer}");
  std::fs::write(&gate, "")?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let used = api.get_ok(&path).await?;
  let secs = used["cpu_time"].as_f64().context("cpu_time")?;
  ensure!(secs > 0.01 && secs < 60.0, "{used}");
  ensure!(used["memory_peak"].as_u64().unwrap_or(0) > 100_000, "{used}");
  assert_eq!(attempts(&api, &id).await?[0]["metrics"], used);
  let output = cluster.ctl(&["attempt", "metrics", &id]).await?;
  let words = String::from_utf8_lossy(&output.stdout).into_owned();
  ensure!(words.contains("of processor time") && words.contains("of memory"), "{words}");
  cluster.finish()
}

async fn an_agent_says_what_its_host_has(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let agent = api.get_ok("/agents/agent-0").await?;
  assert_eq!(agent["labels"]["sys_os"], "linux");
  assert_eq!(agent["labels"]["sys_cgroup"], agent["capabilities"]["metadata"]["sys_cgroup"]);
  ensure!(agent["capabilities"]["metadata"]["sys_limits"].is_string(), "{agent}");
  ensure!(agent["version_skew"].is_null(), "one build: {agent}");
  let here = submit(&api, &on("sys_arch", std::env::consts::ARCH, "true")).await?;
  wait_status(&api, &here, &["succeeded"]).await?;
  let figures = wait::until_ok("figures of the host", LIMIT, || async {
    let told = api.get_ok("/agents/agent-0/metrics").await.map_err(|error| error.to_string())?;
    if told["memory_usage"].as_f64() > Some(0.0) { Ok(told) } else { Err(told.to_string()) }
  })
  .await?;
  ensure!(figures["uptime"].is_u64(), "{figures}");
  sql(&cluster, "update sched_agent set version = '0.0.1'").await?;
  assert_eq!(api.get_ok("/agents/agent-0").await?["version_skew"], "older");
  let list = cluster.ctl(&["agent", "list"]).await?;
  ensure!(String::from_utf8_lossy(&list.stdout).contains("0.0.1 (older)"), "the list says so");
  let output = cluster.ctl(&["agent", "get", "agent-0"]).await?;
  let told = String::from_utf8_lossy(&output.stderr).into_owned();
  for part in ["limits in force:", "control groups:", "sys_cpus=", "memory"] {
    ensure!(told.contains(part), "{part} in {told}");
  }
  cluster.finish()
}

async fn agents_that_are_gone_for_long_are_forgotten(engine: Engine) -> Result<()> {
  let quick = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
    agent_overdue_ttl = '3s'\nlost_after = '1h'";
  let mut cluster =
    Cluster::builder().engine(engine).agents(3).server_settings(quick).start().await?;
  let api = cluster.api();
  label(&api, "agent-1", json!({ "gpu": "h100" })).await?;
  label(&api, "agent-2", json!({ "held": "yes" })).await?;
  let held = submit(&api, &on("held", "yes", "sleep 600")).await?;
  wait_status(&api, &held, &["running"]).await?;
  cluster.stop_agent(1)?;
  cluster.kill9_agent(2)?;
  let forgotten = |name: &'static str| {
    let api = &api;
    async move {
      let (status, answer) =
        api.get(&format!("/agents/{name}")).await.map_err(|error| error.to_string())?;
      if status.as_u16() == 404 { Ok(()) } else { Err(answer.to_string()) }
    }
  };
  wait::until_ok("agent-1 to be forgotten", LIMIT, || forgotten("agent-1")).await?;
  // The one that is connected stays, and the one that may still run something.
  assert_eq!(api.get_ok("/agents/agent-0").await?["id"], "agent-0");
  let silent = api.get_ok("/agents/agent-2").await?;
  ensure!(matches!(text(&silent, "status")?.as_str(), "offline" | "disconnecting"), "{silent}");
  let args = ["events", "--from-seq", "0", "--type", "agent.removed", "-o", "jsonl"];
  let output = cluster.ctl(&args).await?;
  let told = String::from_utf8_lossy(&output.stdout).into_owned();
  ensure!(told.lines().count() == 1 && told.contains("agent-1") && told.contains("h100"), "{told}");
  // It comes back as a new one.
  cluster.restart_agent(1)?;
  cluster.wait_agent(1).await?;
  ensure!(api.get_ok("/agents/agent-1").await?["given_labels"].is_null(), "what was given is gone");
  cluster.restart_agent(2)?;
  cluster.wait_agent(2).await?;
  assert_eq!(task(&api, &held).await?["status"], "running");
  api.post_ok(&format!("/tasks/{held}/cancel"), &json!({})).await?;
  wait_status(&api, &held, &["cancelled"]).await?;
  cluster.finish()
}
