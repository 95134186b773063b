//! Follows broadcasts: ends those whose tasks are over, and carries stops to their tasks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::BroadcastSvc;

/// Time between looks while broadcasts are open, and while none is.
const LOOK_OPEN: Duration = Duration::from_millis(250);
const LOOK_IDLE: Duration = Duration::from_secs(1);

/// Follows broadcasts until stopped.
pub async fn follow_broadcasts(broadcasts: BroadcastSvc, stop: CancellationToken) {
  let mut wait = LOOK_IDLE;
  loop {
    tokio::select! {
      () = tokio::time::sleep(wait) => {}
      () = stop.cancelled() => return,
    }
    wait = match broadcasts.turn().await {
      Ok(0) => LOOK_IDLE,
      Ok(_) => LOOK_OPEN,
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot follow broadcasts");
        LOOK_IDLE
      }
    };
  }
}
