//! Agents, servers, namespaces and tokens.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fleet::{DrainThen, LabelChanges};
use super::task_config::Seconds;
use crate::protocol::AgentCapabilities;
use crate::types::{
  AgentId, AgentStatus, Capacity, FieldError, Labels, NamespaceId, Role, SelectorClass, ServerId,
  ServerStatus, TokenId, TokenKind, Ts, check_name,
};

/// An agent as it is stored, in `sched_agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentEntity {
  /// Its id.
  pub id: AgentId,
  /// A note about it.
  #[serde(default)]
  pub description: String,
  /// What it is doing.
  pub status: AgentStatus,
  /// What it can do.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub capabilities: AgentCapabilities,
  /// Labels that selectors match: its own, and above them those given here.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub labels: Labels,
  /// Labels that people gave it on the server.
  #[serde(default, skip_serializing_if = "Labels::is_empty")]
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub given_labels: Labels,
  /// Namespaces it serves.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub namespaces: Vec<String>,
  /// Its newest load and health.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub statistics: Option<Value>,
  /// Its host.
  pub hostname: String,
  /// The host's system.
  pub os_info: String,
  /// Its version.
  pub version: String,
  /// Changes when the host starts anew.
  pub boot_id: String,
  /// Names the agent's memory of what it started; empty where it has none.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub journal_id: String,
  /// Changes when its process starts anew.
  pub agent_epoch: i64,
  /// Counts its connections.
  pub connection_epoch: i64,
  /// The server that holds its connection.
  pub server_id: Option<ServerId>,
  /// Reports of this epoch up to this one are committed.
  pub acked_seq: i64,
  /// The server's clock minus its own, in milliseconds.
  pub clock_offset_ms: Option<f64>,
  /// Takes nothing new.
  pub cordoned: bool,
  /// Since when it is being emptied.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub drain_since: Option<Ts>,
  /// Until when what runs may take; none waits for ever.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub drain_deadline: Option<Ts>,
  /// Why it is being emptied.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub drain_reason: Option<String>,
  /// What becomes of what still runs at the deadline.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub drain_then: Option<DrainThen>,
  /// When the drain was over.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub drained_at: Option<Ts>,
  /// Last sign of life, on the database's clock.
  pub last_heartbeat_at: Option<Ts>,
  /// First seen.
  pub created_at: Ts,
  /// Last change.
  pub updated_at: Ts,
  /// Whether it is `older` or `newer` than the server that was asked, where it is not the same.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-db", sqlx(skip))]
  pub version_skew: Option<String>,
}

impl AgentEntity {
  /// Whether it may serve a class, as far as that does not change with what it does now.
  pub fn may_serve(&self, class: &SelectorClass) -> bool {
    let namespaces = self.namespaces.iter().filter_map(|name| NamespaceId::new(name.as_str()).ok());
    let namespaces: Vec<NamespaceId> = namespaces.collect();
    class.admits(&self.labels, &namespaces, &self.capabilities.task_types())
  }

  /// What it has in all, for tasks that ask for room.
  pub fn capacity(&self) -> Capacity {
    self.capabilities.capacity(&self.labels)
  }
}

/// The name of the table's row in the first design.
pub type SchedAgent = AgentEntity;

/// An agent that is made known before it connects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentForCreate {
  /// Its id.
  pub id: AgentId,
  /// A note about it.
  #[serde(default)]
  pub description: String,
  /// Labels.
  #[serde(default)]
  pub labels: Labels,
}

/// Changes of an agent; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentForUpdate {
  /// A note about it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub description: Option<String>,
  /// Labels to give, by name; null takes one back.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub labels: Option<LabelChanges>,
  /// Only these of the given fields count; absent means all of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub update_mask: Option<Vec<String>>,
}

/// Which agents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct AgentFilter {
  /// In this state.
  pub status: Option<AgentStatus>,
}

/// A server as it is stored, in `sched_server`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ServerEntity {
  /// Its id.
  pub id: ServerId,
  /// Where it listens.
  pub address: String,
  /// What it is doing.
  pub status: ServerStatus,
  /// Its version.
  pub version: String,
  /// Last sign of life, on the database's clock.
  pub last_heartbeat_at: Ts,
  /// When its process started.
  pub started_at: Ts,
}

/// The name of the table's row in the first design.
pub type SchedServer = ServerEntity;

/// A server that starts.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerForCreate {
  /// Its id.
  pub id: ServerId,
  /// Where it listens.
  pub address: String,
  /// Its version.
  pub version: String,
}

/// Changes of a server; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerForUpdate {
  /// What it is doing.
  pub status: Option<ServerStatus>,
}

/// Which servers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct ServerFilter {
  /// In this state.
  pub status: Option<ServerStatus>,
}

/// A namespace as it is stored, in `sched_namespace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct NamespaceEntity {
  /// Its id, which is its name.
  pub id: NamespaceId,
  /// What it is for.
  #[serde(default)]
  pub description: String,
  /// Its share of planning work.
  pub weight: i64,
  /// When it was made.
  pub created_at: Ts,
  /// Last change.
  pub updated_at: Ts,
}

/// A new namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct NamespaceForCreate {
  /// Its id.
  #[serde(alias = "name")]
  pub id: NamespaceId,
  /// What it is for.
  #[serde(default)]
  pub description: String,
}

/// Changes of a namespace; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct NamespaceForUpdate {
  /// What it is for.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub description: Option<String>,
  /// Its share of planning work.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub weight: Option<i64>,
  /// Only these of the given fields count; absent means all of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub update_mask: Option<Vec<String>>,
}

/// A token as it is stored, in `sched_token`; the secret itself is never stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TokenEntity {
  /// Its id.
  pub id: TokenId,
  /// What it is called.
  pub name: String,
  /// Its first characters, to tell tokens apart.
  pub prefix: String,
  /// Whose it is.
  pub kind: TokenKind,
  /// What it may do.
  pub role: Role,
  /// In which namespace; none means all.
  pub namespace_id: Option<NamespaceId>,
  /// The agent that it is bound to.
  pub agent_id: Option<AgentId>,
  /// Not valid after.
  pub expires_at: Option<Ts>,
  /// Last use, to the minute.
  pub last_used_at: Option<Ts>,
  /// When it was revoked.
  pub revoked_at: Option<Ts>,
  /// When it was made.
  pub created_at: Ts,
}

/// A new token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TokenForCreate {
  /// What it is called.
  pub name: String,
  /// Whose it is; a person's where not said.
  #[serde(default = "user")]
  pub kind: TokenKind,
  /// What it may do; an operator's rights where not said.
  #[serde(default = "operator")]
  pub role: Role,
  /// In which namespace; none means all.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub namespace_id: Option<NamespaceId>,
  /// How long it is valid; for ever where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub ttl: Option<Seconds>,
}

const fn user() -> TokenKind {
  TokenKind::User
}

const fn operator() -> Role {
  Role::Operator
}

impl TokenForCreate {
  /// Checks every rule and names each that is broken.
  pub fn check(&mut self, errors: &mut Vec<FieldError>) {
    match check_name(&self.name, "/name") {
      Ok(name) => self.name = name,
      Err(error) => errors.push(error),
    }
    if self.ttl.is_some_and(|ttl| ttl.0.is_zero()) {
      errors.push(FieldError::new("duration.invalid", "/ttl", "a token that is never valid"));
    }
  }
}

/// A new token with its secret, shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TokenCreated {
  /// The token.
  #[serde(flatten)]
  pub token: TokenEntity,
  /// The secret.
  pub secret: String,
}
