//! `sched_freeze`: what holds back the schedules of a namespace, or all of them. One row per scope:
//! the freeze that lasts, or the last one.

use hetuflow_core::{FreezeEntity, Ts};
use sea_query::{OnConflict, Query};

use super::{text, text_option, ts, ts_option};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_freeze";
const COLUMNS: [&str; 8] =
  ["scope", "paused_by", "reason", "since", "until", "ended_at", "ended_by", "missed"];
/// Key of the advisory lock between a freeze and those who plan.
const PLAN_LOCK: i64 = 0x6865_7475_0002;

/// All of them, those that have ended too.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(conn: &mut Conn) -> Result<Vec<FreezeEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).order_by("scope", sea_query::Order::Asc);
  conn.fetch(&select).await
}

/// Stores one in the place of the last one of its scope.
///
/// # Errors
/// Any [`DbError`].
pub async fn put(conn: &mut Conn, row: &FreezeEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert
    .into_table(TABLE)
    .columns(COLUMNS)
    .values_panic([
      text(&row.scope).into(),
      text(&row.paused_by).into(),
      text_option(row.reason.as_deref()).into(),
      ts(row.since).into(),
      ts_option(row.until).into(),
      ts_option(row.ended_at).into(),
      text_option(row.ended_by.as_deref()).into(),
      text_option(row.missed.map(hetuflow_core::MisfirePolicy::as_str)).into(),
    ])
    .on_conflict(
      OnConflict::column("scope").update_columns(COLUMNS[1..].iter().copied()).to_owned(),
    );
  conn.execute(&insert).await.map(drop)
}

/// Ends one, if it lasts; an end that was set before stays. Returns whether it did.
///
/// # Errors
/// Any [`DbError`].
pub async fn end(
  conn: &mut Conn,
  scope: &str,
  (at, by, missed): (Ts, Option<&str>, Option<&str>),
) -> Result<bool, DbError> {
  let sql = "update sched_freeze set ended_at = $1, ended_by = $2, missed = $3 \
    where scope = $4 and ended_at is null";
  let values = vec![ts(at), text_option(by), text_option(missed), text(scope)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Whoever plans holds this to the end of the transaction, many at once; a freeze waits for them, so
/// that nothing is planned after it that did not see it. SQLite has one writer anyway.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_planning(conn: &mut Conn, alone: bool) -> Result<(), DbError> {
  if conn.is_sqlite() {
    return Ok(());
  }
  let sql = if alone {
    "select 1 from (select pg_advisory_xact_lock($1)) locked"
  } else {
    "select 1 from (select pg_advisory_xact_lock_shared($1)) locked"
  };
  conn.execute_sql(sql, vec![sea_query::Value::BigInt(Some(PLAN_LOCK))]).await.map(drop)
}
