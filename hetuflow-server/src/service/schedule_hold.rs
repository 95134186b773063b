//! Schedules that are held: paused with a reason and an end, resumed with a word about what was
//! missed, and instants that are left out ahead.

use hetuflow_core::{
  MisfirePolicy, PauseRequest, ResumeRequest, Role, ScheduleEntity, ScheduleStatus, SkipNextRequest,
};
use serde_json::json;

use super::plan::{Held, settle};
use super::schedule_change::{subject, told};
use super::schedule_cursor::first_after;
use super::schedule_edit::{ScheduleRef, find_schedule, read_back};
use super::store::Work;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::ahead_bmc::{self, Ahead};
use crate::infra::bmc::plan_bmc;
use crate::infra::bmc::schedule_bmc::{self, Hold};

/// A schedule that is named, locked until the transaction ends.
pub(super) async fn locked(
  work: &mut Work,
  actor: &Actor,
  (which, role): (ScheduleRef<'_>, Role),
) -> SvcResult<ScheduleEntity> {
  actor.require_role(Role::Viewer)?;
  let found = find_schedule(&mut work.tx, actor, which).await?;
  actor.require(role, &found.namespace_id)?;
  let row = plan_bmc::lock_one(&mut work.tx, found.id).await?;
  row.ok_or_else(|| SvcError::not_found("schedule", which.1))
}

/// Takes back what is planned ahead, so that it is decided anew. Returns how many runs.
pub(super) async fn take_back(work: &mut Work, row: &ScheduleEntity) -> SvcResult<i64> {
  let taken = ahead_bmc::take_back(&mut work.tx, Ahead::Schedule(row.id), work.now).await?;
  ahead_bmc::step_back(&mut work.tx, &taken).await?;
  Ok(taken.iter().map(|one| one.runs).sum())
}

/// Asks for a stop of what an agent has in hand and is to start later than now.
pub(super) async fn stop_claimed(work: &mut Work, row: &ScheduleEntity) -> SvcResult<()> {
  let why = (work.now, "the schedule was switched off before its instant");
  if ahead_bmc::stop_claimed(&mut work.tx, Ahead::Schedule(row.id), why).await? > 0 {
    work.stopped();
  }
  Ok(())
}

/// Holds a schedule; one that is held already gets another reason and end.
///
/// # Errors
/// 404, 403; 409 when it does not fire anyway; the broken rules.
pub(super) async fn pause_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  request: &PauseRequest,
) -> SvcResult<ScheduleEntity> {
  let row = locked(work, actor, (which, Role::Operator)).await?;
  let mut errors = Vec::new();
  request.check(work.now, &mut errors);
  SvcError::check(errors)?;
  let refused = |row: &ScheduleEntity| {
    let message = format!("schedule \"{}\" is {} and does not fire", row.name, row.status);
    SvcError::conflict("schedule.not_enabled", "/status", message)
  };
  let row = match row.status {
    ScheduleStatus::Enabled => settle(work, &row, None).await?,
    ScheduleStatus::Paused => row,
    _ => return Err(refused(&row)),
  };
  if row.status == ScheduleStatus::Expired {
    return Err(refused(&row));
  }
  let revoked = take_back(work, &row).await?;
  stop_claimed(work, &row).await?;
  let hold = Hold {
    status: ScheduleStatus::Paused,
    status_reason: Some(pause_told(&actor.name, request)),
    paused_by: Some(actor.name.clone()),
    paused_reason: request.reason.clone(),
    paused_until: request.until,
  };
  schedule_bmc::set_hold(&mut work.tx, row.id, &hold).await?;
  schedule_bmc::touch(&mut work.tx, row.id, &actor.name, work.now).await?;
  work.replan();
  tell(work, &row, revoked).await
}

fn pause_told(by: &str, request: &PauseRequest) -> String {
  match &request.reason {
    Some(reason) => format!("paused by {by}: {reason}"),
    None => format!("paused by {by}"),
  }
}

async fn tell(work: &mut Work, row: &ScheduleEntity, revoked: i64) -> SvcResult<ScheduleEntity> {
  let row = read_back(work, row.id).await?;
  let mut data = told(&row);
  data["revoked"] = json!(revoked);
  work.note(&row.namespace_id, subject(&row), "schedule.updated", data);
  Ok(row)
}

/// Lets a schedule go on; what the pause held back is recorded, and made up for as asked.
///
/// # Errors
/// 404, 403; 409 when it is not paused.
pub(super) async fn resume_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  request: &ResumeRequest,
) -> SvcResult<ScheduleEntity> {
  let row = locked(work, actor, (which, Role::Operator)).await?;
  if row.status != ScheduleStatus::Paused {
    let message = format!("schedule \"{}\" is {}, not paused", row.name, row.status);
    return Err(SvcError::conflict("schedule.not_paused", "/status", message));
  }
  let missed = request.missed.unwrap_or(MisfirePolicy::Skip);
  resume_in(work, &row, (missed, &actor.name)).await
}

/// Ends the pause of a locked schedule.
///
/// # Errors
/// When the database fails.
pub(super) async fn resume_in(
  work: &mut Work,
  row: &ScheduleEntity,
  (missed, by): (MisfirePolicy, &str),
) -> SvcResult<ScheduleEntity> {
  let reason = row.status_reason.clone().unwrap_or_else(|| "the schedule was paused".to_owned());
  let held = Held { reason: &reason, policy: missed, spread: false };
  let settled = settle(work, row, Some(held)).await?;
  let over = settled.status == ScheduleStatus::Expired;
  let hold = Hold {
    status: if over { ScheduleStatus::Expired } else { ScheduleStatus::Enabled },
    status_reason: settled.status_reason.clone().filter(|_| over),
    paused_by: None,
    paused_reason: None,
    paused_until: None,
  };
  schedule_bmc::set_hold(&mut work.tx, row.id, &hold).await?;
  schedule_bmc::touch(&mut work.tx, row.id, by, work.now).await?;
  if settled.next_run_at.is_none() && !over {
    let enabled = ScheduleEntity { status: ScheduleStatus::Enabled, ..settled };
    let next = first_after(&enabled, work.now);
    schedule_bmc::set_next(&mut work.tx, row.id, next).await?;
  }
  work.replan();
  tell(work, row, 0).await
}

/// Leaves the next instants of a schedule out; none takes the wish back.
///
/// # Errors
/// 404, 403; 409 when it does not fire anyway; the broken rules.
pub(super) async fn skip_next_one(
  work: &mut Work,
  actor: &Actor,
  which: ScheduleRef<'_>,
  request: &SkipNextRequest,
) -> SvcResult<ScheduleEntity> {
  let row = locked(work, actor, (which, Role::Operator)).await?;
  let mut errors = Vec::new();
  request.check(&mut errors);
  SvcError::check(errors)?;
  if !matches!(row.status, ScheduleStatus::Enabled | ScheduleStatus::Paused) {
    let message = format!("schedule \"{}\" is {} and does not fire", row.name, row.status);
    return Err(SvcError::conflict("schedule.not_enabled", "/status", message));
  }
  let row =
    if row.status == ScheduleStatus::Enabled { settle(work, &row, None).await? } else { row };
  let revoked = take_back(work, &row).await?;
  let count = request.count.unwrap_or(1);
  let reason = (count > 0).then(|| match &request.reason {
    Some(reason) => format!("left out by {}: {reason}", actor.name),
    None => format!("left out by {}", actor.name),
  });
  let wish = (count, reason.as_deref());
  schedule_bmc::set_skip_next(&mut work.tx, row.id, wish).await?;
  schedule_bmc::touch(&mut work.tx, row.id, &actor.name, work.now).await?;
  work.replan();
  tell(work, &row, revoked).await
}

/// Who holds a schedule after an edit that may have changed its state.
pub(super) fn hold_of(by: &str, before: &ScheduleEntity, status: ScheduleStatus) -> Hold {
  let is = status == ScheduleStatus::Paused;
  if is && before.status == ScheduleStatus::Paused {
    return Hold {
      status,
      status_reason: before.status_reason.clone(),
      paused_by: before.paused_by.clone(),
      paused_reason: before.paused_reason.clone(),
      paused_until: before.paused_until,
    };
  }
  Hold {
    status,
    status_reason: is.then(|| pause_told(by, &PauseRequest::default())),
    paused_by: is.then(|| by.to_owned()),
    paused_reason: None,
    paused_until: None,
  }
}
