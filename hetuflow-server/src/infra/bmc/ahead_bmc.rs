//! What is planned ahead and taken back: tasks that nobody has claimed, with their fires.

use std::collections::BTreeMap;

use hetuflow_core::{NamespaceId, ScheduleId, TaskId, Ts};
use sea_query::Value as Param;
use serde_json::{Value, json};

use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError};

/// Whose plans.
#[derive(Debug, Clone, Copy)]
pub enum Ahead<'a> {
  /// Of one schedule.
  Schedule(ScheduleId),
  /// Of these schedules.
  Schedules(&'a [ScheduleId]),
  /// Of all schedules of a namespace.
  Namespace(&'a NamespaceId),
  /// Of all schedules.
  All,
}

impl Ahead<'_> {
  /// The condition on live rows, with `$1` for whose.
  fn condition(self, sqlite: bool) -> (&'static str, Vec<Param>) {
    match self {
      Self::Schedule(id) => ("schedule_id = $1", vec![uuid(id.0)]),
      Self::Schedules(ids) => {
        let rows = ids.iter().map(|id| Value::String(id.0.simple().to_string()));
        let rows = Value::Array(rows.collect());
        if sqlite {
          ("schedule_id in (select unhex(value) from json_each($1))", vec![text(rows)])
        } else {
          let wanted = "schedule_id in (select (v #>> '{}')::uuid \
            from jsonb_array_elements($1::jsonb) as r(v))";
          (wanted, vec![Param::Json(Some(Box::new(rows)))])
        }
      }
      Self::Namespace(id) => ("schedule_id is not null and namespace_id = $1", vec![text(id)]),
      Self::All => ("schedule_id is not null and '' = $1", vec![text("")]),
    }
  }
}

/// What was taken back of one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack {
  /// The schedule.
  pub schedule_id: ScheduleId,
  /// The first of its instants.
  pub first: Ts,
  /// How many runs.
  pub runs: i64,
}

/// Takes back what is planned after an instant and not claimed: live rows, tasks and fires.
///
/// # Errors
/// Any [`DbError`].
pub async fn take_back(
  conn: &mut Conn,
  whose: Ahead<'_>,
  after: Ts,
) -> Result<Vec<TakenBack>, DbError> {
  let (condition, mut values) = whose.condition(conn.is_sqlite());
  let sql = format!(
    "delete from sched_task_hot where {condition} and status = 'pending' and scheduled_at > $2 \
    returning task_id, schedule_id, scheduled_at"
  );
  values.push(ts(after));
  let gone: Vec<(TaskId, ScheduleId, Ts)> = conn.fetch_text(sql, values).await?;
  if gone.is_empty() {
    return Ok(Vec::new());
  }
  let rows = gone.iter().map(|(task, schedule, at)| {
    json!([task.0.simple().to_string(), schedule.0.simple().to_string(), at.micros()])
  });
  let rows = Value::Array(rows.collect());
  let sqlite = conn.is_sqlite();
  let param = || if sqlite { text(&rows) } else { Param::Json(Some(Box::new(rows.clone()))) };
  let (tasks, fires) = if sqlite {
    (
      "delete from sched_task where id in (select unhex(value ->> 0) from json_each($1))",
      "delete from sched_fire where (schedule_id, fire_at) in \
        (select unhex(value ->> 1), value ->> 2 from json_each($1)) and decision = 'fired'",
    )
  } else {
    (
      "delete from sched_task where id in \
        (select (v ->> 0)::uuid from jsonb_array_elements($1::jsonb) as r(v))",
      "delete from sched_fire where (schedule_id, fire_at) in \
        (select (v ->> 1)::uuid, to_timestamp(0) + (v ->> 2)::bigint * interval '1 microsecond' \
          from jsonb_array_elements($1::jsonb) as r(v)) and decision = 'fired'",
    )
  };
  conn.execute_sql(tasks, vec![param()]).await?;
  conn.execute_sql(fires, vec![param()]).await?;
  let mut found: BTreeMap<ScheduleId, TakenBack> = BTreeMap::new();
  for (_, schedule_id, at) in gone {
    let one = found.entry(schedule_id).or_insert(TakenBack { schedule_id, first: at, runs: 0 });
    one.first = one.first.min(at);
    one.runs += 1;
  }
  Ok(found.into_values().collect())
}

/// Plans anew from the instants on whose runs were taken back. A schedule that was used up by them
/// is not.
///
/// # Errors
/// Any [`DbError`].
pub async fn step_back(conn: &mut Conn, taken: &[TakenBack]) -> Result<(), DbError> {
  let sql = if conn.is_sqlite() {
    "update sched_schedule set next_run_at = min(coalesce(next_run_at, $1), $1), \
      run_count = max(run_count - $2, 0), \
      status = case when status = 'expired' then 'enabled' else status end, \
      status_reason = case when status = 'expired' then null else status_reason end where id = $3"
  } else {
    "update sched_schedule set next_run_at = least(next_run_at, $1), \
      run_count = greatest(run_count - $2, 0), \
      status = case when status = 'expired' then 'enabled' else status end, \
      status_reason = case when status = 'expired' then null else status_reason end where id = $3"
  };
  for one in taken {
    let values = vec![ts(one.first), Param::BigInt(Some(one.runs)), uuid(one.schedule_id.0)];
    conn.execute_sql(sql, values).await?;
  }
  Ok(())
}

/// Asks for a stop of what an agent has in hand, and is to start after an instant. Returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn stop_claimed(
  conn: &mut Conn,
  whose: Ahead<'_>,
  (after, reason): (Ts, &str),
) -> Result<u64, DbError> {
  let (condition, mut values) = whose.condition(conn.is_sqlite());
  let sql = format!(
    "update sched_task_hot set status = 'cancelling', stop_kind = 'stop', stop_reason = $3, \
      stop_grace_ms = null \
    where {condition} and status in ('locked', 'dispatched') and scheduled_at > $2 \
    returning task_id"
  );
  values.extend([ts(after), text(reason)]);
  let rows: Vec<crate::infra::db::Row1<TaskId>> = conn.fetch_text(sql, values).await?;
  Ok(rows.len() as u64)
}
