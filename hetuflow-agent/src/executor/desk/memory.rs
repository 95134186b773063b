//! What a desk finds when it opens: the journal of an executor before it.

use hetuflow_core::TaskInstanceId;

use super::Desk;
use super::kept::Told;
use crate::executor::journal::{Entry, Stage};
use crate::executor::orphan::{self, Orphan};
use crate::executor::{Cause, Ended, Held, HeldPhase, Hold, SteadyClock};

impl Desk {
  /// Puts back what the journal knows. What was started and whose end nobody saw is looked for.
  pub(super) fn remember(
    &mut self,
    entries: Vec<Entry>,
    same_boot: bool,
    clock: SteadyClock,
  ) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for Entry { identity, stage, stop, pauses } in entries {
      let id = identity.instance_id;
      let phase = match stage {
        // It may have been started just before the host died, with a record that was not on the
        // disk: nobody starts it again. The server knows by the boot id.
        Stage::Waiting(_) if !same_boot => {
          self.journal.settled([id]);
          continue;
        }
        Stage::Waiting(start) if start.lacks_secrets() => {
          self.give_back(id, clock.now_us());
          HeldPhase::Ended { pid: None, started_us: None }
        }
        Stage::Waiting(start) => HeldPhase::Waiting(start),
        Stage::Exited { ended, started } => {
          let pid = started.and_then(|(pid, _)| u32::try_from(pid).ok());
          let started_us = started.map(|(_, at_us)| at_us);
          self.keep(id, Told::Ended(ended), Hold::default());
          HeldPhase::Ended { pid, started_us }
        }
        // Nothing has survived the host's own start; the server knows by the boot id.
        Stage::Starting | Stage::Started { .. } if !same_boot => {
          self.journal.settled([id]);
          continue;
        }
        Stage::Starting => {
          let found = orphan::find(id, clock.now_us());
          let phase = match &found {
            orphan::Found::Alive { pid, at_us, .. } => HeldPhase::Running {
              pid: u32::try_from(pid.as_raw_nonzero().get()).ok(),
              at_us: *at_us,
              paused: pauses.is_frozen(),
            },
            orphan::Found::Gone | orphan::Found::Unsure => HeldPhase::Starting,
          };
          orphans.push(Orphan { identity, found, pauses });
          phase
        }
        Stage::Started { pid, ticks, at_us } => {
          orphans.push(Orphan { identity, found: orphan::look(pid, ticks, at_us), pauses });
          HeldPhase::Running { pid: u32::try_from(pid).ok(), at_us, paused: pauses.is_frozen() }
        }
      };
      self.held.insert(id, Held { identity, phase, stop });
    }
    orphans
  }

  /// The values of its secrets were in the memory of the executor before this one, and nowhere
  /// else. It was never started: the server hands it out again, with the values of that time.
  fn give_back(&mut self, instance_id: TaskInstanceId, at_us: i64) {
    let cause = Cause::NotStarted {
      reason: "not_started(executor_lost)".to_owned(),
      message: "the executor that held its secrets is gone".to_owned(),
    };
    let ended = Ended::new(instance_id, cause, at_us);
    self.journal.exited(&ended);
    self.keep(instance_id, Told::Ended(Box::new(ended)), Hold::default());
  }
}
