//! What the planner asks and writes, for many schedules in one statement each.

use hetuflow_core::{FireEntity, NamespaceId, ScheduleEntity, ScheduleId, TaskId, Ts};
use sea_query::Value as Param;
use serde_json::{Value, json};
use uuid::Uuid;

use super::schedule_bmc::{COLUMNS, ScheduleCursor};
use super::{text, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// Schedules that can be decided now: due, or so soon that they are planned ahead and no run of
/// theirs is alive that could hold them back.
const DUE: &str = "s.status = 'enabled' and s.next_run_at <= $1 and (s.next_run_at <= $2 \
  or s.overlap_policy = 'allow_all' \
  or not exists (select 1 from sched_task_hot h where h.schedule_id = s.id)) \
  and not exists (select 1 from sched_freeze f where f.scope in ('*', s.namespace_id) \
    and f.ended_at is null and (f.until is null or f.until > $2))";

/// The ids of schedules that can be decided, soonest first: nothing is locked.
///
/// # Errors
/// Any [`DbError`].
pub async fn due_ids(
  conn: &mut Conn,
  (now, horizon): (Ts, Ts),
  limit: i64,
) -> Result<Vec<ScheduleId>, DbError> {
  let sql =
    format!("select s.id from sched_schedule s where {DUE} order by s.next_run_at limit $3");
  let values = vec![ts(horizon), ts(now), Param::BigInt(Some(limit))];
  let rows: Vec<Row1<ScheduleId>> = conn.fetch_text(sql, values).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Locks these schedules as far as they can still be decided and nobody else is at work on them, and
/// reads them.
///
/// # Errors
/// Any [`DbError`]; also when one of the rows cannot be read.
pub async fn lock_due(
  conn: &mut Conn,
  (now, horizon): (Ts, Ts),
  ids: &[ScheduleId],
) -> Result<Vec<ScheduleEntity>, DbError> {
  let columns = COLUMNS.map(|column| format!("s.{column}")).join(", ");
  let (named, lock) = named_ids(conn, "s.id", 3, ids);
  let lock = if lock { " for update of s skip locked" } else { "" };
  let sql = format!(
    "select {columns} from sched_schedule s where {DUE} and {} order by s.id{lock}",
    named.0
  );
  let mut values = vec![ts(horizon), ts(now)];
  values.extend(named.1);
  conn.fetch_text(sql, values).await
}

/// `column in (…)` from number `first` on, and whether rows can be locked.
fn named_ids(
  conn: &Conn,
  column: &str,
  first: usize,
  ids: &[ScheduleId],
) -> ((String, Vec<Param>), bool) {
  let places: Vec<String> = (first..first + ids.len()).map(|number| format!("${number}")).collect();
  let values = ids.iter().map(|id| uuid(id.0)).collect();
  ((format!("{column} in ({})", places.join(", ")), values), !conn.is_sqlite())
}

/// Locks one schedule, waiting for whoever is at work on it, and reads it.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_one(conn: &mut Conn, id: ScheduleId) -> Result<Option<ScheduleEntity>, DbError> {
  let lock = if conn.is_sqlite() { "" } else { " for update" };
  let sql = format!("select {} from sched_schedule where id = $1{lock}", COLUMNS.join(", "));
  let rows: Vec<ScheduleEntity> = conn.fetch_text(sql, vec![uuid(id.0)]).await?;
  Ok(rows.into_iter().next())
}

/// The soonest instant after now that is not planned.
///
/// # Errors
/// Any [`DbError`].
pub async fn next_instant(conn: &mut Conn, now: Ts) -> Result<Option<Ts>, DbError> {
  let sql = "select next_run_at from sched_schedule where status = 'enabled' and next_run_at > $1 \
    order by next_run_at limit 1";
  let rows: Vec<Row1<Ts>> = conn.fetch_sql(sql, vec![ts(now)]).await?;
  Ok(rows.into_iter().next().map(|row| row.0))
}

/// How many runs of each schedule wait for an earlier one, and how many do not; those without any
/// are left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn live_counts(
  conn: &mut Conn,
  ids: &[ScheduleId],
) -> Result<Vec<(ScheduleId, i64, i64)>, DbError> {
  if ids.is_empty() {
    return Ok(Vec::new());
  }
  let ((named, values), _) = named_ids(conn, "schedule_id", 1, ids);
  let sql = format!(
    "select schedule_id, sum(case when status = 'blocked' then 1 else 0 end)::bigint, \
      sum(case when status = 'blocked' then 0 else 1 end)::bigint \
    from sched_task_hot where {named} group by schedule_id"
  );
  let sql = if conn.is_sqlite() { sql.replace("::bigint", "") } else { sql };
  conn.fetch_text(sql, values).await
}

/// The tasks of a schedule that are not final, in the order of their ids.
///
/// # Errors
/// Any [`DbError`].
pub async fn live_tasks(conn: &mut Conn, id: ScheduleId) -> Result<Vec<TaskId>, DbError> {
  let sql = "select task_id from sched_task_hot where schedule_id = $1 order by task_id";
  let rows: Vec<Row1<TaskId>> = conn.fetch_sql(sql, vec![uuid(id.0)]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Inserts fires; those whose instant was decided before, by whomever, are left out. Returns the ids
/// of those that went in.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_fires(
  conn: &mut Conn,
  fires: &[&FireEntity],
) -> Result<std::collections::HashSet<Uuid>, DbError> {
  let Some(conn_rows) = (!fires.is_empty()).then(|| fires_json(conn, fires)) else {
    return Ok(Default::default());
  };
  let sql = if conn.is_sqlite() {
    "insert into sched_fire (id, schedule_id, schedule_rev, fire_at, decision, reason, task_id, \
      count, from_at, to_at) \
    select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, \
      value ->> 5, unhex(value ->> 6), value ->> 7, value ->> 8, value ->> 9 \
    from json_each($1) where true on conflict (schedule_id, fire_at) do nothing returning id"
  } else {
    "insert into sched_fire (id, schedule_id, schedule_rev, fire_at, decision, reason, task_id, \
      count, from_at, to_at) \
    select (v ->> 0)::uuid, (v ->> 1)::uuid, (v ->> 2)::bigint, \
      to_timestamp(0) + (v ->> 3)::bigint * interval '1 microsecond', v ->> 4, v ->> 5, \
      (v ->> 6)::uuid, (v ->> 7)::bigint, \
      to_timestamp(0) + (v ->> 8)::bigint * interval '1 microsecond', \
      to_timestamp(0) + (v ->> 9)::bigint * interval '1 microsecond' \
    from jsonb_array_elements($1::jsonb) as r(v) \
    on conflict (schedule_id, fire_at) do nothing returning id"
  };
  let rows: Vec<Row1<Uuid>> = conn.fetch_sql(sql, vec![conn_rows]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Rows as one JSON text: instants in microseconds.
fn fires_json(conn: &Conn, fires: &[&FireEntity]) -> Param {
  let rows = fires.iter().map(|fire| {
    json!([
      fire.id.0.simple().to_string(),
      fire.schedule_id.0.simple().to_string(),
      fire.schedule_rev,
      fire.fire_at.micros(),
      fire.decision,
      fire.reason,
      fire.task_id.map(|id| id.0.simple().to_string()),
      fire.count,
      fire.from_at.map(Ts::micros),
      fire.to_at.map(Ts::micros),
    ])
  });
  as_rows(conn, Value::Array(rows.collect()))
}

/// One more part of a stretch that calendars leave out.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowMore<'a> {
  /// The schedule, locked, as it was read.
  pub schedule: &'a ScheduleEntity,
  /// Why its instants are left out.
  pub reason: &'a str,
  /// How many more.
  pub count: i64,
  /// The last of them.
  pub to: Ts,
}

/// Counts instants to the row of the stretch that they go on with, so that a long one is one row.
/// Returns the schedules whose newest row was such a one.
///
/// # Errors
/// Any [`DbError`].
pub async fn extend_windows(
  conn: &mut Conn,
  more: &[WindowMore<'_>],
) -> Result<std::collections::HashSet<ScheduleId>, DbError> {
  if more.is_empty() {
    return Ok(Default::default());
  }
  let rows = more.iter().map(|one| {
    json!([
      one.schedule.id.0.simple().to_string(),
      one.schedule.rev,
      one.schedule.last_run_at.map(Ts::micros),
      one.reason,
      one.count,
      one.to.micros(),
    ])
  });
  let rows = as_rows(conn, Value::Array(rows.collect()));
  let sql = if conn.is_sqlite() {
    "update sched_fire set count = count + (r.value ->> 4), from_at = fire_at, \
      to_at = r.value ->> 5 \
    from json_each($1) r where schedule_id = unhex(r.value ->> 0) \
      and fire_at = (select max(l.fire_at) from sched_fire l \
        where l.schedule_id = unhex(r.value ->> 0)) \
      and decision = 'skipped_window' and schedule_rev = r.value ->> 1 and reason = r.value ->> 3 \
      and coalesce(to_at, fire_at) = r.value ->> 2 returning schedule_id"
  } else {
    "update sched_fire f set count = f.count + (v ->> 4)::bigint, from_at = f.fire_at, \
      to_at = to_timestamp(0) + (v ->> 5)::bigint * interval '1 microsecond' \
    from jsonb_array_elements($1::jsonb) as r(v) where f.schedule_id = (v ->> 0)::uuid \
      and f.fire_at = (select max(l.fire_at) from sched_fire l \
        where l.schedule_id = (v ->> 0)::uuid) \
      and f.decision = 'skipped_window' and f.schedule_rev = (v ->> 1)::bigint \
      and f.reason = v ->> 3 and coalesce(f.to_at, f.fire_at) \
        = to_timestamp(0) + (v ->> 2)::bigint * interval '1 microsecond' \
    returning f.schedule_id"
  };
  let found: Vec<Row1<ScheduleId>> = conn.fetch_sql(sql, vec![rows]).await?;
  Ok(found.into_iter().map(|row| row.0).collect())
}

fn as_rows(conn: &Conn, rows: Value) -> Param {
  if conn.is_sqlite() { text(rows) } else { Param::Json(Some(Box::new(rows))) }
}

/// Moves the cursors of locked schedules.
///
/// # Errors
/// Any [`DbError`].
pub async fn write_cursors(
  conn: &mut Conn,
  cursors: &[(ScheduleId, ScheduleCursor)],
) -> Result<(), DbError> {
  if cursors.is_empty() {
    return Ok(());
  }
  let rows = cursors.iter().map(|(id, cursor)| {
    json!([
      id.0.simple().to_string(),
      cursor.status,
      cursor.status_reason,
      cursor.next_run_at.map(Ts::micros),
      cursor.last_run_at.map(Ts::micros),
      cursor.run_count,
      cursor.skip_next,
    ])
  });
  let rows = as_rows(conn, Value::Array(rows.collect()));
  let sql = if conn.is_sqlite() {
    "update sched_schedule set status = r.value ->> 1, status_reason = r.value ->> 2, \
      next_run_at = r.value ->> 3, last_run_at = r.value ->> 4, run_count = r.value ->> 5, \
      skip_next = r.value ->> 6 \
    from json_each($1) r where sched_schedule.id = unhex(r.value ->> 0)"
  } else {
    "update sched_schedule s set status = v ->> 1, status_reason = v ->> 2, \
      next_run_at = to_timestamp(0) + (v ->> 3)::bigint * interval '1 microsecond', \
      last_run_at = to_timestamp(0) + (v ->> 4)::bigint * interval '1 microsecond', \
      run_count = (v ->> 5)::bigint, skip_next = (v ->> 6)::bigint \
    from jsonb_array_elements($1::jsonb) as r(v) where s.id = (v ->> 0)::uuid"
  };
  conn.execute_sql(sql, vec![rows]).await.map(drop)
}

/// Switches a schedule off whose row may not even be readable. `None`: it was off already.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_broken(
  conn: &mut Conn,
  id: ScheduleId,
  reason: &str,
) -> Result<Option<(NamespaceId, String)>, DbError> {
  let sql = "update sched_schedule set status = 'disabled', status_reason = $1, \
    next_run_at = null where id = $2 and status = 'enabled' returning namespace_id, name";
  let rows: Vec<(NamespaceId, String)> =
    conn.fetch_sql(sql, vec![text(reason), uuid(id.0)]).await?;
  Ok(rows.into_iter().next())
}

/// Paused schedules whose time is over.
///
/// # Errors
/// Any [`DbError`].
pub async fn pauses_over(conn: &mut Conn, now: Ts, limit: i64) -> Result<Vec<ScheduleId>, DbError> {
  let sql = "select id from sched_schedule where status = 'paused' and paused_until <= $1 limit $2";
  let values = vec![ts(now), Param::BigInt(Some(limit))];
  let rows: Vec<Row1<ScheduleId>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Schedules of which nothing runs and something waits.
///
/// # Errors
/// Any [`DbError`].
pub async fn releasable(conn: &mut Conn, limit: i64) -> Result<Vec<ScheduleId>, DbError> {
  let sql = "select distinct w.schedule_id from sched_task_hot w \
    where w.status = 'blocked' and w.schedule_id is not null \
      and not exists (select 1 from sched_task_hot h where h.schedule_id = w.schedule_id \
        and h.status <> 'blocked') limit $1";
  let rows: Vec<Row1<ScheduleId>> = conn.fetch_sql(sql, vec![Param::BigInt(Some(limit))]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// A task that was let go.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Released {
  /// The task.
  pub task_id: TaskId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its class.
  pub class_id: i64,
  /// Its priority.
  pub priority: i64,
  /// When it may start.
  pub eligible_at: Ts,
}

/// Lets the next waiting run of a schedule go, if still nothing of it runs: the oldest, or the most
/// urgent one.
///
/// # Errors
/// Any [`DbError`].
pub async fn release_next(
  conn: &mut Conn,
  id: ScheduleId,
  (by_priority, now): (bool, Ts),
) -> Result<Option<Released>, DbError> {
  let order =
    if by_priority { "priority desc, scheduled_at, task_id" } else { "scheduled_at, task_id" };
  let sql = format!(
    "update sched_task_hot set status = 'pending', updated_at = $2 \
    where status = 'blocked' and task_id = (select w.task_id from sched_task_hot w \
        where w.schedule_id = $1 and w.status = 'blocked' order by {order} limit 1) \
      and not exists (select 1 from sched_task_hot h where h.schedule_id = $1 \
        and h.status <> 'blocked') \
    returning task_id, namespace_id, class_id, priority, eligible_at"
  );
  let rows: Vec<Released> = conn.fetch_text(sql, vec![uuid(id.0), ts(now)]).await?;
  Ok(rows.into_iter().next())
}

/// Schedules whose next instant depends on the end of a run, and no run of theirs is alive.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting_for_end(conn: &mut Conn, limit: i64) -> Result<Vec<ScheduleId>, DbError> {
  let sql = "select s.id from sched_schedule s where s.status = 'enabled' \
      and s.next_run_at is null and s.interval_from = 'end' \
      and not exists (select 1 from sched_task_hot h where h.schedule_id = s.id) limit $1";
  let rows: Vec<Row1<ScheduleId>> = conn.fetch_sql(sql, vec![Param::BigInt(Some(limit))]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// When the newest planned run of a schedule ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_end(conn: &mut Conn, id: ScheduleId) -> Result<Option<Ts>, DbError> {
  let sql = "select max(i.completed_at) from sched_task_instance i where i.task_id = \
      (select t.id from sched_task t where t.schedule_id = $1 \
        and t.trigger_source in ('schedule', 'catchup') order by t.scheduled_at desc limit 1)";
  let rows: Vec<Row1<Option<Ts>>> = conn.fetch_sql(sql, vec![uuid(id.0)]).await?;
  Ok(rows.into_iter().next().and_then(|row| row.0))
}

/// Sets the next instant of a schedule that is enabled and has none.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_next_if_none(
  conn: &mut Conn,
  id: ScheduleId,
  (status, next): (&str, Option<Ts>),
) -> Result<bool, DbError> {
  let sql = "update sched_schedule set next_run_at = $1, status = $2 \
    where id = $3 and status = 'enabled' and next_run_at is null";
  let values = vec![ts_option(next), text(status), uuid(id.0)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}
