//! Due instants become fires and tasks: one decision per instant, in one transaction with the
//! schedule's cursor. The unique fire key is the arbiter between servers.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  Change, FireDecision, FireEntity, FireId, Gate, GateSource, JobEntity, JobStatus, MisfirePolicy,
  OverlapPolicy, ScheduleEntity, ScheduleStatus, Subject, TaskControlKind, TaskId, Topic,
  TriggerSource, Ts,
};
use serde_json::json;

use super::schedule_cursor::Rhythm;
use super::submit_svc::{created, tell_of_new};
use super::{Store, SvcResult};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, NewTask, StopMark};
use crate::infra::bmc::schedule_bmc::ScheduleCursor;
use crate::infra::bmc::{fire_bmc, job_bmc, schedule_bmc};
use crate::infra::db::{Conn, DbError};

/// An instant that passed this long ago without a decision was missed, not just late.
const MISSED_AFTER: Duration = Duration::from_secs(2);
/// Instants decided in one transaction.
const INSTANTS_MAX: usize = 200;
/// Missed instants that are counted one by one.
const MISSED_COUNT_MAX: usize = 100_000;
/// Schedules looked at in one turn.
const SCHEDULES_MAX: u64 = 1000;

/// Makes fires.
pub struct PlanSvc {
  store: Store,
  /// How far ahead instants are decided that nothing can hold back.
  ahead: Duration,
}

/// What a turn of planning did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PlanTurn {
  /// Fires that made a task.
  pub fired: usize,
  /// Instants that were skipped.
  pub skipped: usize,
  /// When something must be looked at again, at the latest.
  pub next_look: Option<Ts>,
}

/// What one schedule's instants became.
#[derive(Default)]
struct Plan {
  fires: Vec<FireEntity>,
  tasks: Vec<NewTask>,
  run_count: i64,
  last: Option<Ts>,
  next: Option<Ts>,
}

impl PlanSvc {
  /// A planner over a store.
  pub fn new(store: Store, ahead: Duration) -> Arc<Self> {
    Arc::new(Self { store, ahead })
  }

  /// Decides every instant that can be decided now. A broken schedule is marked and stops nobody.
  ///
  /// # Errors
  /// When the list of schedules cannot be read.
  pub async fn run_once(&self) -> SvcResult<PlanTurn> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let due = schedule_bmc::list_due(&mut conn, now.plus(self.ahead), SCHEDULES_MAX).await?;
    drop(conn);
    let mut turn = PlanTurn::default();
    for schedule in due {
      let id = schedule.id;
      match self.plan_one(&schedule, now, &mut turn).await {
        Ok(()) => {}
        Err(DbError::Retry(_)) => turn.next_look = Some(now),
        Err(error) => {
          tracing::error!(schedule.id = %id, error = &error as &dyn std::error::Error,
            "cannot plan schedule {id}");
        }
      }
    }
    Ok(turn)
  }

  async fn plan_one(
    &self,
    schedule: &ScheduleEntity,
    now: Ts,
    turn: &mut PlanTurn,
  ) -> Result<(), DbError> {
    let rhythm = match Rhythm::of(schedule) {
      Ok(rhythm) => rhythm,
      Err(error) => return self.mark_broken(schedule, &error.to_string(), now).await,
    };
    if self.is_held_back(schedule, now, turn).await? {
      return Ok(());
    }
    let mut tx = self.store.db.begin().await?;
    let outcome = self.plan_in(&mut tx, schedule, &rhythm, now).await;
    let plan = tx.end::<_, DbError>(outcome).await?;
    let Some(plan) = plan else { return Ok(()) };
    turn.fired += plan.tasks.len();
    turn.skipped += plan.fires.len() - plan.tasks.len();
    if let Some(next) = plan.next {
      turn.next_look = Some(turn.next_look.map_or(next, |look| look.min(next)));
    }
    tell_of_new(&self.store, &plan.tasks);
    self.store.bus.events.notify_one();
    Ok(())
  }

  /// Whether the schedule's next instant cannot be decided yet, because an earlier run is alive.
  /// A future instant waits for that run's end or for its own time, whichever comes first.
  async fn is_held_back(
    &self,
    schedule: &ScheduleEntity,
    now: Ts,
    turn: &mut PlanTurn,
  ) -> Result<bool, DbError> {
    let Some(at) = schedule.next_run_at else { return Ok(true) };
    if schedule.overlap_policy == OverlapPolicy::AllowAll {
      return Ok(false);
    }
    let mut conn = self.store.db.read().await?;
    let live = fire_bmc::live_tasks(&mut conn, schedule.id).await?;
    drop(conn);
    if live.is_empty() {
      return Ok(false);
    }
    if at > now {
      turn.next_look = Some(turn.next_look.map_or(at, |look| look.min(at)));
      return Ok(true);
    }
    match schedule.overlap_policy {
      OverlapPolicy::Skip | OverlapPolicy::AllowAll => Ok(false),
      OverlapPolicy::BufferOne | OverlapPolicy::BufferAll | OverlapPolicy::SerialPriority => {
        Ok(true)
      }
      OverlapPolicy::CancelOther => self.stop_others(&live, TaskControlKind::Stop).await,
      OverlapPolicy::TerminateOther => self.stop_others(&live, TaskControlKind::Kill).await,
    }
  }

  async fn stop_others(&self, live: &[uuid::Uuid], kind: TaskControlKind) -> Result<bool, DbError> {
    let mark = StopMark {
      kind: kind.to_string(),
      reason: Some("a newer fire of the schedule".to_owned()),
      grace_ms: None,
    };
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      for task in live {
        hot::request_stop(&mut tx, TaskId(*task), &mark, Ts::now()).await?;
      }
      Ok(())
    }
    .await;
    tx.end::<_, DbError>(outcome).await?;
    self.store.bus.control.notify_one();
    self.store.bus.remote.notify_one();
    Ok(true)
  }

  async fn mark_broken(
    &self,
    schedule: &ScheduleEntity,
    why: &str,
    now: Ts,
  ) -> Result<(), DbError> {
    tracing::error!(schedule.id = %schedule.id, %why, "schedule cannot be read and is switched off");
    let cursor = ScheduleCursor {
      status: ScheduleStatus::Disabled,
      status_reason: Some(format!("invalid: {why}")),
      next_run_at: None,
      last_run_at: schedule.last_run_at,
      run_count: schedule.run_count,
    };
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      if schedule_bmc::advance_if_at(&mut tx, schedule, &cursor).await? {
        let mut journal = Journal::default();
        journal.push(&schedule.namespace_id, told_invalid(schedule, why, now));
        event_bmc::append(&mut tx, &journal, now).await?;
      }
      Ok(())
    }
    .await;
    tx.end::<_, DbError>(outcome).await?;
    self.store.bus.events.notify_one();
    Ok(())
  }

  /// `None`: somebody else moved the schedule in between; nothing is kept.
  async fn plan_in(
    &self,
    tx: &mut Conn,
    schedule: &ScheduleEntity,
    rhythm: &Rhythm,
    now: Ts,
  ) -> Result<Option<Plan>, DbError> {
    let job = job_bmc::get(tx, schedule.job_id).await?;
    let live = !fire_bmc::live_tasks(tx, schedule.id).await?.is_empty();
    let Some(mut plan) = self.decide(schedule, rhythm, job.as_ref(), live, now) else {
      return Ok(None);
    };
    let used_up = schedule.max_count.is_some_and(|count| plan.run_count >= count);
    let over = plan.next.is_none() || used_up;
    let cursor = ScheduleCursor {
      status: if over { ScheduleStatus::Expired } else { schedule.status },
      status_reason: over.then(|| {
        if used_up { "all its fires are used up" } else { "it never fires again" }.to_owned()
      }),
      next_run_at: if over { None } else { plan.next },
      last_run_at: plan.last.or(schedule.last_run_at),
      run_count: plan.run_count,
    };
    if !schedule_bmc::advance_if_at(tx, schedule, &cursor).await? {
      return Ok(None);
    }
    for fire in &plan.fires {
      if !fire_bmc::create_once(tx, fire).await? {
        plan.tasks.retain(|task| Some(task.id) != fire.task_id);
      }
    }
    let made = hot::enqueue(tx, &plan.tasks, now).await?;
    plan.tasks.retain(|task| made.contains(&task.id));
    let journal = journal_of(schedule, &plan, now);
    event_bmc::append(tx, &journal, now).await?;
    Ok(Some(plan))
  }

  /// Pure: what becomes of the instants from the cursor on.
  fn decide(
    &self,
    schedule: &ScheduleEntity,
    rhythm: &Rhythm,
    job: Option<&JobEntity>,
    live: bool,
    now: Ts,
  ) -> Option<Plan> {
    let first = schedule.next_run_at?;
    let mut plan = Plan { run_count: schedule.run_count, next: Some(first), ..Plan::default() };
    let serial = schedule.overlap_policy != OverlapPolicy::AllowAll;
    let job = match job {
      Some(job) if job.status == JobStatus::Enabled => job,
      _ => {
        skip_until(
          &mut plan,
          schedule,
          rhythm,
          now,
          (FireDecision::SkippedPaused, "the job is off"),
        );
        return Some(plan);
      }
    };
    let buffered = matches!(
      schedule.overlap_policy,
      OverlapPolicy::BufferOne | OverlapPolicy::BufferAll | OverlapPolicy::SerialPriority
    );
    if live && schedule.overlap_policy == OverlapPolicy::Skip {
      let decision = (FireDecision::SkippedOverlap, "an earlier run is alive");
      skip_until(&mut plan, schedule, rhythm, now, decision);
    } else if !buffered && first < now.minus(MISSED_AFTER) {
      catch_up(&mut plan, schedule, rhythm, job, now);
    }
    let horizon = now.plus(self.ahead);
    let mut busy = live || (serial && !plan.tasks.is_empty());
    for _ in 0..INSTANTS_MAX {
      let Some(at) = plan.next.filter(|at| *at <= horizon) else { break };
      if schedule.max_count.is_some_and(|count| plan.run_count >= count) {
        break;
      }
      if serial && busy {
        // A future instant is decided when the run before it has ended, or at its time.
        if at > now || schedule.overlap_policy != OverlapPolicy::Skip {
          break;
        }
        let decision = (FireDecision::SkippedOverlap, "an earlier run is alive");
        plan.fires.push(fire_row(schedule, at, decision));
      } else {
        let grace = Duration::from_secs(schedule.misfire_grace_secs.unsigned_abs());
        if now.since(at) > grace && at < now.minus(MISSED_AFTER) {
          let decision = (FireDecision::SkippedMisfire, "too late");
          plan.fires.push(fire_row(schedule, at, decision));
        } else {
          fire(&mut plan, schedule, job, at, TriggerSource::Schedule);
          busy = true;
        }
      }
      plan.last = Some(at);
      plan.next = rhythm.next(at).map(|(at, _)| at);
      if schedule.overlap_policy == OverlapPolicy::BufferOne
        && plan.next.is_some_and(|at| at <= now)
      {
        let decision = (FireDecision::SkippedOverlap, "one run was waiting already");
        skip_until(&mut plan, schedule, rhythm, now, decision);
      }
    }
    Some(plan)
  }
}

/// Missed instants: as many runs as the policy allows, and one row for the rest.
fn catch_up(plan: &mut Plan, schedule: &ScheduleEntity, rhythm: &Rhythm, job: &JobEntity, now: Ts) {
  let mut missed = Vec::new();
  let mut next = plan.next;
  while let Some(at) = next.filter(|at| *at <= now && missed.len() < MISSED_COUNT_MAX) {
    missed.push(at);
    next = rhythm.next(at).map(|(at, _)| at);
  }
  let grace = Duration::from_secs(schedule.misfire_grace_secs.unsigned_abs());
  let in_time = missed.iter().filter(|at| now.since(**at) <= grace).count();
  let allowed = match schedule.misfire_policy {
    MisfirePolicy::Skip => 0,
    MisfirePolicy::FireOnce | MisfirePolicy::FireLast => 1,
    MisfirePolicy::FireAll => usize::try_from(schedule.catchup_max).unwrap_or(0),
  };
  let budget = schedule.max_count.map_or(i64::MAX, |count| count - plan.run_count);
  let runs = allowed.min(in_time).min(usize::try_from(budget).unwrap_or(0));
  // Side by side is not what a schedule that never overlaps wants: the newest alone.
  let runs = if schedule.overlap_policy == OverlapPolicy::AllowAll { runs } else { runs.min(1) };
  let (skipped, run) = missed.split_at(missed.len() - runs);
  push_summary(plan, schedule, skipped, (FireDecision::SkippedMisfire, "missed"));
  for at in run {
    fire(plan, schedule, job, *at, TriggerSource::Catchup);
  }
  plan.last = missed.last().copied().or(plan.last);
  plan.next = next;
}

/// Skips every instant up to now, with one row for all of them.
fn skip_until(
  plan: &mut Plan,
  schedule: &ScheduleEntity,
  rhythm: &Rhythm,
  now: Ts,
  decision: (FireDecision, &str),
) {
  let mut skipped = Vec::new();
  while let Some(at) = plan.next.filter(|at| *at <= now && skipped.len() < MISSED_COUNT_MAX) {
    skipped.push(at);
    plan.next = rhythm.next(at).map(|(at, _)| at);
  }
  plan.last = skipped.last().copied().or(plan.last);
  push_summary(plan, schedule, &skipped, decision);
}

fn push_summary(
  plan: &mut Plan,
  schedule: &ScheduleEntity,
  instants: &[Ts],
  decision: (FireDecision, &str),
) {
  if let (Some(first), Some(last)) = (instants.first(), instants.last()) {
    let mut row = fire_row(schedule, *first, decision);
    row.count = i64::try_from(instants.len()).unwrap_or(i64::MAX);
    row.from_at = Some(*first);
    row.to_at = Some(*last);
    plan.fires.push(row);
  }
}

fn fire_row(
  schedule: &ScheduleEntity,
  at: Ts,
  (decision, reason): (FireDecision, &str),
) -> FireEntity {
  FireEntity {
    id: FireId::generate(),
    schedule_id: schedule.id,
    schedule_rev: schedule.rev,
    fire_at: at,
    decision,
    reason: (!reason.is_empty()).then(|| reason.to_owned()),
    task_id: None,
    count: 1,
    from_at: None,
    to_at: None,
  }
}

fn fire(
  plan: &mut Plan,
  schedule: &ScheduleEntity,
  job: &JobEntity,
  at: Ts,
  source: TriggerSource,
) {
  let task = NewTask {
    id: TaskId::generate(),
    job_id: job.id,
    job_version: job.version,
    namespace_id: job.namespace_id.clone(),
    class_id: job.config.class(&job.namespace_id).class_id(),
    priority: schedule.priority,
    gate: gate_of(schedule, job),
    schedule_id: Some(schedule.id),
    scheduled_at: at,
    start_deadline_at: job.config.start_deadline_secs.map(|secs| at.plus(secs.0)),
    trigger_source: source,
    parameters: schedule.parameters.clone(),
    environment: (!schedule.environment.is_empty()).then(|| schedule.environment.clone()),
    config: None,
    idempotency_key: None,
    idempotency_hash: None,
    created_by: None,
  };
  let mut row = fire_row(schedule, at, (FireDecision::Fired, ""));
  row.task_id = Some(task.id);
  plan.fires.push(row);
  plan.tasks.push(task);
  plan.run_count += 1;
}

/// What limits the tasks of a schedule.
fn gate_of(schedule: &ScheduleEntity, job: &JobEntity) -> Option<Gate> {
  Gate::of_fire(&GateSource {
    config: &job.config,
    own: false,
    job: job.id,
    schedule: schedule.max_concurrent.map(|_| schedule.id),
    namespace: &job.namespace_id,
    parameters: schedule.parameters.as_ref(),
  })
}

/// What a schedule that can no longer be read says to those who watch.
fn told_invalid(schedule: &ScheduleEntity, why: &str, now: Ts) -> Change {
  let subject = Subject { kind: Topic::Schedule, id: schedule.id.to_string() };
  let data = json!({
    "name": schedule.name, "status": ScheduleStatus::Disabled, "reason": why,
    "cron_expression": schedule.cron_expression, "timezone": schedule.timezone,
  });
  Change { at: now, subject, event_type: "schedule.invalid".to_owned(), data }
}

fn journal_of(schedule: &ScheduleEntity, plan: &Plan, now: Ts) -> Journal {
  let mut journal = Journal::default();
  for task in &plan.tasks {
    journal.push(&task.namespace_id, created(task, now));
  }
  for fire in plan.fires.iter().filter(|fire| fire.decision != FireDecision::Fired) {
    let subject = Subject { kind: Topic::Schedule, id: schedule.id.to_string() };
    let data = json!({
      "decision": fire.decision, "reason": fire.reason, "fire_at": fire.fire_at,
      "count": fire.count,
    });
    let event_type = "schedule.skipped".to_owned();
    journal.push(&schedule.namespace_id, Change { at: now, subject, event_type, data });
  }
  journal
}
