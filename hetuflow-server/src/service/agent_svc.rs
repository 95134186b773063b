//! Agents as people see and steer them; what agents say of themselves is the gateway's.

use hetuflow_core::{
  AgentEntity, AgentFilter, AgentForUpdate, AgentId, AgentStatus, FieldError, NamespaceId, Page,
  Role, Topic,
};
use serde_json::{Value, json};

use super::store::{PageArgs, Store, Work, check_mask};
use super::{Actor, SvcError, SvcResult, near_name};
use crate::infra::bmc::agent_bmc;
use crate::infra::bmc::watch_names::Named;

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 16 << 10;

/// Use cases of agents.
#[derive(Clone)]
pub struct AgentSvc {
  store: Store,
}

impl AgentSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Reads a page; a token of one namespace sees the agents that serve it, so that its pages may
  /// be shorter than asked for.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &AgentFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<AgentEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let mut found = agent_bmc::list(&mut conn, filter, page).await?;
    found.data.retain(|agent| sees(actor, agent));
    Ok(found)
  }

  /// Reads one.
  ///
  /// # Errors
  /// 404 when there is none that the asker may see.
  pub async fn get(&self, actor: &Actor, id: &str) -> SvcResult<AgentEntity> {
    actor.require_role(Role::Viewer)?;
    let missing = || SvcError::not_found("agent", id);
    let name = AgentId::new(id).map_err(|_| missing())?;
    let mut conn = self.store.read().await?;
    let found = agent_bmc::get(&mut conn, &name).await?;
    match found.filter(|agent| sees(actor, agent)) {
      Some(agent) => Ok(agent),
      // A token of one namespace is not told the names of agents that it may not see.
      None if actor.namespace_id.is_some() => Err(missing()),
      None => {
        let kind = (Named::Agent, &NamespaceId::default());
        Err(near_name::missing(&mut conn, kind, id).await)
      }
    }
  }

  /// Changes what people may change.
  ///
  /// # Errors
  /// 404, 403 below administration, or the broken rules.
  pub async fn update(
    &self,
    actor: &Actor,
    id: &str,
    change: &AgentForUpdate,
  ) -> SvcResult<AgentEntity> {
    let agent = self.get(actor, id).await?;
    actor.require_everywhere(Role::Admin)?;
    let mut errors = Vec::new();
    check_mask(change.update_mask.as_deref(), &["description"], &mut errors);
    let description = change.description.as_deref().unwrap_or_default();
    if description.len() > DESCRIPTION_BYTES_MAX || description.contains('\0') {
      let message = format!("text of at most {DESCRIPTION_BYTES_MAX} bytes without NUL is allowed");
      errors.push(FieldError::new("text.too_long", "/description", message));
    }
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = match agent_bmc::update(&mut work.tx, &agent.id, change, work.now).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(SvcError::not_found("agent", id)),
      Err(error) => Err(error.into()),
    };
    tell(&mut work, &agent.id, "agent.updated", json!({ "description": change.description }));
    work.end(outcome).await?;
    self.get(actor, id).await
  }

  /// Makes an agent take nothing new, or lets it take again.
  ///
  /// # Errors
  /// 404, 403 below administration.
  pub async fn set_cordoned(
    &self,
    actor: &Actor,
    id: &str,
    cordoned: bool,
  ) -> SvcResult<AgentEntity> {
    let agent = self.get(actor, id).await?;
    actor.require_everywhere(Role::Admin)?;
    let mut work = self.store.work().await?;
    let outcome = match agent_bmc::set_cordoned(&mut work.tx, &agent.id, cordoned).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(SvcError::not_found("agent", id)),
      Err(error) => Err(error.into()),
    };
    let event = if cordoned { "agent.cordoned" } else { "agent.uncordoned" };
    tell(&mut work, &agent.id, event, json!({ "cordoned": cordoned }));
    work.end(outcome).await?;
    // Whoever holds its connection must look again; the next claim already knows.
    self.store.bus.look_anew.store(true, std::sync::atomic::Ordering::Release);
    self.store.bus.control.notify_one();
    self.store.bus.dispatch.notify_one();
    self.get(actor, id).await
  }

  /// Forgets an agent that is gone.
  ///
  /// # Errors
  /// 409 while it is online; 404, 403.
  pub async fn delete(&self, actor: &Actor, id: &str) -> SvcResult<()> {
    let agent = self.get(actor, id).await?;
    actor.require_everywhere(Role::Admin)?;
    let mut work = self.store.work().await?;
    let outcome = remove(&mut work, &agent.id).await;
    work.end(outcome).await
  }
}

/// Whether the asker may know of this agent.
fn sees(actor: &Actor, agent: &AgentEntity) -> bool {
  serves(agent, actor.namespace_id.as_ref())
}

/// Whether an agent serves a namespace; none is all of them.
pub(super) fn serves(agent: &AgentEntity, namespace: Option<&NamespaceId>) -> bool {
  let Some(own) = namespace else { return true };
  agent.namespaces.is_empty() || agent.namespaces.iter().any(|served| served == own.as_str())
}

async fn remove(work: &mut Work, id: &AgentId) -> SvcResult<()> {
  let missing = || SvcError::not_found("agent", id.as_str());
  let agent = agent_bmc::get(&mut work.tx, id).await?.ok_or_else(missing)?;
  if agent.status != AgentStatus::Offline {
    let message = format!("agent \"{id}\" is {}; stop it first", agent.status);
    return Err(SvcError::conflict("agent.online", "/id", message));
  }
  if !agent_bmc::delete(&mut work.tx, id).await? {
    return Err(missing());
  }
  tell(work, id, "agent.deleted", Value::Null);
  Ok(())
}

/// Agents serve many namespaces; their events go by the default one.
fn tell(work: &mut Work, id: &AgentId, event: &str, data: Value) {
  work.note(&NamespaceId::default(), (Topic::Agent, id.to_string()), event, data);
}
