//! How far living attempts say they are.

use hetuflow_core::{NamespaceId, TaskId, TaskInstanceId, Ts};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{hex, wrong_engine};
use crate::infra::db::{Conn, DbError};

/// What one attempt says.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressRow {
  /// Its task.
  pub task_id: TaskId,
  /// Its fence.
  pub fence: i64,
  /// 0 to 1.
  pub progress: f64,
  /// Its words for that.
  pub note: Option<String>,
}

/// What was stored of it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ProgressTold {
  /// The task.
  pub task_id: TaskId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// The attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// 0 to 1.
  pub progress: Option<f64>,
  /// Its words for that.
  pub progress_note: Option<String>,
}

/// Notes how far attempts are, if their fences hold. Give them sorted by task id. Returns what was
/// stored.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_progress(
  conn: &mut Conn,
  rows: &[ProgressRow],
  now: Ts,
) -> Result<Vec<ProgressTold>, DbError> {
  if rows.is_empty() {
    return Ok(Vec::new());
  }
  if conn.is_sqlite() {
    let sql = "update sched_task_hot set progress = s.value ->> 2, progress_note = s.value ->> 3, \
        updated_at = $2 \
      from json_each($1) s \
      where task_id = unhex(s.value ->> 0) and fence = s.value ->> 1 \
        and status in ('running', 'paused', 'cancelling') \
      returning task_id, namespace_id, instance_id, progress, progress_note";
    let list: Vec<Value> = rows
      .iter()
      .map(|row| json!([hex(row.task_id.0), row.fence, row.progress, row.note]))
      .collect();
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    let query = sqlx::query_as(sql).bind(Value::Array(list).to_string()).bind(now);
    let told = query.fetch_all(sqlite).await?;
    conn.done();
    return Ok(told);
  }
  let sql = "update sched_task_hot h set progress = r.progress, progress_note = r.note, \
      updated_at = $5 \
    from unnest($1::uuid[], $2::bigint[], $3::double precision[], $4::text[]) \
      as r(task_id, fence, progress, note) \
    where h.task_id = r.task_id and h.fence = r.fence \
      and h.status in ('running', 'paused', 'cancelling') \
    returning h.task_id, h.namespace_id, h.instance_id, h.progress, h.progress_note";
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let told = sqlx::query_as(sql)
    .bind(rows.iter().map(|row| row.task_id.0).collect::<Vec<Uuid>>())
    .bind(rows.iter().map(|row| row.fence).collect::<Vec<i64>>())
    .bind(rows.iter().map(|row| row.progress).collect::<Vec<f64>>())
    .bind(rows.iter().map(|row| row.note.as_deref()).collect::<Vec<Option<&str>>>())
    .bind(now)
    .fetch_all(pg)
    .await?;
  conn.done();
  Ok(told)
}
