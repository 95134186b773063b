//! Wakes the planning: at the next instant that needs a decision, when something changed, and once
//! a second in any case.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::service::{PlanSvc, Store};

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Wakes of one turn's length after it are one wake, up to this.
const REST_MAX: Duration = Duration::from_millis(50);

/// The planning loop.
pub struct Planner {
  store: Store,
  plan: Arc<PlanSvc>,
}

impl Planner {
  /// A loop over a planner.
  pub fn new(store: Store, plan: Arc<PlanSvc>) -> Self {
    Self { store, plan }
  }

  /// Plans until stopped; stops between turns, never inside one.
  pub async fn run(self, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    loop {
      tokio::select! {
        () = self.store.bus.plan.notified() => {}
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => return,
      }
      let begun = Instant::now();
      wait = match self.plan.run_once().await {
        Ok(turn) => {
          if turn.fired + turn.skipped > 0 {
            tracing::debug!(fired = turn.fired, skipped = turn.skipped, "plan turn finished");
          }
          turn.look_in.map_or(LOOK, |left| left.min(LOOK))
        }
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot plan");
          LOOK
        }
      };
      // Under a flood of ends it plans half of the time at most.
      let rest = begun.elapsed().min(REST_MAX).min(wait);
      tokio::select! {
        () = tokio::time::sleep(rest) => wait -= rest,
        () = stop.cancelled() => return,
      }
    }
  }
}
