//! What agents have in hand, for lists.

use hetuflow_core::{AgentEntity, AgentFilter, AgentId, ServerEntity};

use super::sql_text::SqlText;
use super::{PageArgs, agent_bmc, server_bmc};
use crate::infra::db::{Conn, DbError};

/// Agents that one list looks at.
const AGENTS_MAX: i64 = 10_000;
/// Servers that one list looks at.
const SERVERS_MAX: i64 = 1000;

/// All agents, by name.
///
/// # Errors
/// Any [`DbError`].
pub async fn all(conn: &mut Conn) -> Result<Vec<AgentEntity>, DbError> {
  let page = PageArgs::first(AGENTS_MAX);
  Ok(agent_bmc::list(conn, &AgentFilter::default(), &page).await?.data)
}

/// All servers, by name.
///
/// # Errors
/// Any [`DbError`].
pub async fn servers(conn: &mut Conn) -> Result<Vec<ServerEntity>, DbError> {
  Ok(server_bmc::list(conn, &PageArgs::first(SERVERS_MAX)).await?.data)
}

/// Tasks on each agent, of all namespaces.
///
/// # Errors
/// Any [`DbError`].
pub async fn tasks_in_hand(conn: &mut Conn) -> Result<Vec<(AgentId, i64)>, DbError> {
  let sql = SqlText::new(
    "select agent_id, count(*) from sched_task_hot where agent_id is not null \
     and status in ('locked', 'dispatched', 'running', 'paused', 'cancelling') group by agent_id",
  );
  sql.fetch(conn).await
}
