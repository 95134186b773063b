//! A task that somebody starts past what it waits for.

use hetuflow_core::{TaskId, Ts};

use super::super::{ts, uuid};
use crate::infra::db::{Conn, DbError};

/// Opens the way for a task that waits: its instant is now, no limit and no earlier run holds it.
/// Returns whether it still waited for one of these.
///
/// # Errors
/// Any [`DbError`].
pub async fn force_if_held(conn: &mut Conn, task: TaskId, now: Ts) -> Result<bool, DbError> {
  let sql = "update sched_task_hot set gate = -abs(gate), \
      status = case when status = 'blocked' then 'pending' else status end, \
      eligible_at = case when eligible_at > $1 then $1 else eligible_at end, updated_at = $1 \
    where task_id = $2 and status in ('pending', 'waiting_retry', 'blocked') \
      and (status = 'blocked' or gate > 0 or eligible_at > $1)";
  Ok(conn.execute_sql(sql, vec![ts(now), uuid(task.0)]).await? == 1)
}
