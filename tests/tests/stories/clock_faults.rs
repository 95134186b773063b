//! Clocks that are wrong, step, stand still or run too fast: of one process each, set by a library that
//! stands before the C library's. What the tasks themselves wrote down decides, by the true clock.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::clocks::Clocks;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::net::Host;
use hetuflow_tests::truth::{Moment, TruthLog};
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, all, attempts, instant, submit, task, text, wait_offline, wait_online, wait_status,
};

const QUICK: &str = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
   lost_after = '600s'\n[scheduler]\nplan_ahead = '3s'\nearly_dispatch = '2s'";
const QUICK_AGENT: &str = "[agent.connection]\nheartbeat_interval = '250ms'\n\
   reconnect_base = '50ms'\nreconnect_max = '500ms'";

/// A job that runs each second.
async fn each_second(api: &Api, truth: &TruthLog, misfire: &str) -> Result<()> {
  let schedule = json!({ "name": "each-second", "cron_expression": "* * * * * *",
    "overlap_policy": "allow_all", "misfire_policy": misfire, "catchup_max": 100 });
  let config = json!({ "script": truth.payload("true") });
  let job = json!({ "name": "each-second", "config": config, "schedules": [schedule] });
  api.post_ok("/jobs", &job).await.map(drop)
}

/// Waits until so many more attempts have started.
async fn more_starts(truth: &TruthLog, count: usize) -> Result<()> {
  let before = truth.starts()?.len();
  wait::until_ok("more starts", LIMIT, || async {
    let now = truth.starts().map(|starts| starts.len()).unwrap_or_default();
    if now >= before + count { Ok(()) } else { Err(format!("{before} before, {now} now")) }
  })
  .await
}

/// Every instant has one row; what fired started once, and at its instant by the true clock: no earlier
/// than a millisecond before it, and no later than `late`.
async fn check_fires(api: &Api, truth: &TruthLog, late: SignedDuration) -> Result<Vec<Value>> {
  let mut fires = all(api, "/schedules/each-second/fires").await?;
  fires.sort_by_key(|fire| fire["fire_at"].to_string());
  let mut next: Option<Timestamp> = None;
  for fire in &fires {
    let at = instant(fire, "fire_at")?;
    ensure!(next.is_none_or(|next| next == at), "{next:?} is missing before {fire}");
    let last = if fire["to_at"].is_string() { instant(fire, "to_at")? } else { at };
    next = Some(last + SignedDuration::from_secs(1));
  }
  assert_eq!(truth.started_twice()?, []);
  for start in truth.read()?.into_iter().filter(|event| event.moment == Moment::Start) {
    let Some(fire) = fires.iter().find(|fire| fire["task_id"] == start.task_id.as_str()) else {
      continue;
    };
    let at = Timestamp::from_nanosecond(i128::try_from(start.at_ns)?)?;
    let off = at.duration_since(instant(fire, "fire_at")?);
    ensure!(off >= SignedDuration::from_millis(-1), "{off:?} early: {fire}");
    ensure!(off <= late, "{off:?} late: {fire}");
  }
  Ok(fires)
}

/// K02: the clock of one server of two is ten minutes ahead, then ten minutes behind. The agents and the
/// schedule are its own as much as the other's.
#[tokio::test(flavor = "multi_thread")]
async fn one_server_with_a_wrong_clock() -> Result<()> {
  let guard = tempfile::tempdir()?;
  let clocks = Clocks::new(guard.path())?;
  clocks.set_wall(600)?;
  let builder =
    Cluster::builder().postgres().servers(2).agents(2).server_through(0, clocks.words());
  // A clock that is ten minutes off makes more silence than this; a busy machine does not.
  let settings = QUICK.replace("'1500ms'", "'15s'");
  let builder = builder.server_settings(&settings).agent_settings(QUICK_AGENT);
  let cluster = builder.start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let apis = [cluster.api_of(0), cluster.api_of(1)];
  each_second(&apis[0], &truth, "fire_all").await?;
  for secs in [600, -600] {
    clocks.set_wall(secs)?;
    // The server learns it from the next answers of the database.
    more_starts(&truth, 3).await?;
    for (i, api) in apis.iter().enumerate() {
      // For each agent, through each server: at once, and at an instant.
      let pinned = json!({ "script": truth.payload("true"),
        "selector": { "agent": format!("agent-{i}") } });
      let now = submit(api, &json!({ "config": pinned })).await?;
      let at = Timestamp::now() + SignedDuration::from_millis(1500);
      let later = json!({ "config": pinned, "scheduled_at": at.to_string() });
      let later = submit(&apis[1 - i], &later).await?;
      wait_status(&apis[1 - i], &now, &["succeeded"]).await?;
      let ended = wait_status(api, &later, &["succeeded"]).await?;
      let started = started_at(&truth, &later)?;
      let off = started.duration_since(at);
      ensure!(off >= SignedDuration::from_millis(-1), "{off:?} early: {ended}");
      ensure!(off < SignedDuration::from_secs(30), "{off:?} late: {ended}");
      let told = instant(&ended, "started_at")?.duration_since(started).abs();
      ensure!(told < SignedDuration::from_secs(5), "stored as {told:?} off: {ended}");
    }
    more_starts(&truth, 3).await?;
    for agent in all(&apis[1], "/agents").await? {
      assert_ne!(agent["status"], "offline", "{agent}");
    }
  }
  check_fires(&apis[1], &truth, SignedDuration::from_secs(30)).await?;
  apis[1].post_ok("/schedules/each-second/disable", &json!({})).await?;
  let told = cluster.ctl(&["events", "--from-seq", "0", "--type", "agent.offline", "-o", "jsonl"]);
  assert_eq!(String::from_utf8(told.await?.stdout)?, "", "nobody is taken for silent");
  cluster.finish()
}

fn started_at(truth: &TruthLog, task: &str) -> Result<Timestamp> {
  let events = truth.read()?.into_iter();
  let start = events.filter(|one| one.moment == Moment::Start).find(|one| one.task_id == task);
  let start = start.with_context(|| format!("{task} has not started"))?;
  Ok(Timestamp::from_nanosecond(i128::try_from(start.at_ns)?)?)
}

/// A27: the agent is cut off and its wall clock steps by an hour, there and back; a limit of time is a
/// limit of time.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_through_a_step_of_the_clock() -> Result<()> {
  let guard = tempfile::tempdir()?;
  let clocks = Clocks::new(guard.path())?;
  let host = Host::new()?;
  let builder = Cluster::builder().engine(Engine::Sqlite).agents_on(&host);
  let words = host.enter().into_iter().chain(clocks.words()).collect();
  let builder = builder.agents_through(words);
  let cluster = builder.server_settings(QUICK).agent_settings(QUICK_AGENT).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let beats = cluster.dir().join("beats");
  let script = truth.payload(&format!(
    "while :; do echo \"$HETUFLOW_TASK_ID ${{EPOCHREALTIME/./}}\" >> '{}'; sleep 0.05; done",
    beats.display()
  ));
  let mut ids = Vec::new();
  for secs in [6, 7] {
    let config = json!({ "command": script, "timeout": secs, "stop_grace_secs": 0 });
    ids.push((submit(&api, &json!({ "config": config })).await?, secs));
  }
  for (id, _) in &ids {
    wait_status(&api, id, &["running"]).await?;
  }
  host.cut()?;
  clocks.set_wall(3600)?;
  wait_offline(&api, "agent-0").await?;
  clocks.set_wall(-3600)?;
  let last_beat = |id: &str| -> Result<i64> {
    let text = std::fs::read_to_string(&beats)?;
    let beats = text.lines().filter_map(|line| line.strip_prefix(id)?.trim().parse().ok());
    beats.max().context("no beat")
  };
  wait::until_ok("both to be dead", LIMIT, || async {
    let alive = crate::support::alive(cluster.dir(), "EPOCHREALTIME");
    if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
  })
  .await?;
  for (id, secs) in &ids {
    let ran = last_beat(id)? - started_at(&truth, id)?.as_microsecond();
    // A beat is 50 ms; the machine may be busy, but not by a part of an hour.
    ensure!((ran - secs * 1_000_000).abs() < 5_000_000, "{secs} s took {ran} µs");
  }
  host.heal()?;
  wait_online(&api, "agent-0").await?;
  for (id, _) in &ids {
    let end = wait_status(&api, id, &["failed"]).await?;
    assert_eq!(text(&end, "reason")?, "timed_out", "{end}");
    assert_eq!(attempts(&api, id).await?.len(), 1);
  }
  assert_eq!(truth.started_twice()?, []);
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}

/// K06: server, agent and tasks stand still for five minutes, as in a suspended machine. What fell into
/// that time is missed, and decided as such; what must be alone is alone.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_asleep_for_five_minutes() -> Result<()> {
  const ASLEEP: Duration = Duration::from_secs(300);
  let guard = tempfile::tempdir()?;
  let clocks = Clocks::new(guard.path())?;
  let settings = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '2s'\n\
     lost_after = '8s'\n[scheduler]\nplan_ahead = '3s'\nearly_dispatch = '2s'";
  let builder = Cluster::builder().engine(Engine::Sqlite).server_settings(settings);
  let builder = builder.agent_settings(QUICK_AGENT).server_through(0, clocks.words());
  let mut cluster = builder.agents_through(clocks.words()).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  each_second(&api, &truth, "fire_last").await?;
  let beats = cluster.dir().join("beats");
  let beat = format!(
    "trap '' TERM; for n in {{1..50}}; do \
       echo \"$HETUFLOW_ATTEMPT ${{EPOCHREALTIME/./}}\" >> '{}'; sleep 0.1; done",
    beats.display()
  );
  let config = json!({ "script": beat, "delivery": "exclusive", "max_retries": 3,
    "retry_interval": 0.1, "stop_grace_secs": 0.2, "disconnect": { "stop_after": 4 } });
  let exclusive = submit(&api, &json!({ "config": config })).await?;
  let gate = cluster.dir().join("gate");
  let body = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let plain = submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?;
  wait_status(&api, &exclusive, &["running"]).await?;
  wait_status(&api, &plain, &["running"]).await?;
  more_starts(&truth, 3).await?;

  let mut still = vec![cluster.server(0).process().pid(), cluster.agent(0).process().pid()];
  still.push(cluster.agent(0).executor_pid()?);
  still.extend(crate::support::alive(cluster.dir(), "").into_iter().map(|(pid, _)| pid));
  still.sort_unstable();
  still.dedup();
  let all_of_them = |signal: Signal| {
    for pid in &still {
      let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
      // A short task may be over.
      let _gone = pid.map(|pid| rustix::process::kill_process(pid, signal));
    }
  };
  all_of_them(Signal::STOP);
  clocks.sleep(ASLEEP)?;
  all_of_them(Signal::CONT);

  wait_online(&api, "agent-0").await?;
  more_starts(&truth, 3).await?;
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &plain, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 1, "a plain task sleeps with its host: {done}");
  wait_status(&api, &exclusive, &["succeeded"]).await?;
  // Never two of them at once: the beats of one attempt are all before those of the next.
  let beats = std::fs::read_to_string(&beats)?;
  let beats: Vec<(u32, u64)> = beats
    .lines()
    .filter_map(|line| line.split_once(' '))
    .map(|(attempt, at)| Ok((attempt.parse()?, at.parse()?)))
    .collect::<Result<_>>()?;
  ensure!(beats.len() >= 50, "{beats:?}");
  ensure!(beats.is_sorted(), "two attempts at once: {beats:?}");
  let mut fires = all(&api, "/schedules/each-second/fires").await?;
  fires.sort_by_key(|fire| fire["fire_at"].to_string());
  let missed: i64 = fires
    .iter()
    .filter(|fire| fire["decision"] == "skipped_misfire")
    .filter_map(|fire| fire["count"].as_i64())
    .sum();
  ensure!((250..=310).contains(&missed), "{missed} missed of about 300");
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}

/// K07: the clock of an agent runs too fast by a twentieth, and its server's does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_runs_too_fast() -> Result<()> {
  let guard = tempfile::tempdir()?;
  let clocks = Clocks::new(guard.path())?;
  let builder = Cluster::builder().engine(Engine::Sqlite).agents_through(clocks.words());
  let mut cluster = builder.server_settings(QUICK).agent_settings(QUICK_AGENT).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let exclusive = json!({ "config": { "script": truth.payload("true"), "delivery": "exclusive",
    "disconnect": { "stop_after": 30 } } });
  clocks.run_fast(500)?;
  let fine = submit(&api, &exclusive).await?;
  wait_status(&api, &fine, &["succeeded"]).await?;

  clocks.run_fast(50_000)?;
  let process = cluster.agent(0).process();
  wait::until_ok("the agent to find out", LIMIT, || {
    let log = process.log();
    let told = log.contains("does not run as fast as the server's");
    std::future::ready(if told { Ok(()) } else { Err(log) })
  })
  .await?;
  let id = submit(&api, &exclusive).await?;
  let refused = wait::until_ok("a refusal", LIMIT, || async {
    let mut seen = attempts(&api, &id).await.map_err(|error| format!("{error:#}"))?;
    seen.retain(|one| one["status"] != "dispatched" && one["status"] != "locked");
    seen.into_iter().next().ok_or("no attempt yet".to_owned())
  })
  .await?;
  assert_eq!(refused["status"], "not_started", "{refused}");
  assert_eq!(text(&refused, "reason")?, "not_started(clock_drift)");
  ensure!(text(&refused, "error_message")?.contains("parts per million"), "{refused}");
  ensure!(!truth.starts()?.keys().any(|(one, _)| *one == id), "it was started all the same");
  let plain = json!({ "config": { "script": truth.payload("true") } });
  let plain = submit(&api, &plain).await?;
  wait_status(&api, &plain, &["succeeded"]).await?;

  // A clock that is right again is counted on again.
  clocks.run_fast(0)?;
  wait_status(&api, &id, &["succeeded"]).await?;
  ensure!(task(&api, &id).await?["attempt"].as_i64() > Some(1));
  assert_eq!(truth.started_twice()?, []);
  let started = truth.starts()?.keys().filter(|(one, _)| *one == id).count();
  assert_eq!(started, 1);
  cluster.finish()
}
