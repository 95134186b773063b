//! One transaction of planning: locks, decides, writes.

use std::collections::{BTreeSet, HashMap};

use hetuflow_core::{
  FireDecision, FreezeEntity, JobEntity, JobId, JobStatus, Rhythm, ScheduleEntity, ScheduleId, Ts,
};

use super::decide::{Held, MISSED_AFTER, Plan, Question, decide};
use super::overlap::Live;
use super::rows::{PlanRows, cursor_of, rows_of, tell};
use super::stops::stop_live;
use super::{PlanSvc, PlanTurn};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::{freeze_bmc, hot, job_bmc, plan_bmc};
use crate::infra::db::{Conn, DbError};
use crate::service::submit_svc::tell_of_new;

/// A schedule, its job, its plan, and the rows of it.
type Planned = (ScheduleEntity, Plan, PlanRows);

/// What was written, and what must be told after the commit.
#[derive(Default)]
struct Written {
  planned: Vec<Planned>,
  stopped: bool,
}

impl PlanSvc {
  /// Decides the instants of these schedules, as far as nobody else is at work on them.
  pub(super) async fn plan_group(
    &self,
    ids: &[ScheduleId],
    (now, freezes): (Ts, &[FreezeEntity]),
    turn: &mut PlanTurn,
  ) -> Result<(), DbError> {
    let mut tx = self.store.db.begin().await?;
    let mut broken = Vec::new();
    let outcome = self.write_group(&mut tx, (ids, now, freezes), &mut broken).await;
    let written = tx.end::<_, DbError>(outcome).await?;
    for (id, why) in broken {
      self.mark_broken(id, &why, now).await?;
    }
    for (_, _, rows) in &written.planned {
      turn.fired += rows.tasks.len();
      turn.skipped += rows.fires.iter().filter(|fire| fire.task_id.is_none()).count();
      tell_of_new(&self.store, &rows.tasks);
    }
    if !written.planned.is_empty() {
      self.store.bus.events.notify_one();
    }
    if written.stopped {
      self.store.bus.control.notify_one();
      self.store.bus.remote.notify_one();
    }
    Ok(())
  }

  async fn write_group(
    &self,
    tx: &mut Conn,
    (ids, now, freezes): (&[ScheduleId], Ts, &[FreezeEntity]),
    broken: &mut Vec<(ScheduleId, String)>,
  ) -> Result<Written, DbError> {
    let horizon = now.plus(self.ahead);
    freeze_bmc::lock_planning(tx, false).await?;
    let schedules = plan_bmc::lock_due(tx, (now, horizon), ids).await?;
    let wanted: BTreeSet<JobId> = schedules.iter().map(|schedule| schedule.job_id).collect();
    let jobs: HashMap<JobId, JobEntity> =
      job_bmc::get_many(tx, wanted).await?.into_iter().map(|job| (job.id, job)).collect();
    let locked: Vec<ScheduleId> = schedules.iter().map(|schedule| schedule.id).collect();
    let live = plan_bmc::live_counts(tx, &locked).await?;
    let live: HashMap<ScheduleId, Live> =
      live.into_iter().map(|(id, waiting, started)| (id, Live { started, waiting })).collect();
    let book = self.store.calendars.book(tx, &schedules).await?;
    let mut written = Written::default();
    let mut journal = Journal::default();
    for schedule in schedules {
      let rhythm = match Rhythm::of(&schedule) {
        Ok(rhythm) => rhythm,
        Err(error) => {
          broken.push((schedule.id, error.to_string()));
          continue;
        }
      };
      let closings = match book.closings(&schedule) {
        Ok(closings) => closings,
        Err(why) => {
          broken.push((schedule.id, why));
          continue;
        }
      };
      let job = jobs.get(&schedule.job_id);
      let frozen = frozen_before(&schedule, freezes, now);
      let reason = frozen.map(FreezeEntity::told);
      let held = frozen.zip(reason.as_deref()).map(|(freeze, reason)| Held {
        reason,
        policy: freeze.missed.unwrap_or(schedule.misfire_policy),
        spread: true,
      });
      let question = Question {
        schedule: &schedule,
        rhythm: &rhythm,
        job_off: job_off(job),
        closings: &closings,
        live: live.get(&schedule.id).copied().unwrap_or_default(),
        now,
        horizon,
        held,
      };
      let plan = decide(&question);
      if plan.is_empty(&schedule) {
        continue;
      }
      if let Some(kind) = plan.stops {
        stop_live(tx, &schedule, (kind, now), &mut journal).await?;
        written.stopped = true;
      }
      let rows = rows_of(&schedule, job, &plan);
      written.planned.push((schedule, plan, rows));
    }
    write_rows(tx, &mut written.planned, now).await?;
    for (schedule, _, rows) in &written.planned {
      tell(&mut journal, schedule, rows, now);
    }
    event_bmc::append(tx, &journal, now).await?;
    Ok(written)
  }
}

/// The freeze that held back the next instant of a schedule, and has ended.
fn frozen_before<'a>(
  schedule: &ScheduleEntity,
  freezes: &'a [FreezeEntity],
  now: Ts,
) -> Option<&'a FreezeEntity> {
  let first = schedule.next_run_at?;
  let held = freezes.iter().filter(|freeze| {
    let ended = freeze.end().is_some_and(|end| end <= now && first <= end);
    ended && freeze.covers(&schedule.namespace_id) && first >= freeze.since.minus(MISSED_AFTER)
  });
  held.max_by_key(|freeze| freeze.since)
}

/// Why a job may not run.
pub(super) fn job_off(job: Option<&JobEntity>) -> Option<&'static str> {
  match job {
    Some(job) if job.status == JobStatus::Enabled => None,
    _ => Some("the job is off"),
  }
}

/// Fires, tasks and cursors. Tasks whose instant somebody decided before are dropped.
pub(super) async fn write_rows(
  tx: &mut Conn,
  planned: &mut [Planned],
  now: Ts,
) -> Result<(), DbError> {
  go_on_with_windows(tx, planned).await?;
  let fires: Vec<_> = planned.iter().flat_map(|(_, _, rows)| &rows.fires).collect();
  let new = plan_bmc::insert_fires(tx, &fires).await?;
  for (_, _, rows) in planned.iter_mut() {
    rows.fires.retain(|fire| new.contains(&fire.id.0));
    let fires = &rows.fires;
    rows.tasks.retain(|task| fires.iter().any(|fire| fire.task_id == Some(task.id)));
  }
  let tasks: Vec<_> = planned.iter().flat_map(|(_, _, rows)| rows.tasks.clone()).collect();
  let made = hot::enqueue(tx, &tasks, now).await?;
  for (_, _, rows) in planned.iter_mut() {
    rows.tasks.retain(|task| made.contains(&task.id));
  }
  let cursors: Vec<_> =
    planned.iter().map(|(schedule, plan, _)| (schedule.id, cursor_of(schedule, plan))).collect();
  plan_bmc::write_cursors(tx, &cursors).await
}

/// Where the first decision of a plan goes on with a stretch that calendars leave out, its instants
/// are counted to the row of that stretch.
async fn go_on_with_windows(tx: &mut Conn, planned: &mut [Planned]) -> Result<(), DbError> {
  let mut more = Vec::new();
  for (schedule, plan, _) in planned.iter() {
    let first = plan.decisions.first().filter(|one| one.what == FireDecision::SkippedWindow);
    if let (Some(first), Some(_)) = (first, schedule.last_run_at) {
      let reason = first.reason.as_deref().unwrap_or_default();
      let to = first.to.unwrap_or(first.at);
      more.push(plan_bmc::WindowMore { schedule, reason, count: first.count, to });
    }
  }
  let gone_on = plan_bmc::extend_windows(tx, &more).await?;
  for (schedule, _, rows) in planned.iter_mut() {
    if gone_on.contains(&schedule.id) {
      rows.fires.remove(0);
    }
  }
  Ok(())
}
