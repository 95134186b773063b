//! The network between an agent and its server fails in each way that networks do, for real: the
//! agent is on a host of its own. No task starts again for that, no output is lost, and afterwards
//! everything runs again. What the tasks themselves wrote down decides.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::net::Host;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, attempts, output, submit, submit_all, task, wait_all_succeeded, wait_offline, wait_online,
  wait_status,
};

both_engines!(
  a_cut_link,
  a_link_that_only_carries_to_the_server,
  a_link_that_only_carries_to_the_agent,
  a_link_that_loses_packets,
  a_link_that_swallows_large_packets,
  a_slow_link,
  a_link_that_comes_and_goes,
  connections_that_are_reset,
  a_server_that_is_another_one_after_the_cut,
);

/// Silence is noticed after 1.5 s, and forgiven for a minute.
const QUICK_SILENCE: &str = "[agents]\nagent_heartbeat_interval = '250ms'\n\
   agent_heartbeat_ttl = '1500ms'\nlost_after = '60s'";
const QUICK_AGENT: &str = "[agent.connection]\nheartbeat_interval = '250ms'\n\
   reconnect_base = '50ms'\nreconnect_max = '500ms'";

/// A server here, an agent there, and what the tasks have seen.
struct Stage {
  host: Host,
  cluster: Cluster,
  truth: TruthLog,
  gate: PathBuf,
}

impl Stage {
  async fn new(engine: Engine, server_settings: &str) -> Result<Self> {
    let host = Host::new()?;
    let builder = Cluster::builder().engine(engine).slots(8).agents_on(&host);
    let builder = builder.server_settings(server_settings).agent_settings(QUICK_AGENT);
    let cluster = builder.start().await?;
    let truth = TruthLog::new(cluster.dir().join("truth.log"));
    let gate = cluster.dir().join("gate");
    Ok(Self { host, cluster, truth, gate })
  }

  /// Tasks that write a line, wait for the gate, and write another; all have started.
  async fn gated(&self, count: usize) -> Result<Vec<String>> {
    let script = gated(&self.truth, &self.gate);
    let before = self.truth.starts()?.len();
    let tasks = vec![json!({ "config": { "script": script } }); count];
    let ids = submit_all(&self.cluster.api(), &tasks).await?;
    wait::until_ok("the starts", LIMIT, || async {
      let seen = self.truth.starts().map(|starts| starts.len() - before).unwrap_or_default();
      if seen >= count { Ok(()) } else { Err(seen.to_string()) }
    })
    .await?;
    wait_status(&self.cluster.api(), &ids[0], &["running"]).await?;
    Ok(ids)
  }

  /// Opens the gate and waits until every task has ended, whether or not anybody heard of it.
  async fn open_gate(&self) -> Result<()> {
    std::fs::write(&self.gate, "")?;
    wait::until("the ends", LIMIT, || async {
      (self.truth.ends().ok()? == self.truth.starts().ok()?).then_some(())
    })
    .await
  }

  /// Healed: all have succeeded with their first attempt, started once, whole; and another one runs.
  async fn finish(self, ids: &[String], wanted: &str) -> Result<()> {
    let api = self.cluster.api();
    wait_all_succeeded(&api, ids).await?;
    for id in ids {
      assert_eq!(attempts(&api, id).await?.len(), 1);
      assert_eq!(String::from_utf8(output(&api, id, "").await?)?, wanted);
    }
    assert_eq!(self.truth.started_twice()?, []);
    assert_eq!(self.truth.ends()?, self.truth.starts()?);
    let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
    wait_status(&api, &next, &["succeeded"]).await?;
    self.cluster.finish()
  }
}

fn gated(truth: &TruthLog, gate: &Path) -> String {
  let gate = gate.display();
  truth.payload(&format!("echo before; until [ -e '{gate}' ]; do sleep 0.1; done; echo after"))
}

/// N01, A05, A10: nothing gets through for longer than silence is taken for life.
async fn a_cut_link(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let (api, ids) = (stage.cluster.api(), stage.gated(6).await?);
  let doomed = submit(&api, &json!({ "config": { "command": "sleep 1234567" } })).await?;
  wait_status(&api, &doomed, &["running"]).await?;
  stage.host.cut()?;
  wait_offline(&api, "agent-0").await?;
  let silent = task(&api, &ids[0]).await?;
  ensure!(silent["unreachable_since"].is_string(), "not marked as unreachable: {silent}");
  api.post_ok(&format!("/tasks/{doomed}/cancel"), &json!({})).await?;
  stage.open_gate().await?;
  stage.host.heal()?;
  wait_status(&api, &doomed, &["cancelled"]).await?;
  stage.finish(&ids, "before\nafter\n").await
}

/// N02: the agent can speak and does not hear.
async fn a_link_that_only_carries_to_the_server(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let (api, ids) = (stage.cluster.api(), stage.gated(4).await?);
  stage.host.cut_to()?;
  // Without an answer it does not go on speaking: the server must not take it for well.
  wait_offline(&api, "agent-0").await?;
  stage.open_gate().await?;
  stage.host.heal()?;
  stage.finish(&ids, "before\nafter\n").await
}

/// N03: the agent hears and cannot speak.
async fn a_link_that_only_carries_to_the_agent(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let (api, ids) = (stage.cluster.api(), stage.gated(4).await?);
  stage.host.cut_from()?;
  wait_offline(&api, "agent-0").await?;
  stage.open_gate().await?;
  stage.host.heal()?;
  stage.finish(&ids, "before\nafter\n").await
}

/// N06: every tenth packet is lost, and a hundred tasks run.
async fn a_link_that_loses_packets(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  stage.host.lose(10)?;
  let script = stage.truth.payload("for n in {1..50}; do echo \"line $n\"; done; sleep 0.05");
  let tasks = vec![json!({ "config": { "script": script } }); 100];
  let ids = submit_all(&stage.cluster.api(), &tasks).await?;
  let wanted: String = (1..=50).map(|n| format!("line {n}\n")).collect();
  wait_all_succeeded(&stage.cluster.api(), &ids).await?;
  stage.host.heal()?;
  stage.finish(&ids, &wanted).await
}

/// N13: what is longer than a short packet never arrives, and no router says so.
async fn a_link_that_swallows_large_packets(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let (api, gate) = (stage.cluster.api(), stage.gate.display());
  let body = format!("echo before; until [ -e '{gate}' ]; do sleep 0.1; done; seq 1 20000");
  let script = stage.truth.payload(&body);
  let ids = submit_all(&api, &vec![json!({ "config": { "script": script } }); 3]).await?;
  for id in &ids {
    wait_status(&api, id, &["running"]).await?;
  }
  stage.host.swallow_large(1200)?;
  stage.open_gate().await?;
  wait_offline(&api, "agent-0").await?;
  assert_eq!(task(&api, &ids[0]).await?["status"], "running", "its end is behind its output");
  stage.host.heal()?;
  let lines: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
  stage.finish(&ids, &format!("before\n{lines}")).await
}

/// N07: 256 kbit/s and a flood: signs of life and states come before the log, and none is lost.
async fn a_slow_link(engine: Engine) -> Result<()> {
  let patient = "[agents]\nagent_heartbeat_interval = '1s'\nagent_heartbeat_ttl = '12s'";
  let stage = Stage::new(engine, patient).await?;
  let api = stage.cluster.api();
  stage.host.slow_down(256_000)?;
  // Half a megabyte that does not get smaller takes 16 s; the flood itself ends at once.
  let flood = "head -c 500000 /dev/urandom; echo flooded >&2";
  let loud = submit(&api, &json!({ "config": { "command": flood } })).await?;
  wait_status(&api, &loud, &["running"]).await?;
  let mut ids = Vec::new();
  let script = stage.truth.payload("echo quiet");
  for _ in 0..5 {
    let id = submit(&api, &json!({ "config": { "script": script } })).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
    ids.push(id);
  }
  let waits = task(&api, &loud).await?;
  assert_eq!(waits["status"], "running", "the log of the loud one was to be still on its way");
  wait_status(&api, &loud, &["succeeded"]).await?;
  assert_eq!(output(&api, &loud, "").await?.len(), 500_000 + "flooded\n".len());
  let offline = events(&stage.cluster, "agent.offline").await?;
  assert_eq!(offline, Vec::<Value>::new(), "a slow agent is not a dead one");
  stage.host.heal()?;
  stage.finish(&ids, "quiet\n").await
}

/// N08: up and down, again and again.
async fn a_link_that_comes_and_goes(engine: Engine) -> Result<()> {
  const ROUNDS: usize = 8;
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let script = stage.truth.payload("for n in {1..20}; do echo \"line $n\"; sleep 0.02; done");
  let tasks = vec![json!({ "config": { "script": script } }); 120];
  let ids = submit_all(&stage.cluster.api(), &tasks).await?;
  for _ in 0..ROUNDS {
    stage.host.cut()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.host.heal()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
  }
  let wanted: String = (1..=20).map(|n| format!("line {n}\n")).collect();
  wait_all_succeeded(&stage.cluster.api(), &ids).await?;
  let connected = events(&stage.cluster, "agent.connected").await?.len();
  ensure!(connected <= 2 * ROUNDS + 2, "{connected} connections in {ROUNDS} rounds are a storm");
  stage.finish(&ids, &wanted).await
}

/// N10: resets in the middle of frames.
async fn connections_that_are_reset(engine: Engine) -> Result<()> {
  let stage = Stage::new(engine, QUICK_SILENCE).await?;
  let api = stage.cluster.api();
  let noise = "for n in {1..40}; do head -c 30000 /dev/zero | tr '\\0' x; sleep 0.1; done";
  let script = stage.truth.payload(noise);
  let ids = submit_all(&api, &vec![json!({ "config": { "script": script } }); 4]).await?;
  for _ in 0..6 {
    stage.host.reset()?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.host.heal()?;
    wait_online(&api, "agent-0").await?;
  }
  let wanted = "x".repeat(40 * 30_000);
  stage.finish(&ids, &wanted).await
}

/// N10: the server dies while the link is cut; the agent's connection is half open then.
async fn a_server_that_is_another_one_after_the_cut(engine: Engine) -> Result<()> {
  let mut stage = Stage::new(engine, QUICK_SILENCE).await?;
  let ids = stage.gated(4).await?;
  stage.host.cut()?;
  stage.cluster.kill9_server(0)?;
  stage.cluster.restart_server(0).await?;
  stage.open_gate().await?;
  stage.host.heal()?;
  stage.finish(&ids, "before\nafter\n").await
}

/// What the event log tells of this kind.
async fn events(cluster: &Cluster, kind: &str) -> Result<Vec<Value>> {
  let told = cluster.ctl(&["events", "--from-seq", "0", "--type", kind, "-o", "jsonl"]).await?;
  ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
  let lines = String::from_utf8(told.stdout)?;
  Ok(lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}
