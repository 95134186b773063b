//! Wakes the admission of tasks that limits hold: when a task of a limit ended or came, when a rate
//! allows one more, and once a second in any case.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::service::{AdmissionSvc, Store};

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Time before another turn where the last one could not do everything.
const AGAIN: Duration = Duration::from_millis(20);
/// Time between two sweeps of what no longer counts.
const SWEEP: Duration = Duration::from_secs(60);

/// The admission loop.
pub struct Admission {
  store: Store,
  admission: Arc<AdmissionSvc>,
}

impl Admission {
  /// A loop over an admission.
  pub fn new(store: Store, admission: Arc<AdmissionSvc>) -> Self {
    Self { store, admission }
  }

  /// Admits until stopped; stops between turns, never inside one.
  pub async fn run(self, stop: CancellationToken) {
    let (mut wait, mut swept) = (Duration::ZERO, Instant::now());
    loop {
      tokio::select! {
        () = self.store.bus.admit.notified() => {}
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => return,
      }
      wait = self.turn().await;
      if swept.elapsed() >= SWEEP {
        swept = Instant::now();
        if let Err(error) = self.admission.sweep().await {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot sweep leases");
        }
      }
    }
  }

  /// One turn; returns the time until the next one.
  async fn turn(&self) -> Duration {
    match self.admission.turn().await {
      Ok(turn) if turn.more && turn.admitted > 0 => Duration::ZERO,
      Ok(turn) if turn.more => AGAIN,
      Ok(turn) => {
        turn.next_at.map_or(LOOK, |at| at.since(self.store.db.now()).max(AGAIN)).min(LOOK)
      }
      Err(error) if error.is_retry() => AGAIN,
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot admit tasks");
        LOOK
      }
    }
  }
}
