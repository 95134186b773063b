//! Where a schedule's planning stands: its next instant, and how a change makes it start anew.
//!
//! A change never fires for the past and never twice: the cursor restarts at the instant of the
//! change, what was planned and not claimed is taken back, and the unique fire key decides the
//! rest.

pub(super) use hetuflow_core::Rhythm;
pub use hetuflow_core::cron_seed;
use hetuflow_core::{
  ClockNote, CronError, DEFAULT_TIMEZONE, IntervalFrom, JobEntity, MisfirePolicy, ScheduleEntity,
  ScheduleId, ScheduleStatus, Ts,
};

use super::SvcResult;
use super::plan::{Held, settle};
use super::schedule_hold::stop_claimed;
use super::store::Work;
use crate::infra::bmc::ahead_bmc::{self, Ahead};
use crate::infra::bmc::{plan_bmc, schedule_bmc};

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

/// Takes back what is planned and not claimed, and plans from now on with the row as it is. The row
/// must be locked or written in this transaction, so that no planner is in between. Returns how many
/// runs were taken back.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart(work: &mut Work, id: ScheduleId) -> SvcResult<i64> {
  let taken = ahead_bmc::take_back(&mut work.tx, Ahead::Schedule(id), work.now).await?;
  ahead_bmc::step_back(&mut work.tx, &taken).await?;
  let runs = taken.iter().map(|one| one.runs).sum();
  let Some(row) = schedule_bmc::get(&mut work.tx, id).await? else { return Ok(runs) };
  if row.status != ScheduleStatus::Enabled {
    stop_claimed(work, &row).await?;
  }
  // Counted from the end of a run that lives: known when it ends.
  let waits = row.status == ScheduleStatus::Enabled
    && row.interval_from == IntervalFrom::End
    && !plan_bmc::live_tasks(&mut work.tx, id).await?.is_empty();
  let next = if waits { None } else { first_after(&row, work.now) };
  schedule_bmc::set_next(&mut work.tx, id, next).await?;
  work.replan();
  Ok(runs)
}

/// The same for all schedules of a job, after it was switched on or off.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart_all(work: &mut Work, job: &JobEntity) -> SvcResult<()> {
  let held = Held { reason: "the job is off", policy: MisfirePolicy::Skip, spread: false };
  for schedule in schedule_bmc::list_of_job(&mut work.tx, job.id).await? {
    let Some(row) = plan_bmc::lock_one(&mut work.tx, schedule.id).await? else { continue };
    settle(work, &row, Some(held)).await?;
    restart(work, row.id).await?;
  }
  Ok(())
}
