//! New tasks: the spec and its live row, many in one statement each.

use std::collections::HashSet;
use std::sync::LazyLock;

use hetuflow_core::{
  Environment, Gate, JobId, NamespaceId, ScheduleId, ServerId, TaskConfig, TaskId, TaskStatus,
  TriggerSource, Ts,
};
use sea_query::{Expr, ExprTrait, Query, Value as Param};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{ClaimSlot, hex, wrong_engine};
use crate::infra::bmc::event_bmc::{EVENT_LOCK, Journal};
use crate::infra::db::{Conn, DbError, Row1};

/// From when on a new task may be claimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartGate {
  /// From its instant on.
  #[default]
  Open,
  /// From an instant that is later than its own.
  NotBefore(Ts),
  /// When somebody lets it go.
  Blocked,
}

/// A task to insert.
#[derive(Debug, Clone)]
pub struct NewTask {
  /// Its id.
  pub id: TaskId,
  /// Its job.
  pub job_id: JobId,
  /// The version that it runs.
  pub job_version: i64,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its selector class.
  pub class_id: i64,
  /// Higher is claimed first.
  pub priority: i64,
  /// What limits it: it cannot be claimed before it is admitted.
  pub gate: Option<Gate>,
  /// The schedule that made it.
  pub schedule_id: Option<ScheduleId>,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// Not to be started after this.
  pub start_deadline_at: Option<Ts>,
  /// What made it.
  pub trigger_source: TriggerSource,
  /// Its parameters.
  pub parameters: Option<Value>,
  /// Environment of this run alone.
  pub environment: Option<Environment>,
  /// Settings of this run alone.
  pub config: Option<TaskConfig>,
  /// The key of a repeated request.
  pub idempotency_key: Option<String>,
  /// Hash of the request that came with the key.
  pub idempotency_hash: Option<Vec<u8>>,
  /// Who made it.
  pub created_by: Option<String>,
  /// From when on it may be claimed.
  pub start: StartGate,
}

impl NewTask {
  /// The instant that it may start.
  pub fn eligible_at(&self) -> Ts {
    match self.start {
      StartGate::NotBefore(at) => at.max(self.scheduled_at),
      StartGate::Open | StartGate::Blocked => self.scheduled_at,
    }
  }

  /// The state that it begins in.
  pub fn status(&self) -> TaskStatus {
    if self.start == StartGate::Blocked { TaskStatus::Blocked } else { TaskStatus::Pending }
  }
}

/// Inserts tasks and their live rows; those whose fire or key is taken are left out. Returns the
/// ids that went in.
///
/// # Errors
/// Any [`DbError`].
pub async fn enqueue(
  conn: &mut Conn,
  tasks: &[NewTask],
  now: Ts,
) -> Result<HashSet<TaskId>, DbError> {
  if tasks.is_empty() {
    return Ok(HashSet::new());
  }
  if conn.is_sqlite() { sqlite(conn, tasks, now).await } else { pg(conn, tasks, now).await }
}

const PG_TASK: &str = "insert into sched_task (id, job_id, job_version, namespace_id, priority, \
  schedule_id, scheduled_at, trigger_source, parameters, environment, config, idempotency_key, \
  idempotency_hash, created_by, created_at) \
  select id, job_id, job_version, namespace_id, priority, schedule_id, scheduled_at, \
    trigger_source, parameters, environment, config, idempotency_key, idempotency_hash, \
    created_by, $15 \
  from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::uuid[], \
    $7::timestamptz[], $8::text[], $9::jsonb[], $10::jsonb[], $11::jsonb[], $12::text[], \
    $13::bytea[], $14::text[]) \
    as r(id, job_id, job_version, namespace_id, priority, schedule_id, scheduled_at, \
      trigger_source, parameters, environment, config, idempotency_key, idempotency_hash, \
      created_by) \
  on conflict do nothing returning id";

const PG_HOT: &str = "insert into sched_task_hot (task_id, job_id, job_version, namespace_id, \
  schedule_id, class_id, priority, scheduled_at, eligible_at, start_deadline_at, status, \
  gate, limits, updated_at) \
  select id, job_id, job_version, namespace_id, schedule_id, class_id, priority, scheduled_at, \
    eligible_at, start_deadline_at, status, gate, limits, $10 \
  from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::bigint[], \
    $7::bigint[], $8::timestamptz[], $9::timestamptz[], $11::bigint[], $12::jsonb[], \
    $13::timestamptz[], $14::text[]) \
    as r(id, job_id, job_version, namespace_id, schedule_id, class_id, priority, scheduled_at, \
      start_deadline_at, gate, limits, eligible_at, status)";

// Tasks without a key and without a schedule cannot collide with anything: specs, live rows and the
// journal go in as one statement, which is its own transaction. It does nothing at all when one of
// the jobs that it takes for current ($16, $17) has changed meanwhile.
const PG_PLAIN_ROWS: &str = "with r as materialized (select * from unnest($1::uuid[], $2::uuid[], \
      $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[], $7::text[], $8::jsonb[], \
      $9::jsonb[], $10::jsonb[], $11::text[], $12::bigint[], $13::timestamptz[]) \
      as r(id, job_id, job_version, namespace_id, priority, scheduled_at, trigger_source, \
        parameters, environment, config, created_by, class_id, start_deadline_at) \
    where not exists (select 1 from unnest($16::uuid[], $17::bigint[]) as g(id, version) \
      where not exists (select 1 from sched_job j where j.id = g.id and j.version = g.version \
        and j.status = 'enabled' and j.logical_deletion is null))), \
  t as (insert into sched_task (id, job_id, job_version, namespace_id, priority, scheduled_at, \
      trigger_source, parameters, environment, config, created_by, created_at) \
    select id, job_id, job_version, namespace_id, priority, scheduled_at, trigger_source, \
      parameters, environment, config, created_by, $14 from r), ";

const PG_PLAIN_PENDING: &str = "h as (insert into sched_task_hot (task_id, job_id, job_version, \
      namespace_id, class_id, priority, scheduled_at, eligible_at, start_deadline_at, status, \
      updated_at) \
    select id, job_id, job_version, namespace_id, class_id, priority, scheduled_at, \
      scheduled_at, start_deadline_at, 'pending', $14 from r), ";

const PG_PLAIN_LOCKED: &str = "h as (insert into sched_task_hot (task_id, job_id, job_version, \
      namespace_id, class_id, priority, scheduled_at, eligible_at, start_deadline_at, status, \
      attempt, fence, instance_id, agent_id, agent_epoch, server_id, locked_at, updated_at) \
    select id, job_id, job_version, namespace_id, class_id, priority, scheduled_at, \
      scheduled_at, start_deadline_at, 'locked', 1, nextval('sched_fence'), $21, $22, $23, $24, \
      clock_timestamp(), $14 from r returning fence), ";

const PG_PLAIN_JOURNAL: &str = "e as (insert into sched_event_batch (seq, n, namespace_id, at, \
      data) \
    select nextval('sched_event_seq'), e.n, e.namespace_id, $14, e.data \
    from (select pg_advisory_xact_lock($15) offset 0) locked, \
      unnest($18::bigint[], $19::text[], $20::bytea[]) as e(n, namespace_id, data) \
    where exists (select 1 from r) returning 1) ";

static PG_PLAIN: LazyLock<String> = LazyLock::new(|| {
  let last = "select exists (select 1 from r), null::bigint";
  [PG_PLAIN_ROWS, PG_PLAIN_PENDING, PG_PLAIN_JOURNAL, last].concat()
});
static PG_PLAIN_BORN: LazyLock<String> = LazyLock::new(|| {
  let last = "select exists (select 1 from r), (select max(fence) from h)";
  [PG_PLAIN_ROWS, PG_PLAIN_LOCKED, PG_PLAIN_JOURNAL, last].concat()
});

/// Jobs that a submitter took for current without asking the store.
pub type JobGuards = Vec<(JobId, i64)>;

/// The agent that takes a new task at once, and the server that says so.
#[derive(Debug, Clone)]
pub struct Birth {
  /// The place on the agent.
  pub slot: ClaimSlot,
  /// The server that holds the agent's connection.
  pub server: ServerId,
}

/// Whether these tasks cannot collide with any other and may start at their instant: no key, no
/// schedule, no gate.
pub fn cannot_collide(tasks: &[NewTask]) -> bool {
  tasks.iter().all(|task| {
    task.idempotency_key.is_none() && task.schedule_id.is_none() && task.start == StartGate::Open
  })
}

/// Whether [`enqueue_plain`] takes these tasks: PostgreSQL, no key, no schedule, no limit.
pub fn is_plain(conn: &Conn, tasks: &[NewTask]) -> bool {
  !conn.is_sqlite() && cannot_collide(tasks) && tasks.iter().all(|task| task.gate.is_none())
}

/// What stands in the live row: 0 for a task that nothing limits.
fn gate_number(task: &NewTask) -> i64 {
  task.gate.as_ref().map_or(0, Gate::number)
}

/// Inserts tasks that cannot collide, with their journal, in one statement on PostgreSQL. With a
/// `birth` they are one task, claimed from its first moment; its fence is returned.
///
/// # Errors
/// [`DbError::Outdated`] when a guarded job has changed: nothing was written.
pub async fn enqueue_plain(
  conn: &mut Conn,
  tasks: &[NewTask],
  journal: &Journal,
  (now, guards, birth): (Ts, &JobGuards, Option<&Birth>),
) -> Result<Option<i64>, DbError> {
  let all: Vec<&NewTask> = tasks.iter().collect();
  let events = journal.packed()?;
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let text = if birth.is_some() { PG_PLAIN_BORN.as_str() } else { PG_PLAIN.as_str() };
  let mut query = sqlx::query_as(AssertSqlSafe(text))
    .bind(column(&all, |t| t.id.0))
    .bind(column(&all, |t| t.job_id.0))
    .bind(column(&all, |t| t.job_version))
    .bind(column(&all, |t| t.namespace_id.as_str()))
    .bind(column(&all, |t| t.priority))
    .bind(column(&all, |t| t.scheduled_at))
    .bind(column(&all, |t| t.trigger_source.as_str()))
    .bind(column(&all, |t| t.parameters.clone()))
    .bind(column(&all, |t| as_json(t.environment.as_ref())))
    .bind(column(&all, |t| as_json(t.config.as_ref())))
    .bind(column(&all, |t| t.created_by.as_deref()))
    .bind(column(&all, |t| t.class_id))
    .bind(column(&all, |t| t.start_deadline_at))
    .bind(now)
    .bind(EVENT_LOCK)
    .bind(guards.iter().map(|(id, _)| id.0).collect::<Vec<Uuid>>())
    .bind(guards.iter().map(|(_, version)| *version).collect::<Vec<i64>>())
    .bind(events.iter().map(|(_, n, _)| *n).collect::<Vec<i64>>())
    .bind(events.iter().map(|(namespace, _, _)| namespace.as_str()).collect::<Vec<&str>>())
    .bind(events.iter().map(|(_, _, data)| data.as_slice()).collect::<Vec<&[u8]>>());
  if let Some(Birth { slot, server }) = birth {
    query = query
      .bind(slot.instance_id.0)
      .bind(slot.agent_id.as_str())
      .bind(slot.agent_epoch)
      .bind(server.as_str());
  }
  let (written, fence): (bool, Option<i64>) = query.fetch_one(&mut *pg).await?;
  conn.done();
  if written { Ok(fence) } else { Err(outdated()) }
}

pub(super) fn outdated() -> DbError {
  DbError::Outdated { thing: "job".to_owned() }
}

/// Checks the jobs that a submitter took for current.
///
/// # Errors
/// [`DbError::Outdated`] when one has changed.
pub async fn check_jobs(conn: &mut Conn, guards: &JobGuards) -> Result<(), DbError> {
  for (id, version) in guards {
    let sql = "select version from sched_job where id = $1 and version = $2 \
      and status = 'enabled' and logical_deletion is null";
    let found: Option<(i64,)> = if conn.is_sqlite() {
      let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
      sqlx::query_as(sql).bind(id.0).bind(version).fetch_optional(&mut *sqlite).await?
    } else {
      let pg = conn.pg().ok_or_else(wrong_engine)?;
      sqlx::query_as(sql).bind(id.0).bind(version).fetch_optional(&mut *pg).await?
    };
    conn.done();
    found.ok_or_else(outdated)?;
  }
  Ok(())
}

/// Which of these tasks are stored.
///
/// # Errors
/// Any [`DbError`].
pub async fn stored_tasks(conn: &mut Conn, tasks: &[NewTask]) -> Result<HashSet<TaskId>, DbError> {
  let mut stored = HashSet::new();
  for part in tasks.chunks(1000) {
    let ids = part.iter().map(|task| Param::Uuid(Some(task.id.0)));
    let mut select = Query::select();
    select.column("id").from("sched_task").and_where(Expr::col("id").is_in(ids));
    let rows: Vec<Row1<TaskId>> = conn.fetch(&select).await?;
    stored.extend(rows.into_iter().map(|row| row.0));
  }
  Ok(stored)
}

impl NewTask {
  /// The schedule whose overlap this task counts for; one of a backfill counts for none.
  fn counts_for(&self) -> Option<ScheduleId> {
    self.schedule_id.filter(|_| self.trigger_source != TriggerSource::Backfill)
  }
}

fn column<'a, T>(tasks: &[&'a NewTask], value: impl Fn(&'a NewTask) -> T) -> Vec<T> {
  tasks.iter().map(|task| value(task)).collect()
}

pub(super) fn as_json<T: serde::Serialize>(value: Option<&T>) -> Option<Value> {
  value.map(|value| serde_json::to_value(value).expect("models are plain data"))
}

async fn pg(conn: &mut Conn, tasks: &[NewTask], now: Ts) -> Result<HashSet<TaskId>, DbError> {
  let all: Vec<&NewTask> = tasks.iter().collect();
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let inserted: Vec<(Uuid,)> = sqlx::query_as(PG_TASK)
    .bind(column(&all, |t| t.id.0))
    .bind(column(&all, |t| t.job_id.0))
    .bind(column(&all, |t| t.job_version))
    .bind(column(&all, |t| t.namespace_id.as_str()))
    .bind(column(&all, |t| t.priority))
    .bind(column(&all, |t| t.schedule_id.map(|id| id.0)))
    .bind(column(&all, |t| t.scheduled_at))
    .bind(column(&all, |t| t.trigger_source.as_str()))
    .bind(column(&all, |t| t.parameters.clone()))
    .bind(column(&all, |t| as_json(t.environment.as_ref())))
    .bind(column(&all, |t| as_json(t.config.as_ref())))
    .bind(column(&all, |t| t.idempotency_key.as_deref()))
    .bind(column(&all, |t| t.idempotency_hash.as_deref()))
    .bind(column(&all, |t| t.created_by.as_deref()))
    .bind(now)
    .fetch_all(&mut *pg)
    .await?;
  let ids: HashSet<TaskId> = inserted.into_iter().map(|row| TaskId(row.0)).collect();
  let live: Vec<&NewTask> = tasks.iter().filter(|task| ids.contains(&task.id)).collect();
  sqlx::query(PG_HOT)
    .bind(column(&live, |t| t.id.0))
    .bind(column(&live, |t| t.job_id.0))
    .bind(column(&live, |t| t.job_version))
    .bind(column(&live, |t| t.namespace_id.as_str()))
    .bind(column(&live, |t| t.counts_for().map(|id| id.0)))
    .bind(column(&live, |t| t.class_id))
    .bind(column(&live, |t| t.priority))
    .bind(column(&live, |t| t.scheduled_at))
    .bind(column(&live, |t| t.start_deadline_at))
    .bind(now)
    .bind(column(&live, gate_number))
    .bind(column(&live, |t| as_json(t.gate.as_ref())))
    .bind(column(&live, |t| t.eligible_at()))
    .bind(column(&live, |t| t.status().as_str()))
    .execute(&mut *pg)
    .await?;
  conn.done();
  Ok(ids)
}

const SQLITE_TASK: &str = "insert into sched_task (id, job_id, job_version, namespace_id, \
  priority, schedule_id, scheduled_at, trigger_source, parameters, environment, config, \
  idempotency_key, idempotency_hash, created_by, created_at) \
  select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, \
    unhex(value ->> 5), value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
    value ->> 11, unhex(value ->> 12), value ->> 13, $2 \
  from json_each($1) where true on conflict do nothing returning id";

const SQLITE_HOT: &str = "insert into sched_task_hot (task_id, job_id, job_version, \
  namespace_id, schedule_id, class_id, priority, scheduled_at, eligible_at, start_deadline_at, \
  status, gate, limits, updated_at) \
  select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, unhex(value ->> 4), \
    value ->> 5, value ->> 6, value ->> 7, value ->> 11, value ->> 8, value ->> 12, \
    value ->> 9, value ->> 10, $2 \
  from json_each($1)";

async fn sqlite(conn: &mut Conn, tasks: &[NewTask], now: Ts) -> Result<HashSet<TaskId>, DbError> {
  let text_of = |value: Option<Value>| value.map(|value| value.to_string());
  let rows: Vec<Value> = tasks
    .iter()
    .map(|t| {
      json!([
        hex(t.id.0),
        hex(t.job_id.0),
        t.job_version,
        t.namespace_id,
        t.priority,
        t.schedule_id.map(|id| hex(id.0)),
        t.scheduled_at.micros(),
        t.trigger_source,
        text_of(t.parameters.clone()),
        text_of(as_json(t.environment.as_ref())),
        text_of(as_json(t.config.as_ref())),
        t.idempotency_key,
        t.idempotency_hash.as_deref().map(hex_bytes),
        t.created_by,
      ])
    })
    .collect();
  let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
  let inserted: Vec<(Uuid,)> = sqlx::query_as(SQLITE_TASK)
    .bind(Value::Array(rows).to_string())
    .bind(now)
    .fetch_all(&mut *sqlite)
    .await?;
  let ids: HashSet<TaskId> = inserted.into_iter().map(|row| TaskId(row.0)).collect();
  let rows: Vec<Value> = tasks
    .iter()
    .filter(|task| ids.contains(&task.id))
    .map(|t| {
      json!([
        hex(t.id.0),
        hex(t.job_id.0),
        t.job_version,
        t.namespace_id,
        t.counts_for().map(|id| hex(id.0)),
        t.class_id,
        t.priority,
        t.scheduled_at.micros(),
        t.start_deadline_at.map(Ts::micros),
        gate_number(t),
        text_of(as_json(t.gate.as_ref())),
        t.eligible_at().micros(),
        t.status(),
      ])
    })
    .collect();
  sqlx::query(SQLITE_HOT)
    .bind(Value::Array(rows).to_string())
    .bind(now)
    .execute(&mut *sqlite)
    .await?;
  conn.done();
  Ok(ids)
}

/// Bytes as hex, for rows of JSON.
pub(super) fn hex_bytes(bytes: &[u8]) -> String {
  bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
