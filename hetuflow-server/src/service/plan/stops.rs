//! Earlier runs that give way to a newer one: those on an agent are asked to stop, those that wait
//! end at once.

use hetuflow_core::{ScheduleEntity, TaskControlKind, TaskId, TaskStatus, Ts};

use crate::infra::bmc::event_bmc::Journal;
use crate::infra::bmc::hot::{self, StopMark};
use crate::infra::bmc::plan_bmc;
use crate::infra::db::{Conn, DbError};
use crate::service::attempt_end::Ends;

/// Why they end.
const REASON: &str = "a newer fire of the schedule";

/// Ends all runs of a schedule, in the transaction that makes the new one. The schedule is locked.
/// Returns how many.
pub(super) async fn stop_live(
  tx: &mut Conn,
  schedule: &ScheduleEntity,
  (kind, now): (TaskControlKind, Ts),
  journal: &mut Journal,
) -> Result<usize, DbError> {
  let tasks = plan_bmc::live_tasks(tx, schedule.id).await?;
  let rows = hot::lock_rows(tx, &tasks).await?;
  let mark = StopMark { kind: kind.to_string(), reason: Some(REASON.to_owned()), grace_ms: None };
  let mut waiting: Vec<TaskId> = Vec::new();
  for row in &rows {
    if !row.status.is_on_agent() {
      waiting.push(row.task_id);
    } else if is_news(row.status, row.stop_kind.as_deref(), &mark.kind) {
      hot::request_stop(tx, row.task_id, &mark, now).await?;
    }
  }
  let mut ends = Ends::default();
  for gone in hot::finish_unstarted(tx, &waiting).await? {
    ends.add_unstarted(&gone.row, TaskStatus::Cancelled, (REASON, None), now);
  }
  ends.write(tx, now).await?;
  journal.merge(ends.journal);
  Ok(rows.len())
}

/// A stop that is on its way already is not asked for again; a kill overrides a stop.
fn is_news(status: TaskStatus, asked: Option<&str>, kind: &str) -> bool {
  let asked = asked.filter(|_| status == TaskStatus::Cancelling);
  match asked {
    None => true,
    Some("stop" | "skip" | "kill") => kind == "kill" && asked != Some("kill"),
    // A restart or a drain would start it again.
    Some(_) => true,
  }
}
