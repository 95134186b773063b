//! A task each second: how late its process is, and that it is never early, lost or doubled.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use hetuflow_core::{OverlapPolicy, ScheduleForCreate, Ts};

use super::args::Options;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::sample::Sample;
use super::target::Target;
use super::{baselines, stamps};
use crate::wait;

const SECOND_US: i64 = 1_000_000;

/// Time for the planner between the making of the schedule and its first instant.
const LEAD_US: i64 = 3 * SECOND_US;

/// How long after its instant the last task may still come.
const LATE_LIMIT: Duration = Duration::from_secs(20);

/// Measures lateness.
///
/// # Errors
/// When something does not start or answer.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  baselines::timer(report);
  baselines::stamps(report)?;
  let seconds = options.seconds.unwrap_or(120);
  let setup = Setup { agents: options.agents.unwrap_or(1), slots: 4, agent_settings: "" };
  let mut rig = Rig::start(target, setup).await?;
  let file = rig.cluster().dir().join("stamps");
  let count = i64::try_from(seconds)?;
  let first = (Ts::now().micros() + LEAD_US) / SECOND_US * SECOND_US;
  let last = first + (count - 1) * SECOND_US;
  let mut job = stamps::job("fire", &file)?;
  job.schedules.push(ScheduleForCreate {
    cron_expression: Some("* * * * * *".to_owned()),
    // Half a second off, so that it does not matter whether the borders belong to the window.
    start_time: Some(Ts::from_micros(first - SECOND_US / 2)),
    end_time: Some(Ts::from_micros(last + SECOND_US / 2)),
    overlap_policy: Some(OverlapPolicy::AllowAll),
    ..ScheduleForCreate::default()
  });
  rig.create_job(&job).await?;
  wait_for_last(&file, Ts::from_micros(last), seconds).await?;

  let mut late = BTreeMap::<Ts, Vec<f64>>::new();
  for stamp in stamps::read(&file)? {
    match (stamp.planned, stamp.late_ms()) {
      (Some(planned), Some(ms)) => late.entry(planned).or_default().push(ms),
      _ => report.problem(format!("a task without HETUFLOW_SCHEDULED_AT: {}", stamp.task_id)),
    }
  }
  check(&late, first, count, report);
  let all = Sample::new(late.into_values().flatten().collect());
  ensure!(!all.is_empty(), "no task has fired");
  report.barred("late, p50", all.p50(), "ms", Bar::AtMost(3.0), Some(Bar::AtMost(1.0)));
  report.barred("late, p99", all.p99(), "ms", Bar::AtMost(10.0), Some(Bar::AtMost(3.0)));
  report.value("late, min", all.min(), "ms");
  report.value("late, max", all.max(), "ms");
  report.value("fired", all.len() as f64, "tasks");
  report.note("late = first instruction of the process minus the planned instant");
  rig.finish(report);
  Ok(())
}

/// Waits until the last instant's task has run, or is given up.
async fn wait_for_last(file: &Path, last: Ts, seconds: u64) -> Result<()> {
  let until = last.since(Ts::now());
  eprintln!("hetuflow-bench: {seconds} fires take {} s", until.as_secs());
  tokio::time::sleep(until).await;
  let came = wait::until_ok("the last fire", LATE_LIMIT, || {
    let look = stamps::read(file).map(|stamps| stamps.iter().any(|s| s.planned >= Some(last)));
    std::future::ready(
      look
        .map_err(|error| format!("{error:#}"))
        .and_then(|came| came.then_some(()).ok_or_else(|| "it has not run".to_owned())),
    )
  });
  if let Err(error) = came.await {
    // What is missing is counted below; the figures of the others are still worth showing.
    eprintln!("hetuflow-bench: {error:#}");
  }
  Ok(())
}

/// Finds what is missing, doubled, early or outside the window.
fn check(late: &BTreeMap<Ts, Vec<f64>>, first: i64, count: i64, report: &mut Report) {
  let due: Vec<Ts> = (0..count).map(|i| Ts::from_micros(first + i * SECOND_US)).collect();
  let missing = due.iter().filter(|at| !late.contains_key(*at)).count();
  let doubled = late.values().filter(|starts| starts.len() > 1).count();
  let early = late.values().flatten().filter(|ms| **ms < 0.0).count();
  let foreign = late.keys().filter(|at| !due.contains(at)).count();
  report.barred("early", early as f64, "tasks", Bar::AtMost(0.0), None);
  report.barred("missing", missing as f64, "tasks", Bar::AtMost(0.0), None);
  let found =
    [("missing", missing), ("doubled", doubled), ("early", early), ("never planned", foreign)];
  for (what, count) in found.into_iter().filter(|(_, count)| *count > 0) {
    report.problem(format!("{count} fires are {what}"));
  }
}
