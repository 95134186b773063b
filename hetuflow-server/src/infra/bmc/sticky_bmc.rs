//! `sched_sticky`: which agent ran last what tasks stick to.

use hetuflow_core::{AgentId, NamespaceId, Ts};

use super::{text, ts};
use crate::infra::db::{Conn, DbError, Row1};

/// The agent that ran it last.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_agent(
  conn: &mut Conn,
  namespace: &NamespaceId,
  key: &str,
) -> Result<Option<AgentId>, DbError> {
  // An agent that is forgotten holds nobody.
  let sql = "select s.agent_id from sched_sticky s join sched_agent a on a.id = s.agent_id \
    where s.namespace_id = $1 and s.sticky_key = $2";
  let rows: Vec<Row1<AgentId>> = conn.fetch_sql(sql, vec![text(namespace), text(key)]).await?;
  Ok(rows.into_iter().next().map(|row| row.0))
}

/// Notes the agent that runs it now, if that is another one than before.
///
/// # Errors
/// Any [`DbError`].
pub async fn note(
  conn: &mut Conn,
  (namespace, key): (&NamespaceId, &str),
  agent: &AgentId,
  now: Ts,
) -> Result<(), DbError> {
  let sql = "insert into sched_sticky (namespace_id, sticky_key, agent_id, updated_at) \
    values ($1, $2, $3, $4) on conflict (namespace_id, sticky_key) \
    do update set agent_id = excluded.agent_id, updated_at = excluded.updated_at \
    where sched_sticky.agent_id <> excluded.agent_id";
  let values = vec![text(namespace), text(key), text(agent), ts(now)];
  conn.execute_sql(sql, values).await.map(drop)
}
