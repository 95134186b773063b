//! One of two servers dies for good: its agents go on at the other one, nothing starts twice, and
//! a schedule loses no instant.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{LIMIT, all, attempts, instant, output, submit_all, text, wait_all_succeeded};

both_engines!(a_schedule_outlives_a_killed_server);

/// A job that runs each second and leaves a line in the truth log.
async fn each_second(api: &Api, truth: &TruthLog) -> Result<()> {
  let schedule = json!({ "name": "each-second", "cron_expression": "* * * * * *",
    "overlap_policy": "allow_all", "misfire_policy": "fire_all", "catchup_max": 100 });
  let config = json!({ "script": truth.payload("true") });
  let job = json!({ "name": "each-second", "config": config, "schedules": [schedule] });
  api.post_ok("/jobs", &job).await.map(drop)
}

/// Waits until so many more tasks have succeeded.
async fn wait_more(api: &Api, count: usize) -> Result<()> {
  let path = "/tasks?status=succeeded";
  let before = all(api, path).await?.len();
  wait::until_ok("more fires", LIMIT, || async {
    let now = all(api, path).await.map_err(|error| format!("{error:#}"))?.len();
    if now >= before + count { Ok(()) } else { Err(format!("{before} before, {now} now")) }
  })
  .await
}

/// Every instant from the first on has one row and, when its row says so, one task that started
/// once and not early.
async fn check_fires(api: &Api, truth: &TruthLog) -> Result<()> {
  let fires = all(api, "/schedules/each-second/fires").await?;
  let mut instants: Vec<Timestamp> =
    fires.iter().map(|fire| instant(fire, "fire_at")).collect::<Result<_>>()?;
  instants.sort_unstable();
  for pair in instants.windows(2) {
    let step = pair[1].duration_since(pair[0]);
    ensure!(step == SignedDuration::from_secs(1), "between {} and {}: {step}", pair[0], pair[1]);
  }
  let of_task: BTreeMap<&str, &Value> =
    fires.iter().filter_map(|fire| Some((fire["task_id"].as_str()?, fire))).collect();
  ensure!(truth.started_twice()?.is_empty(), "started twice: {:?}", truth.started_twice()?);
  for start in truth.read()? {
    let fire = of_task.get(start.task_id.as_str());
    ensure!(fire.is_some(), "{} was started and has no fire", start.task_id);
    let at = Timestamp::from_nanosecond(i128::try_from(start.at_ns)?)?;
    let due = instant(fire.unwrap_or(&&Value::Null), "fire_at")?;
    ensure!(at >= due - SignedDuration::from_millis(1), "{due} ran early at {at}");
  }
  for task in all(api, "/tasks?status=succeeded").await? {
    let id = text(&task, "id")?;
    ensure!(of_task.contains_key(id.as_str()), "no fire made {task}");
    assert_eq!(truth.starts()?.get(&(id, "1".to_owned())), Some(&1));
  }
  Ok(())
}

async fn a_schedule_outlives_a_killed_server(engine: Engine) -> Result<()> {
  // Planned two seconds ahead, so that the planner works during the story and not before it.
  let settings = "[scheduler]\nplan_ahead = '2s'\nearly_dispatch = '1s'";
  let builder = Cluster::builder().engine(engine).slots(8).server_settings(settings);
  let mut cluster = builder.start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  each_second(&cluster.api(), &truth).await?;
  for _ in 0..3 {
    wait_more(&cluster.api(), 2).await?;
    cluster.kill9_server(0)?;
    cluster.restart_server(0).await?;
  }
  wait_more(&cluster.api(), 3).await?;
  check_fires(&cluster.api(), &truth).await?;
  cluster.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_two_servers_fires_once() -> Result<()> {
  let settings = "[scheduler]\nplan_ahead = '2s'\nearly_dispatch = '1s'";
  let builder = Cluster::builder().postgres().servers(2).agents(2).agents_know_all_servers();
  let mut cluster = builder.server_settings(settings).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  each_second(&cluster.api(), &truth).await?;
  wait_more(&cluster.api_of(1), 3).await?;
  cluster.kill9_server(0)?;
  wait_more(&cluster.api_of(1), 5).await?;
  cluster.restart_server(0).await?;
  cluster.kill9_server(1)?;
  wait_more(&cluster.api_of(0), 5).await?;
  check_fires(&cluster.api_of(0), &truth).await?;
  cluster.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_a_dead_server_go_to_the_other() -> Result<()> {
  let builder = Cluster::builder().postgres().servers(2).agents(4).slots(8);
  let mut cluster = builder.agents_know_all_servers().start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let script = truth.payload(&format!(
    "echo before; until [ -e '{}' ]; do sleep 0.2; done; echo after",
    gate.display()
  ));
  let items = vec![json!({ "config": { "script": script } }); 60];
  let ids = submit_all(&cluster.api(), &items).await?;
  wait::until_ok("32 starts", LIMIT, || async {
    let starts = truth.starts().map(|starts| starts.len()).unwrap_or_default();
    if starts >= 32 { Ok(()) } else { Err(starts.to_string()) }
  })
  .await?;
  cluster.kill9_server(0)?;
  std::fs::write(&gate, "")?;
  let api = cluster.api_of(1);
  wait_all_succeeded(&api, &ids).await?;
  let once: BTreeMap<_, _> = ids.iter().map(|id| ((id.clone(), "1".to_owned()), 1)).collect();
  assert_eq!(truth.starts()?, once);
  for id in &ids {
    assert_eq!(attempts(&api, id).await?.len(), 1);
    assert_eq!(String::from_utf8(output(&api, id, "").await?)?, "before\nafter\n");
  }
  for agent in 0..4 {
    wait::until_ok("a heartbeat to the other server", LIMIT, || async {
      let agent = api.get_ok(&format!("/agents/agent-{agent}")).await;
      let agent = agent.map_err(|error| format!("{error:#}"))?;
      if agent["status"] == "idle" { Ok(()) } else { Err(agent.to_string()) }
    })
    .await?;
  }
  cluster.finish()
}
