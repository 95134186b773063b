//! How places and people stand in a table: agents, servers, namespaces, tokens.

use hetuflow_core::{
  AgentEntity, ArtifactEntity, Labels, NamespaceEntity, SecretEntity, ServerEntity,
  TaskInputEntity, TokenCreated, TokenEntity, Ts, is_measured_label,
};
use serde_json::{Value, json};

use super::cell::Cell;
use super::view::{Column, TableRow};

impl TableRow for AgentEntity {
  const KIND: &'static str = "agent";
  const COLUMNS: &'static [Column] = &[
    Column::new("AGENT"),
    Column::new("STATUS"),
    Column::new("SLOTS"),
    Column::new("BEAT"),
    Column::new("HOST"),
    Column::new("VERSION"),
    Column::new("LABELS"),
    Column::wide("NAMESPACES"),
    Column::wide("SERVER"),
    Column::wide("CLOCK-MS"),
    Column::wide("NOTE"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    let status = match (self.drain_since, self.drained_at) {
      (Some(_), None) => "draining".to_owned(),
      (Some(_), Some(_)) => "drained".to_owned(),
      (None, _) if self.cordoned => "cordoned".to_owned(),
      (None, _) => self.status.to_string(),
    };
    let version = match &self.version_skew {
      Some(skew) => format!("{} ({skew})", self.version),
      None => self.version.clone(),
    };
    vec![
      Cell::text(self.id.as_str()),
      Cell::State(status),
      Cell::Number(i64::from(self.capabilities.max_concurrent_tasks)),
      Cell::maybe(self.last_heartbeat_at, Cell::At),
      Cell::text(&self.hostname),
      Cell::text(version),
      Cell::text(own_labels(&self.labels)),
      Cell::text(self.namespaces.join(" ")),
      Cell::maybe(self.server_id.as_ref(), |server| Cell::text(server.as_str())),
      Cell::maybe(self.clock_offset_ms, |ms| Cell::text(format!("{ms:.1}"))),
      Cell::text(&self.description),
    ]
  }
}

/// The labels that people give and agents bring; what was measured would fill the line.
pub fn own_labels(labels: &Labels) -> String {
  let own = labels.iter().filter(|(key, _)| !is_measured_label(key));
  own.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

impl TableRow for NamespaceEntity {
  const KIND: &'static str = "namespace";
  const COLUMNS: &'static [Column] = &[
    Column::new("NAMESPACE"),
    Column::new("WEIGHT"),
    Column::new("CREATED"),
    Column::new("DESCRIPTION"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(self.id.as_str()),
      Cell::Number(self.weight),
      Cell::At(self.created_at),
      Cell::text(&self.description),
    ]
  }
  fn manifest(&self) -> Option<Value> {
    Some(json!({
      "apiVersion": hetuflow_core::API_VERSION,
      "kind": "Namespace",
      "metadata": { "name": self.id },
      "spec": { "description": self.description },
      "status": { "created_at": self.created_at, "updated_at": self.updated_at },
    }))
  }
}

impl TableRow for ArtifactEntity {
  const KIND: &'static str = "artifact";
  const COLUMNS: &'static [Column] = &[
    Column::new("ARTIFACT"),
    Column::new("SIZE"),
    Column::new("STATE"),
    Column::new("TASK"),
    Column::new("CREATED"),
    Column::new("REASON"),
    Column::new("ID"),
    Column::wide("SHA256"),
    Column::wide("EXPIRES"),
    Column::wide("AGENT"),
    Column::wide("ATTEMPT"),
    Column::wide("PUT-BY"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.name),
      Cell::Number(self.size),
      Cell::State(self.state.to_string()),
      Cell::maybe(self.task_id, |task| Cell::text(task.short())),
      Cell::At(self.created_at),
      Cell::maybe(self.reason.as_ref(), Cell::text),
      Cell::text(self.id.to_string()),
      Cell::maybe(self.content_hash.as_ref(), Cell::text),
      Cell::At(self.expires_at),
      Cell::maybe(self.agent_id.as_ref(), |agent| Cell::text(agent.as_str())),
      Cell::maybe(self.instance_id, |attempt| Cell::text(attempt.to_string())),
      Cell::maybe(self.created_by.as_ref(), Cell::text),
    ]
  }
}

impl TableRow for TaskInputEntity {
  const KIND: &'static str = "artifact";
  const COLUMNS: &'static [Column] = &[
    Column::new("FILE"),
    Column::new("SIZE"),
    Column::new("SHA256"),
    Column::new("ARTIFACT"),
    Column::wide("SINCE"),
  ];
  fn reference(&self) -> String {
    self.artifact_id.map_or_else(|| self.content_hash.clone(), |id| id.to_string())
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.target),
      Cell::Number(self.size),
      Cell::text(&self.content_hash),
      Cell::maybe(self.artifact_id, |id| Cell::text(id.to_string())),
      Cell::At(self.created_at),
    ]
  }
}

impl TableRow for SecretEntity {
  const KIND: &'static str = "secret";
  const COLUMNS: &'static [Column] = &[
    Column::new("SECRET"),
    Column::new("VERSION"),
    Column::new("SET"),
    Column::new("BY"),
    Column::wide("CREATED"),
    Column::wide("SEALED-FOR"),
    Column::wide("NAMESPACE"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.name),
      Cell::Number(self.version),
      Cell::At(self.updated_at),
      Cell::maybe(self.updated_by.as_ref(), Cell::text),
      Cell::At(self.created_at),
      Cell::text(&self.recipients),
      Cell::text(self.namespace_id.as_str()),
    ]
  }
}

impl TableRow for TokenEntity {
  const KIND: &'static str = "token";
  const COLUMNS: &'static [Column] = &[
    Column::new("TOKEN"),
    Column::new("KIND"),
    Column::new("ROLE"),
    Column::new("NAMESPACE"),
    Column::new("STATUS"),
    Column::new("USED"),
    Column::new("EXPIRES"),
    Column::new("BEGINS"),
    Column::wide("AGENT"),
    Column::wide("CREATED"),
    Column::new("ID"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    let status = match (self.revoked_at, self.expires_at) {
      (Some(_), _) => "revoked",
      (None, Some(at)) if at <= Ts::now() => "expired",
      _ => "active",
    };
    vec![
      Cell::text(&self.name),
      Cell::text(self.kind.as_str()),
      Cell::text(self.role.as_str()),
      Cell::text(self.namespace_id.as_ref().map_or("*", |namespace| namespace.as_str())),
      Cell::State(status.to_owned()),
      Cell::maybe(self.last_used_at, Cell::At),
      Cell::maybe(self.expires_at, Cell::At),
      Cell::text(&self.prefix),
      Cell::maybe(self.agent_id.as_ref(), |agent| Cell::text(agent.as_str())),
      Cell::At(self.created_at),
      Cell::text(self.id.to_string()),
    ]
  }
}

impl TableRow for TokenCreated {
  const KIND: &'static str = "token";
  const COLUMNS: &'static [Column] =
    &[Column::new("TOKEN"), Column::new("ROLE"), Column::new("SECRET"), Column::wide("ID")];
  fn reference(&self) -> String {
    self.token.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.token.name),
      Cell::text(self.token.role.as_str()),
      Cell::text(&self.secret),
      Cell::text(self.token.id.to_string()),
    ]
  }
}

impl TableRow for ServerEntity {
  const KIND: &'static str = "server";
  const COLUMNS: &'static [Column] = &[
    Column::new("SERVER"),
    Column::new("STATUS"),
    Column::new("ADDRESS"),
    Column::new("VERSION"),
    Column::new("BEAT"),
    Column::new("STARTED"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(self.id.as_str()),
      Cell::State(self.status.to_string()),
      Cell::text(&self.address),
      Cell::text(&self.version),
      Cell::At(self.last_heartbeat_at),
      Cell::At(self.started_at),
    ]
  }
}
