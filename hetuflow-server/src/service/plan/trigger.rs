//! A run that a person asks for as the schedule would make it: now, under the schedule's policy of
//! overlap, with an answer that says what was decided.

use hetuflow_core::{
  FireDecision, JobEntity, OverlapPolicy, Role, ScheduleEntity, TaskEntity, TaskForCreate,
  TriggerAnswer, TriggerSource, Ts,
};

use super::decide::Run;
use super::overlap::{Admission, Live, Overlap};
use super::rows::{gate_of, task_of};
use super::stops::stop_live;
use crate::infra::bmc::ahead_bmc::{self, Ahead};
use crate::infra::bmc::event_bmc::Journal;
use crate::infra::bmc::hot::{self, NewTask};
use crate::infra::bmc::{freeze_bmc, job_bmc, plan_bmc, task_bmc};
use crate::service::store::Work;
use crate::service::submit_svc::created;
use crate::service::task_create::{entity_of, request_hash};
use crate::service::{Actor, SvcError, SvcResult};

/// Decides a run of a schedule now, in one transaction. `over` holds what is different this time.
///
/// # Errors
/// 403, 409 when the job is off or the key came with another request, the broken rules.
pub(in crate::service) async fn trigger(
  work: &mut Work,
  actor: &Actor,
  schedule: &ScheduleEntity,
  over: &TaskForCreate,
) -> SvcResult<TriggerAnswer> {
  actor.require(Role::Operator, &schedule.namespace_id)?;
  let asked =
    TaskForCreate { job_id: Some(schedule.job_id), job: None, config: None, ..over.clone() };
  let mut errors = Vec::new();
  asked.check(&mut errors);
  SvcError::check(errors)?;
  let locked = plan_bmc::lock_one(&mut work.tx, schedule.id).await?;
  let schedule = locked.ok_or_else(|| SvcError::not_found("schedule", &schedule.name))?;
  let job = job_bmc::get(&mut work.tx, schedule.job_id).await?;
  let job = job.ok_or_else(|| SvcError::not_found("job", &schedule.job_id.to_string()))?;
  if super::write::job_off(Some(&job)).is_some() {
    let message = format!("job {} is {}", job.name, job.status);
    return Err(SvcError::conflict("job.disabled", "/job", message));
  }
  if let Some(earlier) = earlier(work, (&schedule, &asked)).await? {
    let (decision, reason) = (FireDecision::Fired, Some("this key was used before".to_owned()));
    return Ok(TriggerAnswer {
      decision,
      reason,
      stopped: 0,
      duplicate: true,
      task: Some(earlier),
    });
  }
  let freezes = freeze_bmc::list(&mut work.tx).await?;
  if let Some(freeze) = freezes.iter().find(|one| one.holds(&schedule.namespace_id, work.now)) {
    let (decision, reason) = (FireDecision::SkippedPaused, Some(freeze.told()));
    return Ok(TriggerAnswer { decision, reason, stopped: 0, duplicate: false, task: None });
  }
  // The schedule's own calendars are about its instants; a person may ask at any time.
  let blackouts = work.calendars.blackouts(&mut work.tx, &schedule.namespace_id).await?;
  if let Some(reason) = blackouts.reason(work.now) {
    let (decision, reason) = (FireDecision::SkippedWindow, Some(reason));
    return Ok(TriggerAnswer { decision, reason, stopped: 0, duplicate: false, task: None });
  }
  withdraw_ahead(work, &schedule).await?;
  let live = plan_bmc::live_counts(&mut work.tx, &[schedule.id]).await?;
  let live = live
    .first()
    .map_or(Live::default(), |(_, waiting, started)| Live { started: *started, waiting: *waiting });
  let admission = Overlap::of(&schedule, live).admit();
  carry_out(work, (actor, &schedule, &job), (asked, admission)).await
}

/// Writes what was decided.
async fn carry_out(
  work: &mut Work,
  (actor, schedule, job): (&Actor, &ScheduleEntity, &JobEntity),
  (asked, admission): (TaskForCreate, Admission),
) -> SvcResult<TriggerAnswer> {
  let blank = TriggerAnswer {
    decision: FireDecision::Fired,
    reason: None,
    stopped: 0,
    duplicate: false,
    task: None,
  };
  let mut journal = Journal::default();
  let (waits, reason, stopped) = match admission {
    Admission::Refuse(why) => {
      let decision = FireDecision::SkippedOverlap;
      return Ok(TriggerAnswer { decision, reason: Some(why), ..blank });
    }
    Admission::Start => (false, None, 0),
    Admission::Wait(why) => (true, Some(why), 0),
    Admission::Replace(kind, why) => {
      let stopped = stop_live(&mut work.tx, schedule, (kind, work.now), &mut journal).await?;
      work.stopped();
      (true, Some(why), stopped)
    }
  };
  let task = task_with((actor, schedule, job), asked, (waits, work.now));
  if !hot::enqueue(&mut work.tx, std::slice::from_ref(&task), work.now).await?.contains(&task.id) {
    let message = "this key came with another request before";
    return Err(SvcError::conflict("idempotency.mismatch", "/idempotency_key", message));
  }
  journal.push(&task.namespace_id, created(&task, work.now));
  work.tell_all(journal);
  work.task_due(&task);
  work.replan();
  let task = entity_of(&task, job.name.clone());
  Ok(TriggerAnswer { reason, stopped: stopped as i64, task: Some(task), ..blank })
}

fn task_with(
  (actor, schedule, job): (&Actor, &ScheduleEntity, &JobEntity),
  asked: TaskForCreate,
  (waits, now): (bool, Ts),
) -> NewTask {
  let hash = asked.idempotency_key.is_some().then(|| request_hash(&asked));
  let run = Run { scheduled_at: now, not_before: None, waits, source: TriggerSource::Manual };
  let mut task = task_of(schedule, job, run);
  task.parameters = asked.parameters.or(task.parameters);
  task.gate = gate_of(schedule, job, task.parameters.as_ref());
  task.priority = asked.priority.unwrap_or(task.priority);
  let mut environment = task.environment.unwrap_or_default();
  environment.extend(asked.environment.unwrap_or_default());
  task.environment = (!environment.is_empty()).then_some(environment);
  (task.idempotency_key, task.idempotency_hash) = (asked.idempotency_key, hash);
  task.created_by = Some(actor.name.clone());
  task
}

/// The task that the same request made before.
async fn earlier(
  work: &mut Work,
  (schedule, asked): (&ScheduleEntity, &TaskForCreate),
) -> SvcResult<Option<TaskEntity>> {
  let Some(key) = &asked.idempotency_key else { return Ok(None) };
  let keys = std::slice::from_ref(key);
  let found = task_bmc::get_by_keys(&mut work.tx, &schedule.namespace_id, keys).await?;
  match found.into_iter().next() {
    None => Ok(None),
    Some((id, _, hash)) if hash == Some(request_hash(asked)) => {
      Ok(task_bmc::get(&mut work.tx, id).await?)
    }
    Some(_) => {
      let message = "this key came with another request before";
      Err(SvcError::conflict("idempotency.mismatch", "/idempotency_key", message))
    }
  }
}

/// Takes back what is planned ahead and nobody has claimed, so that it is decided anew when its time
/// comes, against the run of now.
async fn withdraw_ahead(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<()> {
  if schedule.overlap_policy == OverlapPolicy::AllowAll {
    return Ok(());
  }
  let taken = ahead_bmc::take_back(&mut work.tx, Ahead::Schedule(schedule.id), work.now).await?;
  Ok(ahead_bmc::step_back(&mut work.tx, &taken).await?)
}
