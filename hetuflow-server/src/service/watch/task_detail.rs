//! One task with its attempts.

use hetuflow_core::{AttemptRow, TaskDetail, TaskInstanceEntity, TaskInstanceFilter};

use super::answer::Found;
use super::question::Question;
use super::tasks::{narrow, task_row};
use crate::infra::bmc::{PageArgs, job_bmc, task_instance_bmc, watch_tasks};
use crate::infra::db::Conn;
use crate::service::task_ref::resolve_task;
use crate::service::{SvcError, SvcResult};

/// Attempts that one screen holds.
const ATTEMPTS_MAX: i64 = 200;

/// The task that the question names.
///
/// # Errors
/// 404 for a task that is not there or not for the asker.
pub(super) async fn find(conn: &mut Conn, question: &Question) -> SvcResult<Found> {
  let missing = || SvcError::not_found("task", &question.target);
  let task = resolve_task(conn, &question.home(), &question.target).await?;
  if question.own.as_ref().is_some_and(|own| *own != task.namespace_id) {
    return Err(missing());
  }
  let row = watch_tasks::by_ids(conn, &[task.id]).await?.into_iter().next().ok_or_else(missing)?;
  let filter = TaskInstanceFilter { task_id: Some(task.id), ..TaskInstanceFilter::default() };
  let page = PageArgs::first(ATTEMPTS_MAX);
  let attempts = task_instance_bmc::list(conn, &filter, &page).await?.data;
  let config = match &task.config {
    Some(config) => serde_json::to_value(config),
    None => {
      let spec = job_bmc::get_version(conn, task.job_id, task.job_version).await?;
      serde_json::to_value(spec.map(|spec| spec.config))
    }
  };
  let mut attempts: Vec<AttemptRow> = attempts.into_iter().map(attempt_row).collect();
  attempts.sort_by_key(|attempt| (attempt.attempt, attempt.id));
  Ok(Found::object(&TaskDetail {
    job_version: Some(narrow(task.job_version)),
    schedule_id: task.schedule_id,
    config: config.unwrap_or_default(),
    attempts,
    created_at: task.created_at,
    task: task_row(row),
  }))
}

fn attempt_row(attempt: TaskInstanceEntity) -> AttemptRow {
  AttemptRow {
    id: attempt.id,
    attempt: narrow(attempt.attempt),
    status: attempt.status,
    agent_id: attempt.agent_id,
    dispatched_at: attempt.dispatched_at,
    started_at: attempt.started_at,
    completed_at: attempt.completed_at,
    exit_code: attempt.exit_code.map(narrow),
    signal: attempt.signal.map(narrow),
    reason: attempt.reason,
    error_message: attempt.error_message,
    log_bytes: attempt.log_bytes,
    metrics: attempt.metrics,
  }
}
