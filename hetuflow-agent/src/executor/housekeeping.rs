//! What attempts leave behind: orphans that have ended, groups that are empty by now.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::process::{Cgroups, Orphans};

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Adopts orphans from now on, and cleans up until the guard is dropped.
pub fn begin(tracker: &TaskTracker, cgroups: &Arc<Cgroups>) -> DropGuard {
  let stop = CancellationToken::new();
  let (stopped, cgroups) = (stop.clone(), Arc::clone(cgroups));
  let mut orphans = Orphans::adopt();
  tracker.spawn(async move {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
      tokio::select! {
        () = stopped.cancelled() => return,
        _ = look.tick() => {
          orphans.reap();
          cgroups.tidy();
        }
      }
    }
  });
  stop.drop_guard()
}
