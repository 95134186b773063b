//! `sched_server`, and the small facts of the store itself.

use hetuflow_core::{
  Page, ServerEntity, ServerForCreate, ServerForUpdate, ServerId, ServerStatus, Ts,
};
use sea_query::{OnConflict, Query};

use super::page::{PageArgs, by_name};
use super::{is, text, ts};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_server";
const COLUMNS: [&str; 6] =
  ["id", "address", "status", "version", "last_heartbeat_at", "started_at"];

/// Inserts a server, or takes over its row at a new start.
///
/// # Errors
/// Any [`DbError`].
pub async fn register(conn: &mut Conn, new: &ServerForCreate, now: Ts) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert
    .into_table(TABLE)
    .columns(COLUMNS)
    .values_panic([
      text(&new.id).into(),
      text(&new.address).into(),
      text(ServerStatus::Active).into(),
      text(&new.version).into(),
      ts(now).into(),
      ts(now).into(),
    ])
    .on_conflict(
      OnConflict::column("id")
        .update_columns(["address", "status", "version", "last_heartbeat_at", "started_at"])
        .to_owned(),
    );
  conn.execute(&insert).await.map(drop)
}

/// Notes a sign of life.
///
/// # Errors
/// Any [`DbError`].
pub async fn heartbeat(conn: &mut Conn, id: &ServerId, now: Ts) -> Result<(), DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("last_heartbeat_at", ts(now)).and_where(is("id", text(id)));
  conn.execute(&update).await.map(drop)
}

/// Changes what is given.
///
/// # Errors
/// Any [`DbError`].
pub async fn update(
  conn: &mut Conn,
  id: &ServerId,
  change: &ServerForUpdate,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("last_heartbeat_at", ts(now)).and_where(is("id", text(id)));
  if let Some(status) = change.status {
    update.value("status", text(status));
  }
  Ok(conn.execute(&update).await? == 1)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: &ServerId) -> Result<Option<ServerEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", text(id)));
  conn.fetch_optional(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(conn: &mut Conn, page: &PageArgs) -> Result<Page<ServerEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  by_name(conn, &mut select, page, "id", |row: &ServerEntity| row.id.to_string()).await
}

/// Forgets a server.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, id: &ServerId) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE).and_where(is("id", text(id)));
  Ok(conn.execute(&delete).await? == 1)
}

/// Changes when the store starts anew; feeds of two epochs are not comparable.
///
/// # Errors
/// [`DbError::Missing`] when the store was not migrated.
pub async fn store_epoch(conn: &mut Conn) -> Result<String, DbError> {
  let sql = "select value from sched_meta where name = 'epoch'";
  let rows: Vec<Row1<String>> = conn.fetch_sql(sql, Vec::new()).await?;
  rows.into_iter().next().map(|row| row.0).ok_or(DbError::Missing { thing: "epoch".to_owned() })
}
