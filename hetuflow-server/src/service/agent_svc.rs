//! Agents as people see and steer them; what agents say of themselves is the gateway's.

use hetuflow_core::{
  AgentEntity, AgentFilter, AgentForUpdate, AgentId, AgentMetrics, AgentStatus, DrainRequest,
  DrainThen, FieldError, NamespaceId, Page, Role, Topic, changed_labels, effective_labels,
  version_skew,
};
use serde_json::{Value, json};

use super::store::{PageArgs, Store, Work, check_mask};
use super::{Actor, SvcError, SvcResult, near_name};
use crate::infra::bmc::agent_bmc::{self, AgentChange};
use crate::infra::bmc::agent_drain_bmc::{self, Drain};
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
    found.data.iter_mut().for_each(note_skew);
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
      Some(mut agent) => {
        note_skew(&mut agent);
        Ok(agent)
      }
      // A token of one namespace is not told the names of agents that it may not see.
      None if actor.namespace_id.is_some() => Err(missing()),
      None => {
        let kind = (Named::Agent, &NamespaceId::default());
        Err(near_name::missing(&mut conn, kind, id).await)
      }
    }
  }

  /// Load and health of its host, from its last heartbeat; all zero before the first one.
  ///
  /// # Errors
  /// As [`AgentSvc::get`].
  pub async fn metrics(&self, actor: &Actor, id: &str) -> SvcResult<AgentMetrics> {
    let agent = self.get(actor, id).await?;
    let told = agent.statistics.and_then(|told| serde_json::from_value(told).ok());
    Ok(told.unwrap_or_default())
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
    check_mask(change.update_mask.as_deref(), &["description", "labels"], &mut errors);
    let description = change.description.as_deref().unwrap_or_default();
    if description.len() > DESCRIPTION_BYTES_MAX || description.contains('\0') {
      let message = format!("text of at most {DESCRIPTION_BYTES_MAX} bytes without NUL is allowed");
      errors.push(FieldError::new("text.too_long", "/description", message));
    }
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = change_in(&mut work, &agent.id, change).await;
    let relabels = outcome.as_ref().is_ok_and(|relabels| *relabels);
    work.end(outcome).await?;
    if relabels {
      self.look_anew();
    }
    self.get(actor, id).await
  }

  /// Whoever holds the connection of an agent must look again; the next claim already knows.
  fn look_anew(&self) {
    let bus = &self.store.bus;
    bus.look_anew.store(true, std::sync::atomic::Ordering::Release);
    bus.control.notify_one();
    bus.dispatch.notify_one();
    bus.fleet.notify_one();
    bus.remote.notify_one();
  }

  /// Empties an agent: it is given nothing new, and what runs may take until the deadline.
  ///
  /// # Errors
  /// 404, 403 below administration, or the broken rules.
  pub async fn drain(
    &self,
    actor: &Actor,
    id: &str,
    request: &DrainRequest,
  ) -> SvcResult<AgentEntity> {
    let agent = self.get(actor, id).await?;
    actor.require_everywhere(Role::Admin)?;
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let drain = Drain {
      since: work.now,
      deadline: request.timeout.map(|timeout| work.now.plus(timeout.0)),
      then: request.then.unwrap_or(DrainThen::Leave),
      reason: request.reason.clone(),
    };
    let outcome = match agent_drain_bmc::begin_drain(&mut work.tx, &agent.id, &drain).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(SvcError::not_found("agent", id)),
      Err(error) => Err(error.into()),
    };
    let data = json!({
      "cordoned": true, "deadline": drain.deadline, "then": drain.then, "reason": drain.reason,
      "by": actor.name,
    });
    tell(&mut work, &agent.id, "agent.draining", data);
    work.end(outcome).await?;
    self.look_anew();
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
    self.look_anew();
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

/// How an agent's version differs from this server's.
pub(super) fn note_skew(agent: &mut AgentEntity) {
  agent.version_skew = version_skew(&agent.version, env!("CARGO_PKG_VERSION")).map(str::to_owned);
}

/// Changes what is given and named by the mask; says whether labels are.
async fn change_in(work: &mut Work, id: &AgentId, change: &AgentForUpdate) -> SvcResult<bool> {
  let mask = change.update_mask.as_deref();
  let named = |field: &str| mask.is_none_or(|mask| mask.iter().any(|name| name == field));
  let missing = || SvcError::not_found("agent", id.as_str());
  let known = agent_bmc::lock(&mut work.tx, id).await?.ok_or_else(missing)?;
  let mut data = json!({});
  let description = change.description.clone().filter(|_| named("description"));
  if let Some(description) = &description {
    data["description"] = json!(description);
  }
  let labels = match change.labels.as_ref().filter(|_| named("labels")) {
    None => None,
    Some(changes) => {
      let given = changed_labels(&known.given_labels, changes).map_err(SvcError::invalid)?;
      let labels = effective_labels(id, &known.capabilities, &given);
      data["given_labels"] = json!(given);
      data["labels"] = json!(labels);
      Some((given, labels))
    }
  };
  let relabels = labels.is_some();
  let change = AgentChange { description, labels };
  agent_bmc::update(&mut work.tx, id, &change, work.now).await?;
  tell(work, id, "agent.updated", data);
  Ok(relabels)
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
