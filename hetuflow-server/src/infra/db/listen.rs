//! NOTIFY and LISTEN between servers on one PostgreSQL: only hints.

use std::time::Duration;

use sqlx::postgres::PgListener;

use super::{Db, DbError};

/// The one channel; the payload names the sender.
const CHANNEL: &str = "task_change";
/// A listener that heard nothing for this long is built anew: a dead peer says nothing either.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Tells the other servers to look.
///
/// # Errors
/// Any [`DbError`].
pub async fn notify(db: &Db, sender: &str) -> Result<(), DbError> {
  let mut conn = db.read().await?;
  let values = vec![
    sea_query::Value::String(Some(CHANNEL.to_owned())),
    sea_query::Value::String(Some(sender.to_owned())),
  ];
  conn.execute_sql("select pg_notify($1, $2)", values).await.map(drop)
}

/// Listens until the connection fails or is silent for too long; calls `heard` with each sender.
/// Build it anew after every return, and look once by yourself.
///
/// # Errors
/// Any [`DbError`].
pub async fn listen(db: &Db, heard: impl Fn(&str)) -> Result<(), DbError> {
  let Some(pool) = db.pg_pool() else { return std::future::pending().await };
  let mut listener = PgListener::connect_with(pool).await?;
  listener.listen(CHANNEL).await?;
  loop {
    match tokio::time::timeout(SILENCE_MAX, listener.try_recv()).await {
      Ok(Ok(Some(notification))) => heard(notification.payload()),
      Ok(Ok(None)) | Err(_) => return Ok(()),
      Ok(Err(error)) => return Err(error.into()),
    }
  }
}
