//! A schedule whose tasks fail one after another is paused: `pause_after_failures`.

use hetuflow_core::{Change, ScheduleId, ScheduleStatus, Subject, TaskStatus, Topic, Ts};
use serde_json::json;

use super::JobCache;
use super::attempt_end::Ends;
use crate::infra::bmc::hot::HotRow;
use crate::infra::bmc::{schedule_bmc, task_bmc};
use crate::infra::db::{Conn, DbError};

/// Who pauses.
const BY: &str = "pause_after_failures";

/// Failures of one transaction that are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<ScheduleId>);

/// Pauses the schedule of a task that has failed for good, where it was the last of as many
/// failures in a row as its job allows. Failures from before the schedule's last change do not
/// count, so that a resumed one has all its tries again.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn pause_if_failing(
  conn: &mut Conn,
  (jobs, ends): (&JobCache, &mut Ends),
  row: &HotRow,
  (to, now): (TaskStatus, Ts),
) -> Result<(), DbError> {
  let Some(schedule) = row.schedule_id else { return Ok(()) };
  if !matches!(to, TaskStatus::Failed | TaskStatus::Lost) {
    return Ok(());
  }
  let spec = jobs.spec(conn, row.job_id, row.job_version).await?;
  let Some(most) = spec.config.pause_after_failures else { return Ok(()) };
  ends.failures.0.push(schedule);
  let here = ends.failures.0.iter().filter(|one| **one == schedule).count();
  let here = i64::try_from(here).unwrap_or(i64::MAX);
  let before = task_bmc::failed_in_a_row(conn, schedule, (row.task_id, most - here)).await?;
  if here + before < most {
    return Ok(());
  }
  let reason = format!("{most} tasks in a row failed");
  if schedule_bmc::pause_if_enabled(conn, schedule, (&reason, BY), now).await? {
    let data = json!({
      "status": ScheduleStatus::Paused, "reason": reason, "by": BY, "task_id": row.task_id,
    });
    let subject = Subject { kind: Topic::Schedule, id: schedule.to_string() };
    let event_type = "schedule.paused".to_owned();
    ends.journal.push(&row.namespace_id, Change { at: now, subject, event_type, data });
  }
  Ok(())
}
