//! `sched_attempt_warning`: what was said about attempts that run for too long, so that it is said
//! once in the whole cluster.

use hetuflow_core::{JobId, NamespaceId, TaskConfig, TaskId, TaskInstanceId, Ts};
use sea_query::Value;
use sqlx::types::Json;

use super::sql_text::SqlText;
use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError};

/// An attempt that runs.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct RunningAttempt {
  /// Its task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its job.
  pub job_id: JobId,
  /// The job's version.
  pub job_version: i64,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// When it started.
  pub started_at: Ts,
  /// Settings of this run alone.
  pub config: Option<Json<TaskConfig>>,
}

/// Attempts that run since before an instant, the longest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn running_since(
  conn: &mut Conn,
  before: Ts,
  most: i64,
) -> Result<Vec<RunningAttempt>, DbError> {
  let sql = "select h.task_id, h.instance_id, h.job_id, h.job_version, h.namespace_id, \
      h.started_at, t.config \
    from sched_task_hot h join sched_task t on t.id = h.task_id \
    where h.status = 'running' and h.started_at < $1 and h.instance_id is not null \
    order by h.started_at limit $2";
  conn.fetch_sql(sql, vec![ts(before), Value::BigInt(Some(most))]).await
}

/// Notes that something is said of an attempt; `false` where it was said before.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_once(
  conn: &mut Conn,
  (instance, kind): (TaskInstanceId, &str),
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "insert into sched_attempt_warning (instance_id, kind, at) values ($1, $2, $3) \
    on conflict do nothing";
  Ok(conn.execute_sql(sql, vec![uuid(instance.0), text(kind), ts(now)]).await? == 1)
}

/// What was said of these attempts, and when.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_attempts(
  conn: &mut Conn,
  instances: &[TaskInstanceId],
) -> Result<Vec<(TaskInstanceId, String, Ts)>, DbError> {
  let mut sql =
    SqlText::new("select instance_id, kind, at from sched_attempt_warning where instance_id in ");
  sql.bind_list(instances.iter().map(|id| uuid(id.0)));
  sql.fetch(conn).await
}

/// Forgets what was said before an instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_before(conn: &mut Conn, before: Ts) -> Result<u64, DbError> {
  conn.execute_sql("delete from sched_attempt_warning where at < $1", vec![ts(before)]).await
}
