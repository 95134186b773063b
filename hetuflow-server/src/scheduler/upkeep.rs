//! What is looked at every few seconds: priorities that rise with waiting, and attempts that run for
//! too long.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::service::{AgeingSvc, OverdueSvc};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at what runs for too long.
const OVERDUE_LOOK: Duration = Duration::from_secs(2);
/// Time between two sweeps.
const SWEEP: Duration = Duration::from_secs(3600);

/// The loop over what waits or runs for long.
pub struct Upkeep {
  ageing: AgeingSvc,
  overdue: OverdueSvc,
}

impl Upkeep {
  /// A loop over both.
  pub fn new(ageing: AgeingSvc, overdue: OverdueSvc) -> Self {
    Self { ageing, overdue }
  }

  /// Looks until stopped.
  pub async fn run(mut self, stop: CancellationToken) {
    let (mut looked, mut swept) = (Instant::now(), Instant::now());
    loop {
      tokio::select! {
        () = tokio::time::sleep(LOOK) => {}
        () = stop.cancelled() => return,
      }
      if self.ageing.is_on()
        && let Err(error) = self.ageing.turn().await
      {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot raise priorities");
      }
      if looked.elapsed() >= OVERDUE_LOOK {
        looked = Instant::now();
        if let Err(error) = self.overdue.turn().await {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for slow attempts");
        }
      }
      if swept.elapsed() >= SWEEP {
        swept = Instant::now();
        if let Err(error) = self.overdue.sweep().await {
          tracing::debug!(error = &error as &dyn std::error::Error, "cannot forget old warnings");
        }
      }
    }
  }
}
