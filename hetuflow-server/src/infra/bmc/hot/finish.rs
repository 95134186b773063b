//! Ends of attempts: the live row goes or waits for a retry, the attempt's own row comes.

use std::time::Duration;

use hetuflow_core::{
  AgentId, ArtifactNote, JobId, NamespaceId, ScheduleId, TaskId, TaskInstanceId,
  TaskInstanceStatus, TaskStatus, Ts,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::enqueue::hex_bytes;
use super::{hex, hex_list, wrong_engine};
use crate::infra::db::{Conn, DbError};

/// The live row of a task.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct HotRow {
  /// The task.
  pub task_id: TaskId,
  /// Its job.
  pub job_id: JobId,
  /// The version that it runs.
  pub job_version: i64,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// The schedule that made it.
  pub schedule_id: Option<ScheduleId>,
  /// The newest attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// Its selector class.
  pub class_id: i64,
  /// Higher is claimed first.
  pub priority: i64,
  /// Above 0 while limits hold it, below 0 once they have admitted it.
  pub gate: i64,
  /// Where it stands.
  pub status: TaskStatus,
  /// Number of the newest attempt.
  pub attempt: i64,
  /// Its fence.
  pub fence: Option<i64>,
  /// Its agent.
  pub agent_id: Option<AgentId>,
  /// When it was claimed.
  pub locked_at: Option<Ts>,
  /// When it started.
  pub started_at: Option<Ts>,
  /// What somebody asked for.
  pub stop_kind: Option<String>,
  /// Why.
  pub stop_reason: Option<String>,
  /// Since when its agent is silent.
  pub unreachable_since: Option<Ts>,
}

pub(super) const HOT_COLUMNS: &str = "h.task_id, h.job_id, h.job_version, h.namespace_id, h.schedule_id, \
  h.instance_id, h.class_id, h.priority, h.gate, h.status, h.attempt, h.fence, h.agent_id, h.locked_at, \
  h.started_at, h.stop_kind, h.stop_reason, h.unreachable_since";

/// States in which an attempt may be alive on an agent.
const ON_AGENT: &str = "('locked', 'dispatched', 'running', 'paused', 'cancelling')";

/// Locks the live rows of these tasks, in the order of their ids, and reads them.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_rows(conn: &mut Conn, tasks: &[TaskId]) -> Result<Vec<HotRow>, DbError> {
  if tasks.is_empty() {
    return Ok(Vec::new());
  }
  if conn.is_sqlite() {
    let sql = format!(
      "select {HOT_COLUMNS} from sched_task_hot h \
        where h.task_id in (select unhex(value) from json_each($1)) order by h.task_id"
    );
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(sql))
      .bind(hex_list(tasks.iter().map(|id| id.0)))
      .fetch_all(sqlite)
      .await?;
    conn.done();
    return Ok(rows);
  }
  let sql = format!(
    "select {HOT_COLUMNS} from sched_task_hot h where h.task_id = any($1) \
      order by h.task_id for update"
  );
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let rows = sqlx::query_as(sqlx::AssertSqlSafe(sql))
    .bind(tasks.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .fetch_all(pg)
    .await?;
  conn.done();
  Ok(rows)
}

/// Deletes the live rows of attempts that ended and closed their tasks, if the fence still holds.
/// Give the pairs sorted by task id. Returns the rows as they were.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_finished(
  conn: &mut Conn,
  ends: &[(TaskId, i64)],
) -> Result<Vec<HotRow>, DbError> {
  if ends.is_empty() {
    return Ok(Vec::new());
  }
  if conn.is_sqlite() {
    let columns = HOT_COLUMNS.replace("h.", "");
    let sql = format!(
      "delete from sched_task_hot where (task_id, fence) in \
        (select unhex(value ->> 0), value ->> 1 from json_each($1)) and status in {ON_AGENT} \
        returning {columns}"
    );
    let rows: Vec<Value> = ends.iter().map(|(task, fence)| json!([hex(task.0), fence])).collect();
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    let gone = sqlx::query_as(sqlx::AssertSqlSafe(sql))
      .bind(Value::Array(rows).to_string())
      .fetch_all(sqlite)
      .await?;
    conn.done();
    return Ok(gone);
  }
  let sql = format!(
    "delete from sched_task_hot h using unnest($1::uuid[], $2::bigint[]) as r(task_id, fence) \
      where h.task_id = r.task_id and h.fence = r.fence and h.status in {ON_AGENT} \
      returning {HOT_COLUMNS}"
  );
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let gone = sqlx::query_as(sqlx::AssertSqlSafe(sql))
    .bind(ends.iter().map(|(task, _)| task.0).collect::<Vec<Uuid>>())
    .bind(ends.iter().map(|(_, fence)| *fence).collect::<Vec<i64>>())
    .fetch_all(pg)
    .await?;
  conn.done();
  Ok(gone)
}

/// Sends the tasks of attempts that ended back to wait for another, if the fence still holds and
/// nobody asked them to stop. Returns which went.
///
/// # Errors
/// Any [`DbError`].
pub async fn reschedule_retry(
  conn: &mut Conn,
  ends: &[(TaskId, i64, Ts)],
  now: Ts,
) -> Result<Vec<TaskId>, DbError> {
  let mut went = Vec::new();
  for (task, fence, eligible_at) in ends {
    let sql = "update sched_task_hot set status = 'waiting_retry', eligible_at = $1, \
      gate = abs(gate), \
      instance_id = null, agent_id = null, agent_epoch = null, locked_at = null, \
      started_at = null, unreachable_since = null, stop_kind = null, stop_reason = null, \
      stop_grace_ms = null, progress = null, progress_note = null, updated_at = $2 \
      where task_id = $3 and fence = $4 \
        and (status in ('locked', 'dispatched', 'running', 'paused') \
          or (status = 'cancelling' and stop_kind in ('restart', 'drain')))";
    let values = vec![
      super::super::ts(*eligible_at),
      super::super::ts(now),
      super::super::uuid(task.0),
      sea_query::Value::BigInt(Some(*fence)),
    ];
    if conn.execute_sql(sql, values).await? == 1 {
      went.push(*task);
    }
  }
  Ok(went)
}

/// An attempt that ended, as its row is inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedAttempt {
  /// Its id.
  pub id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// The task's job.
  pub job_id: JobId,
  /// The task's namespace.
  pub namespace_id: NamespaceId,
  /// Its number.
  pub attempt: i64,
  /// Its fence.
  pub fence: i64,
  /// Its agent.
  pub agent_id: Option<AgentId>,
  /// How it ended.
  pub status: TaskInstanceStatus,
  /// The state that it closed the task with.
  pub task_status: Option<TaskStatus>,
  /// When it was handed to the agent.
  pub dispatched_at: Option<Ts>,
  /// When the process started.
  pub started_at: Option<Ts>,
  /// When it ended.
  pub completed_at: Ts,
  /// Start minus planned start, in microseconds.
  pub start_skew_us: Option<i64>,
  /// The process.
  pub pid: Option<i64>,
  /// Exit code.
  pub exit_code: Option<i64>,
  /// Signal that ended it.
  pub signal: Option<i64>,
  /// Machine-readable reason.
  pub reason: Option<String>,
  /// The facts behind it.
  pub error_message: Option<String>,
  /// Bytes of output.
  pub log_bytes: i64,
  /// The whole log, where it is small.
  pub output_tail: Option<Vec<u8>>,
  /// Which of its bytes came from which stream.
  pub output_index: Option<String>,
  /// What it used, as the agent has measured it.
  pub metrics: Option<Value>,
  /// What else it has left.
  pub left: LeftBehind,
}

/// What an attempt has left beside its output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeftBehind {
  /// What the bytes of its log come to.
  pub log_hash: Option<String>,
  /// Bytes of output that were dropped on purpose.
  pub log_dropped: i64,
  /// How far it said it was, 0 to 1.
  pub progress: Option<f64>,
  /// Its words for that.
  pub progress_note: Option<String>,
  /// What it hands on.
  pub outputs: Option<Value>,
  /// Files.
  pub artifacts: Vec<ArtifactNote>,
  /// How long its job wants them to be kept.
  pub artifacts_kept_for: Option<Duration>,
}

const PG_INSTANCE: &str = "insert into sched_task_instance (id, task_id, job_id, namespace_id, \
  attempt, fence, agent_id, status, task_status, dispatched_at, started_at, completed_at, \
  start_skew_us, pid, exit_code, signal, reason, error_message, log_bytes, output_tail, \
  output_index, log_hash, log_dropped, progress, progress_note, outputs, metrics) \
  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], \
    $6::bigint[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], \
    $12::timestamptz[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], \
    $17::text[], $18::text[], $19::bigint[], $20::bytea[], $21::text[], \
    $22::text[], $23::bigint[], $24::double precision[], $25::text[], $26::jsonb[], $27::jsonb[]) \
  on conflict do nothing";

const SQLITE_INSTANCE: &str = "insert into sched_task_instance (id, task_id, job_id, \
  namespace_id, attempt, fence, agent_id, status, task_status, dispatched_at, started_at, \
  completed_at, start_skew_us, pid, exit_code, signal, reason, error_message, log_bytes, \
  output_tail, output_index, log_hash, log_dropped, progress, progress_note, outputs, metrics) \
  select unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), value ->> 3, value ->> 4, \
    value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
    value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16, \
    value ->> 17, value ->> 18, unhex(value ->> 19), value ->> 20, \
    value ->> 21, value ->> 22, value ->> 23, value ->> 24, value ->> 25, value ->> 26 \
  from json_each($1) where true on conflict do nothing";

fn column<'a, T>(rows: &'a [FinishedAttempt], value: impl Fn(&'a FinishedAttempt) -> T) -> Vec<T> {
  rows.iter().map(value).collect()
}

/// Inserts the rows of attempts that ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_finished(conn: &mut Conn, rows: &[FinishedAttempt]) -> Result<(), DbError> {
  if rows.is_empty() {
    return Ok(());
  }
  if conn.is_sqlite() {
    let text = sqlite_rows(rows);
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    sqlx::query(SQLITE_INSTANCE).bind(text).execute(sqlite).await?;
    conn.done();
    return Ok(());
  }
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  sqlx::query(PG_INSTANCE)
    .bind(column(rows, |r| r.id.0))
    .bind(column(rows, |r| r.task_id.0))
    .bind(column(rows, |r| r.job_id.0))
    .bind(column(rows, |r| r.namespace_id.as_str()))
    .bind(column(rows, |r| r.attempt))
    .bind(column(rows, |r| r.fence))
    .bind(column(rows, |r| r.agent_id.as_ref().map(AgentId::as_str)))
    .bind(column(rows, |r| r.status.as_str()))
    .bind(column(rows, |r| r.task_status.map(TaskStatus::as_str)))
    .bind(column(rows, |r| r.dispatched_at))
    .bind(column(rows, |r| r.started_at))
    .bind(column(rows, |r| r.completed_at))
    .bind(column(rows, |r| r.start_skew_us))
    .bind(column(rows, |r| r.pid))
    .bind(column(rows, |r| r.exit_code))
    .bind(column(rows, |r| r.signal))
    .bind(column(rows, |r| r.reason.as_deref()))
    .bind(column(rows, |r| r.error_message.as_deref()))
    .bind(column(rows, |r| r.log_bytes))
    .bind(column(rows, |r| r.output_tail.as_deref()))
    .bind(column(rows, |r| r.output_index.as_deref()))
    .bind(column(rows, |r| r.left.log_hash.as_deref()))
    .bind(column(rows, |r| r.left.log_dropped))
    .bind(column(rows, |r| r.left.progress))
    .bind(column(rows, |r| r.left.progress_note.as_deref()))
    .bind(column(rows, |r| r.left.outputs.as_ref()))
    .bind(column(rows, |r| r.metrics.clone()))
    .execute(pg)
    .await?;
  conn.done();
  Ok(())
}

fn sqlite_rows(rows: &[FinishedAttempt]) -> String {
  let rows: Vec<Value> = rows
    .iter()
    .map(|r| {
      json!([
        hex(r.id.0),
        hex(r.task_id.0),
        hex(r.job_id.0),
        r.namespace_id,
        r.attempt,
        r.fence,
        r.agent_id,
        r.status,
        r.task_status,
        r.dispatched_at.map(Ts::micros),
        r.started_at.map(Ts::micros),
        r.completed_at.micros(),
        r.start_skew_us,
        r.pid,
        r.exit_code,
        r.signal,
        r.reason,
        r.error_message,
        r.log_bytes,
        r.output_tail.as_deref().map(hex_bytes),
        r.output_index,
        r.left.log_hash,
        r.left.log_dropped,
        r.left.progress,
        r.left.progress_note,
        r.left.outputs.as_ref().map(ToString::to_string),
        r.metrics.as_ref().map(ToString::to_string),
      ])
    })
    .collect();
  Value::Array(rows).to_string()
}

/// A report that changed nothing, kept as evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
  /// What is wrong with it: `stale`, `foreign`, `transition`.
  pub kind: &'static str,
  /// Who sent it.
  pub agent_id: AgentId,
  /// The attempt that it names.
  pub instance_id: TaskInstanceId,
  /// The report.
  pub data: Value,
}

/// Keeps reports that changed nothing.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_dead_letters(
  conn: &mut Conn,
  letters: &[DeadLetter],
  now: Ts,
) -> Result<(), DbError> {
  for letter in letters {
    let sql = "insert into sched_dead_letter (id, at, kind, agent_id, instance_id, data) \
      values ($1, $2, $3, $4, $5, $6)";
    let values = vec![
      super::super::uuid(Uuid::now_v7()),
      super::super::ts(now),
      super::super::text(letter.kind),
      super::super::text(&letter.agent_id),
      super::super::uuid(letter.instance_id.0),
      super::super::json(&letter.data),
    ];
    conn.execute_sql(sql, values).await?;
  }
  Ok(())
}

/// Whether this attempt is stored with this end already, so that a report of it is a resend.
///
/// # Errors
/// Any [`DbError`].
pub async fn attempt_is_stored(
  conn: &mut Conn,
  instance: TaskInstanceId,
  status: TaskInstanceStatus,
) -> Result<bool, DbError> {
  let sql = "select id from sched_task_instance where id = $1 and status = $2";
  let values = vec![super::super::uuid(instance.0), super::super::text(status)];
  let rows: Vec<crate::infra::db::Row1<TaskInstanceId>> = conn.fetch_sql(sql, values).await?;
  Ok(!rows.is_empty())
}
