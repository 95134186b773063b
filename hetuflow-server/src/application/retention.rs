//! Rows that nobody needs any more go.

use std::time::Duration;

use hetuflow_core::Ts;
use tokio_util::sync::CancellationToken;

use crate::infra::bmc::{agent_command_bmc, event_bmc};
use crate::infra::db::{Db, DbError};

/// Time between two looks at what is too old.
const RETENTION_LOOK: Duration = Duration::from_secs(600);

/// Drops what is older than `ttl`, now and then, until told to stop.
pub(super) async fn retain(db: Db, ttl: Duration, stop: CancellationToken) {
  loop {
    tokio::select! {
      () = tokio::time::sleep(RETENTION_LOOK) => {}
      () = stop.cancelled() => return,
    }
    let outcome = async {
      let mut tx = db.begin().await?;
      let before = Ts::now().minus(ttl);
      let gone = match event_bmc::delete_before(&mut tx, before).await {
        Ok(gone) => agent_command_bmc::delete_before(&mut tx, before).await.map(|_| gone),
        Err(error) => Err(error),
      };
      tx.end::<_, DbError>(gone).await
    }
    .await;
    match outcome {
      Ok(0) => {}
      Ok(rows) => tracing::info!(rows, "old events were dropped"),
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot drop old events")
      }
    }
  }
}
