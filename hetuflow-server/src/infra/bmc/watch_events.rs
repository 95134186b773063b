//! The journal read backwards, and the names of what it speaks of.

use hetuflow_core::{JobId, NamespaceId, ScheduleId, TaskId, Ts};
use sea_query::Value;

use super::event_bmc::{self, EventBatch};
use super::sql_text::SqlText;
use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// Journal rows before a number (that one included), newest first.
///
/// # Errors
/// [`DbError::BadData`] when a row cannot be read.
pub async fn list_before(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (upto, most): (i64, u64),
) -> Result<Vec<EventBatch>, DbError> {
  let mut sql = SqlText::new("select seq, namespace_id, data from sched_event_batch where seq <= ");
  sql.bind(Value::BigInt(Some(upto)));
  if let Some(namespace) = namespace {
    sql.push(" and namespace_id = ").bind(text(namespace));
  }
  sql.push(" order by seq desc").window(0, most);
  event_bmc::unpack_rows(sql.fetch(conn).await?)
}

/// How many changes the journal holds.
///
/// # Errors
/// Any [`DbError`].
pub async fn total(conn: &mut Conn, namespace: Option<&NamespaceId>) -> Result<u64, DbError> {
  let mut sql = SqlText::new("select cast(coalesce(sum(n), 0) as bigint) from sched_event_batch");
  if let Some(namespace) = namespace {
    sql.push(" where namespace_id = ").bind(text(namespace));
  }
  super::watch_tasks::count(sql, conn).await
}

/// The number before the first journal row since an instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn number_before(conn: &mut Conn, since: Ts) -> Result<Option<i64>, DbError> {
  let mut sql = SqlText::new("select min(seq) - 1 from sched_event_batch where at >= ");
  sql.bind(ts(since));
  let rows: Vec<Row1<Option<i64>>> = sql.fetch(conn).await?;
  Ok(rows.into_iter().next().and_then(|row| row.0))
}

/// The jobs' names of tasks.
///
/// # Errors
/// Any [`DbError`].
pub async fn job_names_of_tasks(
  conn: &mut Conn,
  ids: &[TaskId],
) -> Result<Vec<(TaskId, String)>, DbError> {
  let mut sql = SqlText::new(
    "select t.id, j.name from sched_task t join sched_job j on j.id = t.job_id where t.id in ",
  );
  sql.bind_list(ids.iter().map(|id| uuid(id.0)));
  sql.fetch(conn).await
}

/// Names of jobs, deleted ones included.
///
/// # Errors
/// Any [`DbError`].
pub async fn job_names(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<(JobId, String)>, DbError> {
  let mut sql = SqlText::new("select id, name from sched_job where id in ");
  sql.bind_list(ids.iter().map(|id| uuid(id.0)));
  sql.fetch(conn).await
}

/// Names of schedules.
///
/// # Errors
/// Any [`DbError`].
pub async fn schedule_names(
  conn: &mut Conn,
  ids: &[ScheduleId],
) -> Result<Vec<(ScheduleId, String)>, DbError> {
  let mut sql = SqlText::new("select id, name from sched_schedule where id in ");
  sql.bind_list(ids.iter().map(|id| uuid(id.0)));
  sql.fetch(conn).await
}
