//! Rows of tasks.

use std::time::Instant;

use hetuflow_core::{FilterScope, TaskConfig, TaskRow, Ts};

use super::answer::Found;
use super::causes;
use super::hub::Counts;
use super::question::Question;
use super::words::why;
use crate::infra::bmc::watch_tasks::{self, ListedTask};
use crate::infra::db::Conn;
use crate::service::row_match::Wanted;
use crate::service::{SvcResult, filtered};

/// A window of tasks.
///
/// # Errors
/// What is wrong with the filter, or any database error.
pub(super) async fn find(
  conn: &mut Conn,
  question: &Question,
  now: Ts,
  counts: &mut Counts,
) -> SvcResult<Found> {
  let wanted = Wanted::read(&question.filter, &question.sort, FilterScope::Tasks)?;
  let window = question.window(now);
  let listed = filtered::tasks(conn, &window, &wanted).await?;
  let fresh = counts.fresh();
  let (matched, total) = match fresh {
    // What was counted a while ago gives way to what the rows themselves say.
    Some((matched, total)) => {
      let matched = listed.matched.unwrap_or(matched);
      (matched, if wanted.filter.is_empty() { matched } else { total.max(matched) })
    }
    None => {
      let began = Instant::now();
      let (matched, total) = match listed.matched {
        Some(matched) if wanted.filter.is_empty() => (matched, matched),
        Some(matched) => (matched, watch_tasks::total(conn, window.namespace).await?.max(matched)),
        None => {
          let total = watch_tasks::total(conn, window.namespace).await?;
          if wanted.filter.is_empty() {
            (total, total)
          } else {
            (filtered::count_tasks(conn, &window, &wanted).await?, total)
          }
        }
      };
      counts.keep((matched, total), began);
      (matched, total)
    }
  };
  let rows: Vec<TaskRow> = listed.rows.into_iter().map(task_row).collect();
  let mut found = Found::rows(&rows).counted(matched, total);
  let causes = causes::of_last_hour(conn, window.namespace, now).await?;
  // Failures leave the hour.
  found.ages = fresh.is_some() || wanted.filter.ages() || !causes.is_empty();
  found.causes = Some(causes);
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
