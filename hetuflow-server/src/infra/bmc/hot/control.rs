//! What somebody asked of a task on an agent: stored as an intent first, so that it reaches the
//! agent whichever server it is on.

use hetuflow_core::{AgentId, NamespaceId, TaskId, TaskInstanceId, Ts};
use sea_query::Value;

use super::super::{text, text_option, ts, uuid};
use crate::infra::db::{Conn, DbError};

/// Signals are stored as `signal:NAME`.
const SIGNAL: &str = "signal:";

/// What somebody asked of a live task.
#[derive(Debug, Clone, PartialEq)]
pub struct StopMark {
  /// `stop`, `kill`, `skip`, `restart`.
  pub kind: String,
  /// Why.
  pub reason: Option<String>,
  /// Grace before the kill, in place of the job's.
  pub grace_ms: Option<i64>,
}

/// Stores that an attempt on an agent is asked to stop. Returns whether it was on an agent.
///
/// # Errors
/// Any [`DbError`].
pub async fn request_stop(
  conn: &mut Conn,
  task: TaskId,
  mark: &StopMark,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set status = 'cancelling', stop_kind = $1, stop_reason = $2, \
      stop_grace_ms = $3, updated_at = $4 \
    where task_id = $5 \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling')";
  let values = vec![
    text(&mark.kind),
    text_option(mark.reason.as_deref()),
    Value::BigInt(mark.grace_ms),
    ts(now),
    uuid(task.0),
  ];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Stores that everything an agent has started is to stop, because it is being emptied. What
/// somebody has asked to stop already stays as it was asked. Returns the tasks.
///
/// # Errors
/// Any [`DbError`].
pub async fn request_drain_stops(
  conn: &mut Conn,
  agent: &AgentId,
  now: Ts,
) -> Result<Vec<(TaskId, NamespaceId)>, DbError> {
  let sql = "update sched_task_hot set status = 'cancelling', stop_kind = 'drain', \
      stop_reason = 'drain', stop_grace_ms = null, updated_at = $1 \
    where agent_id = $2 and status in ('running', 'paused') \
    returning task_id, namespace_id";
  conn.fetch_sql(sql, vec![ts(now), text(agent)]).await
}

/// What an agent has in hand: all of it, and what of that has not started.
///
/// # Errors
/// Any [`DbError`].
pub async fn in_hand(conn: &mut Conn, agent: &AgentId) -> Result<(i64, i64), DbError> {
  let sql = "select count(*), \
      coalesce(sum(case when status in ('locked', 'dispatched') then 1 else 0 end), 0) \
    from sched_task_hot where agent_id = $1 \
      and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling')";
  let rows: Vec<(i64, i64)> = conn.fetch_sql(sql, vec![text(agent)]).await?;
  Ok(rows.first().copied().unwrap_or_default())
}

/// Stores that a process is to be held, or to go on. The later wish replaces the earlier one; one
/// for what is so already, with nothing on its way, changes nothing. Returns whether there is a
/// process and no other order is on its way.
///
/// # Errors
/// Any [`DbError`].
pub async fn request_hold(
  conn: &mut Conn,
  task: TaskId,
  (hold, reason): (bool, Option<&str>),
  now: Ts,
) -> Result<bool, DbError> {
  let (kind, there) = if hold { ("pause", "paused") } else { ("resume", "running") };
  let sql = "update sched_task_hot set updated_at = $4, \
      stop_reason = case when status = $2 and stop_kind is null then stop_reason else $3 end, \
      stop_kind = case when status = $2 and stop_kind is null then null else $1 end \
    where task_id = $5 and instance_id is not null and status in ('running', 'paused') \
      and (stop_kind is null or stop_kind in ('pause', 'resume'))";
  let values = vec![text(kind), text(there), text_option(reason), ts(now), uuid(task.0)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Stores that a process is to get a signal. Returns whether there is one, and nothing else was
/// asked that is still on its way.
///
/// # Errors
/// Any [`DbError`].
pub async fn request_signal(
  conn: &mut Conn,
  task: TaskId,
  signal: &str,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set stop_kind = $1, updated_at = $2 \
    where task_id = $3 and instance_id is not null and status in ('running', 'paused') \
      and (stop_kind is null \
      or (status = 'running' and stop_kind = 'resume') \
      or (status = 'paused' and stop_kind = 'pause'))";
  let values = vec![text(format!("{SIGNAL}{signal}")), ts(now), uuid(task.0)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Takes a stored signal, so that it is sent once: whoever is told `true` sends it.
///
/// # Errors
/// Any [`DbError`].
pub async fn take_signal(conn: &mut Conn, intent: &StopIntent) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set stop_kind = null \
    where task_id = $1 and fence = $2 and stop_kind = $3";
  let values = vec![
    uuid(intent.task_id.0),
    Value::BigInt(Some(intent.fence)),
    text_option(intent.stop_kind.as_deref()),
  ];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// A stored wish that an agent must hear.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct StopIntent {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// Its agent.
  pub agent_id: AgentId,
  /// What was asked for.
  pub stop_kind: Option<String>,
  /// Why.
  pub stop_reason: Option<String>,
  /// Grace before the kill.
  pub stop_grace_ms: Option<i64>,
}

impl StopIntent {
  /// The signal that is to be sent, where it is one.
  pub fn signal(&self) -> Option<&str> {
    self.stop_kind.as_deref()?.strip_prefix(SIGNAL)
  }
}

/// Wishes that are not carried out yet: stops, holds where it runs, resumes where it is held, and
/// signals.
///
/// # Errors
/// Any [`DbError`].
pub async fn pending_stops(conn: &mut Conn) -> Result<Vec<StopIntent>, DbError> {
  let sql = "select task_id, instance_id, fence, agent_id, stop_kind, stop_reason, stop_grace_ms \
    from sched_task_hot where instance_id is not null and agent_id is not null \
      and (status = 'cancelling' or (stop_kind is not null and ( \
        (status = 'running' and stop_kind = 'pause') or \
        (status = 'paused' and stop_kind = 'resume') or \
        (status in ('running', 'paused') and stop_kind like 'signal:%')))) \
    order by task_id limit 10000";
  conn.fetch_sql(sql, Vec::new()).await
}

/// Marks one running attempt as held.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_paused(
  conn: &mut Conn,
  task: TaskId,
  fence: i64,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set status = 'paused', updated_at = $1, \
      stop_kind = case when stop_kind = 'pause' then null else stop_kind end \
    where task_id = $2 and fence = $3 and status = 'running'";
  let values = vec![ts(now), uuid(task.0), Value::BigInt(Some(fence))];
  Ok(conn.execute_sql(sql, values).await? == 1)
}

/// Marks one held attempt as running again.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_resumed(
  conn: &mut Conn,
  task: TaskId,
  fence: i64,
  now: Ts,
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set status = 'running', updated_at = $1, \
      stop_reason = case when stop_kind = 'pause' then stop_reason else null end, \
      stop_kind = case when stop_kind = 'resume' then null else stop_kind end \
    where task_id = $2 and fence = $3 and status = 'paused'";
  let values = vec![ts(now), uuid(task.0), Value::BigInt(Some(fence))];
  Ok(conn.execute_sql(sql, values).await? == 1)
}
