//! Rows that nobody needs any more go.

use std::time::Duration;

use hetuflow_core::Ts;
use tokio_util::sync::CancellationToken;

use crate::infra::bmc::{agent_command_bmc, event_bmc};
use crate::infra::db::{Db, DbError};

/// Longest time between two looks at what is too old.
const LOOK_MAX: Duration = Duration::from_secs(600);
const LOOK_MIN: Duration = Duration::from_secs(1);
/// Rest between two parts, in which everybody else gets to the store.
const REST: Duration = Duration::from_millis(20);

/// Drops what is older than `ttl`, now and then, until told to stop.
pub(super) async fn retain(db: Db, ttl: Duration, stop: CancellationToken) {
  let look = (ttl / 10).clamp(LOOK_MIN, LOOK_MAX);
  loop {
    tokio::select! {
      () = tokio::time::sleep(look) => {}
      () = stop.cancelled() => return,
    }
    match drop_before(&db, db.now().minus(ttl), &stop).await {
      Ok(0) => {}
      Ok(rows) => tracing::info!(rows, "old events were dropped"),
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot drop old events")
      }
    }
  }
}

/// In parts, each in a transaction of its own: nobody else waits for a million rows.
async fn drop_before(db: &Db, before: Ts, stop: &CancellationToken) -> Result<u64, DbError> {
  let mut tx = db.begin().await?;
  let gone = agent_command_bmc::delete_before(&mut tx, before).await;
  tx.end::<_, DbError>(gone).await?;
  let (mut all, mut from) = (0, Ts::from_micros(0));
  loop {
    let mut tx = db.begin().await?;
    let part = event_bmc::delete_part(&mut tx, (from, before)).await;
    let (gone, next) = tx.end::<_, DbError>(part).await?;
    all += gone;
    match next.filter(|_| !stop.is_cancelled()) {
      Some(next) => from = next,
      None => return Ok(all),
    }
    tokio::time::sleep(REST).await;
  }
}
