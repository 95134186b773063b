//! What is usual for jobs, and tasks that run for longer.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{
  ADHOC_JOB, Attention, JobId, NamespaceId, Severity, TaskInstanceId, Topic, Ts, format_duration,
};

use super::attention::entry;
use super::quantiles::{millis, quantiles};
use crate::infra::bmc::watch_tasks::{self, ListedTask};
use crate::infra::bmc::{warning_bmc, watch_jobs};
use crate::infra::db::{Conn, DbError};
use crate::service::overdue_svc::WARN_AFTER;

/// Running tasks that are looked at, and runs of a job.
const RUNNING: u64 = 50;
const RUNS: u64 = 20;
/// Fewer samples say nothing.
const SAMPLES_MIN: u32 = 5;
/// A run is slow after so many times what is usual.
const SLOW_FACTOR: f64 = 2.0;
/// No run is slow before.
const SLOW_MIN: Duration = Duration::from_secs(10);

/// How long the newest runs of a job took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::service) struct UsualTime {
  /// How many they are.
  pub(in crate::service) runs: u32,
  /// What only one in twenty exceeds, in milliseconds.
  pub(in crate::service) p95_ms: f64,
}

impl UsualTime {
  /// A run that takes longer is slow.
  pub(in crate::service) fn slow_after(&self) -> Duration {
    Duration::from_secs_f64((self.p95_ms * SLOW_FACTOR / 1000.0).max(0.0)).max(SLOW_MIN)
  }
}

/// What is usual for jobs that have run often enough.
///
/// # Errors
/// Any [`DbError`].
pub(in crate::service) async fn usual_times(
  conn: &mut Conn,
  jobs: &[JobId],
  now: Ts,
) -> Result<HashMap<JobId, UsualTime>, DbError> {
  let mut took: HashMap<JobId, Vec<f64>> = HashMap::new();
  for run in watch_jobs::recent(conn, jobs, (now, RUNS)).await? {
    if let (Some(start), Some(end)) = (run.started_at, run.completed_at) {
      took.entry(run.job_id).or_default().push(millis(start, end));
    }
  }
  let usual = took.into_iter().map(|(job, took)| (job, quantiles(took)));
  let usual = usual.filter(|(_, figures)| figures.n >= SAMPLES_MIN);
  Ok(usual.map(|(job, of)| (job, UsualTime { runs: of.n, p95_ms: of.p95 })).collect())
}

/// Tasks that run for longer than is usual, or than their job wants to hear of.
pub(super) async fn overdue_tasks(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  now: Ts,
) -> Result<Vec<Attention>, DbError> {
  let ids = watch_tasks::longest_running(conn, namespace, RUNNING).await?;
  let running = watch_tasks::by_ids(conn, &ids).await?;
  let mut jobs: Vec<JobId> = running.iter().map(|task| task.job_id).collect();
  jobs.sort_unstable();
  jobs.dedup();
  if jobs.is_empty() {
    return Ok(Vec::new());
  }
  let attempts: Vec<TaskInstanceId> = running.iter().filter_map(|task| task.instance_id).collect();
  let warned: HashMap<TaskInstanceId, Ts> = warning_bmc::of_attempts(conn, &attempts)
    .await?
    .into_iter()
    .filter(|(_, kind, _)| kind == WARN_AFTER)
    .map(|(attempt, _, at)| (attempt, at))
    .collect();
  let usual = usual_times(conn, &jobs, now).await?;
  let late = running.iter().filter_map(|task| {
    let warned = task.instance_id.and_then(|attempt| warned.get(&attempt).copied());
    overdue(task, (warned, usual.get(&task.job_id).copied()), now)
  });
  Ok(late.collect())
}

fn overdue(
  task: &ListedTask,
  (warned, usual): (Option<Ts>, Option<UsualTime>),
  now: Ts,
) -> Option<Attention> {
  let started = task.started_at?;
  let usual =
    usual.filter(|usual| task.job_name != ADHOC_JOB && now.since(started) > usual.slow_after());
  let (message, since) = match (warned, usual) {
    (Some(at), _) => {
      let after = format_duration(Duration::from_secs(at.since(started).as_secs()));
      (format!("runs for longer than its warn_after_secs ({after})"), at)
    }
    (None, Some(usual)) => {
      let p95 = format_duration(Duration::from_millis(usual.p95_ms as u64));
      let message = format!("runs for more than twice its usual time (p95 {p95})");
      (message, started.plus(usual.slow_after()))
    }
    (None, None) => return None,
  };
  let it = entry(("task_overdue", Severity::Warning), (Topic::Task, task.id), (message, 1));
  Some(Attention { name: format!("{}/{}", task.job_name, task.id.short()), since, ..it })
}
