//! Agents in the older words.

use hetuflow_core::{
  AgentCapabilities, AgentEntity, AgentId, AgentStatus, Labels, NamespaceId, Role, Topic,
  V0_CAPABILITY_PREFIX, V0Agent, V0AgentForCreate,
};
use serde_json::json;

use super::V0Svc;
use crate::infra::bmc::{agent_bmc, watch_agents};
use crate::service::agent_svc::serves;
use crate::service::store::Work;
use crate::service::{Actor, SvcError, SvcResult};

impl V0Svc {
  /// All agents that the asker may know of; with `online` those that are connected.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list_agents(&self, actor: &Actor, online: bool) -> SvcResult<Vec<V0Agent>> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let all = watch_agents::all(&mut conn).await?;
    let own = actor.namespace_id.as_ref();
    let seen = all.into_iter().filter(|agent| serves(agent, own));
    Ok(seen.filter(|agent| !online || is_active(agent.status)).map(shown).collect())
  }

  /// Makes an agent known before it connects. Its capabilities stay when it does.
  ///
  /// # Errors
  /// 403 below administration, 409 for a name in use, or the broken rules.
  pub async fn create_agent(&self, actor: &Actor, new: &V0AgentForCreate) -> SvcResult<V0Agent> {
    actor.require_everywhere(Role::Admin)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = insert(&mut work, actor, new).await;
    Ok(shown(work.end(outcome).await?))
  }
}

async fn insert(work: &mut Work, actor: &Actor, new: &V0AgentForCreate) -> SvcResult<AgentEntity> {
  let id = AgentId::new(new.name.as_str()).map_err(|_| SvcError::not_found("agent", &new.name))?;
  if agent_bmc::get(&mut work.tx, &id).await?.is_some() {
    let message = format!("an agent named \"{id}\" exists");
    return Err(SvcError::conflict("name.taken", "/name", message));
  }
  let label = |name: &String| (format!("{V0_CAPABILITY_PREFIX}{name}"), "true".to_owned());
  let labels: Labels = new.capabilities.iter().map(label).collect();
  let agent = AgentEntity {
    id,
    description: String::new(),
    status: AgentStatus::Offline,
    capabilities: AgentCapabilities::default(),
    labels: labels.clone(),
    given_labels: labels,
    namespaces: Vec::new(),
    statistics: None,
    hostname: String::new(),
    os_info: String::new(),
    version: String::new(),
    boot_id: String::new(),
    journal_id: String::new(),
    agent_epoch: 0,
    connection_epoch: 0,
    server_id: None,
    acked_seq: 0,
    clock_offset_ms: None,
    cordoned: false,
    drain_since: None,
    drain_deadline: None,
    drain_reason: None,
    drain_then: None,
    drained_at: None,
    last_heartbeat_at: None,
    created_at: work.now,
    updated_at: work.now,
    version_skew: None,
  };
  agent_bmc::register(&mut work.tx, &agent).await?;
  let data = json!({ "source": "legacy", "by": actor.name, "capabilities": new.capabilities });
  let subject = (Topic::Agent, agent.id.to_string());
  work.note(&NamespaceId::default(), subject, "agent.created", data);
  Ok(agent)
}

fn is_active(status: AgentStatus) -> bool {
  use AgentStatus::{Busy, Cordoned, Draining, Idle, Online};
  matches!(status, Idle | Busy | Online | Draining | Cordoned)
}

fn shown(agent: AgentEntity) -> V0Agent {
  let labels = agent.labels.iter().filter(|(_, value)| *value == "true");
  let mut capabilities: Vec<String> = labels
    .filter_map(|(key, _)| Some(key.strip_prefix(V0_CAPABILITY_PREFIX)?.to_owned()))
    .collect();
  capabilities.extend(agent.capabilities.supported_task_types);
  capabilities.sort();
  capabilities.dedup();
  let status = if is_active(agent.status) { "active" } else { "inactive" };
  V0Agent {
    name: agent.id.to_string(),
    id: agent.id,
    status: status.to_owned(),
    capabilities,
    last_heartbeat: agent.last_heartbeat_at,
  }
}
