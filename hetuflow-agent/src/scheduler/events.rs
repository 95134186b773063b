//! What the executor says, turned into reports.

use hetuflow_core::{TaskInstanceId, TaskInstanceStatus, Ts};

use super::Report;
use super::attempt::Phase;
use super::reports::fill_end;
use super::room::Scheduler;
use crate::executor::{Ended, Event};

impl Scheduler {
  /// Handles all waiting events.
  pub(super) fn hear(&mut self, events: &mut Vec<Event>) {
    let mut ended = 0;
    for event in events.drain(..) {
      match event {
        Event::Started { instance_id, pid, at_us } => self.note_start(instance_id, pid, at_us),
        Event::Output { frame, hold } => self.pass_output(frame, hold),
        Event::Frozen { instance_id, frozen, at_us } => {
          self.note_frozen(instance_id, frozen, at_us);
        }
        Event::Ended(end) => {
          ended += 1;
          self.note_end(*end);
        }
      }
    }
    if ended > 0 {
      self.rate.count(ended, self.clock.now_us());
    }
  }

  fn note_start(&mut self, instance_id: TaskInstanceId, pid: Option<u32>, at_us: i64) {
    let at = self.server_time(at_us);
    let Some(attempt) = self.attempts.get_mut(&instance_id) else { return };
    attempt.phase = Phase::Running { started_us: at.micros(), pid, paused: false };
    if attempt.forgotten {
      return;
    }
    let mut update = attempt.update(instance_id, TaskInstanceStatus::Running, at);
    update.started_at_us = Some(at.micros());
    update.start_skew_us = Some(at.micros() - attempt.due_us);
    update.pid = pid;
    (self.reports)(Report::Update(update));
  }

  fn pass_output(
    &self,
    mut frame: Box<hetuflow_core::OutputFrame>,
    hold: tokio::sync::OwnedSemaphorePermit,
  ) {
    if self.attempts.get(&frame.instance_id).is_some_and(|attempt| !attempt.forgotten) {
      frame.at = self.server_time(frame.at.micros());
      (self.reports)(Report::Output(frame, hold));
    }
  }

  fn note_frozen(&mut self, instance_id: TaskInstanceId, frozen: bool, at_us: i64) {
    let at = self.server_time(at_us);
    let Some(attempt) = self.attempts.get_mut(&instance_id) else { return };
    let Phase::Running { paused, .. } = &mut attempt.phase else { return };
    if std::mem::replace(paused, frozen) == frozen || attempt.forgotten {
      return;
    }
    let status = if frozen { TaskInstanceStatus::Paused } else { TaskInstanceStatus::Running };
    (self.reports)(Report::Update(attempt.update(instance_id, status, at)));
  }

  fn note_end(&mut self, ended: Ended) {
    let at = self.server_time(ended.at_us);
    let Some(attempt) = self.attempts.remove(&ended.instance_id) else { return };
    if attempt.is_queued() {
      self.queued -= 1;
    } else {
      self.active -= 1;
    }
    // The clocks may have moved against each other meanwhile: nothing ends before it began.
    let (at, run_us) = match attempt.phase {
      Phase::Running { started_us, .. } => {
        let at = at.max(Ts::from_micros(started_us));
        (at, at.micros() - started_us)
      }
      _ => (at, 0),
    };
    let mut update = attempt.update(ended.instance_id, TaskInstanceStatus::Failed, at);
    // The attempt's row is written from this report: it says all that is known of the start.
    if let Phase::Running { started_us, pid, .. } = attempt.phase {
      update.started_at_us = Some(started_us);
      update.start_skew_us = Some(started_us - attempt.due_us);
      update.pid = pid;
    }
    fill_end(&mut update, ended, attempt.stop.as_ref());
    self.counters.note_end(update.status == TaskInstanceStatus::Succeeded, run_us);
    if !attempt.forgotten {
      (self.reports)(Report::Update(update));
    }
  }
}
