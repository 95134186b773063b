//! What follows when an attempt ends: the task's final state, or another attempt. Decided in the
//! transaction that stores the end, from the one table of moves.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::{
  Change, Delivery, NamespaceId, Subject, TaskConfig, TaskEvent, TaskId, TaskInstanceId,
  TaskInstanceStatus, TaskStatus, Topic, Ts, task_transition,
};
use serde_json::{Value, json};

use super::failure_pause::{Failures, pause_if_failing};
use super::{JobCache, Store};
use crate::infra::bmc::artifact_bmc;
use crate::infra::bmc::event_bmc::Journal;
use crate::infra::bmc::hot::{self, FinishedAttempt, HotRow, LeftBehind};
use crate::infra::bmc::{task_bmc, task_instance_bmc};
use crate::infra::db::{Conn, DbError};

/// Ends that are gathered for one transaction, and what must be woken after its commit.
#[derive(Debug, Default)]
pub(super) struct Ends {
  deletes: Vec<(TaskId, i64)>,
  retries: Vec<(TaskId, i64, Ts)>,
  finished: Vec<FinishedAttempt>,
  /// Changes for the journal.
  pub(super) journal: Journal,
  marks: BTreeMap<(i64, i64), Ts>,
  ended_tasks: Vec<TaskId>,
  ended_attempts: Vec<TaskInstanceId>,
  schedule_freed: bool,
  room_freed: bool,
  /// A task that has to do with limits ended or waits anew.
  limits_freed: bool,
  /// Failures of schedules' tasks that are not stored yet.
  pub(super) failures: Failures,
  /// Who wanted these ends.
  by: Option<String>,
}

impl Ends {
  /// Ends that somebody asked for.
  pub(super) fn asked_by(by: Option<&str>) -> Self {
    Self { by: by.map(str::to_owned), ..Self::default() }
  }

  /// Notes an end whose live row is deleted already: success, which needs no decision.
  pub(super) fn add_deleted(&mut self, row: &HotRow, mut end: FinishedAttempt) {
    end.task_status = Some(TaskStatus::Succeeded);
    self.room_freed |= row.class_id < 0;
    self.note_final(row, &end, TaskStatus::Succeeded);
    self.finished.push(end);
  }

  /// Notes an end whose live row is locked, and decides between the end of the task and another
  /// attempt.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn add_locked(
    &mut self,
    conn: &mut Conn,
    jobs: &JobCache,
    row: &HotRow,
    mut end: FinishedAttempt,
  ) -> Result<(), DbError> {
    let (event, again_at) = decide(conn, jobs, row, &mut end).await?;
    let to = match (event, task_transition(row.status, event)) {
      (_, Some(to)) => to,
      // Asked to stop and tried again: the wish to stop wins.
      (TaskEvent::RetryAllowed, None) => TaskStatus::Failed,
      (_, None) => return Ok(()),
    };
    let fence = row.fence.unwrap_or_default();
    self.room_freed |= row.class_id < 0;
    if to == TaskStatus::WaitingRetry {
      let eligible_at = again_at.unwrap_or(end.completed_at);
      self.retries.push((row.task_id, fence, eligible_at));
      if row.gate == 0 {
        self
          .marks
          .entry((row.class_id, row.priority))
          .and_modify(|mark| *mark = (*mark).min(eligible_at))
          .or_insert(eligible_at);
      }
      self.limits_freed |= row.gate != 0;
      self.note(
        &row.namespace_id,
        row.task_id,
        "task.waiting_retry",
        json!({
          "status": to, "attempt": end.attempt, "instance_id": end.id, "eligible_at": eligible_at,
          "attempt_status": end.status, "reason": end.reason, "exit_code": end.exit_code,
        }),
        end.completed_at,
      );
      self.ended_attempts.push(end.id);
    } else {
      end.task_status = Some(to);
      pause_if_failing(conn, (jobs, self), row, (to, end.completed_at)).await?;
      self.deletes.push((row.task_id, fence));
      self.note_final(row, &end, to);
    }
    self.finished.push(end);
    Ok(())
  }

  /// Notes the end of a task that never had this attempt on an agent; its live row is gone.
  pub(super) fn add_unstarted(
    &mut self,
    row: &HotRow,
    to: TaskStatus,
    (reason, facts): (&str, Option<&str>),
    now: Ts,
  ) {
    let status = match to {
      TaskStatus::Cancelled => TaskInstanceStatus::Cancelled,
      TaskStatus::Skipped => TaskInstanceStatus::Skipped,
      _ => TaskInstanceStatus::NotStarted,
    };
    let mut end = blank_end(row, TaskInstanceId::generate(), status, now);
    end.attempt = 0;
    end.agent_id = None;
    end.task_status = Some(to);
    end.reason = Some(reason.to_owned());
    end.error_message = facts.map(str::to_owned);
    self.note_final(row, &end, to);
    self.finished.push(end);
  }

  /// Notes the end of a task that ran as the tasks that it made; its live row is gone.
  pub(super) fn add_broadcast(
    &mut self,
    row: &HotRow,
    (to, reason): (TaskStatus, &str),
    outputs: Value,
    now: Ts,
  ) {
    let status = match to {
      TaskStatus::Succeeded => TaskInstanceStatus::Succeeded,
      TaskStatus::Failed => TaskInstanceStatus::Failed,
      TaskStatus::Skipped => TaskInstanceStatus::Skipped,
      _ => TaskInstanceStatus::Cancelled,
    };
    let mut end = blank_end(row, TaskInstanceId::generate(), status, now);
    (end.attempt, end.task_status) = (0, Some(to));
    end.reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    end.left.outputs = Some(outputs);
    self.note_final(row, &end, to);
    self.finished.push(end);
  }

  fn note_final(&mut self, row: &HotRow, end: &FinishedAttempt, to: TaskStatus) {
    let event_type = match to {
      TaskStatus::Succeeded => "task.succeeded",
      TaskStatus::Failed => "task.failed",
      TaskStatus::Lost => "task.lost",
      TaskStatus::Skipped => "task.skipped",
      TaskStatus::Expired => "task.expired",
      _ => "task.cancelled",
    };
    let mut data = json!({
      "status": to, "job_id": row.job_id, "attempt": end.attempt, "instance_id": end.id,
      "agent_id": end.agent_id, "started_at": end.started_at, "completed_at": end.completed_at,
    });
    for (key, value) in [
      ("exit_code", end.exit_code.map(Value::from)),
      ("signal", end.signal.map(Value::from)),
      ("reason", end.reason.clone().map(Value::from)),
      ("by", self.by.clone().map(Value::from)),
      ("schedule_id", row.schedule_id.map(|id| Value::from(id.to_string()))),
    ] {
      if let Some(value) = value {
        data[key] = value;
      }
    }
    self.note(&row.namespace_id, row.task_id, event_type, data, end.completed_at);
    self.ended_tasks.push(row.task_id);
    self.ended_attempts.push(end.id);
    self.schedule_freed |= row.schedule_id.is_some();
    self.limits_freed |= row.gate != 0;
  }

  /// Notes a change of a task.
  pub(super) fn note(
    &mut self,
    namespace: &NamespaceId,
    task: TaskId,
    event_type: &str,
    data: Value,
    at: Ts,
  ) {
    let subject = Subject { kind: Topic::Task, id: task.to_string() };
    let event_type = event_type.to_owned();
    self.journal.push(namespace, Change { at, subject, event_type, data });
  }

  /// Writes everything but the journal.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn write(&mut self, conn: &mut Conn, now: Ts) -> Result<(), DbError> {
    self.deletes.sort_unstable();
    hot::delete_finished(conn, &self.deletes).await?;
    hot::reschedule_retry(conn, &self.retries, now).await?;
    hot::insert_finished(conn, &self.finished).await?;
    artifact_bmc::insert_left(conn, &self.finished).await
  }

  /// Wakes whoever waits for what was committed.
  pub(super) fn wake(&self, store: &Store) {
    if !self.marks.is_empty() {
      store.bus.tasks_due(self.marks.clone());
    }
    if self.room_freed {
      store.bus.room_freed.store(true, std::sync::atomic::Ordering::Release);
      store.bus.dispatch.notify_one();
    }
    if self.limits_freed {
      store.bus.admit.notify_one();
    }
    if self.schedule_freed {
      store.bus.plan.notify_one();
    }
    store.bus.tasks_ended(self.ended_tasks.iter().copied());
    store.bus.logs_grew(self.ended_attempts.iter().copied());
    store.bus.events.notify_one();
  }

  /// The attempts that are over.
  pub(super) fn ended_attempts(&self) -> &[TaskInstanceId] {
    &self.ended_attempts
  }
}

/// The end of an attempt with nothing but what its live row knows.
pub(super) fn blank_end(
  row: &HotRow,
  id: TaskInstanceId,
  status: TaskInstanceStatus,
  completed_at: Ts,
) -> FinishedAttempt {
  FinishedAttempt {
    id,
    task_id: row.task_id,
    job_id: row.job_id,
    namespace_id: row.namespace_id.clone(),
    attempt: row.attempt,
    fence: row.fence.unwrap_or_default(),
    agent_id: row.agent_id.clone(),
    status,
    task_status: None,
    dispatched_at: row.locked_at,
    started_at: row.started_at,
    completed_at,
    start_skew_us: None,
    pid: None,
    exit_code: None,
    signal: None,
    reason: None,
    error_message: None,
    log_bytes: 0,
    output_tail: None,
    output_index: None,
    left: LeftBehind::default(),
    metrics: None,
  }
}

/// What stands beside a task that is stopped to be started anew.
const RESTART: &str = "restart";

/// An agent that stops gives back what it had queued and never started, as does one whose executor
/// died before the start: that is nobody's failure.
const GIVEN_BACK: [&str; 4] = [
  "not_started(agent_shutdown)",
  "not_started(executor_lost)",
  "not_started(executor_shutdown)",
  "not_started(agent_drain)",
];

/// An agent whose host cannot take another process at the moment, whose disk does not take what a
/// start has to write, which had no server for too long, or whose clock cannot be counted on: another
/// agent may take it, or the same one later.
const GIVEN_BACK_LATER: [&str; 4] = [
  "not_started(capacity)",
  "not_started(disk)",
  "not_started(disconnected)",
  "not_started(clock_drift)",
];

/// How often a task may come back so before that counts as a failure of its own.
const GIVEN_BACK_MAX: i64 = 20;
/// The first wait; it doubles up to the longest.
const GIVEN_BACK_WAIT: Duration = Duration::from_millis(500);
const GIVEN_BACK_WAIT_MAX: Duration = Duration::from_secs(30);

/// What stands beside a task that is stopped because its agent is being emptied.
const DRAIN: &str = "drain";

/// The task's event for the end of its attempt, and when the next attempt may start.
async fn decide(
  conn: &mut Conn,
  jobs: &JobCache,
  row: &HotRow,
  end: &mut FinishedAttempt,
) -> Result<(TaskEvent, Option<Ts>), DbError> {
  let asked = row.stop_kind.as_deref().filter(|_| row.status == TaskStatus::Cancelling);
  // Nobody wanted the task itself to stop: it is judged as if it had failed.
  let drained = asked == Some(DRAIN);
  let natural = match end.status {
    TaskInstanceStatus::Succeeded => return Ok((TaskEvent::AttemptSucceeded, None)),
    // Whether a lost one still runs nobody knows: that is for the policy of losses.
    status if asked == Some(RESTART) && status != TaskInstanceStatus::Lost => {
      return Ok((TaskEvent::Restarted, Some(end.completed_at)));
    }
    TaskInstanceStatus::Cancelled => TaskEvent::AttemptCancelled,
    TaskInstanceStatus::Skipped => return Ok((TaskEvent::AttemptSkipped, None)),
    TaskInstanceStatus::Lost => TaskEvent::AttemptLost,
    _ => TaskEvent::AttemptFailed,
  };
  let cancelled = end.status == TaskInstanceStatus::Cancelled;
  if !drained && (cancelled || row.status == TaskStatus::Cancelling) {
    return Ok((natural, None));
  }
  let again = if drained { TaskEvent::Restarted } else { TaskEvent::RetryAllowed };
  if end.reason.as_deref().is_some_and(|reason| GIVEN_BACK.contains(&reason)) {
    return Ok((again, Some(end.completed_at)));
  }
  let config = effective_config(conn, jobs, row).await?;
  if end.reason.as_deref().is_some_and(|reason| GIVEN_BACK_LATER.contains(&reason))
    && row.attempt < config.retries().saturating_add(GIVEN_BACK_MAX)
  {
    let doubled = u32::try_from(row.attempt - 1).unwrap_or(0).min(10);
    let wait = (GIVEN_BACK_WAIT * 2_u32.pow(doubled)).min(GIVEN_BACK_WAIT_MAX);
    return Ok((again, Some(end.completed_at.plus(wait))));
  }
  let budget = row.attempt <= config.retries();
  let once = (cancelled || end.status == TaskInstanceStatus::Lost)
    && config.delivery() == Delivery::AtMostOnce;
  let judged = if cancelled { TaskInstanceStatus::Failed } else { end.status };
  if !budget || once || !config.retries_on(judged, end.reason.as_deref()) {
    return Ok((natural, None));
  }
  if cancelled {
    return Ok((again, Some(end.completed_at)));
  }
  let retry = u32::try_from(row.attempt).unwrap_or(u32::MAX);
  let delay = config.retry_delay(retry, rand::random());
  let again_at = end.completed_at.plus(delay);
  if let Some(total) = config.total_timeout_secs
    && again_at >= begun_at(conn, row, end).await?.plus(total.0)
  {
    let total = hetuflow_core::format_duration(total.0);
    let message = format!("no time is left for another attempt: total_timeout_secs is {total}");
    end.error_message.get_or_insert(message);
    return Ok((natural, None));
  }
  Ok((again, Some(again_at)))
}

/// When the first attempt of a task began.
async fn begun_at(conn: &mut Conn, row: &HotRow, end: &FinishedAttempt) -> Result<Ts, DbError> {
  let here = end.started_at.or(end.dispatched_at).unwrap_or(end.completed_at);
  if row.attempt <= 1 {
    return Ok(here);
  }
  Ok(task_instance_bmc::first_start(conn, row.task_id).await?.map_or(here, |at| at.min(here)))
}

/// The config of a live task: its own where it has one, else its job's.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn effective_config(
  conn: &mut Conn,
  jobs: &JobCache,
  row: &HotRow,
) -> Result<TaskConfig, DbError> {
  let own = task_bmc::get(conn, row.task_id).await?.and_then(|task| task.config);
  match own {
    Some(config) => Ok(config),
    None => Ok(jobs.spec(conn, row.job_id, row.job_version).await?.config.clone()),
  }
}
