//! Backfills: counted first, made, held, ended.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  BackfillCancel, BackfillEntity, BackfillFilter, BackfillForCreate, BackfillId, BackfillOnly,
  BackfillOrder, BackfillState, CancelRequest, Closings, FieldError, Page, Role, ScheduleEntity,
  ScheduleStatus, Ts, cron_field_error, parse_short_id,
};

use super::backfill_choice::{Choice, LOOKED_AT_MAX, Tally};
use super::backfill_step::event_data;
use super::calendar_cache::CalendarCache;
use super::schedule_change::subject;
use super::schedule_cursor::Rhythm;
use super::schedule_edit::{ScheduleRef, find_schedule};
use super::schedule_outlook::refused;
use super::store::{PageArgs, Store, Work};
use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::backfill_bmc;
use crate::infra::db::Conn;

/// Backfills among which a short id is looked for.
const SHORT_IDS_MAX: i64 = 1000;
/// How often a change is tried while steps come in between.
const TRIES_MAX: u32 = 20;

/// Use cases of backfills.
pub struct BackfillSvc {
  pub(super) store: Store,
  tasks: Arc<TaskSvc>,
  /// Most instants of one backfill.
  instants_max: i64,
}

impl BackfillSvc {
  /// Over a store and the service that ends tasks; `instants_max` is the most that one may run.
  pub fn new(store: Store, tasks: Arc<TaskSvc>, instants_max: i64) -> Arc<Self> {
    Arc::new(Self { store, tasks, instants_max })
  }

  /// Counts what a backfill would run and, unless it is a dry run, begins it.
  ///
  /// # Errors
  /// 404, 403; 422 for broken rules, for nothing to run and for more than may be run at once.
  pub async fn create(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    new: &BackfillForCreate,
  ) -> SvcResult<BackfillEntity> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let schedule = find_schedule(&mut conn, actor, which).await?;
    actor.require(Role::Operator, &schedule.namespace_id)?;
    let now = conn.now().await?;
    let mut errors = Vec::new();
    new.check(now, &mut errors);
    SvcError::check(errors)?;
    let rhythm = Rhythm::of(&schedule)
      .map_err(|error| SvcError::invalid(vec![cron_field_error(error, "/schedule")]))?;
    let closings = if new.with_excluded {
      Closings::default()
    } else {
      own_closings(&mut conn, &self.store.calendars, &schedule).await?
    };
    let choice = choice_of(&schedule, (new, closings));
    let tally = choice.count(&mut conn, &rhythm, self.instants_max).await?;
    drop(conn);
    self.check_count(&schedule, &choice, &tally)?;
    let row = row_of(&schedule, (&choice, new, &tally), (actor, now));
    if new.dry_run {
      return Ok(row);
    }
    let mut work = self.store.work().await?;
    let outcome = backfill_bmc::create(&mut work.tx, &row, &schedule).await;
    work.note(&row.namespace_id, subject(&schedule), "schedule.backfill", event_data(&row));
    work.end(outcome.map_err(SvcError::from)).await?;
    self.store.bus.backfill.notify_one();
    Ok(row)
  }

  /// Refuses what would run nothing or too much, with words about why.
  fn check_count(
    &self,
    schedule: &ScheduleEntity,
    choice: &Choice,
    tally: &Tally,
  ) -> SvcResult<()> {
    let refuse = |code: &str, message: String, hint: String| {
      Err(SvcError::invalid(vec![FieldError::new(code, "/from", message).with_hint(hint)]))
    };
    let (name, most) = (&schedule.name, self.instants_max);
    if tally.total > most || tally.in_range > LOOKED_AT_MAX {
      let counted = if tally.total > most { most } else { LOOKED_AT_MAX };
      let message = format!("schedule \"{name}\" has more than {counted} instants there");
      let hint = "take a shorter range, or raise scheduler.backfill_max of the server";
      return refuse("backfill.too_many", message, hint.to_owned());
    }
    if tally.total > 0 {
      return Ok(());
    }
    if tally.in_range == 0 {
      let message =
        format!("schedule \"{name}\" has no instant from {} to {}", choice.from, choice.to);
      let hint = match (schedule.start_time, schedule.end_time) {
        (Some(start), _) if start > choice.to => format!("its window begins at {start}"),
        (_, Some(end)) if end < choice.from => format!("its window ended at {end}"),
        _ => format!("see  hetuflowctl schedule next {name} --from {}", choice.from),
      };
      return refuse("backfill.empty", message, hint);
    }
    if tally.excluded > 0 {
      let message = format!(
        "nothing is left of {} instants: calendars leave out {}",
        tally.in_range, tally.excluded
      );
      let hint = "with_excluded (--with-excluded) runs these too";
      return refuse("backfill.empty", message, hint.to_owned());
    }
    let message = match choice.only {
      BackfillOnly::Failed => format!("none of {} instants has failed", tally.in_range),
      _ => format!("all of {} instants have run", tally.in_range),
    };
    refuse("backfill.empty", message, "only = all runs each of them once more".to_owned())
  }

  /// Reads one, by its id or the last eight characters of it.
  ///
  /// # Errors
  /// 404 when there is none that the asker may see.
  pub async fn get(&self, actor: &Actor, reference: &str) -> SvcResult<BackfillEntity> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    find(&mut conn, actor, reference).await
  }

  /// Reads a page, newest first.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &BackfillFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<BackfillEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut filter = filter.clone();
    if let Some(own) = &actor.namespace_id {
      actor.require(Role::Viewer, filter.namespace_id.as_ref().unwrap_or(own))?;
      filter.namespace_id = Some(own.clone());
    }
    let mut conn = self.store.read().await?;
    Ok(backfill_bmc::list(&mut conn, &filter, page).await?)
  }

  /// Makes no more tasks until it goes on; those that are alive end as they will.
  ///
  /// # Errors
  /// 404, 403; 409 when it does not run.
  pub async fn pause(
    &self,
    actor: &Actor,
    reference: &str,
    reason: Option<String>,
  ) -> SvcResult<BackfillEntity> {
    let why = by("paused", actor, reason.as_deref());
    let moved = (BackfillState::Paused, Some(why));
    self.switch(actor, reference, &[BackfillState::Running], moved).await
  }

  /// Goes on.
  ///
  /// # Errors
  /// 404, 403; 409 when it is not paused.
  pub async fn resume(&self, actor: &Actor, reference: &str) -> SvcResult<BackfillEntity> {
    let moved = (BackfillState::Running, None);
    self.switch(actor, reference, &[BackfillState::Paused], moved).await
  }

  /// Ends it, and its tasks that are alive unless they are to go on.
  ///
  /// # Errors
  /// 404, 403; 409 when it is over.
  pub async fn cancel(
    &self,
    actor: &Actor,
    reference: &str,
    how: &BackfillCancel,
  ) -> SvcResult<BackfillEntity> {
    let why = by("cancelled", actor, how.reason.as_deref());
    let from = [BackfillState::Running, BackfillState::Paused];
    let moved = (BackfillState::Cancelled, Some(why.clone()));
    let row = self.switch(actor, reference, &from, moved).await?;
    if how.keep_running {
      return Ok(row);
    }
    let mut conn = self.store.read().await?;
    let open = backfill_bmc::open_tasks(&mut conn, row.id).await?;
    drop(conn);
    let request = CancelRequest { reason: Some(why), ..CancelRequest::default() };
    for task in open.iter().filter(|task| task.status.is_none()) {
      match self.tasks.cancel(actor, None, &task.task_id.to_string(), &request).await {
        // It has ended in between.
        Ok(_) | Err(SvcError::Refused(_)) => {}
        Err(error) => return Err(error),
      }
    }
    Ok(row)
  }

  async fn switch(
    &self,
    actor: &Actor,
    reference: &str,
    from: &[BackfillState],
    (state, reason): (BackfillState, Option<String>),
  ) -> SvcResult<BackfillEntity> {
    actor.require_role(Role::Viewer)?;
    for _ in 0..TRIES_MAX {
      let mut work = self.store.work().await?;
      let outcome = switch_one(&mut work, actor, reference, (from, state, &reason)).await;
      if let Some(row) = work.end(outcome).await? {
        self.store.bus.backfill.notify_one();
        return Ok(row);
      }
    }
    Err(SvcError::unavailable("the backfill moves too fast; try again"))
  }
}

/// `None`: a step came in between.
async fn switch_one(
  work: &mut Work,
  actor: &Actor,
  reference: &str,
  (from, state, reason): (&[BackfillState], BackfillState, &Option<String>),
) -> SvcResult<Option<BackfillEntity>> {
  let before = find(&mut work.tx, actor, reference).await?;
  actor.require(Role::Operator, &before.namespace_id)?;
  if !from.contains(&before.state) {
    let message = format!("backfill {} is {}", before.id.short(), before.state);
    return Err(SvcError::conflict("backfill.state", "/state", message));
  }
  let mut row = BackfillEntity { state, reason: reason.clone(), updated_at: work.now, ..before };
  if !backfill_bmc::update_if_rev(&mut work.tx, &row, before.rev).await? {
    return Ok(None);
  }
  row.rev = before.rev + 1;
  let about = (hetuflow_core::Topic::Schedule, row.schedule_id.to_string());
  work.note(&row.namespace_id, about, "schedule.backfill", event_data(&row));
  Ok(Some(row))
}

fn by(done: &str, actor: &Actor, reason: Option<&str>) -> String {
  let mut text = format!("{done} by {}", actor.name);
  if let Some(reason) = reason {
    let plain: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
    text.push_str(": ");
    text.push_str(&plain);
  }
  text
}

async fn find(conn: &mut Conn, actor: &Actor, reference: &str) -> SvcResult<BackfillEntity> {
  let own = actor.namespace_id.as_ref();
  let mut found = None;
  if let Ok(id) = reference.parse::<BackfillId>() {
    found = backfill_bmc::get(conn, id).await?;
  } else if parse_short_id(reference).is_some() {
    let filter = BackfillFilter { namespace_id: own.cloned(), ..BackfillFilter::default() };
    let page = backfill_bmc::list(conn, &filter, &PageArgs::first(SHORT_IDS_MAX)).await?;
    found = page.data.into_iter().find(|row| row.id.short() == reference.to_ascii_lowercase());
  }
  found
    .filter(|row| own.is_none_or(|own| *own == row.namespace_id))
    .ok_or_else(|| SvcError::not_found("backfill", reference))
}

/// The calendars that a schedule names itself. A blackout held its instants back for a while; a backfill
/// is how they are run afterwards.
///
/// # Errors
/// When the database fails; 422 for a calendar that cannot be asked.
async fn own_closings(
  conn: &mut Conn,
  cache: &CalendarCache,
  schedule: &ScheduleEntity,
) -> SvcResult<Closings> {
  let book = cache.book(conn, [schedule]).await?;
  Ok(book.closings(schedule).map_err(refused)?.without_blackouts())
}

/// What is asked for; what the planner has still to decide is left to it.
fn choice_of(schedule: &ScheduleEntity, (new, closings): (&BackfillForCreate, Closings)) -> Choice {
  let planned = schedule.next_run_at.filter(|_| schedule.status == ScheduleStatus::Enabled);
  let before = planned.map(|at| at.minus(Duration::from_micros(1)));
  Choice {
    schedule_id: schedule.id,
    from: new.from,
    to: before.map_or(new.to, |before| before.min(new.to)),
    order: new.order.unwrap_or(BackfillOrder::Forward),
    only: new.only.unwrap_or(BackfillOnly::Missing),
    closings,
  }
}

fn row_of(
  schedule: &ScheduleEntity,
  (choice, new, tally): (&Choice, &BackfillForCreate, &Tally),
  (actor, now): (&Actor, Ts),
) -> BackfillEntity {
  BackfillEntity {
    id: BackfillId::generate(),
    namespace_id: schedule.namespace_id.clone(),
    schedule_id: schedule.id,
    schedule_name: schedule.name.clone(),
    job_id: schedule.job_id,
    from_at: choice.from,
    to_at: choice.to,
    order: choice.order,
    only: choice.only,
    parallelism: new.parallelism.unwrap_or(1),
    state: BackfillState::Running,
    reason: None,
    with_excluded: new.with_excluded,
    in_range: tally.in_range,
    excluded: tally.excluded,
    total: tally.total,
    first_at: tally.first.unwrap_or(choice.from),
    last_at: tally.last.unwrap_or(choice.to),
    made: 0,
    succeeded: 0,
    failed: 0,
    cursor_at: None,
    rev: 1,
    created_by: Some(actor.name.clone()),
    created_at: now,
    updated_at: now,
    ended_at: None,
  }
}
