//! What limits cost: how fast tasks of thousands of keys go through, and what a backlog that a limit
//! holds costs those that nothing limits: the time from a task's insert to its claim, alone and
//! beside 100,000 held tasks of one semaphore.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hetuflow_core::{
  JobForCreate, JobId, SemaphoreUse, TaskBulkCreate, TaskConfig, TaskForCreate, TaskInstanceEntity,
  Ts,
};

use super::args::Options;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::sample::Sample;
use super::target::Target;

/// Claims that are measured each time.
const CLAIMS: usize = 300;
/// Rest between two of them.
const REST: Duration = Duration::from_millis(10);
/// So far ahead tasks are planned, so that they are claimed and not born on the agent.
const AHEAD: Duration = Duration::from_millis(30);
/// Keys of one semaphore, each with one slot, and tasks of each.
const KEYS: usize = 5000;
const OF_A_KEY: usize = 4;
/// Tasks that one request brings.
const BULK: usize = 1000;

/// Measures claims with and without the backlog.
///
/// # Errors
/// When something does not start, answer or move.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  let held = options.tasks.unwrap_or(100_000);
  let settings = "[agent.process]\nnoop = true\n";
  let setup = Setup { agents: options.agents.unwrap_or(1), slots: 100, agent_settings: settings };
  let mut rig = Rig::start(target, setup).await?;
  let job = rig.create_true_job().await?;
  claims(&rig, job).await?;
  let alone = claims(&rig, job).await?;
  keys(&mut rig, report).await?;

  set_slots(&rig, "held", 1).await?;
  let limited = TaskConfig {
    command: Some("true".to_owned()),
    semaphores: vec![SemaphoreUse { name: "held".to_owned(), slots: 1, key: None }],
    // Nothing takes it from its slot: there is no such agent.
    selector: serde_json::from_value(serde_json::json!("zone=nowhere"))?,
    ..TaskConfig::default()
  };
  let limited = JobForCreate { name: "held".to_owned(), config: limited, ..Default::default() };
  let limited = rig.create_job(&limited).await?;
  let started = Instant::now();
  rig.submit(limited, held).await?;
  let rate = held as f64 / started.elapsed().as_secs_f64();
  let beside = claims(&rig, job).await?;

  for (sample, words) in [(&alone, "alone"), (&beside, "beside the backlog")] {
    report.value(&format!("insert to claim, p50, {words}"), sample.p50(), "ms");
    report.value(&format!("insert to claim, p99, {words}"), sample.p99(), "ms");
  }
  let ratio = beside.p99() / alone.p99().max(0.001);
  report.barred(
    "p99 beside the backlog / alone",
    ratio,
    "×",
    Bar::AtMost(2.0),
    Some(Bar::AtMost(1.2)),
  );
  report.value("held tasks submitted in bulk", rate, "/s");
  report.note(format!("{held} tasks held by one semaphore, {CLAIMS} claims each time"));
  rig.finish(report);
  Ok(())
}

/// Tasks of thousands of keys with one slot each: all are there and held when the semaphore opens.
async fn keys(rig: &mut Rig, report: &mut Report) -> Result<()> {
  set_slots(rig, "keyed", 0).await?;
  let key = Some("{{ params.k }}".to_owned());
  let config = TaskConfig {
    command: Some("true".to_owned()),
    semaphores: vec![SemaphoreUse { name: "keyed".to_owned(), slots: 1, key }],
    ..TaskConfig::default()
  };
  let job = JobForCreate { name: "keyed".to_owned(), config, ..Default::default() };
  let job = rig.create_job(&job).await?;
  let tasks = KEYS * OF_A_KEY;
  let task = |n: usize| {
    let parameters = Some(serde_json::json!({ "k": n % KEYS }));
    TaskForCreate { job_id: Some(job), parameters, ..TaskForCreate::default() }
  };
  let all: Vec<TaskForCreate> = (0..tasks).map(task).collect();
  for part in all.chunks(BULK) {
    let items = TaskBulkCreate { items: part.to_vec() };
    let answer = rig.api().post_ok("/tasks/bulk", &serde_json::to_value(items)?).await?;
    ensure!(answer["failed"] == 0, "{answer}");
  }
  let before = rig.cpu_us()?;
  set_slots(rig, "keyed", 1).await?;
  let started = Instant::now();
  rig.wait_final(tasks, started).await?;
  let rate = tasks as f64 / started.elapsed().as_secs_f64();
  report.value("tasks of 5,000 keys with one slot each, end to end", rate, "/s");
  rig.report_cpu(&before, (tasks, "us/keyed task"), report)?;
  rig.check(job, tasks, report).await
}

async fn set_slots(rig: &Rig, name: &str, slots: usize) -> Result<()> {
  let semaphore = serde_json::json!({ "slots": slots });
  let (status, told) = rig.api().put(&format!("/semaphores/{name}"), &semaphore).await?;
  ensure!(status.is_success(), "{told}");
  Ok(())
}

/// Single tasks of a job, planned a little ahead; how long each took from its insert to its claim.
pub(super) async fn claims(rig: &Rig, job: JobId) -> Result<Sample> {
  let mut ids = Vec::with_capacity(CLAIMS);
  for _ in 0..CLAIMS {
    let scheduled_at = Some(Ts::now().plus(AHEAD));
    let task = TaskForCreate { job_id: Some(job), scheduled_at, ..TaskForCreate::default() };
    let made = rig.api().post_ok("/tasks", &serde_json::to_value(task)?).await?;
    ids.push(made["id"].as_str().with_context(|| format!("no id in {made}"))?.to_owned());
    tokio::time::sleep(REST).await;
  }
  let mut times = Vec::with_capacity(CLAIMS);
  for id in ids {
    let task = rig.api().get_ok(&format!("/tasks/{id}?wait_secs=60")).await?;
    let created: Ts = serde_json::from_value(task["created_at"].clone())?;
    let page = rig.api().get_ok(&format!("/tasks/{id}/instances")).await?;
    let attempt: TaskInstanceEntity = serde_json::from_value(page["data"][0].clone())?;
    let claimed = attempt.dispatched_at.context("an attempt without its claim")?;
    times.push((claimed.micros() - created.micros()) as f64 / 1000.0);
  }
  Ok(Sample::new(times))
}
