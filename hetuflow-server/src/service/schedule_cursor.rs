//! Where a schedule's planning stands: its next instant, and how a change makes it start anew.
//!
//! A change never fires for the past and never twice: the cursor restarts at the instant of the
//! change, what was planned and not claimed is taken back, and the unique fire key decides the
//! rest.

pub(super) use hetuflow_core::Rhythm;
pub use hetuflow_core::cron_seed;
use hetuflow_core::{
  ClockNote, CronError, DEFAULT_TIMEZONE, FireDecision, FireEntity, FireId, JobEntity,
  ScheduleEntity, ScheduleStatus, Ts,
};

use super::SvcResult;
use super::store::Work;
use crate::infra::bmc::schedule_bmc::ScheduleCursor;
use crate::infra::bmc::{fire_bmc, schedule_bmc};

/// Instants that one summary row counts one by one; a longer pause says "at least".
const COUNTED_MAX: i64 = 100_000;

/// The first instant of a schedule strictly after `after`, with a note where a clock change moved
/// it; inside its window of `start_time` and `end_time`. `None`: there is none any more.
///
/// # Errors
/// When the stored expression or zone cannot be read.
pub fn next_instant(
  schedule: &ScheduleEntity,
  after: Ts,
) -> Result<Option<(Ts, Option<ClockNote>)>, CronError> {
  Ok(Rhythm::of(schedule)?.next(after))
}

/// The zone of a schedule that names none.
pub(super) fn zone_name(given: Option<&str>) -> String {
  given.unwrap_or(DEFAULT_TIMEZONE).to_owned()
}

/// Where planning goes on after `after`, where the schedule may fire at all.
pub(super) fn first_after(schedule: &ScheduleEntity, after: Ts) -> Option<Ts> {
  let waits = matches!(schedule.status, ScheduleStatus::Enabled | ScheduleStatus::Paused);
  let used_up = schedule.max_count.is_some_and(|count| schedule.run_count >= count);
  if !waits || used_up {
    return None;
  }
  next_instant(schedule, after).ok().flatten().map(|(at, _)| at)
}

/// Takes back what is planned and not claimed, and plans from now on with the row as it is.
/// The row must have been written in this transaction, so that no planner is in between.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<u64> {
  let revoked = fire_bmc::revoke_planned(&mut work.tx, schedule.id, work.now).await?;
  let next = first_after(schedule, work.now);
  schedule_bmc::set_next(&mut work.tx, schedule.id, next).await?;
  work.replan();
  Ok(revoked)
}

/// The same for all schedules of a job, after it was switched on or off.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart_all(work: &mut Work, job: &JobEntity) -> SvcResult<()> {
  for schedule in schedule_bmc::list_of_job(&mut work.tx, job.id).await? {
    // Locks the row before looking at what is planned.
    schedule_bmc::set_next(&mut work.tx, schedule.id, None).await?;
    restart(work, &schedule).await?;
  }
  Ok(())
}

/// Sets state and reason of a row that was just written in this transaction, and restarts it.
///
/// # Errors
/// When the database fails.
pub(super) async fn set_state(
  work: &mut Work,
  schedule: &ScheduleEntity,
  reason: Option<String>,
) -> SvcResult<u64> {
  let cursor = ScheduleCursor {
    status: schedule.status,
    status_reason: reason,
    next_run_at: schedule.next_run_at,
    last_run_at: schedule.last_run_at,
    run_count: schedule.run_count,
    skip_next: schedule.skip_next,
  };
  schedule_bmc::advance_if_at(&mut work.tx, schedule, &cursor).await?;
  restart(work, schedule).await
}

/// Leaves one row for all instants that a pause swallowed: no instant goes without a trace.
///
/// # Errors
/// When the database fails.
pub(super) async fn record_pause(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<()> {
  let (Some(first), Ok(rhythm)) = (schedule.next_run_at, Rhythm::of(schedule)) else {
    return Ok(());
  };
  if first > work.now {
    return Ok(());
  }
  let (mut count, mut last) = (1, first);
  while count < COUNTED_MAX {
    match rhythm.next(last) {
      Some((at, _)) if at <= work.now => (count, last) = (count + 1, at),
      _ => break,
    }
  }
  let reason = schedule.status_reason.clone();
  let fire = FireEntity {
    id: FireId::generate(),
    schedule_id: schedule.id,
    schedule_rev: schedule.rev,
    fire_at: first,
    decision: FireDecision::SkippedPaused,
    reason,
    task_id: None,
    count,
    from_at: Some(first),
    to_at: Some(if count < COUNTED_MAX { last } else { work.now }),
  };
  fire_bmc::create_once(&mut work.tx, &fire).await?;
  Ok(())
}
