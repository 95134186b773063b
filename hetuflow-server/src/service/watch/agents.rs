//! Rows of agents.

use std::collections::HashMap;

use hetuflow_core::{AgentEntity, AgentId, AgentRow, AgentStatus, FilterScope, NamespaceId, Ts};

use super::answer::Found;
use super::question::Question;
use crate::infra::bmc::watch_agents;
use crate::infra::db::Conn;
use crate::service::SvcResult;
use crate::service::agent_svc::serves;
use crate::service::row_match::Wanted;

/// A window of agents, by name.
///
/// # Errors
/// Any database error.
pub(super) async fn find(conn: &mut Conn, question: &Question, now: Ts) -> SvcResult<Found> {
  let wanted = Wanted::read(&question.filter, &question.sort, FilterScope::Agents)?;
  let mut rows = agent_rows(conn, question.own.as_ref()).await?;
  let total = rows.len() as u64;
  rows.retain(|row| wanted.fits(row, now));
  wanted.order(&mut rows, now);
  let matched = rows.len() as u64;
  // Signs of life are not in the journal.
  Ok(Found::rows(&question.cut(rows)).counted(matched, total).ageing())
}

/// All agents that the asker may know of.
///
/// # Errors
/// Any database error.
pub(in crate::service) async fn agent_rows(
  conn: &mut Conn,
  own: Option<&NamespaceId>,
) -> SvcResult<Vec<AgentRow>> {
  let agents = watch_agents::all(conn).await?;
  let in_hand: HashMap<AgentId, i64> =
    watch_agents::tasks_in_hand(conn).await?.into_iter().collect();
  let seen = agents.into_iter().filter(|agent| serves(agent, own));
  Ok(seen.map(|agent| agent_row(agent, &in_hand)).collect())
}

fn agent_row(agent: AgentEntity, in_hand: &HashMap<AgentId, i64>) -> AgentRow {
  let running = in_hand.get(&agent.id).copied().unwrap_or(0);
  let figure = |name: &str| agent.statistics.as_ref().and_then(|all| all[name].as_f64());
  AgentRow {
    why: why(&agent, running),
    status: match agent.status {
      AgentStatus::Offline | AgentStatus::Error => agent.status,
      _ if agent.drain_since.is_some() && agent.drained_at.is_none() => AgentStatus::Draining,
      status => status,
    },
    cordoned: agent.cordoned,
    running: u32::try_from(running).unwrap_or(0),
    slots: agent.capabilities.max_concurrent_tasks,
    cpu_percent: figure("cpu_usage"),
    memory_percent: figure("memory_usage"),
    last_heartbeat_at: agent.last_heartbeat_at,
    labels: agent.labels,
    version: agent.version,
    hostname: agent.hostname,
    os_info: agent.os_info,
    task_types: agent.capabilities.supported_task_types,
    clock_offset_ms: agent.clock_offset_ms,
    server_id: agent.server_id,
    connections: agent.connection_epoch,
    id: agent.id,
  }
}

fn why(agent: &AgentEntity, running: i64) -> String {
  match agent.status {
    AgentStatus::Offline if running > 0 => format!("offline with {running} tasks"),
    AgentStatus::Offline => "offline".to_owned(),
    AgentStatus::Error => "reports an error".to_owned(),
    _ if agent.drain_since.is_some() => drain_words(agent, running),
    _ if agent.cordoned => "takes nothing new".to_owned(),
    _ => String::new(),
  }
}

fn drain_words(agent: &AgentEntity, running: i64) -> String {
  let reason = agent.drain_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
  match (agent.drained_at, agent.drain_deadline) {
    (Some(_), _) => format!("drained{reason}"),
    (None, Some(deadline)) => format!("drains until {deadline}, {running} tasks left{reason}"),
    (None, None) => format!("drains, {running} tasks left{reason}"),
  }
}
