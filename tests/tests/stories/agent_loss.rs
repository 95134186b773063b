//! An agent dies with `kill -9`, and comes back or never does.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::proxy::Proxy;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, alive, attempts, output, runs_again, sql, submit, task, text, wait_offline, wait_status,
};

both_engines!(
  an_agent_that_returns_without_its_memory,
  an_agent_that_never_returns,
  an_agent_that_returns_after_its_tasks_were_given_up,
  a_claim_for_an_agent_that_was_given_up,
  an_agent_that_was_given_up_too_early,
  an_exclusive_task_is_stopped_by_its_agent,
  a_task_that_must_not_be_replaced,
  the_log_of_an_agent_that_never_returns,
);

/// H, U and G as small as a busy machine allows.
const QUICK_LOSS: &str = "[agents]\nagent_heartbeat_interval = '250ms'\n\
   agent_heartbeat_ttl = '1500ms'\nlost_after = '1500ms'";
const QUICK_AGENT: &str = "[agent.connection]\nheartbeat_interval = '250ms'";

/// A task for agent-0 at first, whose first attempt waits for `gate`.
fn waiting(truth: &TruthLog, cluster: &Cluster, config: Value) -> Value {
  let gate = cluster.dir().join("gate");
  let script = truth.payload(&format!(
    "trap '' PIPE # the agent may die before it reads this\necho attempt $HETUFLOW_ATTEMPT\nif [ $HETUFLOW_ATTEMPT = 1 ]; then \
       until [ -e '{}' ]; do sleep 0.1; done; fi",
    gate.display()
  ));
  let mut task = json!({ "config": config });
  task["config"]["script"] = json!(script);
  task
}

/// Lets the orphans go, and waits until they have.
async fn release(cluster: &Cluster, truth: &TruthLog) -> Result<()> {
  std::fs::write(cluster.dir().join("gate"), "")?;
  wait::until("the orphans' ends", LIMIT, || async {
    (truth.ends().ok()? == truth.starts().ok()?).then_some(())
  })
  .await
}

/// Agent and executor are killed and their folder is gone: nobody knows any more what was started.
async fn an_agent_that_returns_without_its_memory(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let once = submit(&api, &waiting(&truth, &cluster, json!({}))).await?;
  let named = json!({ "delivery": "at_most_once", "max_retries": 3, "retry_interval": 0.1 });
  let named = submit(&api, &waiting(&truth, &cluster, named)).await?;
  let again = json!({ "max_retries": 1, "retry_interval": 0.1 });
  let again = submit(&api, &waiting(&truth, &cluster, again)).await?;
  for id in [&once, &named, &again] {
    wait_status(&api, id, &["running"]).await?;
  }
  wait::until("three starts", LIMIT, || async { (truth.starts().ok()?.len() == 3).then_some(()) })
    .await?;
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  std::fs::remove_dir_all(cluster.agent(0).state_dir())?;
  cluster.restart_agent(0)?;

  for id in [&once, &named] {
    let task = wait_status(&api, id, &["lost"]).await?;
    let reason = text(&task, "reason")?;
    assert_eq!(reason, "lost(agent_data_lost)");
    let attempts = attempts(&api, id).await?;
    assert_eq!((attempts.len(), &attempts[0]["status"]), (1, &json!("lost")));
    assert_eq!(attempts[0]["reason"], reason);
  }
  let task = wait_status(&api, &again, &["succeeded"]).await?;
  assert_eq!(task["attempt"], 2);
  let attempts = attempts(&api, &again).await?;
  assert_eq!(
    (&attempts[0]["status"], &attempts[1]["status"]),
    (&json!("lost"), &json!("succeeded"))
  );
  assert_eq!(output(&api, &again, "").await?, b"attempt 2\n");
  release(&cluster, &truth).await?;
  // What a lost task still did changes nothing.
  assert_eq!(wait_status(&api, &once, &["lost"]).await?["attempt"], 1);
  assert_eq!(truth.starts()?.len(), 4);
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn an_agent_that_never_returns(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine).agents(2);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let mut cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let pinned = json!({ "selector": { "agent": "agent-0" } });
  let once = submit(&api, &waiting(&truth, &cluster, pinned)).await?;
  wait_status(&api, &once, &["running"]).await?;
  // Any agent may run these; at least one of them lands on the one that dies.
  let mut retried = Vec::new();
  for _ in 0..8 {
    let config = json!({ "max_retries": 1, "retry_interval": 0.1 });
    retried.push(submit(&api, &waiting(&truth, &cluster, config)).await?);
  }
  wait::until_ok("seven starts", LIMIT, || async {
    let starts = truth.starts().map(|starts| starts.len()).unwrap_or_default();
    if starts >= 7 { Ok(()) } else { Err(starts.to_string()) }
  })
  .await?;
  cluster.kill9_agent(0)?;

  wait_offline(&api, "agent-0").await?;
  let seen = wait::until_ok("the task to be unreachable or lost", LIMIT, || async {
    let task = task(&api, &once).await.map_err(|error| format!("{error:#}"))?;
    let silent = task["unreachable_since"].is_string() || task["status"] == "lost";
    if silent { Ok(task) } else { Err(task.to_string()) }
  })
  .await?;
  ensure!(seen["status"] == "running" || seen["status"] == "lost", "{seen}");
  let lost = wait_status(&api, &once, &["lost"]).await?;
  assert_eq!(text(&lost, "reason")?, "lost(unreachable)");
  assert_eq!(attempts(&api, &once).await?.len(), 1);

  // Those that were on agent-0 go to agent-1, which has room when its own end.
  std::fs::write(cluster.dir().join("gate"), "")?;
  let mut moved = 0;
  for id in &retried {
    let task = wait_status(&api, id, &["succeeded"]).await?;
    assert_eq!(text(&task, "agent_id")?, "agent-1");
    let attempts = attempts(&api, id).await?;
    if attempts.len() == 2 {
      moved += 1;
      assert_eq!(text(&attempts[0], "agent_id")?, "agent-0");
      assert_eq!(text(&attempts[0], "reason")?, "lost(unreachable)");
    }
  }
  ensure!(moved > 0, "none of the tasks was on the agent that died");
  release(&cluster, &truth).await?;
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn an_agent_that_returns_after_its_tasks_were_given_up(engine: Engine) -> Result<()> {
  let proxy = Proxy::open().await?;
  let builder = Cluster::builder().engine(engine).proxy(&proxy);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let ends = submit(&api, &waiting(&truth, &cluster, json!({}))).await?;
  let script = |body: &str| json!({ "script": truth.payload(body) });
  let stays = submit(&api, &json!({ "config": script("sleep 1234567") })).await?;
  let mut again = script("[ $HETUFLOW_ATTEMPT = 2 ] || sleep 1234567");
  again["max_retries"] = json!(1);
  again["retry_interval"] = json!(0.1);
  let again = submit(&api, &json!({ "config": again })).await?;
  for id in [&ends, &stays, &again] {
    wait_status(&api, id, &["running"]).await?;
  }
  wait::until("three starts", LIMIT, || async { (truth.starts().ok()?.len() == 3).then_some(()) })
    .await?;
  proxy.hold(true);
  for (id, status) in [(&ends, "lost"), (&stays, "lost"), (&again, "waiting_retry")] {
    let states = [status, "pending"];
    wait_status(&api, id, &states).await?;
    assert_eq!(text(&attempts(&api, id).await?[0], "reason")?, "lost(unreachable)");
  }
  // One succeeds too late, two would go on for ever.
  std::fs::write(cluster.dir().join("gate"), "")?;
  wait::until("an end", LIMIT, || async { (truth.ends().ok()?.len() == 1).then_some(()) }).await?;
  proxy.hold(false);

  let done = wait_status(&api, &again, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 2);
  wait::until_ok("what was given up to be killed", LIMIT, || async {
    let alive = alive(cluster.dir(), "sleep 1234567");
    if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
  })
  .await?;
  for id in [&ends, &stays] {
    let task = task(&api, id).await?;
    assert_eq!((&task["status"], &task["reason"]), (&json!("lost"), &json!("lost(unreachable)")));
    assert_eq!(attempts(&api, id).await?.len(), 1);
  }
  let both: Vec<Value> = attempts(&api, &again).await?;
  assert_eq!((&both[0]["status"], &both[1]["status"]), (&json!("lost"), &json!("succeeded")));
  ensure!(both[0]["fence"].as_i64() < both[1]["fence"].as_i64(), "fences: {both:?}");
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// The server has claimed tasks for an agent that was offline already, on a link that was dead, and
/// is killed before anybody calls them unreachable.
async fn a_claim_for_an_agent_that_was_given_up(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let mut cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let once = submit(&api, &waiting(&truth, &cluster, json!({}))).await?;
  let again = json!({ "max_retries": 1, "retry_interval": 0.1 });
  let again = submit(&api, &waiting(&truth, &cluster, again)).await?;
  for id in [&once, &again] {
    wait_status(&api, id, &["running"]).await?;
  }
  cluster.kill9_server(0)?;
  cluster.kill9_agent(0)?;
  // As it is when the claim was the last thing that the server did.
  let claimed = "update sched_task_hot set status = 'locked', started_at = null, \
    unreachable_since = null";
  assert_eq!(sql(&cluster, claimed).await?, 2);
  assert_eq!(sql(&cluster, "update sched_agent set status = 'offline'").await?, 1);
  cluster.restart_server(0).await?;
  let api = cluster.api();
  let lost = wait_status(&api, &once, &["lost"]).await?;
  assert_eq!(text(&lost, "reason")?, "lost(unreachable)");
  let waits = wait_status(&api, &again, &["waiting_retry", "pending"]).await?;
  assert_eq!(attempts(&api, &again).await?.len(), 1, "{waits}");
  // Another process of the agent is free to take the second attempt.
  cluster.restart_agent(0)?;
  let done = wait_status(&api, &again, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 2);
  // The attempts that were given up live on in the executor; the agent is told to stop them.
  wait::until_ok("what was given up to be killed", LIMIT, || async {
    let alive = alive(cluster.dir(), "/runs/");
    if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
  })
  .await?;
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// An agent is silent for long enough to be called offline, and goes on over the same connection:
/// what it runs is not lost.
async fn an_agent_that_was_given_up_too_early(engine: Engine) -> Result<()> {
  let settings = "[agents]\nagent_heartbeat_interval = '250ms'\n\
     agent_heartbeat_ttl = '3s'\nlost_after = '2s'";
  let builder = Cluster::builder().engine(engine);
  let builder = builder.server_settings(settings).agent_settings(QUICK_AGENT);
  let cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let id = submit(&api, &waiting(&truth, &cluster, json!({}))).await?;
  wait_status(&api, &id, &["running"]).await?;
  let unreachable = match engine {
    Engine::Sqlite => {
      "update sched_task_hot set unreachable_since = \
        cast(unixepoch('subsec') * 1000000 as integer)"
    }
    Engine::Postgres => "update sched_task_hot set unreachable_since = clock_timestamp()",
  };
  assert_eq!(sql(&cluster, unreachable).await?, 1);
  // Last: a sign of life in between would end it before the attempt was called unreachable.
  let silent = "update sched_agent set status = 'offline'";
  assert_eq!(sql(&cluster, silent).await?, 1);
  wait::until_ok("the task to be reachable again", LIMIT, || async {
    let task = task(&api, &id).await.map_err(|error| format!("{error:#}"))?;
    let agent = api.get_ok("/agents/agent-0").await.map_err(|error| format!("{error:#}"))?;
    let reachable = task["unreachable_since"].is_null() && agent["status"] != "offline";
    let fine = reachable && task["status"] == "running";
    if fine { Ok(()) } else { Err(format!("{task} {agent}")) }
  })
  .await?;
  release(&cluster, &truth).await?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!((&done["attempt"], truth.starts()?.len()), (&json!(1), 1));
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Without a server the agent stops it by itself, also when the agent is dead; only then may there
/// be another one.
async fn an_exclusive_task_is_stopped_by_its_agent(engine: Engine) -> Result<()> {
  let proxy = Proxy::open().await?;
  let builder = Cluster::builder().engine(engine).proxy(&proxy);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let mut cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let policy = json!({ "delivery": "exclusive", "max_retries": 1, "retry_interval": 0.1,
    "stop_grace_secs": 0.5, "disconnect": { "stop_after": 2 } });
  let exclusive = |body: &str| {
    let mut task = json!({ "config": policy });
    task["config"]["script"] = json!(truth.payload(body));
    task
  };
  let missing = json!({ "config": { "command": "true", "delivery": "exclusive" } });
  let (status, refused) = api.post("/tasks", &missing).await?;
  assert_eq!((status.as_u16(), &refused["errors"][0]["code"]), (422, &json!("policy.incomplete")));
  let id = submit(&api, &exclusive("[ $HETUFLOW_ATTEMPT = 2 ] || sleep 1234567")).await?;
  let begun = wait_status(&api, &id, &["running", "failed"]).await?;
  // A host that cannot hold a tree of processes together does not even begin.
  if begun["status"] == "failed" {
    assert_eq!(text(&begun, "reason")?, "not_started(refused)");
    return cluster.finish();
  }
  proxy.hold(true);
  // The agent itself need not live for that.
  cluster.kill9_agent(0)?;
  wait::until_ok("its own end", LIMIT, || async {
    let alive = alive(cluster.dir(), "sleep 1234567");
    if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
  })
  .await?;
  let task = task(&api, &id).await?;
  ensure!(task["status"] == "running", "not lost before it is dead: {task}");
  wait_status(&api, &id, &["waiting_retry", "pending"]).await?;
  proxy.hold(false);
  cluster.restart_agent(0)?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 2);
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_task_that_must_not_be_replaced(engine: Engine) -> Result<()> {
  let proxy = Proxy::open().await?;
  let builder = Cluster::builder().engine(engine).proxy(&proxy);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let cluster = builder.start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let never = json!({ "max_retries": 3, "disconnect": { "replace": false } });
  let never = submit(&api, &waiting(&truth, &cluster, never)).await?;
  let may = submit(&api, &waiting(&truth, &cluster, json!({}))).await?;
  for id in [&never, &may] {
    wait_status(&api, id, &["running"]).await?;
  }
  proxy.hold(true);
  wait_status(&api, &may, &["lost"]).await?;
  let waits = task(&api, &never).await?;
  assert_eq!(waits["status"], "running", "{waits}");
  ensure!(waits["unreachable_since"].is_string(), "{waits}");
  proxy.hold(false);
  std::fs::write(cluster.dir().join("gate"), "")?;
  assert_eq!(wait_status(&api, &never, &["succeeded"]).await?["attempt"], 1);
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// D12: what was stored of a log can be read, and is not taken for all of it.
async fn the_log_of_an_agent_that_never_returns(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine).agents(2);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  let config = json!({ "command": "trap '' PIPE; seq 1 5000; sleep 1234567",
    "selector": { "agent": "agent-0" } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let lines: String = (1..=5000).map(|number| format!("{number}\n")).collect();
  wait::until("all that was said", LIMIT, || async {
    (output(&api, &id, "").await.ok()? == lines.as_bytes()).then_some(())
  })
  .await?;
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  let lost = wait_status(&api, &id, &["lost"]).await?;
  assert_eq!(text(&lost, "reason")?, "lost(unreachable)");
  assert_eq!(output(&api, &id, "").await?, lines.as_bytes());
  let proof = cluster.ctl(&["logs", &id, "--verify", "-o", "json"]).await?;
  assert_eq!(proof.status.code(), Some(1), "{}", String::from_utf8_lossy(&proof.stderr));
  let proof: Value = serde_json::from_slice(&proof.stdout)?;
  assert_eq!(proof["verdict"], "unknown", "{proof}");
  let next = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}
