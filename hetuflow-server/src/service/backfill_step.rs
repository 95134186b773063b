//! A backfill goes on by steps: note which of its tasks have ended, make as many new ones as may
//! live, move the cursor; all in one transaction that holds only if nobody else made the step.

use hetuflow_core::{
  BackfillEntity, BackfillState, Closings, Gate, GateSource, JobEntity, JobStatus, ScheduleEntity,
  Subject, TaskId, TaskStatus, Topic, TriggerSource, Ts,
};
use serde_json::{Value, json};

use super::SvcResult;
use super::backfill_choice::{Choice, Picked};
use super::backfill_svc::BackfillSvc;
use super::calendar_cache::CalendarCache;
use super::schedule_cursor::Rhythm;
use super::submit_svc::created;
use crate::infra::bmc::backfill_bmc::{self, OpenTask};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, NewTask, StartGate};
use crate::infra::bmc::{job_bmc, schedule_bmc};
use crate::infra::db::{Conn, DbError};

/// Backfills that one turn looks at.
const OPEN_MAX: u64 = 1000;

/// What a turn over all backfills came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BackfillTurn {
  /// Backfills that are not over.
  pub open: usize,
  /// Those that moved, so that another look may move them again.
  pub moved: usize,
  /// Tasks made.
  pub made: usize,
}

/// A step that is thought out and not taken.
struct Step {
  after: BackfillEntity,
  ended: Vec<OpenTask>,
  tasks: Vec<NewTask>,
}

/// What a backfill runs.
struct Plan {
  rhythm: Rhythm,
  closings: Closings,
  schedule: ScheduleEntity,
  job: JobEntity,
}

impl BackfillSvc {
  /// Takes one step of every backfill that is not over. What goes wrong with one is logged and
  /// stops no other.
  ///
  /// # Errors
  /// When they cannot be listed.
  pub async fn run_once(&self) -> SvcResult<BackfillTurn> {
    let mut conn = self.store.db.read().await?;
    let open = backfill_bmc::list_open(&mut conn, OPEN_MAX).await?;
    drop(conn);
    let mut turn = BackfillTurn { open: open.len(), ..BackfillTurn::default() };
    for row in open {
      match self.step(&row).await {
        Ok(None) => {}
        Ok(Some(made)) => (turn.moved, turn.made) = (turn.moved + 1, turn.made + made),
        Err(DbError::Retry(_)) => turn.moved += 1,
        Err(error) => {
          tracing::error!(backfill.id = %row.id, error = &error as &dyn std::error::Error,
            "cannot go on with backfill {}", row.id);
        }
      }
    }
    Ok(turn)
  }

  /// `None`: there was nothing to do, or somebody else did it.
  async fn step(&self, row: &BackfillEntity) -> Result<Option<usize>, DbError> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let open = backfill_bmc::open_tasks(&mut conn, row.id).await?;
    let step = think(&mut conn, &self.store.calendars, (row, now), open).await?;
    drop(conn);
    if step.after == *row {
      return Ok(None);
    }
    let mut tx = self.store.db.begin().await?;
    let outcome = take(&mut tx, row, &step, now).await;
    if !tx.end::<_, DbError>(outcome).await? {
      return Ok(None);
    }
    let marks = step.tasks.iter().map(|task| ((task.class_id, task.priority), now));
    self.store.bus.tasks_due(marks);
    self.store.bus.events.notify_one();
    Ok(Some(step.tasks.len()))
  }
}

/// What would be done now.
async fn think(
  conn: &mut Conn,
  cache: &CalendarCache,
  (row, now): (&BackfillEntity, Ts),
  open: Vec<OpenTask>,
) -> Result<Step, DbError> {
  let (ended, alive): (Vec<_>, Vec<_>) = open.into_iter().partition(|task| task.status.is_some());
  let mut after = row.clone();
  let good = ended.iter().filter(|task| task.status == Some(TaskStatus::Succeeded)).count();
  after.succeeded += good as i64;
  after.failed += (ended.len() - good) as i64;
  let mut step = Step { after, ended, tasks: Vec::new() };
  if row.state == BackfillState::Running {
    match plan_of(conn, cache, row).await? {
      Ok(plan) => go_on(conn, (&mut step, alive.len()), &plan, now).await?,
      Err(why) => {
        step.after.state = BackfillState::Cancelled;
        step.after.reason = Some(why);
      }
    }
  }
  if step.after.state.is_over() && alive.is_empty() && step.tasks.is_empty() {
    step.after.ended_at = Some(now);
  }
  if step.after != *row {
    step.after.updated_at = now;
  }
  Ok(step)
}

/// The rule as it was, the schedule and the job as they are; or why there is nothing to run.
async fn plan_of(
  conn: &mut Conn,
  cache: &CalendarCache,
  row: &BackfillEntity,
) -> Result<Result<Plan, String>, DbError> {
  let gone = |what: &str| Ok(Err(format!("the {what} is gone")));
  let Some(schedule) = schedule_bmc::get(conn, row.schedule_id).await? else {
    return gone("schedule");
  };
  let Some(job) = job_bmc::get(conn, schedule.job_id).await? else { return gone("job") };
  let Some(rule) = backfill_bmc::rule_of(conn, row.id).await? else { return gone("rule") };
  let closings = match (row.with_excluded, cache.book(conn, [&rule]).await?.closings(&rule)) {
    (true, _) => Closings::default(),
    (false, Ok(closings)) => closings.without_blackouts(),
    (false, Err(why)) => return Ok(Err(format!("invalid: {why}"))),
  };
  match Rhythm::of(&rule) {
    Ok(rhythm) => Ok(Ok(Plan { rhythm, closings, schedule, job })),
    Err(error) => Ok(Err(format!("invalid: {error}"))),
  }
}

/// Makes as many tasks as may live, or ends when there is nothing left.
async fn go_on(
  conn: &mut Conn,
  (step, alive): (&mut Step, usize),
  plan: &Plan,
  now: Ts,
) -> Result<(), DbError> {
  let row = &mut step.after;
  if plan.job.status != JobStatus::Enabled {
    row.reason = Some(format!("waits: the job is {}", plan.job.status));
    return Ok(());
  }
  row.reason = None;
  let room = usize::try_from(row.parallelism).unwrap_or(1).saturating_sub(alive);
  let picked = match room {
    0 => Picked { cursor: row.cursor_at, ..Picked::default() },
    _ => {
      Choice::of(row, plan.closings.clone()).pick(conn, &plan.rhythm, (row.cursor_at, room)).await?
    }
  };
  row.cursor_at = picked.cursor;
  row.made += picked.instants.len() as i64;
  if picked.exhausted && picked.instants.is_empty() && alive == 0 {
    row.state = if row.failed == 0 { BackfillState::Succeeded } else { BackfillState::Failed };
    row.reason =
      (row.failed > 0).then(|| format!("{} of {} tasks did not succeed", row.failed, row.made));
  }
  step.tasks = picked.instants.into_iter().map(|at| task_of(plan, (at, now), row)).collect();
  Ok(())
}

/// Writes the step; `false` when somebody else has moved the backfill meanwhile.
async fn take(tx: &mut Conn, row: &BackfillEntity, step: &Step, now: Ts) -> Result<bool, DbError> {
  if !backfill_bmc::update_if_rev(tx, &step.after, row.rev).await? {
    return Ok(false);
  }
  backfill_bmc::settle(tx, row.id, &step.ended).await?;
  let made: Vec<(Ts, TaskId)> =
    step.tasks.iter().map(|task| (task.scheduled_at, task.id)).collect();
  backfill_bmc::insert_tasks(tx, (row.id, row.schedule_id), &made).await?;
  hot::enqueue(tx, &step.tasks, now).await?;
  let mut journal = Journal::default();
  for task in &step.tasks {
    journal.push(&task.namespace_id, created(task, now));
  }
  if step.after.state != row.state {
    journal.push(&row.namespace_id, told(&step.after, now));
  }
  event_bmc::append(tx, &journal, now).await?;
  Ok(true)
}

/// What an event says of a backfill.
pub(super) fn told(row: &BackfillEntity, now: Ts) -> hetuflow_core::Change {
  let subject = Subject { kind: Topic::Schedule, id: row.schedule_id.to_string() };
  let event_type = "schedule.backfill".to_owned();
  hetuflow_core::Change { at: now, subject, event_type, data: event_data(row) }
}

/// The fields of such an event.
pub(super) fn event_data(row: &BackfillEntity) -> Value {
  json!({
    "backfill_id": row.id, "name": row.schedule_name, "state": row.state, "reason": row.reason,
    "total": row.total, "made": row.made, "succeeded": row.succeeded, "failed": row.failed,
  })
}

/// The task of one instant. Its deadline counts from now: the instant is long past.
fn task_of(plan: &Plan, (at, now): (Ts, Ts), row: &BackfillEntity) -> NewTask {
  let (schedule, job) = (&plan.schedule, &plan.job);
  let gate = Gate::of_fire(&GateSource {
    config: &job.config,
    own: false,
    job: job.id,
    schedule: schedule.max_concurrent.map(|_| schedule.id),
    namespace: &job.namespace_id,
    parameters: schedule.parameters.as_ref(),
  });
  NewTask {
    id: TaskId::generate(),
    job_id: job.id,
    job_version: job.version,
    namespace_id: job.namespace_id.clone(),
    class_id: job.config.class(&job.namespace_id, job.id).class_id(),
    priority: schedule.priority,
    gate,
    schedule_id: Some(schedule.id),
    scheduled_at: at,
    start_deadline_at: job.config.start_deadline_secs.map(|secs| now.plus(secs.0)),
    trigger_source: TriggerSource::Backfill,
    parameters: schedule.parameters.clone(),
    environment: (!schedule.environment.is_empty()).then(|| schedule.environment.clone()),
    config: None,
    idempotency_key: None,
    idempotency_hash: None,
    created_by: row.created_by.clone(),
    // Behind what waits already: its instant is older than theirs.
    start: StartGate::NotBefore(now),
  }
}
