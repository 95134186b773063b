//! Priorities that rise with waiting: stored, so that the claim stays one exact range.

use hetuflow_core::Ts;
use sea_query::Value;

use super::super::ts;
use crate::infra::db::{Conn, DbError};

/// Tasks whose priority one call raises.
pub const AGED_AT_ONCE: i64 = 500;
/// The most that waiting adds to a priority: from the lowest to over the highest.
pub const AGED_MAX: i64 = 2001;

/// A range whose tasks may rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeingRange {
  /// Tasks that can be claimed: class and priority.
  Claimable(i64, i64),
  /// Tasks that limits hold: the number of their demands and priority.
  Held(i64, i64),
}

/// Raises the priority of tasks that have waited for at least one more `step`, the longest first:
/// by one for every step of their wait. Returns where they are now: class and priority.
///
/// # Errors
/// Any [`DbError`].
pub async fn age_waiting(
  conn: &mut Conn,
  range: AgeingRange,
  (step_us, now): (i64, Ts),
) -> Result<Vec<(i64, i64)>, DbError> {
  let (place, key, priority) = match range {
    AgeingRange::Claimable(class, priority) => ("class_id = $1 and gate <= 0", class, priority),
    AgeingRange::Held(gate, priority) => ("gate = $1 and gate > 0", gate, priority),
  };
  let sql = if conn.is_sqlite() {
    format!(
      "update sched_task_hot set priority = priority - aged \
          + min($5, ($3 - eligible_at) / $4), aged = min($5, ($3 - eligible_at) / $4) \
        where task_id in (select task_id from sched_task_hot where {place} and priority = $2 \
          and status in ('pending', 'waiting_retry') and eligible_at <= $3 - $4 and aged < $5 \
          and eligible_at + (aged + 1) * $4 <= $3 order by eligible_at limit $6) \
        returning class_id, priority"
    )
  } else {
    format!(
      "with due as materialized (select task_id, least($5::bigint, \
          floor(extract(epoch from ($3::timestamptz - eligible_at)) * 1000000 / $4::bigint)::bigint) \
          as target from sched_task_hot where {place} and priority = $2 \
          and status in ('pending', 'waiting_retry') \
          and eligible_at <= $3::timestamptz - $4::bigint * interval '1 microsecond' and aged < $5 \
          and eligible_at + (aged + 1) * $4::bigint * interval '1 microsecond' <= $3 \
          order by eligible_at limit $6 for update skip locked) \
        update sched_task_hot h set priority = h.priority - h.aged + d.target, aged = d.target \
        from due d where h.task_id = d.task_id returning h.class_id, h.priority"
    )
  };
  let number = |value| Value::BigInt(Some(value));
  let values = vec![
    number(key),
    number(priority),
    ts(now),
    number(step_us),
    number(AGED_MAX),
    number(AGED_AT_ONCE),
  ];
  conn.fetch_text(sql, values).await
}
