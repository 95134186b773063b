//! Keeps backfills going: a step when a task has ended or somebody has changed one, and a look once
//! a second in any case. Every server does it; the store lets each step happen once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{BackfillSvc, Store};

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Shortest time between two turns, so that a busy server does not look at every commit.
const PAUSE: Duration = Duration::from_millis(10);

/// The loop over backfills.
pub struct Backfiller {
  store: Store,
  backfills: Arc<BackfillSvc>,
}

impl Backfiller {
  /// A loop over the use cases.
  pub fn new(store: Store, backfills: Arc<BackfillSvc>) -> Self {
    Self { store, backfills }
  }

  /// Goes on until stopped; stops between turns, never inside one.
  pub async fn run(self, stop: CancellationToken) {
    let mut any = true;
    loop {
      tokio::select! {
        () = self.store.bus.backfill.notified() => {}
        () = tokio::time::sleep(LOOK) => {}
        () = stop.cancelled() => return,
      }
      if any {
        tokio::time::sleep(PAUSE).await;
      }
      any = match self.backfills.run_once().await {
        Ok(turn) => {
          if turn.moved > 0 {
            self.store.bus.backfill.notify_one();
            tracing::debug!(open = turn.open, made = turn.made, "backfill turn finished");
          }
          self.store.bus.backfills_open.store(turn.open > 0, std::sync::atomic::Ordering::Release);
          turn.open > 0
        }
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot look at backfills");
          false
        }
      };
    }
  }
}
