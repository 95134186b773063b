//! Attempts that run for longer than they should: told once each, and nothing is done to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hetuflow_core::{ADHOC_JOB, Change, JobId, Subject, TaskInstanceId, Topic, Ts};
use serde_json::{Value, json};

use super::watch::{UsualTime, usual_times};
use super::{JobCache, Store};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::warning_bmc::{self, RunningAttempt};
use crate::infra::db::DbError;

/// Attempts that one turn looks at.
const RUNNING_MAX: i64 = 5000;
/// Nothing is said of attempts that run for less.
const RUNNING_MIN: Duration = Duration::from_millis(500);
/// What is usual for a job is read again after so long.
const USUAL_FOR: Duration = Duration::from_secs(300);
/// Jobs whose usual time one turn reads.
const JOBS_MAX: usize = 50;
/// Attempts that are remembered as told; beyond that they are asked for again.
const TOLD_MAX: usize = 100_000;
/// What was said is kept for so long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// It runs for longer than its job's `warn_after_secs`.
pub(super) const WARN_AFTER: &str = "warn_after";
/// It runs for longer than is usual for its job.
const SLOW: &str = "slow";

/// Looks for attempts that run for too long.
pub struct OverdueSvc {
  store: Store,
  jobs: Arc<JobCache>,
  usual: HashMap<JobId, (Instant, Option<UsualTime>)>,
  told: HashSet<(TaskInstanceId, &'static str)>,
}

/// One thing to say.
struct Warning {
  attempt: RunningAttempt,
  kind: &'static str,
  data: Value,
}

impl OverdueSvc {
  /// Over a store.
  pub fn new(store: Store, jobs: Arc<JobCache>) -> Self {
    Self { store, jobs, usual: HashMap::new(), told: HashSet::new() }
  }

  /// One look; returns how many attempts it told of.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn turn(&mut self) -> Result<usize, DbError> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let running =
      warning_bmc::running_since(&mut conn, now.minus(RUNNING_MIN), RUNNING_MAX).await?;
    self.learn(&mut conn, &running, now).await?;
    let mut warnings = Vec::new();
    for attempt in &running {
      let spec = match self.jobs.spec(&mut conn, attempt.job_id, attempt.job_version).await {
        // A broken row keeps nobody from hearing of the others.
        Err(DbError::Missing { .. }) => continue,
        spec => spec?,
      };
      let config = attempt.config.as_ref().map_or(&spec.config, |config| &config.0);
      let ran = now.since(attempt.started_at);
      if let Some(after) = config.warn_after_secs.filter(|after| ran >= after.0) {
        let data = json!({ "warn_after_secs": after });
        warnings.push(Warning { attempt: attempt.clone(), kind: WARN_AFTER, data });
      }
      let usual = self.usual.get(&attempt.job_id).and_then(|(_, usual)| *usual);
      let usual = usual.filter(|usual| spec.job_name != ADHOC_JOB && ran > usual.slow_after());
      if let Some(usual) = usual {
        let data = json!({ "usual_p95_ms": usual.p95_ms, "usual_runs": usual.runs });
        warnings.push(Warning { attempt: attempt.clone(), kind: SLOW, data });
      }
    }
    drop(conn);
    warnings.retain(|one| !self.told.contains(&(one.attempt.instance_id, one.kind)));
    if warnings.is_empty() {
      return Ok(0);
    }
    let said = self.say(&warnings, now).await?;
    if self.told.len() > TOLD_MAX {
      self.told.clear();
    }
    self.told.extend(warnings.iter().map(|one| (one.attempt.instance_id, one.kind)));
    Ok(said)
  }

  /// Reads what is usual for the jobs of these attempts, as far as that is not known.
  async fn learn(
    &mut self,
    conn: &mut crate::infra::db::Conn,
    running: &[RunningAttempt],
    now: Ts,
  ) -> Result<(), DbError> {
    self.usual.retain(|_, (read, _)| read.elapsed() < USUAL_FOR);
    let mut jobs: Vec<JobId> = running.iter().map(|one| one.job_id).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs.retain(|job| !self.usual.contains_key(job));
    jobs.truncate(JOBS_MAX);
    if jobs.is_empty() {
      return Ok(());
    }
    let mut found = usual_times(conn, &jobs, now).await?;
    let read = Instant::now();
    self.usual.extend(jobs.into_iter().map(|job| (job, (read, found.remove(&job)))));
    Ok(())
  }

  /// Tells of those that nobody has told of.
  async fn say(&self, warnings: &[Warning], now: Ts) -> Result<usize, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let (mut journal, mut said) = (Journal::default(), 0);
      for one in warnings {
        let attempt = &one.attempt;
        if !warning_bmc::note_once(&mut tx, (attempt.instance_id, one.kind), now).await? {
          continue;
        }
        said += 1;
        let mut data = one.data.clone();
        data["kind"] = json!(one.kind);
        data["instance_id"] = json!(attempt.instance_id);
        data["job_id"] = json!(attempt.job_id);
        data["started_at"] = json!(attempt.started_at);
        let subject = Subject { kind: Topic::Task, id: attempt.task_id.to_string() };
        let event_type = "task.overdue".to_owned();
        journal.push(&attempt.namespace_id, Change { at: now, subject, event_type, data });
      }
      event_bmc::append(&mut tx, &journal, now).await?;
      Ok(said)
    }
    .await;
    let said = tx.end::<_, DbError>(outcome).await?;
    if said > 0 {
      self.store.bus.events.notify_one();
    }
    Ok(said)
  }

  /// Forgets what was said long ago.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn sweep(&self) -> Result<u64, DbError> {
    let mut tx = self.store.db.begin().await?;
    let gone = warning_bmc::delete_before(&mut tx, self.store.db.now().minus(KEPT)).await;
    tx.end(gone).await
  }
}
