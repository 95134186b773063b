//! The main job: a schedule fires on time, failures are tried again, limits and cancels end
//! everything that a task has started.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::{Moment, TruthLog};
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, alive, all, attempts, instant, output, submit, task, text, wait_status,
};

both_engines!(
  a_schedule_fires_on_time,
  a_schedule_that_skips_runs_one_at_a_time,
  retries_with_backoff_end_in_failed,
  a_retry_that_succeeds_is_green,
  a_time_limit_kills_the_grandchild,
  a_cancel_kills_the_group_before_it_says_so,
);

/// Clocks of one machine: what a start may seem to be early by (PROMISES I02).
const EARLY: SignedDuration = SignedDuration::from_millis(1);
/// On time, on a machine that does other things as well.
const LATE: SignedDuration = SignedDuration::from_secs(5);

async fn a_schedule_fires_on_time(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let job = json!({
    "name": "each-second",
    "config": { "cmd": "bash", "script": truth.payload("echo tick") },
    "schedules": [{ "name": "each-second", "cron_expression": "* * * * * *" }],
  });
  let made = Timestamp::now();
  api.post_ok("/jobs", &job).await?;
  let done = wait::until_ok("six fires to have run", LIMIT, || async {
    let done = all(&api, "/tasks?status=succeeded").await.map_err(|error| format!("{error:#}"))?;
    if done.len() >= 6 { Ok(done) } else { Err(format!("{} have", done.len())) }
  })
  .await?;

  let starts: Vec<_> =
    truth.read()?.into_iter().filter(|one| one.moment == Moment::Start).collect();
  for task in &done {
    let (id, due) = (text(task, "id")?, instant(task, "scheduled_at")?);
    assert_eq!((&task["trigger_source"], due.subsec_nanosecond()), (&json!("schedule"), 0));
    let own: Vec<_> = starts.iter().filter(|one| one.task_id == id).collect();
    ensure!(own.len() == 1, "{id} started {} times", own.len());
    let began = Timestamp::from_nanosecond(i128::try_from(own[0].at_ns)?)?;
    for (what, began) in [("truth", began), ("server", instant(task, "started_at")?)] {
      let late = began.duration_since(due.max(made));
      ensure!(began >= due - EARLY, "{what}: {id} of {due} started early at {began}");
      ensure!(late < LATE, "{what}: {id} of {due} started late at {began}");
    }
    assert_eq!(output(&api, &id, "").await?, b"tick\n");
  }

  // One row per instant, none left out, and no two rows share a task.
  let fires = all(&api, "/schedules/each-second/fires").await?;
  let mut instants: Vec<Timestamp> =
    fires.iter().map(|fire| instant(fire, "fire_at")).collect::<Result<_>>()?;
  instants.sort_unstable();
  for pair in instants.windows(2) {
    assert_eq!(pair[1].duration_since(pair[0]), SignedDuration::from_secs(1));
  }
  let tasks: BTreeSet<&str> = fires.iter().filter_map(|fire| fire["task_id"].as_str()).collect();
  assert_eq!(tasks.len(), fires.iter().filter(|fire| fire["decision"] == "fired").count());
  for task in &done {
    ensure!(tasks.contains(text(task, "id")?.as_str()), "no fire made {task}");
  }
  cluster.finish()
}

async fn a_schedule_that_skips_runs_one_at_a_time(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let schedule =
    json!({ "name": "slow", "cron_expression": "* * * * * *", "overlap_policy": "skip" });
  let config = json!({ "script": truth.payload("sleep 2.5") });
  api
    .post_ok("/jobs", &json!({ "name": "slow", "config": config, "schedules": [schedule] }))
    .await?;
  wait::until_ok("three ends", LIMIT, || async {
    let ends = truth.ends().map(|ends| ends.len()).unwrap_or_default();
    if ends >= 3 { Ok(()) } else { Err(ends.to_string()) }
  })
  .await?;
  // Start, end, start, end: never two alive.
  let moments: Vec<Moment> = truth.read()?.into_iter().map(|one| one.moment).collect();
  for pair in moments.windows(2) {
    ensure!(pair[0] != pair[1], "two at a time: {moments:?}");
  }
  let fires = all(&api, "/schedules/slow/fires").await?;
  let skipped = fires.iter().filter(|fire| fire["decision"] == "skipped_overlap");
  ensure!(skipped.count() >= 3, "skips are not told: {fires:?}");
  cluster.finish()
}

/// Three attempts, 200 ms apart.
fn retried(truth: &TruthLog, body: &str) -> Value {
  let retry = json!({ "strategy": "fixed", "base_secs": 0.2 });
  let script = truth.payload(body);
  json!({ "config": { "script": script, "max_retries": 2, "retry": retry } })
}

async fn retries_with_backoff_end_in_failed(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let id = submit(&api, &retried(&truth, "echo $HETUFLOW_ATTEMPT; (exit 3)")).await?;
  let task = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!((&task["exit_code"], &task["reason"]), (&json!(3), &json!("exit_code(3)")));
  assert_eq!(task["attempt"], 3);

  let attempts = attempts(&api, &id).await?;
  let numbers: Vec<&Value> = attempts.iter().map(|attempt| &attempt["attempt"]).collect();
  assert_eq!(numbers, [1, 2, 3]);
  for pair in attempts.windows(2) {
    let wait = instant(&pair[1], "started_at")?.duration_since(instant(&pair[0], "completed_at")?);
    ensure!(wait >= SignedDuration::from_millis(200), "only {wait} between {pair:?}");
    ensure!(pair[0]["fence"].as_i64() < pair[1]["fence"].as_i64(), "fences: {pair:?}");
  }
  for (index, attempt) in attempts.iter().enumerate() {
    assert_eq!((&attempt["status"], &attempt["exit_code"]), (&json!("failed"), &json!(3)));
    let path = format!("/task-instances/{}/logs", text(attempt, "id")?);
    assert_eq!(api.bytes(&path).await?.1, format!("{}\n", index + 1).into_bytes());
  }
  assert_eq!(truth.starts()?.into_values().collect::<Vec<_>>(), [1, 1, 1]);
  cluster.finish()
}

async fn a_retry_that_succeeds_is_green(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let id = submit(&api, &retried(&truth, "[ \"$HETUFLOW_ATTEMPT\" = 2 ]")).await?;
  let task = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!((&task["exit_code"], &task["attempt"]), (&json!(0), &json!(2)));
  assert_eq!((&task["reason"], &task["error_message"]), (&Value::Null, &Value::Null));
  assert_eq!(attempts(&api, &id).await?.len(), 2);
  cluster.finish()
}

/// A shell with a child and a grandchild that do not hear TERM, all with `word` in their line.
fn deaf(word: &str) -> String {
  format!(
    "trap '' TERM; (bash -c 'sleep {word}; :' & sleep {word}; :) & \
     echo begun; sleep {word}; sleep {word}; :"
  )
}

async fn a_time_limit_kills_the_grandchild(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "script": deaf("7654321"), "timeout": 5, "stop_grace_secs": 0.5 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let count = || alive(cluster.dir(), "sleep 7654321").len();
  wait::until("its processes", LIMIT, || async { (count() >= 3).then_some(()) }).await?;

  let task = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(alive(cluster.dir(), "7654321"), Vec::new());
  assert_eq!(task["reason"], "timed_out", "{task}");
  let attempt = attempts(&api, &id).await?.remove(0);
  assert_eq!((&attempt["status"], &attempt["reason"]), (&json!("timeout"), &json!("timed_out")));
  let ran = instant(&attempt, "completed_at")?.duration_since(instant(&attempt, "started_at")?);
  ensure!(
    ran >= SignedDuration::from_millis(5500),
    "the limit and the grace are 5.5 s, it ran {ran}"
  );
  assert_eq!(output(&api, &id, "stdout").await?, b"begun\n");
  cluster.finish()
}

async fn a_cancel_kills_the_group_before_it_says_so(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "script": deaf("7654321"), "stop_grace_secs": 1 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let count = || alive(cluster.dir(), "sleep 7654321").len();
  wait::until("its processes", LIMIT, || async { (count() >= 3).then_some(()) }).await?;

  let path = format!("/tasks/{id}/cancel");
  let (status, answer) = api.post(&path, &json!({ "reason": "enough" })).await?;
  assert_eq!((status, &answer["status"]), (StatusCode::ACCEPTED, &json!("cancelling")));
  // Again is harmless.
  assert_eq!(api.post(&path, &json!({})).await?.0, StatusCode::ACCEPTED);
  let seen = wait::until_ok("the end", Duration::from_secs(20), || async {
    let now = task(&api, &id).await.map_err(|error| format!("{error:#}"))?;
    let left = alive(cluster.dir(), "7654321");
    match now["status"].as_str() {
      Some("cancelling") => Err(format!("{} live", left.len())),
      _ => Ok((now, left)),
    }
  })
  .await?;
  assert_eq!((&seen.0["status"], seen.1), (&json!("cancelled"), Vec::new()));
  let attempt = attempts(&api, &id).await?.remove(0);
  assert_eq!(attempt["status"], "cancelled");
  let reason = seen.0["reason"].as_str().unwrap_or_default();
  ensure!(reason.starts_with("cancelled("), "the reason does not say by whom: {}", seen.0);
  // Over is over.
  assert_eq!(api.post(&path, &json!({})).await?.0, StatusCode::OK);
  cluster.finish()
}
