//! What the executor says, turned into reports.

use std::collections::HashSet;

use hetuflow_core::{TaskInstanceId, TaskInstanceStatus, Ts};

use super::Report;
use super::attempt::{Attempt, Phase};
use super::reports::fill_end;
use super::room::Scheduler;
use super::seen::Novelty;
use crate::executor::{Command, Ended, Event, Held, HeldPhase, Hold, Progress, Start, StopOrder};

impl Scheduler {
  /// Handles all waiting events.
  pub(super) fn hear(&mut self, events: &mut Vec<Event>) {
    let mut ended = 0;
    for event in events.drain(..) {
      match event {
        Event::Started { instance_id, pid, at_us } => self.note_start(instance_id, pid, at_us),
        Event::Output { frame, hold } => self.pass_output(frame, hold),
        Event::Progress { instance_id, progress, at_us } => {
          self.note_progress(instance_id, progress, at_us);
        }
        Event::Frozen { instance_id, frozen, at_us } => {
          self.note_frozen(instance_id, frozen, at_us);
        }
        Event::Ended(end, hold) => {
          ended += 1;
          self.note_end(*end, hold);
        }
        Event::Attached { executor, held } => {
          self.executor = executor;
          if let Some(at_us) = self.contact_us {
            // Its journal need not know.
            self.command(Command::Contact(at_us));
          }
          self.meet_executor(held);
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
    // What has started has its files.
    if attempt.inputs.take().is_some() {
      (self.reports)(Report::LetGo(instance_id));
    }
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

  fn pass_output(&self, mut frame: Box<hetuflow_core::OutputFrame>, hold: Hold) {
    if self.attempts.get(&frame.instance_id).is_some_and(|attempt| !attempt.forgotten) {
      frame.at = self.server_time(frame.at.micros());
      (self.reports)(Report::Output(frame, hold));
    } else {
      hold.release();
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

  fn note_progress(&self, instance_id: TaskInstanceId, progress: Progress, at_us: i64) {
    let at = self.server_time(at_us);
    let Some(attempt) = self.attempts.get(&instance_id).filter(|one| !one.forgotten) else {
      return;
    };
    let mut update = attempt.update(instance_id, TaskInstanceStatus::Running, at);
    (update.progress, update.progress_note) = (Some(progress.share), progress.note);
    (self.reports)(Report::Update(update));
  }

  fn note_end(&mut self, ended: Ended, hold: Hold) {
    let at = self.server_time(ended.at_us);
    let started = ended.started.map(|(pid, at_us)| (pid, self.server_time(at_us).micros()));
    let Some(mut attempt) = self.attempts.remove(&ended.instance_id) else {
      return hold.release();
    };
    self.let_inputs_go(ended.instance_id, &mut attempt);
    if attempt.is_queued() {
      self.queued -= 1;
    } else {
      self.active -= 1;
      self.taken -= attempt.slots;
    }
    if let Some((pid, started_us)) = started {
      attempt.phase = Phase::Running { started_us, pid, paused: false };
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
    if attempt.forgotten {
      hold.release();
    } else {
      (self.reports)(Report::End(update, hold));
    }
  }

  /// Takes over what an executor had in hand before this agent came.
  pub(super) fn take_over(&mut self, held: Vec<Held>) {
    let offset = self.offset();
    let now_us = self.clock.now_us() + offset;
    for held in held {
      let id = held.identity.instance_id;
      if self.attempts.contains_key(&id) {
        match held.phase {
          HeldPhase::Waiting(start) => self.queue_again(id, start),
          HeldPhase::Starting | HeldPhase::Running { .. } => self.stop_again(id),
          HeldPhase::Ended { .. } => {}
        }
        continue;
      }
      let novelty = self.seen.judge(held.identity.task_id, held.identity.fence);
      if novelty != Novelty::New && matches!(held.phase, HeldPhase::Waiting(_)) {
        // It was here and is over, or was given back; the executor had no time to hear of that.
        self.command(Command::Forget(id));
        continue;
      }
      let mut attempt = Attempt::of_held(held, |at_us| at_us + offset);
      if attempt.is_queued() {
        self.queued += 1;
        let refused = self.ask_for_inputs(id, &mut attempt).err();
        if !self.unsure.keeps(id) && attempt.has_inputs() {
          self.agenda.add(id, attempt.due_us, now_us);
        }
        if let Some(failure) = refused {
          self.attempts.insert(id, attempt);
          self.refuse_inputs(id, &failure);
          continue;
        }
      } else {
        self.active += 1;
        self.taken += attempt.slots;
      }
      self.attempts.insert(id, attempt);
    }
  }

  /// An executor has died before it heard that an attempt is to start, and the next one has it as one
  /// that waits: it was not started, since that is written down before.
  fn queue_again(&mut self, instance_id: TaskInstanceId, start: Box<Start>) {
    let now_us = self.clock.now_us() + self.offset();
    let Some(attempt) = self.attempts.get_mut(&instance_id) else { return };
    if !matches!(attempt.phase, Phase::Starting) {
      return;
    }
    attempt.phase = Phase::Queued(start);
    self.active -= 1;
    self.taken -= attempt.slots;
    self.queued += 1;
    if let Some(why) = attempt.stop.clone() {
      self.stop(instance_id, &why, StopOrder::default());
    } else {
      self.agenda.add(instance_id, attempt.due_us, now_us);
    }
  }

  /// An executor has died, maybe before it heard that an attempt is to end.
  fn stop_again(&mut self, instance_id: TaskInstanceId) {
    if let Some(why) = self.attempts.get(&instance_id).and_then(|attempt| attempt.stop.clone()) {
      let order = StopOrder { why: Some(why), ..StopOrder::default() };
      self.command(Command::Stop(instance_id, order));
    }
  }

  /// A server has said what it knows, or there was none for long enough: what waits goes on.
  pub(super) fn be_sure(&mut self) {
    let now_us = self.clock.now_us() + self.offset();
    for id in self.unsure.end() {
      let ready = |attempt: &&Attempt| attempt.is_queued() && attempt.has_inputs();
      if let Some(attempt) = self.attempts.get(&id).filter(ready) {
        self.agenda.add(id, attempt.due_us, now_us);
      }
    }
  }

  /// Another executor has come: what the old one was told and this one does not know was never
  /// started, since nothing is started before it is written down.
  fn meet_executor(&mut self, held: Vec<Held>) {
    let known: HashSet<_> = held.iter().map(|held| held.identity.instance_id).collect();
    let missing = self.attempts.iter().filter(|(id, one)| !one.is_queued() && !known.contains(id));
    let missing: Vec<_> = missing.map(|(id, _)| *id).collect();
    let now = self.server_time(self.clock.now_us());
    for instance_id in missing {
      let Some(mut attempt) = self.attempts.remove(&instance_id) else { continue };
      self.let_inputs_go(instance_id, &mut attempt);
      self.active -= 1;
      self.taken -= attempt.slots;
      let (status, reason) = match attempt.phase {
        Phase::Running { .. } => (TaskInstanceStatus::Failed, "exit_unknown"),
        _ => (TaskInstanceStatus::NotStarted, "not_started(executor_lost)"),
      };
      let mut update = attempt.update(instance_id, status, now);
      update.reason = Some(reason.to_owned());
      if !attempt.forgotten {
        (self.reports)(Report::Update(update));
      }
    }
    // It did not live to hear of these.
    for attempt in self.attempts.values().filter(|attempt| attempt.acknowledged) {
      if let Phase::Queued(start) = &attempt.phase {
        self.command(Command::Keep(Box::new(start.copy())));
      }
    }
    self.take_over(held);
  }
}
