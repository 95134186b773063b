//! `sched_dedup`: the newest task of each kind of requests that become one.

use hetuflow_core::{JobId, TaskId, Ts};

use super::{json_option, text, ts, uuid};
use crate::infra::bmc::hot::NewTask;
use crate::infra::db::{Conn, DbError};

/// Where requests of one key stand.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct DedupRow {
  /// The task that they became.
  pub task_id: TaskId,
  /// When the first of them came.
  pub first_at: Ts,
  /// Until when later ones belong to it.
  pub until_at: Ts,
}

/// Takes the key for a task; `false` where it is taken. Whoever comes second waits for the first.
///
/// # Errors
/// Any [`DbError`].
pub async fn take(
  conn: &mut Conn,
  (job, key): (JobId, &str),
  row: &DedupRow,
) -> Result<bool, DbError> {
  let sql = "insert into sched_dedup (job_id, dedup_key, task_id, first_at, until_at) \
    values ($1, $2, $3, $4, $5) on conflict do nothing";
  let values =
    vec![uuid(job.0), text(key), uuid(row.task_id.0), ts(row.first_at), ts(row.until_at)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Reads who has the key, and keeps others from changing it.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock(conn: &mut Conn, (job, key): (JobId, &str)) -> Result<Option<DedupRow>, DbError> {
  let sql = if conn.is_sqlite() {
    "select task_id, first_at, until_at from sched_dedup where job_id = $1 and dedup_key = $2"
  } else {
    "select task_id, first_at, until_at from sched_dedup where job_id = $1 and dedup_key = $2 \
      for update"
  };
  let rows: Vec<DedupRow> = conn.fetch_sql(sql, vec![uuid(job.0), text(key)]).await?;
  Ok(rows.into_iter().next())
}

/// Gives the key to another task.
///
/// # Errors
/// Any [`DbError`].
pub async fn replace(
  conn: &mut Conn,
  (job, key): (JobId, &str),
  row: &DedupRow,
) -> Result<(), DbError> {
  let sql = "update sched_dedup set task_id = $1, first_at = $2, until_at = $3 \
    where job_id = $4 and dedup_key = $5";
  let values =
    vec![uuid(row.task_id.0), ts(row.first_at), ts(row.until_at), uuid(job.0), text(key)];
  conn.execute_sql(sql, values).await.map(drop)
}

/// Moves a task that is still held back, and gives it the parameters of a later request. Returns
/// whether it was.
///
/// # Errors
/// Any [`DbError`].
pub async fn move_held(
  conn: &mut Conn,
  task: TaskId,
  (later, at): (&NewTask, Ts),
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set eligible_at = $1, updated_at = $2 \
    where task_id = $3 and status = 'pending' and attempt = 0 and gate > 0 and eligible_at > $2";
  if conn.execute_sql(sql, vec![ts(at), ts(now), uuid(task.0)]).await? != 1 {
    return Ok(false);
  }
  let sql = "update sched_task set parameters = $1, environment = $2, config = $3 where id = $4";
  let values = vec![
    json_option(later.parameters.as_ref()),
    json_option(later.environment.as_ref()),
    json_option(later.config.as_ref()),
    uuid(task.0),
  ];
  conn.execute_sql(sql, values).await?;
  Ok(true)
}

/// Forgets keys whose time was over before an instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_before(conn: &mut Conn, before: Ts) -> Result<u64, DbError> {
  conn.execute_sql("delete from sched_dedup where until_at < $1", vec![ts(before)]).await
}
