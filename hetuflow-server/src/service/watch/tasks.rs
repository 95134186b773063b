//! Rows of tasks.

use std::time::Instant;

use hetuflow_core::{TaskConfig, TaskRow};

use super::answer::Found;
use super::hub::Counts;
use super::question::Question;
use super::words::why;
use crate::infra::bmc::watch_tasks::{self, ListedTask, Selection};
use crate::infra::db::Conn;
use crate::service::SvcResult;

/// A window of tasks.
///
/// # Errors
/// Any database error.
pub(super) async fn find(
  conn: &mut Conn,
  question: &Question,
  counts: &mut Counts,
) -> SvcResult<Found> {
  let selection =
    Selection { namespace: question.namespace.as_ref(), from: question.from, len: question.len };
  let rows = watch_tasks::list(conn, &selection).await?;
  let fresh = counts.fresh();
  let (matched, total) = match fresh {
    Some(counts) => counts,
    None => {
      let began = Instant::now();
      let total = watch_tasks::total(conn, question.namespace.as_ref()).await?;
      counts.keep((total, total), began);
      (total, total)
    }
  };
  let rows: Vec<TaskRow> = rows.into_iter().map(task_row).collect();
  let mut found = Found::rows(&rows).counted(matched, total);
  found.ages = fresh.is_some();
  Ok(found)
}

/// The row that a list shows.
pub(super) fn task_row(task: ListedTask) -> TaskRow {
  let why = why(&task, None);
  let due = task.eligible_at.unwrap_or(task.scheduled_at);
  let wait_ms = task.started_at.map(|started| started.micros().saturating_sub(due.micros()) / 1000);
  let run_ms = task.started_at.zip(task.completed_at);
  let run_ms = run_ms.map(|(start, end)| end.micros().saturating_sub(start.micros()).max(0) / 1000);
  TaskRow {
    id: task.id,
    namespace_id: task.namespace_id,
    job_id: task.job_id,
    job: task.job_name,
    status: task.status,
    attempt: narrow(task.attempt),
    attempts_max: narrow(1 + retries(&task.config)),
    instance_id: task.instance_id,
    agent_id: task.agent_id,
    trigger_source: task.trigger_source,
    priority: narrow(task.priority),
    scheduled_at: task.scheduled_at,
    eligible_at: task.eligible_at,
    started_at: task.started_at,
    completed_at: task.completed_at,
    wait_ms: wait_ms.map(|wait| wait.max(0)),
    run_ms,
    exit_code: task.exit_code.map(narrow),
    signal: task.signal.map(narrow),
    reason: task.reason,
    why,
    labels: task.labels,
  }
}

fn retries(config: &serde_json::Value) -> i64 {
  config["max_retries"].as_i64().unwrap_or_else(|| TaskConfig::default().retries())
}

/// Numbers that are small by their rules.
pub(super) fn narrow(value: i64) -> i32 {
  i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}
