//! Rows of servers.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{AgentStatus, ServerId, ServerRow, ServerStatus, Ts};

use super::answer::Found;
use super::hub::WatchSvc;
use super::question::Question;
use crate::infra::bmc::watch_agents;
use crate::infra::db::Conn;
use crate::service::SvcResult;

/// A server that was not heard of for so long is not there.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A window of servers, by name.
///
/// # Errors
/// Any database error.
pub(super) async fn find(
  hub: &WatchSvc,
  conn: &mut Conn,
  question: &Question,
  now: Ts,
) -> SvcResult<Found> {
  let rows = server_rows(hub, conn, now).await?;
  let total = rows.len() as u64;
  Ok(Found::rows(&question.cut(rows)).counted(total, total).ageing())
}

/// All servers on this store.
///
/// # Errors
/// Any database error.
pub(super) async fn server_rows(
  hub: &WatchSvc,
  conn: &mut Conn,
  now: Ts,
) -> SvcResult<Vec<ServerRow>> {
  let mut agents: HashMap<ServerId, u32> = HashMap::new();
  for agent in watch_agents::all(conn).await? {
    if let Some(server) = agent.server_id.filter(|_| agent.status != AgentStatus::Offline) {
      *agents.entry(server).or_default() += 1;
    }
  }
  let servers = watch_agents::servers(conn).await?.into_iter();
  let rows = servers.map(|server| {
    let silent = now.since(server.last_heartbeat_at) > SILENCE_MAX;
    ServerRow {
      address: server.address,
      status: if silent { ServerStatus::Inactive } else { server.status },
      version: server.version,
      started_at: server.started_at,
      last_heartbeat_at: server.last_heartbeat_at,
      agents: agents.get(&server.id).copied().unwrap_or(0),
      figures: if server.id == hub.server { (hub.figures)() } else { Default::default() },
      id: server.id,
    }
  });
  Ok(rows.collect())
}
