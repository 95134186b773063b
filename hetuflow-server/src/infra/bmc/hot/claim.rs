//! The claim: due tasks of one class and priority, each for one agent's slot, in one statement.

use hetuflow_core::{
  AgentId, Environment, JobId, NamespaceId, ScheduleId, ServerId, TaskConfig, TaskId,
  TaskInstanceId, TriggerSource, Ts,
};
use sqlx::types::Json;
use uuid::Uuid;

use super::{hex, wrong_engine};
use crate::infra::db::{Conn, DbError};

/// One free place on one agent, and the attempt that would fill it.
#[derive(Debug, Clone)]
pub struct ClaimSlot {
  /// The attempt's id, made before it is known which task it is for.
  pub instance_id: TaskInstanceId,
  /// The agent.
  pub agent_id: AgentId,
  /// The start of its process.
  pub agent_epoch: i64,
  /// The connection that granted it; a claim never leaves on another one.
  pub connection_epoch: i64,
}

/// A task that is claimed: all that its agent must be told.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClaimedTask {
  /// The task.
  pub task_id: TaskId,
  /// Its new attempt.
  pub instance_id: TaskInstanceId,
  /// Its job.
  pub job_id: JobId,
  /// The version that it runs.
  pub job_version: i64,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// The schedule that made it.
  pub schedule_id: Option<ScheduleId>,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// The instant it may start.
  pub eligible_at: Ts,
  /// Not to be started after this.
  pub start_deadline_at: Option<Ts>,
  /// The attempt's number.
  pub attempt: i64,
  /// The attempt's fence.
  pub fence: i64,
  /// The agent.
  pub agent_id: AgentId,
  /// What made it.
  pub trigger_source: TriggerSource,
  /// Its parameters.
  #[sqlx(json(nullable))]
  pub parameters: Option<serde_json::Value>,
  /// Environment of this run alone.
  pub environment: Option<Json<Environment>>,
  /// Settings of this run alone.
  pub config: Option<Json<TaskConfig>>,
}

impl ClaimedTask {
  /// The same, run by these settings.
  #[must_use]
  pub fn with_config(self, config: TaskConfig) -> Self {
    Self { config: Some(Json(config)), ..self }
  }

  /// The claim of a new task that was written as claimed.
  pub fn born(task: &super::NewTask, slot: &ClaimSlot, fence: i64) -> Self {
    Self {
      task_id: task.id,
      instance_id: slot.instance_id,
      job_id: task.job_id,
      job_version: task.job_version,
      namespace_id: task.namespace_id.clone(),
      schedule_id: None,
      scheduled_at: task.scheduled_at,
      eligible_at: task.scheduled_at,
      start_deadline_at: task.start_deadline_at,
      attempt: 1,
      fence,
      agent_id: slot.agent_id.clone(),
      trigger_source: task.trigger_source,
      parameters: task.parameters.clone(),
      environment: task.environment.clone().map(Json),
      config: task.config.clone().map(Json),
    }
  }
}

/// Claims at most one task per slot, soonest first, of one class and priority, eligible within
/// `ahead_us` microseconds of now on the database's clock.
///
/// # Errors
/// Any [`DbError`].
pub async fn claim_due(
  conn: &mut Conn,
  range: (i64, i64),
  slots: &[ClaimSlot],
  server: &ServerId,
  ahead_us: i64,
) -> Result<Vec<ClaimedTask>, DbError> {
  if slots.is_empty() {
    return Ok(Vec::new());
  }
  if conn.is_sqlite() {
    sqlite(conn, range, slots, server, ahead_us).await
  } else {
    pg(conn, range, slots, server, ahead_us).await
  }
}

// The agents travel as a short list and an index into it, since picking the n-th text of a long
// array walks the array.
const PG: &str = "with due as materialized ( \
    select task_id from sched_task_hot \
    where class_id = $1 and priority = $2 and status in ('pending', 'waiting_retry') \
      and gate <= 0 and eligible_at <= (select clock_timestamp() + $3 * interval '1 microsecond') \
    order by eligible_at limit $4 for update skip locked \
  ), slot as materialized (select task_id, row_number() over () as n from due) \
  update sched_task_hot h set status = 'locked', attempt = h.attempt + 1, \
    fence = nextval('sched_fence'), instance_id = ($5::uuid[])[s.n], \
    agent_id = ($6::text[])[($7::bigint[])[s.n]], agent_epoch = ($8::bigint[])[s.n], \
    server_id = $9, locked_at = clock_timestamp(), updated_at = clock_timestamp(), \
    started_at = null, unreachable_since = null, stop_kind = null, stop_reason = null, \
    stop_grace_ms = null \
  from slot s join sched_task t on t.id = s.task_id \
  where h.task_id = s.task_id \
  returning h.task_id, h.instance_id, h.job_id, h.job_version, h.namespace_id, t.schedule_id, \
    h.scheduled_at, h.eligible_at, h.start_deadline_at, h.attempt, h.fence, h.agent_id, \
    t.trigger_source, t.parameters, t.environment, t.config";

/// The claim statement of PostgreSQL, for the test that reads its plan.
pub const PG_CLAIM_SQL: &str = PG;

async fn pg(
  conn: &mut Conn,
  (class_id, priority): (i64, i64),
  slots: &[ClaimSlot],
  server: &ServerId,
  ahead_us: i64,
) -> Result<Vec<ClaimedTask>, DbError> {
  let mut agents: Vec<&str> = Vec::new();
  let mut index: Vec<i64> = Vec::with_capacity(slots.len());
  for slot in slots {
    let at = agents.iter().position(|known| *known == slot.agent_id.as_str());
    let at = at.unwrap_or_else(|| {
      agents.push(slot.agent_id.as_str());
      agents.len() - 1
    });
    index.push(at as i64 + 1);
  }
  let instances: Vec<Uuid> = slots.iter().map(|slot| slot.instance_id.0).collect();
  let epochs: Vec<i64> = slots.iter().map(|slot| slot.agent_epoch).collect();
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let claimed = sqlx::query_as(PG)
    .bind(class_id)
    .bind(priority)
    .bind(ahead_us as f64)
    .bind(slots.len() as i64)
    .bind(instances)
    .bind(agents)
    .bind(index)
    .bind(epochs)
    .bind(server.as_str())
    .fetch_all(&mut *pg)
    .await?;
  conn.done();
  Ok(claimed)
}

const SQLITE_DUE: &str = "select task_id from sched_task_hot \
  where class_id = $1 and priority = $2 and status in ('pending', 'waiting_retry') \
    and gate <= 0 and eligible_at <= $3 order by eligible_at limit $4";

const SQLITE_FENCES: &str =
  "update sched_sequence set value = value + $1 where name = 'sched_fence' returning value";

const SQLITE_CLAIM: &str = "update sched_task_hot set status = 'locked', attempt = attempt + 1, \
    fence = s.value ->> 4, instance_id = unhex(s.value ->> 1), agent_id = s.value ->> 2, \
    agent_epoch = s.value ->> 3, server_id = $2, locked_at = $3, updated_at = $3, \
    started_at = null, unreachable_since = null, stop_kind = null, stop_reason = null, \
    stop_grace_ms = null \
  from json_each($1) s \
  where sched_task_hot.task_id = unhex(s.value ->> 0) \
    and sched_task_hot.status in ('pending', 'waiting_retry') and sched_task_hot.gate <= 0";

const SQLITE_READ: &str = "select h.task_id, h.instance_id, h.job_id, h.job_version, \
    h.namespace_id, t.schedule_id, h.scheduled_at, h.eligible_at, h.start_deadline_at, \
    h.attempt, h.fence, h.agent_id, t.trigger_source, t.parameters, t.environment, t.config \
  from json_each($1) s cross join sched_task_hot h on h.task_id = unhex(s.value) \
    cross join sched_task t on t.id = h.task_id";

/// The select of due tasks on SQLite, for the test that reads its plan.
pub const SQLITE_DUE_SQL: &str = SQLITE_DUE;

async fn sqlite(
  conn: &mut Conn,
  (class_id, priority): (i64, i64),
  slots: &[ClaimSlot],
  server: &ServerId,
  ahead_us: i64,
) -> Result<Vec<ClaimedTask>, DbError> {
  let now = Ts::now();
  let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
  let due: Vec<(Uuid,)> = sqlx::query_as(SQLITE_DUE)
    .bind(class_id)
    .bind(priority)
    .bind(now.micros().saturating_add(ahead_us))
    .bind(slots.len() as i64)
    .fetch_all(&mut *sqlite)
    .await?;
  if due.is_empty() {
    conn.done();
    return Ok(Vec::new());
  }
  let (last,): (i64,) =
    sqlx::query_as(SQLITE_FENCES).bind(due.len() as i64).fetch_one(&mut *sqlite).await?;
  let first = last - due.len() as i64 + 1;
  let rows: Vec<serde_json::Value> = due
    .iter()
    .zip(slots)
    .zip(first..)
    .map(|(((task,), slot), fence)| {
      serde_json::json!([
        hex(*task),
        hex(slot.instance_id.0),
        slot.agent_id,
        slot.agent_epoch,
        fence
      ])
    })
    .collect();
  sqlx::query(SQLITE_CLAIM)
    .bind(serde_json::Value::Array(rows).to_string())
    .bind(server.as_str())
    .bind(now)
    .execute(&mut *sqlite)
    .await?;
  let claimed = sqlx::query_as(SQLITE_READ)
    .bind(super::hex_list(due.into_iter().map(|row| row.0)))
    .fetch_all(&mut *sqlite)
    .await?;
  conn.done();
  Ok(claimed)
}

const PG_ONE: &str = "update sched_task_hot set status = 'locked', attempt = attempt + 1, \
    fence = nextval('sched_fence'), instance_id = $2, agent_id = $3, agent_epoch = $4, \
    server_id = $5, locked_at = clock_timestamp(), updated_at = clock_timestamp() \
  where task_id = $1 and status = 'pending' returning fence";

/// Claims one task that this transaction has just inserted; returns its fence.
///
/// # Errors
/// Any [`DbError`].
pub async fn claim_new(
  conn: &mut Conn,
  task: TaskId,
  birth: &super::Birth,
) -> Result<i64, DbError> {
  let (slot, server) = (&birth.slot, birth.server.as_str());
  let fence = if let Some(pg) = conn.pg() {
    let (fence,): (i64,) = sqlx::query_as(PG_ONE)
      .bind(task.0)
      .bind(slot.instance_id.0)
      .bind(slot.agent_id.as_str())
      .bind(slot.agent_epoch)
      .bind(server)
      .fetch_one(&mut *pg)
      .await?;
    fence
  } else {
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    let (fence,): (i64,) =
      sqlx::query_as(SQLITE_FENCES).bind(1_i64).fetch_one(&mut *sqlite).await?;
    let row = serde_json::json!([[
      hex(task.0),
      hex(slot.instance_id.0),
      slot.agent_id,
      slot.agent_epoch,
      fence
    ]]);
    let claim = sqlx::query(SQLITE_CLAIM).bind(row.to_string()).bind(server).bind(Ts::now());
    claim.execute(&mut *sqlite).await?;
    fence
  };
  conn.done();
  Ok(fence)
}
