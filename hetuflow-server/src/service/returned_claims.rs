//! Claims that never reached their agents: their tasks wait again, unless somebody has asked them
//! to stop meanwhile. No agent would ever answer for those, so they end here.

use hetuflow_core::{TaskId, TaskInstanceId, TaskInstanceStatus, TaskStatus, Ts};

use super::attempt_end::{Ends, blank_end};
use super::{JobCache, Store};
use crate::infra::bmc::event_bmc;
use crate::infra::bmc::hot::{self, FinishedAttempt, HotRow};
use crate::infra::db::{Conn, DbError};

/// What stands beside a task that is to be skipped.
const SKIP: &str = "skip";

/// Takes back claims that nobody was given, if their fences still hold. Returns how many were.
///
/// # Errors
/// Any [`DbError`].
pub async fn take_back_claims(
  store: &Store,
  jobs: &JobCache,
  claims: &[(TaskId, i64)],
) -> Result<usize, DbError> {
  let mut tx = store.db.begin_hot().await?;
  let outcome = take_back(&mut tx, jobs, (claims, false), store.db.now()).await;
  let (rows, ends) = tx.end::<_, DbError>(outcome).await?;
  ends.wake(store);
  Ok(rows.len())
}

/// As [`take_back_claims`]; with `waited` also what only waited beside its agent. Returns the rows
/// as they were, and what is to be woken after the commit.
pub(super) async fn take_back(
  tx: &mut Conn,
  jobs: &JobCache,
  (claims, waited): (&[(TaskId, i64)], bool),
  now: Ts,
) -> Result<(Vec<HotRow>, Ends), DbError> {
  let tasks: Vec<TaskId> = claims.iter().map(|(task, _)| *task).collect();
  let mut rows = hot::lock_rows(tx, &tasks).await?;
  rows.retain(|row| {
    let unstarted = match row.status {
      TaskStatus::Locked => true,
      TaskStatus::Dispatched => waited,
      TaskStatus::Cancelling => row.started_at.is_none() && row.instance_id.is_some(),
      _ => false,
    };
    unstarted && claims.contains(&(row.task_id, row.fence.unwrap_or_default()))
  });
  let (stopped, others): (Vec<&HotRow>, Vec<&HotRow>) =
    rows.iter().partition(|row| row.status == TaskStatus::Cancelling);
  let others: Vec<(TaskId, i64)> =
    others.into_iter().map(|row| (row.task_id, row.fence.unwrap_or_default())).collect();
  hot::return_claims(tx, &others, waited, now).await?;
  let mut ends = Ends::default();
  for row in stopped {
    let Some(instance) = row.instance_id else { continue };
    ends.add_locked(tx, jobs, row, stopped_end(row, instance, now)).await?;
  }
  ends.write(tx, now).await?;
  event_bmc::append(tx, &ends.journal, now).await?;
  Ok((rows, ends))
}

/// What an agent answers for an attempt that it was to stop before its start.
fn stopped_end(row: &HotRow, instance: TaskInstanceId, now: Ts) -> FinishedAttempt {
  let status = match row.stop_kind.as_deref() {
    Some(SKIP) => TaskInstanceStatus::Skipped,
    _ => TaskInstanceStatus::Cancelled,
  };
  let mut end = blank_end(row, instance, status, now);
  let why = row.stop_reason.as_deref().unwrap_or("requested");
  end.reason = Some(format!("{status}({why})"));
  end
}
