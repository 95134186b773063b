//! Schedules: made, changed, held and run by hand; and what they would do next.

use hetuflow_core::{
  FieldError, FireEntity, NamespaceId, Page, PauseRequest, ResumeRequest, Role, ScheduleEntity,
  ScheduleFilter, ScheduleForCreate, ScheduleForUpdate, SchedulePreview, ScheduleStatus,
  SkipNextRequest, TaskForCreate, TriggerAnswer, Ts,
};

use super::plan::trigger;
pub use super::schedule_cursor::{cron_seed, next_instant};
use super::schedule_edit::{
  ScheduleRef, create_one, delete_one, find_schedule, switch_one, update_one,
};
use super::schedule_hold::{pause_one, resume_one, skip_next_one};
use super::schedule_outlook::{Outlook, refused};
pub use super::schedule_preview::PREVIEW_MAX;
use super::schedule_preview::{next_fire, preview_of, row_of_new};
use super::store::{PageArgs, Store};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{fire_bmc, schedule_bmc};
use crate::infra::db::Conn;

/// Use cases of schedules.
#[derive(Clone)]
pub struct ScheduleSvc {
  store: Store,
}

impl ScheduleSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// The store that it works on.
  pub(super) fn store(&self) -> &Store {
    &self.store
  }

  /// The same use cases; with `true` changes are tried, answered and undone.
  #[must_use]
  pub fn dry(&self, dry: bool) -> Self {
    Self { store: self.store.dry(dry) }
  }

  /// Makes a schedule of a job, named by `new.job_id` or `job`.
  ///
  /// # Errors
  /// 403 below editor, 404 for the job, 409 for a name in use, or every broken rule.
  pub async fn create(
    &self,
    actor: &Actor,
    (namespace, job): (Option<&NamespaceId>, Option<&str>),
    mut new: ScheduleForCreate,
  ) -> SvcResult<ScheduleEntity> {
    actor.require_role(Role::Viewer)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    let id = new.job_id.map(|id| id.to_string());
    let Some(job) = id.as_deref().or(job) else {
      errors.push(FieldError::new("schedule.job", "/job_id", "give the job that it runs"));
      return Err(SvcError::invalid(errors));
    };
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = create_one(&mut work, actor, (namespace, job), &new).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Reads one, by id or name.
  ///
  /// # Errors
  /// 404 when there is none that the asker may see.
  pub async fn get(&self, actor: &Actor, which: ScheduleRef<'_>) -> SvcResult<ScheduleEntity> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let mut row = find_schedule(&mut conn, actor, which).await?;
    fill_next(&self.store, &mut conn, std::slice::from_mut(&mut row)).await?;
    Ok(row)
  }

  /// As it is told after a change. The change stands, whatever becomes of the look ahead.
  async fn written(&self, mut row: ScheduleEntity) -> ScheduleEntity {
    let filled = match self.store.read().await {
      Ok(mut conn) => fill_next(&self.store, &mut conn, std::slice::from_mut(&mut row)).await,
      Err(error) => Err(error),
    };
    if let Err(error) = filled {
      tracing::warn!(?error, schedule = %row.id, "its next run cannot be told");
    }
    row
  }

  /// Reads a page.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &ScheduleFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<ScheduleEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut filter = filter.clone();
    if let Some(own) = &actor.namespace_id {
      actor.require(Role::Viewer, filter.namespace_id.as_ref().unwrap_or(own))?;
      filter.namespace_id = Some(own.clone());
    }
    let mut conn = self.store.read().await?;
    let mut found = schedule_bmc::list(&mut conn, &filter, page).await?;
    fill_next(&self.store, &mut conn, &mut found.data).await?;
    Ok(found)
  }

  /// Changes one; `rev` is the revision that the asker saw, where it says so.
  ///
  /// # Errors
  /// 412 `revision.conflict`, 404, 403, 409, or the broken rules.
  pub async fn update(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    change: ScheduleForUpdate,
    rev: Option<i64>,
  ) -> SvcResult<ScheduleEntity> {
    let mut work = self.store.work().await?;
    let outcome = update_one(&mut work, actor, which, (change, rev)).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Removes one.
  ///
  /// # Errors
  /// 404, 403; 412 when it is not at the revision that was seen.
  pub async fn delete(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    rev: Option<i64>,
  ) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = delete_one(&mut work, actor, which, rev).await;
    work.end(outcome).await
  }

  /// Switches one on or off.
  ///
  /// # Errors
  /// 404, 403; 422 when no instant is left.
  pub async fn set_enabled(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    enabled: bool,
  ) -> SvcResult<ScheduleEntity> {
    let status = if enabled { ScheduleStatus::Enabled } else { ScheduleStatus::Disabled };
    let mut work = self.store.work().await?;
    let outcome = switch_one(&mut work, actor, which, status).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Holds one, with a reason for people and an end.
  ///
  /// # Errors
  /// 404, 403; 409 when it does not fire anyway; the broken rules.
  pub async fn pause(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    request: &PauseRequest,
  ) -> SvcResult<ScheduleEntity> {
    let mut work = self.store.work().await?;
    let outcome = pause_one(&mut work, actor, which, request).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Lets one go on, from now; what the pause held back is recorded, and made up for as asked.
  ///
  /// # Errors
  /// 404, 403; 409 when it is not paused.
  pub async fn resume(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    request: &ResumeRequest,
  ) -> SvcResult<ScheduleEntity> {
    let mut work = self.store.work().await?;
    let outcome = resume_one(&mut work, actor, which, request).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Leaves its next instants out.
  ///
  /// # Errors
  /// 404, 403; 409 when it does not fire anyway; the broken rules.
  pub async fn skip_next(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    request: &SkipNextRequest,
  ) -> SvcResult<ScheduleEntity> {
    let mut work = self.store.work().await?;
    let outcome = skip_next_one(&mut work, actor, which, request).await;
    Ok(self.written(work.end(outcome).await?).await)
  }

  /// Runs the job now, as the schedule would and under its policy of overlap; `over` holds what is
  /// different this time.
  ///
  /// # Errors
  /// 404, 403; 409 when the job may not run.
  pub async fn trigger(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    over: &TaskForCreate,
  ) -> SvcResult<TriggerAnswer> {
    let schedule = self.get(actor, which).await?;
    let mut work = self.store.work().await?;
    let outcome = trigger(&mut work, actor, &schedule, over).await;
    work.end(outcome).await
  }

  /// The next fires of a schedule, after `from` or now.
  ///
  /// # Errors
  /// 404; 422 for a stored rule that cannot be read.
  pub async fn next(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    (count, from): (i64, Option<Ts>),
  ) -> SvcResult<SchedulePreview> {
    let schedule = self.get(actor, which).await?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let outlook = Outlook::read(&mut conn, &self.store.calendars, &schedule, now).await?;
    preview_of((&schedule, &outlook), (count, from.unwrap_or(now)))
  }

  /// The next fires that a schedule would have in a namespace; nothing is stored.
  ///
  /// # Errors
  /// The broken rules; 403 below viewer.
  pub async fn preview(
    &self,
    actor: &Actor,
    (namespace, mut new): (Option<&NamespaceId>, ScheduleForCreate),
    (count, from): (i64, Option<Ts>),
  ) -> SvcResult<SchedulePreview> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let mut conn = self.store.read().await?;
    let from = from.unwrap_or(conn.now().await?);
    let row = row_of_new(&new, (&namespace, from));
    let book = self.store.calendars.book(&mut conn, [&row]).await?;
    let closings = book.closings(&row).map_err(refused)?;
    preview_of((&row, &Outlook::of_calendars(closings)), (count, from))
  }

  /// The fires of a schedule, newest first.
  ///
  /// # Errors
  /// 404 when there is no such schedule.
  pub async fn fires(
    &self,
    actor: &Actor,
    which: ScheduleRef<'_>,
    page: &PageArgs,
  ) -> SvcResult<Page<FireEntity>> {
    let schedule = self.get(actor, which).await?;
    let mut conn = self.store.read().await?;
    Ok(fire_bmc::list(&mut conn, schedule.id, page).await?)
  }
}

/// Fills in when each runs next.
async fn fill_next(store: &Store, conn: &mut Conn, rows: &mut [ScheduleEntity]) -> SvcResult<()> {
  if rows.is_empty() {
    return Ok(());
  }
  let now = conn.now().await?;
  let outlooks = Outlook::read_many(conn, &store.calendars, rows, now).await?;
  for (row, outlook) in rows.iter_mut().zip(outlooks) {
    row.next_fire_at = outlook.and_then(|outlook| next_fire((&*row, &outlook), now));
  }
  Ok(())
}
