//! What agents carry of tasks that ask for room: counted from the live rows, never kept.

use hetuflow_core::AgentId;

use super::super::sql_text::SqlText;
use super::super::text;
use crate::infra::db::{Conn, DbError};

/// Tasks with needs on each of these agents, by class.
///
/// # Errors
/// Any [`DbError`].
pub async fn carried(
  conn: &mut Conn,
  agents: &[&AgentId],
) -> Result<Vec<(AgentId, i64, i64)>, DbError> {
  let mut sql = SqlText::new(
    "select agent_id, class_id, count(*) from sched_task_hot \
     where class_id < 0 and agent_id is not null and agent_id in ",
  );
  sql.bind_list(agents.iter().map(text));
  sql.push(
    " and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling') \
     group by agent_id, class_id",
  );
  sql.fetch(conn).await
}
