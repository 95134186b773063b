//! The transactions that people's changes of a schedule are.

use hetuflow_core::{
  FieldError, NamespaceId, Role, ScheduleEntity, ScheduleForCreate, ScheduleForUpdate, ScheduleId,
  ScheduleStatus, check_name,
};
use serde_json::json;

use super::job_change::{find_job, refuse_adhoc, stale};
use super::plan::settle;
use super::schedule_calendars::check_calendars;
use super::schedule_change::{
  Naming, delete_schedule, insert_schedule, name_taken, refuse_never, subject, told,
};
use super::schedule_cursor::{first_after, restart};
use super::schedule_hold::hold_of;
use super::store::{Work, check_mask};
use super::{Actor, SvcError, SvcResult, near_name};
use crate::infra::bmc::watch_names::Named;
use crate::infra::bmc::{plan_bmc, schedule_bmc};
use crate::infra::db::Conn;

const FIELDS: [&str; 23] = [
  "name",
  "description",
  "cron_expression",
  "interval_secs",
  "interval_from",
  "timezone",
  "dst_gap",
  "dst_overlap",
  "jitter_secs",
  "include",
  "exclude",
  "end_time",
  "max_count",
  "status",
  "overlap_policy",
  "queue_max",
  "misfire_policy",
  "misfire_grace_secs",
  "catchup_max",
  "max_concurrent",
  "parameters",
  "environment",
  "priority",
];

/// Which schedule: its namespace where one is named, and its id or name.
pub type ScheduleRef<'a> = (Option<&'a NamespaceId>, &'a str);

/// A schedule by id or name, as far as the asker may see it.
///
/// # Errors
/// 404 with the same words whether it does not exist or lies elsewhere.
pub(super) async fn find_schedule(
  conn: &mut Conn,
  actor: &Actor,
  (named, reference): ScheduleRef<'_>,
) -> SvcResult<ScheduleEntity> {
  let missing = || SvcError::not_found("schedule", reference);
  let mut found = None;
  if let Ok(id) = reference.parse::<ScheduleId>() {
    found = schedule_bmc::get(conn, id).await?;
  }
  if found.is_none() {
    let name = check_name(reference, "").map_err(|_| missing())?;
    found = schedule_bmc::get_by_name(conn, &actor.namespace(named), &name).await?;
  }
  let own = actor.namespace_id.as_ref();
  let found = found
    .filter(|row| named.or(own).is_none_or(|wanted| *wanted == row.namespace_id))
    .filter(|row| own.is_none_or(|own| *own == row.namespace_id));
  match found {
    Some(row) => Ok(row),
    None => {
      let kind = (Named::Schedule, &actor.namespace(named));
      Err(near_name::missing(conn, kind, reference).await)
    }
  }
}

/// Makes one for a job.
///
/// # Errors
/// 404, 403, 409, 422.
pub(super) async fn create_one(
  work: &mut Work,
  actor: &Actor,
  (namespace, job): (Option<&NamespaceId>, &str),
  new: &ScheduleForCreate,
) -> SvcResult<ScheduleEntity> {
  let job = find_job(&mut work.tx, actor, namespace, job).await?;
  actor.require(Role::Editor, &job.namespace_id)?;
  refuse_adhoc(&job)?;
  let name = Naming::one_more(work, &job, new).await?;
  insert_schedule(work, actor, &job, (new, name)).await
}

/// Removes one.
///
/// # Errors
/// 404, 403, 412.
pub(super) async fn delete_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  rev: Option<i64>,
) -> SvcResult<()> {
  actor.require_role(Role::Viewer)?;
  let row = find_schedule(&mut work.tx, actor, which).await?;
  actor.require(Role::Editor, &row.namespace_id)?;
  if rev.is_some_and(|rev| rev != row.rev) {
    return Err(stale(row.rev));
  }
  delete_schedule(work, &row).await
}

/// Changes one. Its planning starts anew, at now, where the change moves future instants.
///
/// # Errors
/// 404, 403, 409, 412, 422.
pub(super) async fn update_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  (mut change, rev): (ScheduleForUpdate, Option<i64>),
) -> SvcResult<ScheduleEntity> {
  actor.require_role(Role::Viewer)?;
  let before = find_schedule(&mut work.tx, actor, which).await?;
  actor.require(Role::Editor, &before.namespace_id)?;
  let mut errors = Vec::new();
  check_mask(change.update_mask.as_deref(), &FIELDS, &mut errors);
  apply_mask(&mut change);
  change.check(&before, &mut errors);
  if change.status == Some(ScheduleStatus::Expired) {
    let message = "expired is what the server says of a schedule that is used up";
    errors.push(FieldError::new("schedule.status", "/status", message));
  }
  SvcError::check(errors)?;
  if rev.is_some_and(|rev| rev != before.rev) {
    return Err(stale(before.rev));
  }
  // A schedule that was used up lives again when its timing changes.
  if change.changes_timing() && change.status.is_none() && before.status == ScheduleStatus::Expired
  {
    change.status = Some(ScheduleStatus::Enabled);
  }
  write(work, actor, &before, &change).await
}

/// Switches one on or off.
///
/// # Errors
/// 404, 403, 422.
pub(super) async fn switch_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  status: ScheduleStatus,
) -> SvcResult<ScheduleEntity> {
  actor.require_role(Role::Viewer)?;
  let before = find_schedule(&mut work.tx, actor, which).await?;
  actor.require(Role::Editor, &before.namespace_id)?;
  let change = ScheduleForUpdate { status: Some(status), ..ScheduleForUpdate::default() };
  write(work, actor, &before, &change).await
}

/// Writes a checked change, restarts the planning where it must, and tells. What is due of the
/// schedule as it was is decided first, so that each instant belongs to one revision.
async fn write(
  work: &mut Work,
  actor: &Actor,
  before: &ScheduleEntity,
  change: &ScheduleForUpdate,
) -> SvcResult<ScheduleEntity> {
  let locked = plan_bmc::lock_one(&mut work.tx, before.id).await?;
  let mut before = locked.ok_or_else(|| SvcError::not_found("schedule", &before.name))?;
  if change.changes_timing() {
    before = settle(work, &before, None).await?;
  }
  let by = (Some(actor.name.as_str()), work.now);
  let name = change.name.as_deref().unwrap_or(&before.name);
  let written = schedule_bmc::update(&mut work.tx, before.id, change, by)
    .await
    .map_err(|error| name_taken(error, name))?;
  if !written {
    return Err(SvcError::not_found("schedule", &before.name));
  }
  let mut row = read_back(work, before.id).await?;
  let mut revoked = 0;
  if change.changes_timing() {
    refuse_never(&ScheduleEntity { next_run_at: first_after(&row, work.now), ..row.clone() })?;
    check_calendars(work, &row).await?;
    let hold = hold_of(&actor.name, &before, row.status);
    schedule_bmc::set_hold(&mut work.tx, row.id, &hold).await?;
    revoked = restart(work, row.id).await?;
    row = read_back(work, row.id).await?;
  }
  let mut data = told(&row);
  data["revoked"] = json!(revoked);
  work.note(&row.namespace_id, subject(&row), "schedule.updated", data);
  Ok(row)
}

pub(super) async fn read_back(work: &mut Work, id: ScheduleId) -> SvcResult<ScheduleEntity> {
  let row = schedule_bmc::get(&mut work.tx, id).await?;
  row.ok_or_else(|| SvcError::not_found("schedule", &id.to_string()))
}

/// Forgets what the mask does not name, so that everything after it sees one truth.
fn apply_mask(change: &mut ScheduleForUpdate) {
  let Some(mask) = change.update_mask.take() else { return };
  let named = |field: &str| mask.iter().any(|name| name == field);
  macro_rules! keep {
    ($($field:ident),+) => { $( if !named(stringify!($field)) { change.$field = None; } )+ };
  }
  keep!(
    name,
    description,
    cron_expression,
    interval_secs,
    interval_from,
    timezone,
    dst_gap,
    dst_overlap,
    jitter_secs,
    include,
    exclude,
    end_time,
    max_count,
    status,
    overlap_policy,
    queue_max,
    misfire_policy,
    misfire_grace_secs,
    catchup_max,
    max_concurrent,
    parameters,
    environment,
    priority
  );
}
