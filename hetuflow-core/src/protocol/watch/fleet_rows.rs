//! Agents and servers, as a watch shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::WatchRow;
use crate::types::{AgentId, AgentStatus, Labels, ServerId, ServerStatus, Ts};

/// An agent in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentRow {
  /// Its id.
  pub id: AgentId,
  /// What it is doing.
  pub status: AgentStatus,
  /// Takes nothing new.
  pub cordoned: bool,
  /// Tasks on it now.
  pub running: u32,
  /// Tasks that it runs at once.
  pub slots: u32,
  /// Processor use, 0 to 100.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub cpu_percent: Option<f64>,
  /// Memory use, 0 to 100.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub memory_percent: Option<f64>,
  /// Last sign of life.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub last_heartbeat_at: Option<Ts>,
  /// Labels.
  pub labels: Labels,
  /// Its version.
  pub version: String,
  /// Its host.
  pub hostname: String,
  /// The host's system.
  pub os_info: String,
  /// What it can run.
  pub task_types: Vec<String>,
  /// The server's clock minus its own.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub clock_offset_ms: Option<f64>,
  /// The server that holds its connection.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub server_id: Option<ServerId>,
  /// Connections since it is known.
  pub connections: i64,
  /// What is wrong with it, in a few words.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub why: String,
}

impl WatchRow for AgentRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

/// A server in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ServerRow {
  /// Its id.
  pub id: ServerId,
  /// Where it listens.
  pub address: String,
  /// What it is doing.
  pub status: ServerStatus,
  /// Its version.
  pub version: String,
  /// When its process started.
  pub started_at: Ts,
  /// Last sign of life.
  pub last_heartbeat_at: Ts,
  /// Agents connected to it.
  pub agents: u32,
  /// The one that answers: its own figures, as `name` → number; empty for the others.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub figures: BTreeMap<String, f64>,
}

impl WatchRow for ServerRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}
