//! Before somebody changes a schedule, what is due of it is decided as it was: each instant belongs
//! to one revision, and none is left without a row.

use hetuflow_core::{MisfirePolicy, Rhythm, ScheduleEntity, ScheduleStatus};

use super::decide::{Held, Question, decide};
use super::overlap::Live;
use super::rows::{rows_of, tell};
use super::stops::stop_live;
use super::write::{job_off, write_rows};
use crate::infra::bmc::event_bmc::Journal;
use crate::infra::bmc::{freeze_bmc, job_bmc, plan_bmc};
use crate::service::store::Work;
use crate::service::{SvcError, SvcResult};

/// Decides all instants of a locked schedule up to now, and returns it as it is then. `held` says why
/// they were held back and what becomes of them, where somebody knows better than the row.
///
/// # Errors
/// When the database fails.
pub(in crate::service) async fn settle(
  work: &mut Work,
  schedule: &ScheduleEntity,
  held: Option<Held<'_>>,
) -> SvcResult<ScheduleEntity> {
  let due = schedule.next_run_at.is_some_and(|at| at <= work.now);
  let (true, Ok(rhythm)) = (due, Rhythm::of(schedule)) else { return Ok(schedule.clone()) };
  let book = work.calendars.book(&mut work.tx, [schedule]).await?;
  let Ok(closings) = book.closings(schedule) else { return Ok(schedule.clone()) };
  let job = job_bmc::get(&mut work.tx, schedule.job_id).await?;
  let live = plan_bmc::live_counts(&mut work.tx, &[schedule.id]).await?;
  let live =
    live.first().map(|(_, waiting, started)| Live { started: *started, waiting: *waiting });
  let reason = why_held(work, schedule).await?;
  let own = reason.as_deref();
  let own = own.map(|reason| Held { reason, policy: MisfirePolicy::Skip, spread: false });
  let held = held.or(own);
  let question = Question {
    schedule,
    rhythm: &rhythm,
    // Who held it is told before why it could not have run either.
    job_off: if held.is_some() { None } else { job_off(job.as_ref()) },
    closings: &closings,
    live: live.unwrap_or_default(),
    now: work.now,
    horizon: work.now,
    held,
  };
  let plan = decide(&question);
  let mut journal = Journal::default();
  if let Some(kind) = plan.stops {
    stop_live(&mut work.tx, schedule, (kind, work.now), &mut journal).await?;
    work.stopped();
  }
  let rows = rows_of(schedule, job.as_ref(), &plan);
  let mut planned = [(schedule.clone(), plan, rows)];
  write_rows(&mut work.tx, &mut planned, work.now).await?;
  let [(_, _, rows)] = &planned;
  tell(&mut journal, schedule, rows, work.now);
  work.tell_all(journal);
  for task in &rows.tasks {
    work.task_due(task);
  }
  let after = plan_bmc::lock_one(&mut work.tx, schedule.id).await?;
  after.ok_or_else(|| SvcError::not_found("schedule", &schedule.name))
}

/// Who holds a schedule back: itself, its namespace, or the cluster.
async fn why_held(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<Option<String>> {
  if schedule.status == ScheduleStatus::Paused {
    let reason = schedule.status_reason.clone();
    return Ok(Some(reason.unwrap_or_else(|| "the schedule was paused".to_owned())));
  }
  let freezes = freeze_bmc::list(&mut work.tx).await?;
  let held = freezes.iter().find(|freeze| freeze.holds(&schedule.namespace_id, work.now));
  Ok(held.map(hetuflow_core::FreezeEntity::told))
}
