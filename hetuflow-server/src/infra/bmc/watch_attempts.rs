//! Ended attempts for figures: durations, ends of today, failures with their words.

use hetuflow_core::{JobId, NamespaceId, TaskId, TaskStatus, TriggerSource, Ts};
use sea_query::Value;

use super::sql_text::SqlText;
use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError};

/// Times of an ended attempt.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct AttemptTimes {
  /// What made its task.
  pub trigger_source: TriggerSource,
  /// The instant it was planned for.
  pub scheduled_at: Ts,
  /// Its number.
  pub attempt: i64,
  /// When it started.
  pub started_at: Option<Ts>,
  /// When it ended.
  pub completed_at: Option<Ts>,
}

/// Times of the newest ended attempts.
///
/// # Errors
/// Any [`DbError`].
pub async fn newest_times(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  most: u64,
) -> Result<Vec<AttemptTimes>, DbError> {
  let mut sql = SqlText::new(
    "select t.trigger_source, t.scheduled_at, i.attempt, i.started_at, i.completed_at \
     from (select * from sched_task_instance",
  );
  if let Some(namespace) = namespace {
    sql.push(" where namespace_id = ").bind(text(namespace));
  }
  sql.push(" order by id desc").window(0, most);
  sql.push(") i join sched_task t on t.id = i.task_id");
  sql.fetch(conn).await
}

/// The least id that can have been made at an instant: ids of attempts begin with their time.
fn least_id(at: Ts) -> Value {
  let millis = u128::from(at.millis().unsigned_abs()) & 0xffff_ffff_ffff;
  uuid(uuid::Uuid::from_u128(millis << 80))
}

/// Ends of tasks since an instant by state; attempts that ran for more than `reach` before it are
/// left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn ends_since(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (since, reach): (Ts, std::time::Duration),
) -> Result<Vec<(TaskStatus, i64)>, DbError> {
  let mut sql = SqlText::new(
    "select task_status, count(*) from sched_task_instance where task_status is not null and id >= ",
  );
  sql.bind(least_id(since.minus(reach))).push(" and completed_at >= ").bind(ts(since));
  if let Some(namespace) = namespace {
    sql.push(" and namespace_id = ").bind(text(namespace));
  }
  sql.push(" group by task_status");
  sql.fetch(conn).await
}

/// A failure with its words.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Failure {
  /// The task.
  pub task_id: TaskId,
  /// Its job.
  pub job_id: JobId,
  /// The job's name.
  pub job_name: String,
  /// When.
  pub completed_at: Option<Ts>,
  /// Exit code.
  pub exit_code: Option<i64>,
  /// Signal.
  pub signal: Option<i64>,
  /// Reason.
  pub reason: Option<String>,
  /// The facts behind it.
  pub error_message: Option<String>,
}

/// The newest failed attempts since an instant, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn failures_since(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (since, most): (Ts, u64),
) -> Result<Vec<Failure>, DbError> {
  let mut sql = SqlText::new(
    "select i.task_id, i.job_id, j.name as job_name, i.completed_at, i.exit_code, i.signal, \
     i.reason, i.error_message from sched_task_instance i join sched_job j on j.id = i.job_id \
     where i.status in ('failed', 'timeout', 'lost', 'not_started') and i.completed_at >= ",
  );
  sql.bind(ts(since)).push(" and i.id >= ").bind(least_id(since.minus(REACH)));
  if let Some(namespace) = namespace {
    sql.push(" and i.namespace_id = ").bind(text(namespace));
  }
  sql.push(" order by i.id desc").window(0, most);
  sql.fetch(conn).await
}

/// Attempts that began longer before are not looked for.
const REACH: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
