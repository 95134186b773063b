//! Limits that tasks share: never more alive than they allow, whoever is killed, and nothing that
//! stays taken.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::{Moment, TruthLog};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, submit, submit_all, text, wait_status};

both_engines!(
  limits_hold_while_agents_and_servers_are_killed,
  keys_are_counted_apart,
  a_schedule_has_a_limit_of_its_own,
  a_rate_spreads_starts,
  why_names_the_limit_and_its_holder,
);

async fn all_succeed(api: &Api, ids: &[String]) -> Result<()> {
  for id in ids {
    wait_status(api, id, &["succeeded"]).await?;
  }
  Ok(())
}

/// A job with `max_concurrent` whose tasks also need a semaphore; agents and, last, the server are
/// killed while its tasks come, run and end.
async fn limits_hold_while_agents_and_servers_are_killed(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).agents(2).slots(8).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  ensure!(api.put("/semaphores/db", &json!({ "slots": 3 })).await?.0.is_success());
  let script = truth.payload("sleep 0.4");
  let limited = json!({ "name": "limited", "config": {
    "script": script, "max_concurrent": 4, "semaphores": [{ "name": "db" }] } });
  let wide = json!({ "name": "wide", "config": {
    "script": script, "semaphores": [{ "name": "db", "slots": 2 }] } });
  for job in [&limited, &wide] {
    api.post_ok("/jobs", job).await?;
  }
  let tasks: Vec<Value> =
    (0..36).map(|n| json!({ "job": if n % 6 == 0 { "wide" } else { "limited" } })).collect();
  let mut ids = submit_all(&api, &tasks).await?;
  for round in 0..6 {
    let started = truth.starts()?.len();
    // Where the others have been quick, these are still to come.
    ids.extend(submit_all(&cluster.api(), &tasks[..6]).await?);
    wait::until("a start", LIMIT, || async {
      (truth.starts().ok()?.len() > started).then_some(())
    })
    .await?;
    if round == 4 {
      cluster.kill9_server(0)?;
      cluster.restart_server(0).await?;
    } else {
      cluster.kill9_agent(round % 2)?;
      cluster.restart_agent(round % 2)?;
      cluster.wait_agent(round % 2).await?;
    }
  }
  let api = cluster.api();
  all_succeed(&api, &ids).await?;
  let wide: Vec<&String> = ids.iter().step_by(6).collect();
  let slots = |id: &str| if wide.iter().any(|one| *one == id) { 2 } else { 1 };
  let (mut moments, mut used, mut most) = (truth.read()?, 0, 0);
  moments.sort_by_key(|event| (event.at_ns, event.moment == Moment::Start));
  for event in moments {
    used += if event.moment == Moment::Start { 1 } else { -1 } * slots(&event.task_id);
    most = most.max(used);
  }
  ensure!(most <= 3, "{most} slots of 3 were taken at one instant");
  ensure!(most >= 2, "nothing ran side by side");
  assert_eq!(truth.started_twice()?, []);
  let usage = api.get_ok("/semaphores/db/usage").await?;
  assert_eq!((&usage["taken"], &usage["keys"]), (&json!(0), &json!([])), "nothing stays taken");
  // And everything can be had again.
  let three: Vec<Value> = (0..3).map(|_| json!({ "job": "limited" })).collect();
  all_succeed(&api, &submit_all(&api, &three).await?).await?;
  cluster.finish()
}

async fn keys_are_counted_apart(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  ensure!(api.put("/semaphores/customer", &json!({ "slots": 1 })).await?.0.is_success());
  let key = "{{ params.customer }}";
  let job = json!({ "name": "export", "config": { "script": truth.payload("sleep 0.3"),
    "semaphores": [{ "name": "customer", "key": key }] } });
  api.post_ok("/jobs", &job).await?;
  let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
  for _ in 0..4 {
    for customer in ["acme", "ümläut co"] {
      let task = json!({ "job": "export", "parameters": { "customer": customer } });
      of.entry(customer).or_default().push(submit(&api, &task).await?);
    }
  }
  for (customer, ids) in &of {
    all_succeed(&api, ids).await?;
    assert_eq!(truth.most_alive(|id| ids.iter().any(|own| own == id))?, 1, "{customer}");
  }
  ensure!(truth.most_alive(|_| true)? == 2, "two customers run side by side");
  // Without its parameter there is no key.
  let (status, told) = api.post("/tasks", &json!({ "job": "export" })).await?;
  assert_eq!((status.as_u16(), &told["errors"][0]["code"]), (422, &json!("semaphore.key")));
  cluster.finish()
}

/// Runs of one schedule side by side, as many as it allows, also while an agent is killed; the job
/// itself may run beside them.
async fn a_schedule_has_a_limit_of_its_own(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let schedule = json!({ "name": "often", "interval_secs": 1, "max_count": 6,
    "overlap_policy": "allow_all", "max_concurrent": 2 });
  let job = json!({ "name": "many", "config": { "script": truth.payload(&hold) },
    "schedules": [schedule] });
  api.post_ok("/jobs", &job).await?;
  let of_schedule = async || -> Result<Vec<Value>> {
    let mut tasks = crate::support::all(&api, "/tasks?job=many").await?;
    tasks.retain(|task| task["schedule_id"].is_string());
    Ok(tasks)
  };
  let held = wait::until("six runs, four of them held", LIMIT, || async {
    let tasks = of_schedule().await.ok()?;
    let held: Vec<Value> =
      tasks.iter().filter(|task| task["held_by"].is_array()).cloned().collect();
    let running = tasks.iter().filter(|task| task["status"] == "running").count();
    (tasks.len() == 6 && running == 2 && held.len() == 4).then_some(held)
  })
  .await?;
  let path = format!("/tasks/{}/why", text(&held[0], "id")?);
  wait::until_ok("the last one to be due, and held", LIMIT, || async {
    let why = api.get_ok(&path).await.map_err(|error| error.to_string())?;
    let words = why["text"].as_str().unwrap_or_default();
    let held = words.contains("max_concurrent of its schedule: 2 of 2 taken");
    if held { Ok(()) } else { Err(why.to_string()) }
  })
  .await?;
  let beside = submit(&api, &json!({ "job": "many" })).await?;
  wait_status(&api, &beside, &["running"]).await?;
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  std::fs::write(&gate, "")?;
  let ids: Vec<String> =
    of_schedule().await?.iter().map(|task| text(task, "id")).collect::<Result<_>>()?;
  all_succeed(&api, &ids).await?;
  all_succeed(&api, &[beside]).await?;
  assert_eq!(truth.most_alive(|id| ids.iter().any(|own| own == id))?, 2);
  assert_eq!(truth.started_twice()?, []);
  cluster.finish()
}

async fn a_rate_spreads_starts(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let job = json!({ "name": "mail", "config": { "script": truth.payload("true"),
    "rate_limit": { "rate": 2, "per_secs": "2s" } } });
  api.post_ok("/jobs", &job).await?;
  let tasks: Vec<Value> = (0..6).map(|_| json!({ "job": "mail" })).collect();
  let ids = submit_all(&api, &tasks).await?;
  all_succeed(&api, &ids).await?;
  let mut starts: Vec<u128> = truth
    .read()?
    .iter()
    .filter(|event| event.moment == Moment::Start)
    .map(|event| event.at_ns)
    .collect();
  starts.sort_unstable();
  // Six tasks at two in two seconds: the last cannot have been let through before 4 s.
  let first = *starts.first().context("a start")?;
  let last = *starts.last().context("a start")?;
  ensure!(
    last - first > 3_000_000_000,
    "{} ms from the first to the last",
    (last - first) / 1_000_000
  );
  cluster.finish()
}

async fn why_names_the_limit_and_its_holder(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let script = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let unknown = json!({ "name": "backup", "config": {
    "command": script, "semaphores": [{ "name": "tapes" }] } });
  let (status, told) = api.post("/jobs", &unknown).await?;
  assert_eq!((status.as_u16(), &told["errors"][0]["code"]), (422, &json!("semaphore.unknown")));
  let out = cluster.ctl(&["semaphore", "set", "tapes", "--slots", "1"]).await?;
  ensure!(out.status.success(), "{out:?}");
  api.post_ok("/jobs", &unknown).await?;
  let first = submit(&api, &json!({ "job": "backup" })).await?;
  wait_status(&api, &first, &["running"]).await?;
  let second = submit(&api, &json!({ "job": "backup" })).await?;
  let why = wait::until("the limit to hold it", LIMIT, || async {
    let why = api.get_ok(&format!("/tasks/{second}/why")).await.ok()?;
    why["text"].as_str()?.contains("1 of 1 taken").then_some(why)
  })
  .await?;
  assert_eq!(why["reason"], "limit", "{why}");
  let text = text(&why, "text")?;
  ensure!(text.contains("held by semaphore tapes: 1 of 1 taken, the longest by backup"), "{text}");
  assert_eq!(why["limits"][0]["holders"][0]["task_id"], json!(first), "{why}");
  let out = cluster.ctl(&["semaphore", "usage", "tapes", "-o", "json"]).await?;
  ensure!(String::from_utf8_lossy(&out.stdout).contains(&first), "{out:?}");
  let out = cluster.ctl(&["semaphore", "delete", "tapes", "--yes"]).await?;
  ensure!(!out.status.success(), "it is needed: {out:?}");
  // More slots let it start; fewer than are taken stop nothing.
  for slots in ["2", "0"] {
    let out = cluster.ctl(&["semaphore", "set", "tapes", "--slots", slots]).await?;
    ensure!(out.status.success(), "{out:?}");
    wait_status(&api, &second, &["running"]).await?;
  }
  let third = submit(&api, &json!({ "job": "backup" })).await?;
  std::fs::write(&gate, "")?;
  all_succeed(&api, &[first, second]).await?;
  let why = api.get_ok(&format!("/tasks/{third}/why")).await?;
  ensure!(why["text"].to_string().contains("it is closed"), "{why}");
  cluster.ctl(&["semaphore", "set", "tapes", "--slots", "1"]).await?;
  all_succeed(&api, &[third]).await?;
  cluster.finish()
}
