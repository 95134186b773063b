//! Plans as rows: fires, tasks, cursors and what the journal tells of them.

use hetuflow_core::{
  Change, FireDecision, FireEntity, FireId, Gate, GateSource, JobEntity, ScheduleEntity,
  ScheduleStatus, Subject, TaskId, Topic, Ts,
};
use serde_json::{Value, json};

use super::decide::{Plan, Run};
use crate::infra::bmc::event_bmc::Journal;
use crate::infra::bmc::hot::{NewTask, StartGate};
use crate::infra::bmc::schedule_bmc::ScheduleCursor;
use crate::service::submit_svc::created;

/// The rows of one plan.
pub(super) struct PlanRows {
  pub(super) fires: Vec<FireEntity>,
  pub(super) tasks: Vec<NewTask>,
}

/// A plan as rows. Runs need their job.
pub(super) fn rows_of(schedule: &ScheduleEntity, job: Option<&JobEntity>, plan: &Plan) -> PlanRows {
  let mut rows = PlanRows { fires: Vec::with_capacity(plan.decisions.len()), tasks: Vec::new() };
  for decision in &plan.decisions {
    let task = decision.run.and_then(|run| Some(task_of(schedule, job?, run)));
    rows.fires.push(FireEntity {
      id: FireId::generate(),
      schedule_id: schedule.id,
      schedule_rev: schedule.rev,
      fire_at: decision.at,
      decision: decision.what,
      reason: decision.reason.clone(),
      task_id: task.as_ref().map(|task| task.id),
      count: decision.count,
      from_at: decision.to.map(|_| decision.at),
      to_at: decision.to,
    });
    rows.tasks.extend(task);
  }
  rows
}

/// A run of a schedule's job.
pub(super) fn task_of(schedule: &ScheduleEntity, job: &JobEntity, run: Run) -> NewTask {
  let start = match run.not_before {
    _ if run.waits => StartGate::Blocked,
    Some(at) if at > run.scheduled_at => StartGate::NotBefore(at),
    _ => StartGate::Open,
  };
  NewTask {
    id: TaskId::generate(),
    job_id: job.id,
    job_version: job.version,
    namespace_id: job.namespace_id.clone(),
    class_id: job.config.class(&job.namespace_id, job.id).class_id(),
    priority: schedule.priority,
    gate: gate_of(schedule, job, schedule.parameters.as_ref()),
    schedule_id: Some(schedule.id),
    scheduled_at: run.scheduled_at,
    start_deadline_at: job.config.start_deadline_secs.map(|secs| run.scheduled_at.plus(secs.0)),
    trigger_source: run.source,
    parameters: schedule.parameters.clone(),
    environment: (!schedule.environment.is_empty()).then(|| schedule.environment.clone()),
    config: None,
    idempotency_key: None,
    idempotency_hash: None,
    created_by: None,
    start,
  }
}

/// What limits a task of a schedule with these parameters.
pub(super) fn gate_of(
  schedule: &ScheduleEntity,
  job: &JobEntity,
  parameters: Option<&Value>,
) -> Option<Gate> {
  Gate::of_fire(&GateSource {
    config: &job.config,
    own: false,
    job: job.id,
    schedule: schedule.max_concurrent.map(|_| schedule.id),
    namespace: &job.namespace_id,
    parameters,
  })
}

/// Where the planning of a schedule stands after a plan.
pub(super) fn cursor_of(schedule: &ScheduleEntity, plan: &Plan) -> ScheduleCursor {
  let used_up = plan.is_used_up(schedule);
  let over = used_up || (plan.next.is_none() && !plan.waits_for_end);
  ScheduleCursor {
    status: if over { ScheduleStatus::Expired } else { schedule.status },
    status_reason: over.then(|| {
      if used_up { "all its fires are used up" } else { "it never fires again" }.to_owned()
    }),
    next_run_at: if over { None } else { plan.next },
    last_run_at: plan.last,
    run_count: plan.run_count,
    skip_next: plan.skip_next,
  }
}

/// What watchers hear: each task, and each instant that was left out.
pub(super) fn tell(journal: &mut Journal, schedule: &ScheduleEntity, rows: &PlanRows, now: Ts) {
  for task in &rows.tasks {
    journal.push(&task.namespace_id, created(task, now));
  }
  for fire in rows.fires.iter().filter(|fire| fire.decision != FireDecision::Fired) {
    let subject = Subject { kind: Topic::Schedule, id: schedule.id.to_string() };
    let data = json!({
      "decision": fire.decision, "reason": fire.reason, "fire_at": fire.fire_at,
      "count": fire.count,
    });
    let event_type = "schedule.skipped".to_owned();
    journal.push(&schedule.namespace_id, Change { at: now, subject, event_type, data });
  }
}
