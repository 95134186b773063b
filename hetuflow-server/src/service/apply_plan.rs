//! What differs between a job as it is and as a manifest describes it.

use std::collections::{BTreeMap, BTreeSet};

use hetuflow_core::{
  ApplyDifference, FieldError, JobEntity, JobForCreate, ScheduleEntity, ScheduleForCreate,
  ScheduleStatus,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::plan::settle;
use super::schedule_calendars::check_calendars;
use super::schedule_change::{
  Naming, delete_schedule, insert_schedule, refuse_never, replace_schedule, row_of,
};
use super::schedule_cursor::first_after;
use super::schedule_hold::{stop_claimed, take_back};
use super::store::{Work, under};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{plan_bmc, schedule_bmc};

/// Fields of a schedule that a manifest describes.
const SCHEDULE_FIELDS: [&str; 24] = [
  "description",
  "schedule_kind",
  "cron_expression",
  "interval_secs",
  "interval_from",
  "timezone",
  "dst_gap",
  "dst_overlap",
  "jitter_secs",
  "include",
  "exclude",
  "start_time",
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

fn object(value: &impl Serialize) -> Map<String, Value> {
  match serde_json::to_value(value) {
    Ok(Value::Object(map)) => map,
    _ => Map::new(),
  }
}

/// Keys whose values differ, each under a prefix; a missing one counts as null.
fn differing(prefix: &str, a: &Map<String, Value>, b: &Map<String, Value>) -> Vec<ApplyDifference> {
  let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
  let value = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
  keys
    .into_iter()
    .map(|key| difference(format!("{prefix}{key}"), value(a, key), value(b, key)))
    .filter(|one| one.before != one.after)
    .collect()
}

fn difference(field: String, before: impl Into<Value>, after: impl Into<Value>) -> ApplyDifference {
  ApplyDifference { field, before: before.into(), after: after.into() }
}

/// The fields of a job that differ, as `config.timeout`.
pub(super) fn job_differences(job: &JobEntity, wanted: &JobForCreate) -> Vec<ApplyDifference> {
  let status = wanted.status.unwrap_or(job.status);
  let mut fields = vec![
    difference("description".into(), job.description.as_str(), wanted.description.as_str()),
    difference("environment".into(), json!(job.environment), json!(wanted.environment)),
    difference("labels".into(), json!(job.labels), json!(wanted.labels)),
    difference("owner".into(), job.owner.as_str(), wanted.owner.as_str()),
    difference("status".into(), json!(job.status), json!(status)),
  ];
  fields.retain(|one| one.before != one.after);
  fields.extend(differing("config.", &object(&job.config), &object(&wanted.config)));
  fields.sort_by(|a, b| a.field.cmp(&b.field));
  fields
}

/// What a manifest says of a schedule.
fn described(row: &ScheduleEntity) -> Map<String, Value> {
  let mut fields = object(row);
  fields.retain(|field, _| SCHEDULE_FIELDS.contains(&field.as_str()));
  fields
}

/// Makes the schedules of a job as they are described, matched by name; returns what differed.
///
/// # Errors
/// The broken rules, under `/schedules/N`; when the database fails.
pub(super) async fn apply_schedules(
  work: &mut Work,
  actor: &Actor,
  (job, wanted): (&JobEntity, &JobForCreate),
) -> SvcResult<Vec<ApplyDifference>> {
  let rows = schedule_bmc::list_of_job(&mut work.tx, job.id).await?;
  let mut existing: BTreeMap<String, ScheduleEntity> =
    rows.into_iter().map(|row| (row.name.clone(), row)).collect();
  let mut naming = Naming::of(job, &wanted.schedules);
  let mut named = Vec::new();
  for schedule in &wanted.schedules {
    named.push((naming.next(work, schedule).await?, schedule));
  }
  let mut fields = Vec::new();
  // First what goes, so that names become free.
  let kept: BTreeSet<&String> = named.iter().map(|(name, _)| name).collect();
  let gone: Vec<String> = existing.keys().filter(|name| !kept.contains(name)).cloned().collect();
  for name in gone {
    if let Some(row) = existing.remove(&name) {
      delete_schedule(work, &row).await?;
      fields.push(difference(format!("schedules.{name}"), described(&row), Value::Null));
    }
  }
  for (index, (name, schedule)) in named.into_iter().enumerate() {
    let outcome = match existing.remove(&name) {
      None => add(work, actor, job, (schedule, name)).await,
      Some(row) => bring_to(work, actor, (job, row), schedule).await,
    };
    fields.extend(outcome.map_err(|error| under(error, &format!("/schedules/{index}")))?);
  }
  Ok(fields)
}

/// Adds one; looks at its name first, because a refused statement would end the transaction.
async fn add(
  work: &mut Work,
  actor: &Actor,
  job: &JobEntity,
  (wanted, name): (&ScheduleForCreate, String),
) -> SvcResult<Vec<ApplyDifference>> {
  if schedule_bmc::get_by_name(&mut work.tx, &job.namespace_id, &name).await?.is_some() {
    let message = format!("schedule \"{name}\" belongs to another job");
    return Err(SvcError::invalid(vec![FieldError::new("name.taken", "/name", message)]));
  }
  let row = insert_schedule(work, actor, job, (wanted, name)).await?;
  Ok(vec![difference(format!("schedules.{}", row.name), Value::Null, described(&row))])
}

async fn bring_to(
  work: &mut Work,
  actor: &Actor,
  (job, old): (&JobEntity, ScheduleEntity),
  wanted: &ScheduleForCreate,
) -> SvcResult<Vec<ApplyDifference>> {
  let place = (job.id, &job.namespace_id);
  let mut row = row_of(place, (wanted, old.name.clone()), (&actor.name, work.now));
  let steady = row.interval_secs == old.interval_secs && row.start_time == old.start_time;
  if steady {
    // The grid of an interval does not move when something else changes.
    row.anchor_at = old.anchor_at;
  }
  row.status = wanted.status.unwrap_or(old.status);
  let prefix = format!("schedules.{}.", row.name);
  let different = differing(&prefix, &described(&old), &described(&row));
  if different.is_empty() {
    return Ok(different);
  }
  if wanted.status.is_none() && old.status == ScheduleStatus::Expired {
    row.status = ScheduleStatus::Enabled;
  }
  // What is due of it as it was comes first; then what it has planned goes.
  let locked = plan_bmc::lock_one(&mut work.tx, old.id).await?.unwrap_or(old);
  let old = settle(work, &locked, None).await?;
  let revoked = take_back(work, &old).await?;
  row.id = old.id;
  row.rev = old.rev + 1;
  row.run_count = old.run_count.saturating_sub(revoked);
  row.last_run_at = old.last_run_at;
  (row.skip_next, row.skip_reason) = (old.skip_next, old.skip_reason);
  if row.status == ScheduleStatus::Paused {
    (row.paused_by, row.paused_reason) = (old.paused_by, old.paused_reason);
    row.paused_until = old.paused_until;
  }
  row.created_by = old.created_by;
  row.created_at = old.created_at;
  row.updated_by = Some(actor.name.clone());
  row.status_reason = if row.status == old.status { old.status_reason } else { None };
  row.next_run_at = first_after(&row, work.now);
  refuse_never(&row)?;
  check_calendars(work, &row).await?;
  if row.status != ScheduleStatus::Enabled {
    stop_claimed(work, &row).await?;
  }
  replace_schedule(work, &row, revoked).await?;
  Ok(different)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn differences_name_the_field() {
    let wanted: JobForCreate =
      serde_json::from_str(r#"{"name":"a","config":{"command":"x","timeout":"5m"}}"#).expect("job");
    let job: JobEntity = serde_json::from_value(serde_json::json!({
      "id": uuid::Uuid::nil(), "namespace_id": "default", "name": "a",
      "config": { "command": "x", "timeout": 300, "max_retries": 1 },
      "status": "enabled", "version": 1, "created_by": null, "updated_by": null,
      "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }))
    .expect("entity");
    let found = job_differences(&job, &wanted);
    assert_eq!(found, [difference("config.max_retries".into(), 1, Value::Null)]);
  }
}
