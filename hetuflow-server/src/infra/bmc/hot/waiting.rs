//! What one waiting task waits behind.

use hetuflow_core::{Gate, TaskId, Ts};
use sea_query::Value;
use sqlx::types::Json;

use super::super::{ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// Tasks that are counted at most.
pub const AHEAD_MAX: i64 = 10_000;

/// The live row of a task, as far as its wait is concerned.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct WaitingRow {
  /// The class.
  pub class_id: i64,
  /// Higher is claimed first.
  pub priority: i64,
  /// How much of that came by waiting.
  pub aged: i64,
  /// Above 0 while limits hold it.
  pub gate: i64,
  /// What it needs of limits.
  pub limits: Option<Json<Gate>>,
  /// The instant it may start.
  pub eligible_at: Ts,
  /// It is given up then.
  pub start_deadline_at: Option<Ts>,
  /// When it was handed out.
  pub locked_at: Option<Ts>,
}

/// Reads it; `None` for a task that is final.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting_row(conn: &mut Conn, task: TaskId) -> Result<Option<WaitingRow>, DbError> {
  let sql = "select class_id, priority, aged, gate, limits, eligible_at, start_deadline_at, locked_at \
    from sched_task_hot where task_id = $1";
  let rows: Vec<WaitingRow> = conn.fetch_sql(sql, vec![uuid(task.0)]).await?;
  Ok(rows.into_iter().next())
}

/// How many tasks with the same demands are let through before it, up to [`AHEAD_MAX`].
///
/// # Errors
/// Any [`DbError`].
pub async fn count_held_ahead(conn: &mut Conn, row: &WaitingRow, now: Ts) -> Result<i64, DbError> {
  let sql = "select count(*) from (select 1 from sched_task_hot where gate = $1 and gate > 0 \
      and status in ('pending', 'waiting_retry') and eligible_at <= $2 \
      and (priority > $3 or (priority = $3 and eligible_at < $4)) limit $5) as ahead";
  let values = vec![
    Value::BigInt(Some(row.gate)),
    ts(now),
    Value::BigInt(Some(row.priority)),
    ts(row.eligible_at),
    Value::BigInt(Some(AHEAD_MAX)),
  ];
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// How many due tasks of the same class are claimed before it, up to [`AHEAD_MAX`].
///
/// # Errors
/// Any [`DbError`].
pub async fn count_ahead(conn: &mut Conn, row: &WaitingRow, now: Ts) -> Result<i64, DbError> {
  let sql = "select count(*) from (select 1 from sched_task_hot where class_id = $1 \
      and status in ('pending', 'waiting_retry') and gate <= 0 and eligible_at <= $2 \
      and (priority > $3 or (priority = $3 and eligible_at < $4)) limit $5) as ahead";
  let values = vec![
    Value::BigInt(Some(row.class_id)),
    ts(now),
    Value::BigInt(Some(row.priority)),
    ts(row.eligible_at),
    Value::BigInt(Some(AHEAD_MAX)),
  ];
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}
