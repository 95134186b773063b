//! `sched_task_instance_view`: attempts as people see them, live ones included.

use hetuflow_core::{
  JobId, Page, TaskId, TaskInstanceEntity, TaskInstanceFilter, TaskInstanceId, Ts,
};
use sea_query::{Query, SelectStatement};

use super::page::{PageArgs, by_id};
use super::{is, text, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const VIEW: &str = "sched_task_instance_view";
const COLUMNS: [&str; 25] = [
  "id",
  "task_id",
  "job_id",
  "namespace_id",
  "attempt",
  "fence",
  "agent_id",
  "status",
  "task_status",
  "dispatched_at",
  "started_at",
  "completed_at",
  "start_skew_us",
  "pid",
  "exit_code",
  "signal",
  "reason",
  "error_message",
  "log_bytes",
  "log_hash",
  "log_dropped",
  "progress",
  "progress_note",
  "outputs",
  "metrics",
];

fn select() -> SelectStatement {
  let mut select = Query::select();
  select.columns(COLUMNS).from(VIEW);
  select
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(
  conn: &mut Conn,
  id: TaskInstanceId,
) -> Result<Option<TaskInstanceEntity>, DbError> {
  let mut select = select();
  select.and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// Reads a page, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &TaskInstanceFilter,
  page: &PageArgs,
) -> Result<Page<TaskInstanceEntity>, DbError> {
  let mut select = select();
  if let Some(namespace) = &filter.namespace_id {
    select.and_where(is("namespace_id", text(namespace)));
  }
  if let Some(task) = filter.task_id {
    select.and_where(is("task_id", uuid(task.0)));
  }
  if let Some(job) = filter.job_id {
    select.and_where(is("job_id", uuid(job.0)));
  }
  if let Some(agent) = &filter.agent_id {
    select.and_where(is("agent_id", text(agent)));
  }
  by_id(conn, &mut select, page, |row: &TaskInstanceEntity| row.id.0).await
}

/// How long the newest runs of a job that succeeded took, in microseconds.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_durations(conn: &mut Conn, job: JobId, limit: i64) -> Result<Vec<i64>, DbError> {
  let sql = "select i.started_at, i.completed_at from sched_task t \
    join sched_task_instance i on i.task_id = t.id and i.task_status = 'succeeded' \
    where t.job_id = $1 order by t.scheduled_at desc limit $2";
  let values = vec![uuid(job.0), sea_query::Value::BigInt(Some(limit))];
  let rows: Vec<(Option<Ts>, Option<Ts>)> = conn.fetch_sql(sql, values).await?;
  let took = |(from, to): (Option<Ts>, Option<Ts>)| Some(to?.micros() - from?.micros());
  Ok(rows.into_iter().filter_map(took).collect())
}

/// When the first attempt of a task that started did so.
///
/// # Errors
/// Any [`DbError`].
pub async fn first_start(conn: &mut Conn, task: TaskId) -> Result<Option<Ts>, DbError> {
  let sql = "select min(started_at) from sched_task_instance where task_id = $1";
  let rows: Vec<Row1<Option<Ts>>> = conn.fetch_sql(sql, vec![uuid(task.0)]).await?;
  Ok(rows.into_iter().next().and_then(|row| row.0))
}
