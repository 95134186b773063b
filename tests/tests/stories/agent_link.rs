//! The link between agent and server breaks in every way while tasks run: closed, held, the agent
//! frozen, the server restarted. No task starts again for that, and no output is lost.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, ClusterBuilder, Engine};
use hetuflow_tests::proxy::Proxy;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, alive, attempts, output, runs_again, submit, submit_all, task, text, wait_all_succeeded,
  wait_offline, wait_status,
};

both_engines!(
  cut_links_start_nothing_twice,
  a_link_held_beyond_silence_loses_nothing,
  a_frozen_agent_starts_nothing_twice,
  an_orderly_restart_of_the_server_is_not_noticed,
  a_cancel_waits_for_the_link,
  a_time_limit_needs_no_link,
);

/// Silence is noticed after 1.5 s, and forgiven for a minute.
const QUICK_SILENCE: &str = "[agents]\nagent_heartbeat_interval = '250ms'\n\
   agent_heartbeat_ttl = '1500ms'\nlost_after = '60s'";
const QUICK_AGENT: &str = "[agent.connection]\nheartbeat_interval = '250ms'\n\
   reconnect_base = '50ms'\nreconnect_max = '500ms'";

/// One agent behind a link that can be broken.
async fn cluster(engine: Engine, slots: u32) -> Result<(Cluster, Proxy, TruthLog)> {
  let proxy = Proxy::open().await?;
  let cluster = builder(engine, slots).proxy(&proxy).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  Ok((cluster, proxy, truth))
}

fn builder(engine: Engine, slots: u32) -> ClusterBuilder {
  let builder = Cluster::builder().engine(engine).slots(slots);
  builder.server_settings(QUICK_SILENCE).agent_settings(QUICK_AGENT)
}

/// Tasks that write a line, wait for `gate`, and write another.
fn gated(truth: &TruthLog, gate: &Path, count: usize) -> Vec<Value> {
  let script = truth.payload(&format!(
    "echo before; until [ -e '{}' ]; do sleep 0.1; done; echo after",
    gate.display()
  ));
  vec![json!({ "config": { "script": script } }); count]
}

/// Every task succeeded with its first attempt, started once, and its output is whole.
async fn check(cluster: &Cluster, truth: &TruthLog, ids: &[String], wanted: &str) -> Result<()> {
  let api = cluster.api();
  wait_all_succeeded(&api, ids).await?;
  let once: BTreeMap<_, _> = ids.iter().map(|id| ((id.clone(), "1".to_owned()), 1)).collect();
  assert_eq!(truth.starts()?, once);
  assert_eq!(truth.ends()?, once);
  for id in ids {
    assert_eq!(attempts(&api, id).await?.len(), 1);
    assert_eq!(String::from_utf8(output(&api, id, "").await?)?, wanted);
  }
  Ok(())
}

/// Waits for so many starts in the truth log.
async fn wait_starts(truth: &TruthLog, count: usize) -> Result<()> {
  wait::until_ok("starts", LIMIT, || async {
    let seen = truth.starts().map(|starts| starts.len()).unwrap_or_default();
    if seen >= count { Ok(()) } else { Err(format!("{seen}")) }
  })
  .await
}

async fn cut_links_start_nothing_twice(engine: Engine) -> Result<()> {
  let (cluster, proxy, truth) = cluster(engine, 8).await?;
  let script = truth.payload("for n in {1..50}; do echo \"line $n\"; done; sleep 0.02; echo end");
  let ids =
    submit_all(&cluster.api(), &vec![json!({ "config": { "script": script } }); 300]).await?;
  for round in 1..=25 {
    wait_starts(&truth, round * 11).await?;
    proxy.cut();
  }
  let wanted: String = (1..=50).map(|n| format!("line {n}\n")).chain(["end\n".into()]).collect();
  check(&cluster, &truth, &ids, &wanted).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_link_held_beyond_silence_loses_nothing(engine: Engine) -> Result<()> {
  let (cluster, proxy, truth) = cluster(engine, 8).await?;
  let (api, gate) = (cluster.api(), cluster.dir().join("gate"));
  let ids = submit_all(&api, &gated(&truth, &gate, 12)).await?;
  wait_starts(&truth, 8).await?;
  wait_status(&api, &ids[0], &["running"]).await?;
  proxy.hold(true);
  wait_offline(&api, "agent-0").await?;
  let silent = wait_status(&api, &ids[0], &["running"]).await?;
  ensure!(silent["unreachable_since"].is_string(), "not marked as unreachable: {silent}");
  assert_eq!(attempts(&api, &ids[0]).await?[0]["status"], "unreachable");
  // They end while nobody hears of it.
  std::fs::write(&gate, "")?;
  wait::until("eight ends", LIMIT, || async { (truth.ends().ok()?.len() >= 8).then_some(()) })
    .await?;
  proxy.hold(false);
  check(&cluster, &truth, &ids, "before\nafter\n").await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_frozen_agent_starts_nothing_twice(engine: Engine) -> Result<()> {
  let mut cluster = builder(engine, 8).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let (api, gate) = (cluster.api(), cluster.dir().join("gate"));
  let ids = submit_all(&api, &gated(&truth, &gate, 12)).await?;
  wait_starts(&truth, 8).await?;
  cluster.agent(0).process().signal(Signal::STOP)?;
  std::fs::write(&gate, "")?;
  wait::until("eight ends", LIMIT, || async { (truth.ends().ok()?.len() >= 8).then_some(()) })
    .await?;
  cluster.agent(0).process().signal(Signal::CONT)?;
  check(&cluster, &truth, &ids, "before\nafter\n").await?;

  // And once more for so long that it is called offline.
  std::fs::remove_file(&gate)?;
  let truth = TruthLog::new(cluster.dir().join("truth-2.log"));
  let ids = submit_all(&api, &gated(&truth, &gate, 12)).await?;
  wait_starts(&truth, 8).await?;
  cluster.agent(0).process().signal(Signal::STOP)?;
  wait_offline(&api, "agent-0").await?;
  cluster.agent(0).process().signal(Signal::CONT)?;
  std::fs::write(&gate, "")?;
  check(&cluster, &truth, &ids, "before\nafter\n").await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn an_orderly_restart_of_the_server_is_not_noticed(engine: Engine) -> Result<()> {
  let mut cluster = builder(engine, 8).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let ids = submit_all(&cluster.api(), &gated(&truth, &gate, 12)).await?;
  wait_starts(&truth, 8).await?;
  cluster.stop_server(0)?;
  cluster.restart_server(0).await?;
  cluster.wait_agent(0).await?;
  cluster.stop_server(0)?;
  std::fs::write(&gate, "")?;
  wait::until("eight ends", LIMIT, || async { (truth.ends().ok()?.len() >= 8).then_some(()) })
    .await?;
  cluster.restart_server(0).await?;
  check(&cluster, &truth, &ids, "before\nafter\n").await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_cancel_waits_for_the_link(engine: Engine) -> Result<()> {
  let (cluster, proxy, _) = cluster(engine, 2).await?;
  let api = cluster.api();
  let config = json!({ "cmd": "exec", "args": ["sleep", "1234567"] });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["running"]).await?;
  proxy.hold(true);
  let (status, answer) = api.post(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  assert_eq!((status, &answer["status"]), (StatusCode::ACCEPTED, &json!("cancelling")));
  // Also when the agent is known to be silent, the task is not called cancelled.
  wait_offline(&api, "agent-0").await?;
  assert_eq!(text(&task(&api, &id).await?, "status")?, "cancelling");
  assert_eq!(alive(cluster.dir(), "1234567").len(), 1);
  proxy.hold(false);
  wait_status(&api, &id, &["cancelled"]).await?;
  assert_eq!(alive(cluster.dir(), "1234567"), Vec::new());
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_time_limit_needs_no_link(engine: Engine) -> Result<()> {
  let (cluster, proxy, _) = cluster(engine, 2).await?;
  let api = cluster.api();
  let config = json!({ "cmd": "exec", "args": ["sleep", "1234567"], "timeout": 3 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["running"]).await?;
  proxy.hold(true);
  wait::until("the process to be killed", LIMIT, || async {
    alive(cluster.dir(), "1234567").is_empty().then_some(())
  })
  .await?;
  assert_eq!(text(&task(&api, &id).await?, "status")?, "running");
  proxy.hold(false);
  assert_eq!(text(&wait_status(&api, &id, &["failed"]).await?, "reason")?, "timed_out");
  runs_again(&cluster).await?;
  cluster.finish()
}
