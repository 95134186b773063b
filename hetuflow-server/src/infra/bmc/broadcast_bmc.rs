//! `sched_broadcast`, `sched_task_child`: tasks that run as the tasks that they made, one per agent.

use hetuflow_core::{AgentId, BroadcastSuccess, TaskId, TaskStatus, Ts};
use sea_query::Value;
use sqlx::types::Json;

use super::{json, text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// A broadcast whose tasks are not all over, or that is not told so yet.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct BroadcastRow {
  /// The whole.
  pub task_id: TaskId,
  /// When it counts as a success.
  pub success: String,
  /// Agents that fit and were away when it began.
  pub away: Json<Vec<AgentId>>,
  /// Where it stands; none where it is over already.
  pub status: Option<TaskStatus>,
  /// What somebody asked of it.
  pub stop_kind: Option<String>,
  /// Why.
  pub stop_reason: Option<String>,
  /// Grace before a kill.
  pub stop_grace_ms: Option<i64>,
}

/// One task of a broadcast.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ChildRow {
  /// The task.
  pub task_id: TaskId,
  /// Its agent.
  pub agent_id: AgentId,
  /// Where it stands.
  pub status: TaskStatus,
}

/// Due tasks of a class and priority that make tasks of their own, and are not claimed by agents.
/// Keeps other servers from them until this transaction is over.
///
/// # Errors
/// Any [`DbError`].
pub async fn due(
  conn: &mut Conn,
  (class, priority): (i64, i64),
  (until, limit): (Ts, i64),
) -> Result<Vec<TaskId>, DbError> {
  let lock = if conn.is_sqlite() { "" } else { " for update skip locked" };
  let sql = format!(
    "select task_id from sched_task_hot where class_id = $1 and priority = $2 \
      and gate <= 0 and status in ('pending', 'waiting_retry') and eligible_at <= $3 \
    order by eligible_at limit $4{lock}"
  );
  let number = |value| Value::BigInt(Some(value));
  let values = vec![number(class), number(priority), ts(until), number(limit)];
  let rows: Vec<Row1<TaskId>> = conn.fetch_text(sql, values).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Begins a broadcast: it runs from now on, on no agent of its own, for as long as its tasks do. Its
/// start deadline is theirs.
///
/// # Errors
/// Any [`DbError`].
pub async fn begin(
  conn: &mut Conn,
  (task, success): (TaskId, BroadcastSuccess),
  (children, away): (&[(TaskId, AgentId)], &[AgentId]),
  now: Ts,
) -> Result<(), DbError> {
  let sql = "update sched_task_hot set status = 'running', started_at = $1, \
      start_deadline_at = null, updated_at = $1 \
    where task_id = $2 and status in ('pending', 'waiting_retry')";
  conn.execute_sql(sql, vec![ts(now), uuid(task.0)]).await?;
  let sql = "insert into sched_broadcast (task_id, success, away, created_at) \
    values ($1, $2, $3, $4)";
  let values = vec![uuid(task.0), text(success), json(&away), ts(now)];
  conn.execute_sql(sql, values).await?;
  for (child, agent) in children {
    let sql = "insert into sched_task_child (parent_id, task_id, agent_id) values ($1, $2, $3)";
    conn.execute_sql(sql, vec![uuid(task.0), uuid(child.0), text(agent)]).await?;
  }
  Ok(())
}

/// Broadcasts that are not over, oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn open(conn: &mut Conn) -> Result<Vec<BroadcastRow>, DbError> {
  let sql = "select b.task_id, b.success, b.away, h.status, h.stop_kind, h.stop_reason, \
      h.stop_grace_ms \
    from sched_broadcast b left join sched_task_hot h on h.task_id = b.task_id \
    order by b.created_at, b.task_id limit 1000";
  conn.fetch_sql(sql, Vec::new()).await
}

/// The tasks of a broadcast, by agent.
///
/// # Errors
/// Any [`DbError`].
pub async fn children(conn: &mut Conn, task: TaskId) -> Result<Vec<ChildRow>, DbError> {
  let sql = "select c.task_id, c.agent_id, coalesce(h.status, i.task_status, 'lost') as status \
    from sched_task_child c left join sched_task_hot h on h.task_id = c.task_id \
      left join sched_task_instance i on i.task_id = c.task_id and i.task_status is not null \
    where c.parent_id = $1 order by c.agent_id, c.task_id";
  conn.fetch_sql(sql, vec![uuid(task.0)]).await
}

/// It is over, and told; which tasks it made stays known.
///
/// # Errors
/// Any [`DbError`].
pub async fn end(conn: &mut Conn, task: TaskId) -> Result<(), DbError> {
  let sql = "delete from sched_broadcast where task_id = $1";
  conn.execute_sql(sql, vec![uuid(task.0)]).await.map(drop)
}
