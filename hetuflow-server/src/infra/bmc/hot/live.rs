//! Moves of live rows that are not claims and not ends: starts, silence, ends without a start.

use hetuflow_core::{AgentId, ServerId, TaskId, TaskInstanceId, TaskStatus, Ts};
use sea_query::Value;
use serde_json::json;
use uuid::Uuid;

use super::super::sql_text::SqlText;
use super::super::{text, ts, uuid};
use super::finish::HOT_COLUMNS;
use super::{HotRow, hex, wrong_engine};
use crate::infra::db::{Conn, DbError, Row1};

/// An attempt that started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveRow {
  /// Its task.
  pub task_id: TaskId,
  /// Its fence.
  pub fence: i64,
  /// When it started.
  pub started_at: Ts,
}

/// Marks attempts as running, if their fences hold and they were waiting to start. Give them
/// sorted by task id. Returns the rows that moved, as they are now.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_running(
  conn: &mut Conn,
  rows: &[LiveRow],
  now: Ts,
) -> Result<Vec<HotRow>, DbError> {
  if rows.is_empty() {
    return Ok(Vec::new());
  }
  if conn.is_sqlite() {
    let columns = HOT_COLUMNS.replace("h.", "");
    let sql = format!(
      "update sched_task_hot set status = 'running', \
        started_at = s.value ->> 2, unreachable_since = null, updated_at = $2 \
      from json_each($1) s \
      where task_id = unhex(s.value ->> 0) and fence = s.value ->> 1 \
        and status in ('locked', 'dispatched') returning {columns}"
    );
    let list: Vec<serde_json::Value> = rows
      .iter()
      .map(|row| json!([hex(row.task_id.0), row.fence, row.started_at.micros()]))
      .collect();
    let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
    let moved = sqlx::query_as(sqlx::AssertSqlSafe(sql))
      .bind(serde_json::Value::Array(list).to_string())
      .bind(now)
      .fetch_all(sqlite)
      .await?;
    conn.done();
    return Ok(moved);
  }
  let sql = format!(
    "update sched_task_hot h set status = 'running', started_at = r.started_at, \
      unreachable_since = null, updated_at = $4 \
    from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) as r(task_id, fence, started_at) \
    where h.task_id = r.task_id and h.fence = r.fence \
      and h.status in ('locked', 'dispatched') returning {HOT_COLUMNS}"
  );
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let moved = sqlx::query_as(sqlx::AssertSqlSafe(sql))
    .bind(rows.iter().map(|row| row.task_id.0).collect::<Vec<Uuid>>())
    .bind(rows.iter().map(|row| row.fence).collect::<Vec<i64>>())
    .bind(rows.iter().map(|row| row.started_at).collect::<Vec<Ts>>())
    .bind(now)
    .fetch_all(pg)
    .await?;
  conn.done();
  Ok(moved)
}

/// Marks one attempt as acknowledged by its agent and not started yet.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_acknowledged(
  conn: &mut Conn,
  task: TaskId,
  fence: i64,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set status = 'dispatched', updated_at = $1 \
    where task_id = $2 and fence = $3 and status = 'locked'";
  let values = vec![ts(now), uuid(task.0), Value::BigInt(Some(fence))];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Marks one attempt as unreachable, if it is not yet.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_row_unreachable(
  conn: &mut Conn,
  task: TaskId,
  fence: i64,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set unreachable_since = $1, updated_at = $1 \
    where task_id = $2 and fence = $3 and unreachable_since is null";
  let values = vec![ts(now), uuid(task.0), Value::BigInt(Some(fence))];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Live rows that an agent has in hand, in the order of their ids.
///
/// # Errors
/// Any [`DbError`].
pub async fn live_of_agent(conn: &mut Conn, agent: &AgentId) -> Result<Vec<HotRow>, DbError> {
  let sql = "select task_id, job_id, job_version, namespace_id, schedule_id, instance_id, \
      class_id, priority, gate, status, attempt, fence, agent_id, locked_at, started_at, stop_kind, \
      stop_reason, unreachable_since \
    from sched_task_hot where agent_id = $1 \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling') order by task_id";
  conn.fetch_sql(sql, vec![text(agent)]).await
}

/// Takes back claims that never reached their agent, with `waited` also those that only waited
/// there: the tasks wait again, and their next claim takes a new fence. Returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn return_claims(
  conn: &mut Conn,
  claims: &[(TaskId, i64)],
  waited: bool,
  now: Ts,
) -> Result<u64, DbError> {
  let mut returned = 0;
  for (task, fence) in claims {
    let sql = "update sched_task_hot set status = 'pending', instance_id = null, \
      agent_id = null, agent_epoch = null, locked_at = null, attempt = attempt - 1, \
      unreachable_since = null, updated_at = $1 \
      where task_id = $2 and fence = $3 and status in ('locked', $4)";
    let also = if waited { TaskStatus::Dispatched } else { TaskStatus::Locked };
    let values = vec![ts(now), uuid(task.0), Value::BigInt(Some(*fence)), text(also)];
    returned += conn.execute_sql(sql, values).await?;
  }
  Ok(returned)
}

/// A claim that nobody has confirmed.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct OpenClaim {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
}

/// Claims that a server made between two instants and whose agents have not said a word since, also
/// where somebody has asked for a stop.
///
/// # Errors
/// Any [`DbError`].
pub async fn open_claims(
  conn: &mut Conn,
  server: &ServerId,
  (from, until): (Ts, Ts),
) -> Result<Vec<OpenClaim>, DbError> {
  let sql = "select task_id, instance_id, fence from sched_task_hot \
    where (status = 'locked' or (status = 'cancelling' and started_at is null)) \
      and server_id = $1 and locked_at >= $2 and locked_at < $3 \
      and instance_id is not null order by task_id limit 10000";
  conn.fetch_sql(sql, vec![text(server), ts(from), ts(until)]).await
}

/// Notes since when an agent's attempts cannot be reached. Returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_unreachable(conn: &mut Conn, agent: &AgentId, since: Ts) -> Result<u64, DbError> {
  let sql = "update sched_task_hot set unreachable_since = $1 \
    where agent_id = $2 and unreachable_since is null \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling')";
  conn.execute_sql(sql, vec![ts(since), text(agent)]).await
}

/// Attempts on agents that are offline or forgotten, and that nobody called unreachable: claimed
/// in the moment when the agent was given up, by a server that is gone since. Whether there are
/// any is read without a lock first, since there hardly ever are.
///
/// # Errors
/// Any [`DbError`].
pub async fn any_orphans(conn: &mut Conn) -> Result<bool, DbError> {
  let sql = "select task_id from sched_task_hot h where unreachable_since is null \
      and agent_id is not null \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling') \
      and not exists (select 1 from sched_agent a where a.id = h.agent_id \
        and a.status <> 'offline') limit 1";
  let rows: Vec<Row1<TaskId>> = conn.fetch_sql(sql, Vec::new()).await?;
  Ok(!rows.is_empty())
}

/// Calls what [`any_orphans`] looks for unreachable from now on: of these agents, which are offline and
/// stay so until the transaction is over, and of forgotten ones. Returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_orphans(conn: &mut Conn, offline: &[AgentId], since: Ts) -> Result<u64, DbError> {
  let mut sql = SqlText::new("update sched_task_hot set unreachable_since = ");
  sql.bind(ts(since)).push(
    " where unreachable_since is null and agent_id is not null \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling') \
      and (not exists (select 1 from sched_agent a where a.id = sched_task_hot.agent_id) \
        or agent_id in ",
  );
  sql.bind_list(offline.iter().map(text)).push(")");
  sql.run(conn).await
}

/// The agent is back: its attempts can be reached again.
///
/// # Errors
/// Any [`DbError`].
pub async fn clear_unreachable(conn: &mut Conn, agent: &AgentId) -> Result<u64, DbError> {
  let sql = "update sched_task_hot set unreachable_since = null \
    where agent_id = $1 and unreachable_since is not null";
  conn.execute_sql(sql, vec![text(agent)]).await
}

/// An attempt that has been unreachable for a while.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct LostCandidate {
  /// Its task.
  pub task_id: TaskId,
  /// The fence of the attempt.
  pub fence: Option<i64>,
  /// Since when.
  pub unreachable_since: Ts,
}

/// Attempts that have been unreachable since before an instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn unreachable_before(
  conn: &mut Conn,
  before: Ts,
) -> Result<Vec<LostCandidate>, DbError> {
  let sql = "select task_id, fence, unreachable_since from sched_task_hot \
    where unreachable_since < $1 order by task_id limit 1000";
  conn.fetch_sql(sql, vec![ts(before)]).await
}

/// A task that ends without an attempt: which, and the row as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Unstarted {
  /// The row as it was.
  pub row: HotRow,
}

/// Deletes the live rows of tasks that wait and are not on an agent. Returns the rows as they
/// were; the caller inserts their closing attempt 0.
///
/// # Errors
/// Any [`DbError`].
pub async fn finish_unstarted(
  conn: &mut Conn,
  tasks: &[TaskId],
) -> Result<Vec<Unstarted>, DbError> {
  let mut gone = Vec::new();
  for task in tasks {
    let sql = "delete from sched_task_hot where task_id = $1 \
        and status in ('pending', 'blocked', 'waiting_retry') \
      returning task_id, job_id, job_version, namespace_id, schedule_id, instance_id, class_id, \
        priority, gate, status, attempt, fence, agent_id, locked_at, started_at, stop_kind, \
        stop_reason, \
        unreachable_since";
    let rows: Vec<HotRow> = conn.fetch_sql(sql, vec![uuid(task.0)]).await?;
    gone.extend(rows.into_iter().map(|row| Unstarted { row }));
  }
  Ok(gone)
}

/// Deletes the live row of a task that ran as the tasks that it made, and returns it as it was.
///
/// # Errors
/// Any [`DbError`].
pub async fn finish_broadcast(conn: &mut Conn, task: TaskId) -> Result<Option<HotRow>, DbError> {
  let columns = HOT_COLUMNS.replace("h.", "");
  let sql = format!(
    "delete from sched_task_hot where task_id = $1 and instance_id is null \
       and status in ('running', 'cancelling') returning {columns}"
  );
  let rows: Vec<HotRow> = conn.fetch_text(sql, vec![uuid(task.0)]).await?;
  Ok(rows.into_iter().next())
}

/// Waiting tasks whose start deadline has passed.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting_past_deadline(conn: &mut Conn, now: Ts) -> Result<Vec<TaskId>, DbError> {
  let sql = "select task_id from sched_task_hot where start_deadline_at < $1 \
    and status in ('pending', 'blocked', 'waiting_retry') order by task_id limit 1000";
  let rows: Vec<Row1<TaskId>> = conn.fetch_sql(sql, vec![ts(now)]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Changes the priority of a waiting task; returns its class where it was waiting.
///
/// # Errors
/// Any [`DbError`].
pub async fn reprioritise_if_waiting(
  conn: &mut Conn,
  task: TaskId,
  priority: i64,
) -> Result<Option<i64>, DbError> {
  let sql = "update sched_task_hot set priority = $1, aged = 0 where task_id = $2 \
    and status in ('pending', 'blocked', 'waiting_retry') returning class_id";
  let values = vec![Value::BigInt(Some(priority)), uuid(task.0)];
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.first().map(|row| row.0))
}

/// Live tasks by state, for health and status.
///
/// # Errors
/// Any [`DbError`].
pub async fn count_live(conn: &mut Conn) -> Result<Vec<(TaskStatus, i64)>, DbError> {
  conn.fetch_sql("select status, count(*) from sched_task_hot group by status", Vec::new()).await
}
