//! What attempts leave behind: orphans that have ended, groups that are empty by now, records of what
//! is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::journal::Journal;
use crate::process::{Cgroups, Orphans};

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Adopts orphans from now on, and cleans up until the guard is dropped.
pub fn begin(
  tracker: &TaskTracker,
  cgroups: &Arc<Cgroups>,
  journal: Option<&Arc<Journal>>,
) -> DropGuard {
  let stop = CancellationToken::new();
  let (stopped, cgroups, journal) = (stop.clone(), Arc::clone(cgroups), journal.cloned());
  let (owner, mut orphans) = (tracker.clone(), Orphans::adopt());
  tracker.spawn(async move {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
      tokio::select! {
        () = stopped.cancelled() => return,
        _ = look.tick() => {
          orphans.reap();
          cgroups.tidy();
          if let Some(journal) = journal.as_ref().filter(|journal| journal.is_due()) {
            let journal = Arc::clone(journal);
            owner.spawn_blocking(move || journal.tidy());
          }
        }
      }
    }
  });
  stop.drop_guard()
}
