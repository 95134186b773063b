//! Ends tasks whose start deadline has passed while they waited.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::infra::bmc::hot;
use crate::service::{Store, SvcResult, TaskSvc};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The loop over deadlines.
pub struct DeadlineSweep {
  store: Store,
  tasks: Arc<TaskSvc>,
}

impl DeadlineSweep {
  /// A loop over a store.
  pub fn new(store: Store, tasks: Arc<TaskSvc>) -> Self {
    Self { store, tasks }
  }

  /// Sweeps until stopped.
  pub async fn run(self, stop: CancellationToken) {
    loop {
      tokio::select! {
        () = tokio::time::sleep(LOOK) => {}
        () = stop.cancelled() => return,
      }
      if let Err(error) = self.turn().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot sweep deadlines");
      }
    }
  }

  async fn turn(&self) -> SvcResult<()> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let late = hot::waiting_past_deadline(&mut conn, now).await?;
    drop(conn);
    if late.is_empty() {
      return Ok(());
    }
    self.tasks.expire(&late).await.map(drop)
  }
}
