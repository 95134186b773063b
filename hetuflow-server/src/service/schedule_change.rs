//! How a schedule's row comes to be, changes and goes.

use std::collections::BTreeSet;

use hetuflow_core::{
  DstGap, DstOverlap, FieldError, JobEntity, JobId, MisfirePolicy, NamespaceId, OverlapPolicy,
  QUEUE_MAX_DEFAULT, ScheduleEntity, ScheduleForCreate, ScheduleId, ScheduleStatus, Topic, Ts,
  calendar_items,
};
use serde_json::{Value, json};

use super::plan::settle;
use super::schedule_calendars::check_calendars;
use super::schedule_cursor::{first_after, zone_name};
use super::schedule_hold::{stop_claimed, take_back};
use super::store::Work;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{plan_bmc, schedule_bmc};
use crate::infra::db::DbError;

/// How late is too late, in seconds, where a schedule does not say.
const GRACE_SECS: i64 = 3600;
/// Missed instants made up for, where a schedule does not say.
const CATCHUP: i64 = 10;

/// Names for schedules that have none: the job's, then job-2, job-3 …
pub(super) struct Naming {
  job: JobEntity,
  taken: BTreeSet<String>,
  tried: u32,
}

impl Naming {
  /// For the schedules of one request.
  pub(super) fn of(job: &JobEntity, schedules: &[ScheduleForCreate]) -> Self {
    let taken = schedules.iter().filter_map(|schedule| schedule.name.clone()).collect();
    Self { job: job.clone(), taken, tried: 0 }
  }

  /// The name of the next schedule; skips names that other jobs' schedules have.
  ///
  /// # Errors
  /// When the database fails.
  pub(super) async fn next(
    &mut self,
    work: &mut Work,
    schedule: &ScheduleForCreate,
  ) -> SvcResult<String> {
    if let Some(name) = &schedule.name {
      return Ok(name.clone());
    }
    loop {
      self.tried += 1;
      let name = match self.tried {
        1 => self.job.name.clone(),
        number => format!("{}-{number}", self.job.name),
      };
      if self.taken.contains(&name) {
        continue;
      }
      let owner = schedule_bmc::get_by_name(&mut work.tx, &self.job.namespace_id, &name).await?;
      if owner.is_none_or(|owner| owner.job_id == self.job.id) {
        self.taken.insert(name.clone());
        return Ok(name);
      }
    }
  }

  /// A name for one more schedule of a job that has some.
  ///
  /// # Errors
  /// When the database fails.
  pub(super) async fn one_more(
    work: &mut Work,
    job: &JobEntity,
    schedule: &ScheduleForCreate,
  ) -> SvcResult<String> {
    let mut naming = Self::of(job, &[]);
    let own = schedule_bmc::list_of_job(&mut work.tx, job.id).await?;
    naming.taken.extend(own.into_iter().map(|schedule| schedule.name));
    naming.next(work, schedule).await
  }
}

/// The row that a checked request means, with its first instant.
pub(super) fn row_of(
  (job_id, namespace_id): (JobId, &NamespaceId),
  (new, name): (&ScheduleForCreate, String),
  (actor, now): (&str, Ts),
) -> ScheduleEntity {
  let whole_second = Ts::from_micros(now.micros().div_euclid(1_000_000) * 1_000_000);
  let mut row = ScheduleEntity {
    id: ScheduleId::generate(),
    job_id,
    namespace_id: namespace_id.clone(),
    name,
    description: new.description.clone(),
    schedule_kind: new.kind(),
    cron_expression: new.cron_expression.as_ref().map(|text| text.trim().to_owned()),
    interval_secs: new.interval_secs.map(whole_secs),
    interval_from: new.interval_from.unwrap_or_default(),
    timezone: zone_name(new.timezone.as_deref()),
    dst_gap: new.dst_gap.unwrap_or(DstGap::Auto),
    dst_overlap: new.dst_overlap.unwrap_or(DstOverlap::Auto),
    jitter_secs: new.jitter_secs.map_or(0, whole_secs),
    include: calendar_items(&new.include),
    exclude: calendar_items(&new.exclude),
    start_time: new.start_time,
    end_time: new.end_time,
    max_count: new.max_count,
    status: new.status.unwrap_or(ScheduleStatus::Enabled),
    status_reason: None,
    paused_by: None,
    paused_reason: None,
    paused_until: None,
    skip_next: 0,
    skip_reason: None,
    overlap_policy: new.overlap_policy.unwrap_or(OverlapPolicy::Skip),
    queue_max: new.queue_max.unwrap_or(QUEUE_MAX_DEFAULT),
    misfire_policy: new.misfire_policy.unwrap_or(MisfirePolicy::FireLast),
    misfire_grace_secs: new.misfire_grace_secs.map_or(GRACE_SECS, whole_secs),
    catchup_max: new.catchup_max.unwrap_or(CATCHUP),
    max_concurrent: new.max_concurrent.filter(|count| *count > 0),
    parameters: new.parameters.clone(),
    environment: new.environment.clone(),
    priority: new.priority.unwrap_or(0),
    anchor_at: new.start_time.unwrap_or(whole_second),
    next_run_at: None,
    next_fire_at: None,
    last_run_at: None,
    run_count: 0,
    rev: 1,
    created_by: Some(actor.to_owned()),
    created_at: now,
    updated_by: None,
    updated_at: now,
  };
  row.next_run_at = first_after(&row, now);
  row
}

fn whole_secs(secs: hetuflow_core::Seconds) -> i64 {
  i64::try_from(secs.0.as_secs()).unwrap_or(i64::MAX)
}

/// A schedule that is on and has no instant left is a mistake, not a schedule.
pub(super) fn refuse_never(row: &ScheduleEntity) -> SvcResult<()> {
  let mut errors = Vec::new();
  if row.status == ScheduleStatus::Expired {
    let message = "expired is what the server says of a schedule that is used up";
    errors.push(FieldError::new("schedule.status", "/status", message));
  } else if row.status == ScheduleStatus::Enabled && row.next_run_at.is_none() {
    let field = if row.end_time.is_some() { "/end_time" } else { "/cron_expression" };
    let code = if row.end_time.is_some() { "schedule.window_empty" } else { "cron.never_fires" };
    let message = "no instant is left: the schedule would never fire";
    errors.push(FieldError::new(code, field, message));
  }
  SvcError::check(errors)
}

/// Inserts a schedule of a job.
///
/// # Errors
/// 409 when its name is taken; the broken rules.
pub(super) async fn insert_schedule(
  work: &mut Work,
  actor: &Actor,
  job: &JobEntity,
  (new, name): (&ScheduleForCreate, String),
) -> SvcResult<ScheduleEntity> {
  let row = row_of((job.id, &job.namespace_id), (new, name), (&actor.name, work.now));
  refuse_never(&row)?;
  check_calendars(work, &row).await?;
  put(work, &row).await?;
  work.note(&row.namespace_id, subject(&row), "schedule.created", told(&row));
  Ok(row)
}

/// Writes a row anew in the place of the one with its id. What was planned by the old one was taken
/// back before, `revoked` runs.
///
/// # Errors
/// 409 when its name is taken.
pub(super) async fn replace_schedule(
  work: &mut Work,
  row: &ScheduleEntity,
  revoked: i64,
) -> SvcResult<()> {
  schedule_bmc::delete(&mut work.tx, row.id).await?;
  put(work, row).await?;
  let mut data = told(row);
  data["revoked"] = json!(revoked);
  work.note(&row.namespace_id, subject(row), "schedule.updated", data);
  Ok(())
}

async fn put(work: &mut Work, row: &ScheduleEntity) -> SvcResult<()> {
  work.replan();
  schedule_bmc::create(&mut work.tx, row).await.map_err(|error| name_taken(error, &row.name))
}

/// Removes a schedule and what it planned; its fires stay readable.
///
/// # Errors
/// When the database fails.
pub(super) async fn delete_schedule(work: &mut Work, row: &ScheduleEntity) -> SvcResult<()> {
  if let Some(locked) = plan_bmc::lock_one(&mut work.tx, row.id).await? {
    settle(work, &locked, None).await?;
  }
  let revoked = take_back(work, row).await?;
  stop_claimed(work, row).await?;
  schedule_bmc::delete(&mut work.tx, row.id).await?;
  let data = json!({ "name": row.name, "job_id": row.job_id, "revoked": revoked });
  work.note(&row.namespace_id, subject(row), "schedule.deleted", data);
  work.replan();
  Ok(())
}

/// What an event says a schedule is.
pub(super) fn subject(row: &ScheduleEntity) -> (Topic, String) {
  (Topic::Schedule, row.id.to_string())
}

/// What an event says of a schedule; values of its environment stay out.
pub(super) fn told(row: &ScheduleEntity) -> Value {
  json!({
    "name": row.name,
    "job_id": row.job_id,
    "schedule_kind": row.schedule_kind,
    "cron_expression": row.cron_expression,
    "interval_secs": row.interval_secs,
    "timezone": row.timezone,
    "status": row.status,
    "status_reason": row.status_reason,
    "next_run_at": row.next_run_at,
    "rev": row.rev,
  })
}

/// A taken name in the words of the asker.
pub(super) fn name_taken(error: DbError, name: &str) -> SvcError {
  match error {
    DbError::Unique { .. } => {
      SvcError::conflict("name.taken", "/name", format!("a schedule named \"{name}\" exists"))
    }
    error => error.into(),
  }
}
