//! `sched_limit_lease` and `sched_limit_start`: what is taken of limits. Leases are written by the
//! admission alone, one at a time in the whole cluster.

use std::collections::HashMap;

use hetuflow_core::{JobId, LimitHolder, ScheduleId, TaskConfig, TaskId, Ts};
use sea_query::Value;
use sqlx::types::Json;

use super::sql_text::SqlText;
use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// Key of the advisory lock under which tasks are admitted.
const ADMISSION_LOCK: i64 = 0x6865_7475_0002;
/// Limits that one statement names.
const KEYS_MAX: usize = 500;
/// A lease counts while this holds of it, as `l`.
const ALIVE: &str = "exists (select 1 from sched_task_hot h where h.task_id = l.task_id \
  and h.gate < 0)";

/// Slots of a limit that a task gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
  /// The limit.
  pub limit: String,
  /// The task.
  pub task_id: TaskId,
  /// How many.
  pub slots: i64,
}

/// Waits until nobody else admits; held until the transaction ends. On SQLite the transaction
/// itself is the lock.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_admission(conn: &mut Conn) -> Result<(), DbError> {
  if conn.is_sqlite() {
    return Ok(());
  }
  let lock = vec![Value::BigInt(Some(ADMISSION_LOCK))];
  conn.execute_sql("select pg_advisory_xact_lock($1)", lock).await.map(drop)
}

/// Slots that are taken, by limit; those of which nothing is taken are left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn taken(conn: &mut Conn, limits: &[&str]) -> Result<Vec<(String, i64)>, DbError> {
  let mut all = Vec::new();
  for part in limits.chunks(KEYS_MAX) {
    let mut sql = SqlText::new(
      "select l.limit_key, cast(sum(l.slots) as bigint) from sched_limit_lease l \
       where l.limit_key in ",
    );
    sql.bind_list(part.iter().map(text)).push(" and ").push(ALIVE).push(" group by l.limit_key");
    all.extend(sql.fetch::<(String, i64)>(conn).await?);
  }
  Ok(all)
}

/// Writes leases; a task that had one of a limit before has a new one.
///
/// # Errors
/// Any [`DbError`].
pub async fn write_leases(conn: &mut Conn, leases: &[Lease], now: Ts) -> Result<(), DbError> {
  for part in leases.chunks(KEYS_MAX) {
    let mut sql =
      SqlText::new("insert into sched_limit_lease (limit_key, task_id, slots, taken_at) values ");
    for (index, lease) in part.iter().enumerate() {
      sql.push(if index == 0 { "(" } else { ", (" }).bind(text(&lease.limit)).push(", ");
      sql.bind(uuid(lease.task_id.0)).push(", ").bind(Value::BigInt(Some(lease.slots)));
      sql.push(", ").bind(ts(now)).push(")");
    }
    sql.push(
      " on conflict (limit_key, task_id) do update set slots = excluded.slots, \
       taken_at = excluded.taken_at",
    );
    sql.run(conn).await?;
  }
  Ok(())
}

/// Deletes leases of these limits that no longer count.
///
/// # Errors
/// Any [`DbError`].
pub async fn sweep_limits(conn: &mut Conn, limits: &[&str]) -> Result<u64, DbError> {
  let mut gone = 0;
  for part in limits.chunks(KEYS_MAX) {
    let mut sql = SqlText::new("delete from sched_limit_lease as l where l.limit_key in ");
    sql.bind_list(part.iter().map(text)).push(" and not ").push(ALIVE);
    gone += sql.run(conn).await?;
  }
  Ok(gone)
}

/// Deletes all leases that no longer count, and starts that no rate counts any more.
///
/// # Errors
/// Any [`DbError`].
pub async fn sweep_all(conn: &mut Conn, started_before: Ts) -> Result<u64, DbError> {
  let mut sql = SqlText::new("delete from sched_limit_lease as l where not ");
  sql.push(ALIVE);
  let gone = sql.run(conn).await?;
  let sql = "delete from sched_limit_start where at < $1";
  conn.execute_sql(sql, vec![ts(started_before)]).await?;
  Ok(gone)
}

/// Starts of each of these limits since its own instant, of each limit the oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn starts_since(
  conn: &mut Conn,
  limits: &[(&str, Ts)],
) -> Result<Vec<(String, Ts, i64)>, DbError> {
  let mut all = Vec::new();
  for part in limits.chunks(KEYS_MAX) {
    let since: HashMap<&str, Ts> = part.iter().copied().collect();
    let Some(first) = since.values().min().copied() else { continue };
    let mut sql =
      SqlText::new("select limit_key, at, starts from sched_limit_start where limit_key in ");
    sql.bind_list(part.iter().map(|(limit, _)| text(limit))).push(" and at > ").bind(ts(first));
    sql.push(" order by limit_key, at");
    let rows: Vec<(String, Ts, i64)> = sql.fetch(conn).await?;
    all.extend(
      rows
        .into_iter()
        .filter(|(limit, at, _)| since.get(limit.as_str()).is_some_and(|since| at > since)),
    );
  }
  Ok(all)
}

/// Notes starts of a limit, and forgets those that its rate no longer counts.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_starts(
  conn: &mut Conn,
  (limit, starts): (&str, i64),
  (now, since): (Ts, Ts),
) -> Result<(), DbError> {
  let sql = "delete from sched_limit_start where limit_key = $1 and at <= $2";
  conn.execute_sql(sql, vec![text(limit), ts(since)]).await?;
  let sql = "insert into sched_limit_start (limit_key, at, starts) values ($1, $2, $3)";
  conn.execute_sql(sql, vec![text(limit), ts(now), Value::BigInt(Some(starts))]).await.map(drop)
}

/// Who has slots of a limit, the longest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn holders(conn: &mut Conn, limit: &str, most: u64) -> Result<Vec<LimitHolder>, DbError> {
  let mut sql = SqlText::new(
    "select l.task_id, j.name, l.slots, l.taken_at from sched_limit_lease l \
     join sched_task_hot h on h.task_id = l.task_id and h.gate < 0 \
     join sched_job j on j.id = h.job_id where l.limit_key = ",
  );
  sql.bind(text(limit)).push(" order by l.taken_at, l.task_id").window(0, most);
  let rows: Vec<(TaskId, String, i64, Ts)> = sql.fetch(conn).await?;
  let holder =
    |(task_id, job_name, slots, taken_at)| LimitHolder { task_id, job_name, slots, taken_at };
  Ok(rows.into_iter().map(holder).collect())
}

/// What is taken of a limit and of all limits whose names go on after it with a `/`: the fullest
/// first.
///
/// # Errors
/// Any [`DbError`].
pub async fn taken_under(
  conn: &mut Conn,
  limit: &str,
  most: u64,
) -> Result<Vec<(String, i64)>, DbError> {
  let mut sql = SqlText::new(
    "select l.limit_key, cast(sum(l.slots) as bigint) as taken from sched_limit_lease l where ",
  );
  // The lower bound keeps to the primary key; the start of the name decides.
  sql.push("(l.limit_key = ").bind(text(limit)).push(" or (l.limit_key >= ");
  sql.bind(text(format!("{limit}/"))).push(" and substr(l.limit_key, 1, cast(cast(");
  sql.bind(Value::BigInt(Some(limit.chars().count() as i64 + 1)));
  sql.push(" as bigint) as integer)) = ");
  sql.bind(text(format!("{limit}/"))).push(")) and ").push(ALIVE);
  sql.push(" group by l.limit_key order by taken desc, l.limit_key").window(0, most);
  sql.fetch(conn).await
}

/// Whether a live task needs this semaphore, under any key.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_needed(conn: &mut Conn, limit: &str) -> Result<bool, DbError> {
  let sql = if conn.is_sqlite() {
    "select 1 from sched_task_hot h, json_each(h.limits) d where h.limits is not null \
      and (d.value ->> 'limit' = $1 or substr(d.value ->> 'limit', 1, $2) = $3) limit 1"
  } else {
    "select 1::bigint from sched_task_hot h, jsonb_array_elements(h.limits) d \
      where h.limits is not null \
      and (d.value ->> 'limit' = $1 or substr(d.value ->> 'limit', 1, cast(cast($2 as bigint) as integer)) = $3) limit 1"
  };
  let under = format!("{limit}/");
  let length = Value::BigInt(Some(under.chars().count() as i64));
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, vec![text(limit), length, text(&under)]).await?;
  Ok(!rows.is_empty())
}

/// The settings of jobs as they are now.
///
/// # Errors
/// Any [`DbError`].
pub async fn job_configs(
  conn: &mut Conn,
  jobs: &[JobId],
) -> Result<Vec<(JobId, TaskConfig)>, DbError> {
  let mut all = Vec::new();
  for part in jobs.chunks(KEYS_MAX) {
    let mut sql = SqlText::new("select id, config from sched_job where id in ");
    sql.bind_list(part.iter().map(|job| uuid(job.0)));
    let rows: Vec<(JobId, Json<TaskConfig>)> = sql.fetch(conn).await?;
    all.extend(rows.into_iter().map(|(job, config)| (job, config.0)));
  }
  Ok(all)
}

/// The limits of schedules as they are now.
///
/// # Errors
/// Any [`DbError`].
pub async fn schedule_caps(
  conn: &mut Conn,
  schedules: &[ScheduleId],
) -> Result<Vec<(ScheduleId, Option<i64>)>, DbError> {
  let mut all = Vec::new();
  for part in schedules.chunks(KEYS_MAX) {
    let mut sql = SqlText::new("select id, max_concurrent from sched_schedule where id in ");
    sql.bind_list(part.iter().map(|schedule| uuid(schedule.0)));
    all.extend(sql.fetch::<(ScheduleId, Option<i64>)>(conn).await?);
  }
  Ok(all)
}
