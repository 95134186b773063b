//! Taking tasks in, and saying that they wait.

use std::sync::Arc;

use hetuflow_core::{
  AcquireTaskResponse, JobSpec, ScheduledTask, TaskInstanceId, TaskInstanceStatus,
  TaskInstanceUpdate, Ts,
};
use uuid::Uuid;

use super::Report;
use super::attempt::{Attempt, Phase};
use super::room::{ACKNOWLEDGE_AFTER_US, KEEP_AHEAD_US, Scheduler};
use super::seen::Novelty;
use crate::executor::{Command, Start};

impl Scheduler {
  /// Takes tasks in; each counts as received, whatever becomes of it.
  pub(super) fn take(&mut self, message_id: Uuid, epoch: i64, answer: AcquireTaskResponse) {
    if epoch == self.connection_epoch {
      self.received += answer.tasks.len() as u64;
    }
    let specs: Vec<Arc<JobSpec>> = answer.specs.into_iter().map(Arc::new).collect();
    let offset = self.offset();
    let now_us = self.clock.now_us() + offset;
    for task in answer.tasks {
      match specs.get(task.task.spec) {
        Some(spec) => self.take_one(message_id, task, Arc::clone(spec), now_us),
        None => self.refuse_without_spec(&task, now_us),
      }
    }
  }

  fn take_one(&mut self, message_id: Uuid, task: ScheduledTask, spec: Arc<JobSpec>, now_us: i64) {
    let instance_id = task.task_instance.id;
    match self.seen.judge(task.task.id, task.fence) {
      Novelty::New => {}
      Novelty::Duplicate => {
        tracing::debug!(instance.id = %instance_id, "this attempt was taken before; not again");
        return;
      }
      Novelty::Stale => {
        let message = format!("a newer attempt of task {} was taken", task.task.id);
        (self.reports)(Report::Refused { message_id, code: "stale", message });
        return;
      }
    }
    let mut attempt =
      Attempt::new(Start { task, spec, limits: self.limits, executor: self.executor });
    let now = Ts::from_micros(now_us);
    if attempt.is_expired(now) || self.leaving {
      let mut update = attempt.update(instance_id, TaskInstanceStatus::NotStarted, now);
      let why = if self.leaving { "agent_shutdown" } else { "expired" };
      update.reason = Some(format!("not_started({why})"));
      (self.reports)(Report::Update(update));
      return;
    }
    if let Err(failure) = self.ask_for_inputs(instance_id, &mut attempt) {
      let mut update = attempt.update(instance_id, TaskInstanceStatus::NotStarted, now);
      update.reason = Some(format!("not_started({})", failure.reason));
      update.error_message = Some(failure.message);
      (self.reports)(Report::Update(update));
      return;
    }
    // Files take their time, too, and people ask what is going on meanwhile.
    if attempt.due_us > now_us + KEEP_AHEAD_US || !attempt.has_inputs() {
      self.acknowledge(instance_id, &mut attempt, now);
    } else {
      self.waiting.push_back((now_us, instance_id));
    }
    if attempt.has_inputs() {
      self.agenda.add(instance_id, attempt.due_us, now_us);
    }
    self.queued += 1;
    self.attempts.insert(instance_id, attempt);
  }

  /// A task that names a job which was not sent along.
  fn refuse_without_spec(&self, task: &ScheduledTask, now_us: i64) {
    let (id, now) = (task.task_instance.id, Ts::from_micros(now_us));
    let mut update = TaskInstanceUpdate::new(id, task.task.id, TaskInstanceStatus::NotStarted, now);
    update.attempt = task.attempt;
    update.fence = task.fence;
    update.reason = Some("not_started(refused)".to_owned());
    update.error_message = Some(format!("spec {} was not sent with the task", task.task.spec));
    (self.reports)(Report::Update(Box::new(update)));
  }

  /// A task that could not be read: the server must not take it for one that may be running.
  pub(super) fn refuse_unreadable(&mut self, epoch: i64, mut update: Box<TaskInstanceUpdate>) {
    if epoch == self.connection_epoch {
      self.received += 1;
    }
    if self.seen.judge(update.task_id, update.fence) != Novelty::New {
      return;
    }
    let now = self.server_time(self.clock.now_us());
    update.timestamp = now.millis();
    update.timestamp_us = Some(now.micros());
    (self.reports)(Report::Update(update));
  }

  /// Says of each attempt that has waited long enough that it is here.
  pub(super) fn acknowledge_waiting(&mut self, now_us: i64) {
    while let Some((since, instance_id)) = self.waiting.front().copied() {
      let waits = |attempt: &Attempt| attempt.is_queued() && !attempt.acknowledged;
      if self.attempts.get(&instance_id).is_some_and(waits) {
        if now_us - since < ACKNOWLEDGE_AFTER_US {
          return;
        }
        if let Some(mut attempt) = self.attempts.remove(&instance_id) {
          self.acknowledge(instance_id, &mut attempt, Ts::from_micros(now_us));
          self.attempts.insert(instance_id, attempt);
        }
      }
      self.waiting.pop_front();
    }
  }

  /// Tells the server that an attempt waits here, and has the executor remember it: a later agent
  /// then starts it at its instant.
  fn acknowledge(&self, instance_id: TaskInstanceId, attempt: &mut Attempt, now: Ts) {
    attempt.acknowledged = true;
    if let Phase::Queued(start) = &attempt.phase {
      self.command(Command::Keep(Box::new(start.copy())));
    }
    let update = attempt.update(instance_id, TaskInstanceStatus::Dispatched, now);
    (self.reports)(Report::Update(update));
  }

  /// Ends an attempt that was never started.
  pub(super) fn end_queued(
    &mut self,
    instance_id: TaskInstanceId,
    status: TaskInstanceStatus,
    at: Ts,
    fill: impl FnOnce(&mut TaskInstanceUpdate),
  ) {
    let Some(mut attempt) = self.attempts.remove(&instance_id) else { return };
    self.let_inputs_go(instance_id, &mut attempt);
    self.queued -= 1;
    if attempt.acknowledged {
      self.command(Command::Forget(instance_id));
    }
    if attempt.forgotten {
      return;
    }
    let mut update = attempt.update(instance_id, status, at);
    fill(&mut update);
    (self.reports)(Report::Update(update));
  }
}
