//! Tasks that limits hold: where they wait, and how they are let through.

use hetuflow_core::{Gate, TaskId, Ts};
use sea_query::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::super::{ts, uuid};
use super::wrong_engine;
use crate::infra::db::{Conn, DbError, Row1};

/// Tasks with the same demands and the same priority.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct HeldRange {
  /// The number of their demands.
  pub gate: i64,
  /// Their priority.
  pub priority: i64,
  /// When the first of them may start.
  pub eligible_at: Ts,
  /// What each of them needs.
  pub limits: Json<Gate>,
}

// The walk of `due_marks`, over the index of what is held: its cost grows with the number of
// different demands and priorities, not with the backlog.
const RANGES: &str = "with recursive range(gate, priority) as ( \
    select (select min(h.gate) from sched_task_hot h \
        where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate > $1), \
      (select h.priority from sched_task_hot h \
        where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate > $1 \
        order by h.gate, h.priority desc limit 1) \
    union all \
    select case when (select max(h.priority) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate = r.gate \
            and h.priority < r.priority) is not null then r.gate else \
        (select min(h.gate) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate > r.gate) end, \
      coalesce((select max(h.priority) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate = r.gate \
            and h.priority < r.priority), (select h.priority from sched_task_hot h \
        where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate > r.gate \
        order by h.gate, h.priority desc limit 1)) \
    from range r \
    where r.gate is not null \
  ) \
  select r.gate, r.priority, (select min(h.eligible_at) from sched_task_hot h \
      where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate = r.gate \
        and h.priority = r.priority) as eligible_at, \
    (select h.limits from sched_task_hot h \
      where h.status in ('pending', 'waiting_retry') and h.gate > 0 and h.gate = r.gate \
        and h.priority = r.priority order by h.eligible_at limit 1) as limits \
  from range r where r.gate is not null limit 10000";

/// What is held, by demands and priority, of those whose number is above `from`; at most 10,000.
///
/// # Errors
/// Any [`DbError`].
pub async fn held_ranges(conn: &mut Conn, from: i64) -> Result<Vec<HeldRange>, DbError> {
  #[derive(sqlx::FromRow)]
  struct Row {
    gate: i64,
    priority: i64,
    // It may go between two looks of one statement on neither engine, but nobody proves that here.
    eligible_at: Option<Ts>,
    limits: Option<Json<Gate>>,
  }
  let rows: Vec<Row> = conn.fetch_sql(RANGES, vec![Value::BigInt(Some(from))]).await?;
  let range = |row: Row| {
    let (eligible_at, limits) = (row.eligible_at?, row.limits?);
    Some(HeldRange { gate: row.gate, priority: row.priority, eligible_at, limits })
  };
  Ok(rows.into_iter().filter_map(range).collect())
}

/// A task that is held and due.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Held {
  /// The task.
  pub task_id: TaskId,
  /// Its selector class.
  pub class_id: i64,
  /// Its priority.
  pub priority: i64,
  /// When it may start.
  pub eligible_at: Ts,
}

/// How much of a range is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldWish {
  /// The number of the demands.
  pub gate: i64,
  /// The priority.
  pub priority: i64,
  /// Only what may start until then.
  pub until: Ts,
  /// So many tasks at most.
  pub most: i64,
}

/// The first tasks of each of these ranges, each with the place of its range among them.
///
/// # Errors
/// Any [`DbError`].
pub async fn held_due(conn: &mut Conn, wishes: &[HeldWish]) -> Result<Vec<(usize, Held)>, DbError> {
  let mut all = Vec::new();
  if conn.is_sqlite() {
    let sql = "select task_id, class_id, priority, eligible_at from sched_task_hot \
      where gate = $1 and priority = $2 and status in ('pending', 'waiting_retry') and gate > 0 \
        and eligible_at <= $3 order by eligible_at limit $4";
    let number = |value| Value::BigInt(Some(value));
    for (nth, one) in wishes.iter().enumerate() {
      let values = vec![number(one.gate), number(one.priority), ts(one.until), number(one.most)];
      all.extend(conn.fetch_sql(sql, values).await?.into_iter().map(|held| (nth, held)));
    }
    return Ok(all);
  }
  // One walk down the index for each range, in one statement for all of them.
  let sql = "select r.nth, h.task_id, h.class_id, h.priority, h.eligible_at \
    from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[]) with ordinality \
      as r(gate, priority, until, most, nth) \
    cross join lateral (select t.task_id, t.class_id, t.priority, t.eligible_at \
      from sched_task_hot t where t.gate = r.gate and t.priority = r.priority \
        and t.status in ('pending', 'waiting_retry') and t.gate > 0 and t.eligible_at <= r.until \
      order by t.eligible_at limit r.most) h \
    order by r.nth, h.eligible_at";
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let rows: Vec<(i64, TaskId, i64, i64, Ts)> = sqlx::query_as(sql)
    .bind(wishes.iter().map(|one| one.gate).collect::<Vec<i64>>())
    .bind(wishes.iter().map(|one| one.priority).collect::<Vec<i64>>())
    .bind(wishes.iter().map(|one| one.until).collect::<Vec<Ts>>())
    .bind(wishes.iter().map(|one| one.most).collect::<Vec<i64>>())
    .fetch_all(pg)
    .await?;
  conn.done();
  all.extend(rows.into_iter().map(|(nth, task_id, class_id, priority, eligible_at)| {
    let nth = usize::try_from(nth - 1).unwrap_or_default();
    (nth, Held { task_id, class_id, priority, eligible_at })
  }));
  Ok(all)
}

/// Lets tasks through that are still held; those that somebody is changing are left for the next
/// time. Returns which went through.
///
/// # Errors
/// Any [`DbError`].
pub async fn admit_rows(
  conn: &mut Conn,
  tasks: &[TaskId],
  now: Ts,
) -> Result<Vec<TaskId>, DbError> {
  if conn.is_sqlite() {
    let mut through = Vec::new();
    for task in tasks {
      let sql = "update sched_task_hot set gate = -gate, updated_at = $1 where task_id = $2 \
        and gate > 0 and status in ('pending', 'waiting_retry')";
      if conn.execute_sql(sql, vec![ts(now), uuid(task.0)]).await? == 1 {
        through.push(*task);
      }
    }
    return Ok(through);
  }
  let sql = "with free as materialized (select task_id from sched_task_hot \
      where task_id = any($1) and gate > 0 and status in ('pending', 'waiting_retry') \
      order by task_id for update skip locked) \
    update sched_task_hot h set gate = -h.gate, updated_at = $2 from free \
    where h.task_id = free.task_id returning h.task_id";
  let ids: Vec<Uuid> = tasks.iter().map(|task| task.0).collect();
  let pg = conn.pg().ok_or_else(wrong_engine)?;
  let rows: Vec<(Uuid,)> = sqlx::query_as(sql).bind(ids).bind(now).fetch_all(pg).await?;
  conn.done();
  Ok(rows.into_iter().map(|row| TaskId(row.0)).collect())
}

/// A task that has its slots and that nobody claims.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Stuck {
  /// The task.
  pub task_id: TaskId,
  /// Its selector class.
  pub class_id: i64,
}

/// Tasks that one look returns at most.
const STUCK_MAX: i64 = 100;

/// Tasks that have slots of a limit since before an instant and that nobody has claimed.
///
/// # Errors
/// Any [`DbError`].
pub async fn stuck_claims(conn: &mut Conn, limit: &str, before: Ts) -> Result<Vec<Stuck>, DbError> {
  let sql = "select h.task_id, h.class_id from sched_limit_lease l \
      join sched_task_hot h on h.task_id = l.task_id \
    where l.limit_key = $1 and l.taken_at < $2 and h.gate < 0 \
      and h.status in ('pending', 'waiting_retry') order by h.task_id limit $3";
  let values = vec![super::super::text(limit), ts(before), Value::BigInt(Some(STUCK_MAX))];
  conn.fetch_sql(sql, values).await
}

/// Takes its slots from a task that nobody claims; it waits for them anew, from `until` on.
///
/// # Errors
/// Any [`DbError`].
pub async fn take_back_slots(
  conn: &mut Conn,
  task: TaskId,
  (until, now): (Ts, Ts),
) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set gate = -gate, eligible_at = $1, updated_at = $2 \
    where task_id = $3 and gate < 0 and status in ('pending', 'waiting_retry')";
  Ok(conn.execute_sql(sql, vec![ts(until), ts(now), uuid(task.0)]).await? == 1)
}

/// Whether anything is held at all.
///
/// # Errors
/// Any [`DbError`].
pub async fn any_held(conn: &mut Conn) -> Result<bool, DbError> {
  let sql = "select gate from sched_task_hot \
    where status in ('pending', 'waiting_retry') and gate > 0 limit 1";
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, Vec::new()).await?;
  Ok(!rows.is_empty())
}
