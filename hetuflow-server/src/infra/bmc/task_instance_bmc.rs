//! `sched_task_instance_view`: attempts as people see them, live ones included.

use hetuflow_core::{Page, TaskInstanceEntity, TaskInstanceFilter, TaskInstanceId};
use sea_query::{Query, SelectStatement};

use super::page::{PageArgs, by_id};
use super::{is, text, uuid};
use crate::infra::db::{Conn, DbError};

const VIEW: &str = "sched_task_instance_view";
const COLUMNS: [&str; 24] = [
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
