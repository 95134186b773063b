//! What an agent asks for, and what is stopped without being asked.

use hetuflow_core::{TaskInstanceId, TaskInstanceStatus};

use super::Desk;
use super::kept::Told;
use crate::executor::{
  Cause, Command, Ended, Held, HeldPhase, Hold, Identity, StopOrder, StopWhy, cancelled,
};

impl Desk {
  /// Does what an agent asks for.
  pub(super) fn command(&mut self, command: Command) {
    match command {
      Command::Keep(start) => {
        let identity = Identity::of(&start);
        if self.held.contains_key(&identity.instance_id) {
          return;
        }
        self.journal.keep(&start);
        let phase = HeldPhase::Waiting(start);
        self.held.insert(identity.instance_id, Held { identity, phase, stop: None });
      }
      Command::Forget(id) => {
        if self.held.get(&id).is_some_and(|held| matches!(held.phase, HeldPhase::Waiting(_))) {
          self.held.remove(&id);
          self.journal.settled([id]);
        }
      }
      Command::Start(start) => {
        let identity = Identity::of(&start);
        let known = self.held.get(&identity.instance_id);
        let waits = known.is_none_or(|held| matches!(held.phase, HeldPhase::Waiting(_)));
        if !waits || self.journal.was_started(identity.instance_id) {
          return tracing::warn!(instance.id = %identity.instance_id, "started before; not again");
        }
        let phase = HeldPhase::Starting;
        self.held.insert(identity.instance_id, Held { identity, phase, stop: None });
        if self.stopping {
          let why = ("executor_shutdown", "the executor was asked to end");
          return self.refuse(identity.instance_id, why);
        }
        let silent_us = self.clock.now_us() - self.contact_us;
        if identity.stop_after_us.is_some_and(|limit| silent_us >= limit) {
          // It may live elsewhere by now.
          let why =
            ("disconnected", "no server was in reach for as long as it may run without one");
          return self.refuse(identity.instance_id, why);
        }
        if identity.stop_after_us.is_some() {
          self.journal.contact(self.contact_us);
        }
        self.pass(Command::Start(start));
      }
      Command::Stop(id, order) => {
        if let (Some(held), Some(why)) = (self.held.get_mut(&id), &order.why)
          && held.stop.is_none()
        {
          held.stop = Some(why.clone());
          self.journal.stopping(id, why);
        }
        self.pass(Command::Stop(id, order));
      }
      Command::Abandon => {
        tracing::warn!(attempts = self.held.len(), "what is in hand is nobody's any more");
        self.abandoned = true;
        let kept: Vec<u64> = self.kept.keys().copied().collect();
        self.stored(kept);
        let waiting = self.held.iter().filter(|(_, h)| matches!(h.phase, HeldPhase::Waiting(_)));
        let waiting: Vec<_> = waiting.map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.command(Command::Forget(id)));
        self.pass(Command::Abandon);
      }
      Command::Contact(at_us) => {
        self.contact_us = self.contact_us.max(at_us);
        if self.has_limits() {
          self.journal.contact(self.contact_us);
        }
        // Proof that it moves, also where nothing is in hand.
        self.say(&super::super::frames::FromExecutor::Tick(self.turns));
      }
      command => self.pass(command),
    }
  }

  /// Stops what may not run for so long without a server. Counts by `CLOCK_BOOTTIME`, so that a
  /// host that slept does it first of all.
  pub(super) fn stop_unreached(&mut self) {
    let silent_us = self.clock.now_us() - self.contact_us;
    let over = |held: &Held| {
      let lives = matches!(held.phase, HeldPhase::Starting | HeldPhase::Running { .. });
      let limit = held.identity.stop_after_us;
      lives && held.stop.is_none() && limit.is_some_and(|limit| silent_us >= limit)
    };
    let over: Vec<_> = self.held.iter().filter(|(_, held)| over(held)).map(|(id, _)| *id).collect();
    for id in over {
      tracing::warn!(instance.id = %id, silent_us, "no server for too long; it is stopped");
      let why =
        StopWhy { status: TaskInstanceStatus::Failed, reason: "stopped(disconnected)".to_owned() };
      self.command(Command::Stop(id, StopOrder { why: Some(why), ..StopOrder::default() }));
    }
  }

  pub(super) fn has_limits(&self) -> bool {
    self.held.values().any(|held| held.identity.stop_after_us.is_some())
  }

  fn pass(&mut self, command: Command) {
    self.executor.obey(command);
  }

  /// Ends an attempt that must not be started; a word and a sentence say why.
  fn refuse(&mut self, instance_id: TaskInstanceId, (reason, message): (&str, &str)) {
    let cause =
      Cause::NotStarted { reason: format!("not_started({reason})"), message: message.to_owned() };
    let ended = Ended::new(instance_id, cause, self.clock.now_us());
    if let Some(held) = self.held.get_mut(&instance_id) {
      held.phase = HeldPhase::Ended { pid: None, started_us: None };
    }
    // It may have been written down as waiting: the next executor must not start it.
    self.journal.exited(&ended);
    self.keep(instance_id, Told::Ended(Box::new(ended)), Hold::default());
  }

  /// The executor itself was asked to end: nothing must be left without it.
  pub(super) fn stop_all(&mut self) {
    self.stopping = true;
    tracing::warn!(attempts = self.held.len(), "asked to end: every attempt is stopped first");
    let why = cancelled("executor_shutdown");
    let ids: Vec<_> = self.held.keys().copied().collect();
    for id in ids {
      let order = StopOrder { why: Some(why.clone()), ..StopOrder::default() };
      self.command(Command::Stop(id, order));
      self.command(Command::Forget(id));
    }
  }
}
