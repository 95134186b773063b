//! `sched_task_mark`: what people say about tasks.

use hetuflow_core::{TaskId, TaskMark};

use super::{json, ts, uuid};
use crate::infra::db::{Conn, DbError};

/// Writes a mark, in place of an earlier one.
///
/// # Errors
/// Any [`DbError`].
pub async fn put(conn: &mut Conn, task: TaskId, mark: &TaskMark) -> Result<(), DbError> {
  let sql = "insert into sched_task_mark (task_id, mark, at) values ($1, $2, $3) \
    on conflict (task_id) do update set mark = excluded.mark, at = excluded.at";
  conn.execute_sql(sql, vec![uuid(task.0), json(mark), ts(mark.at)]).await.map(drop)
}
