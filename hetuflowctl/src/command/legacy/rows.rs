//! Rows of the first version's lists: what the server gives, whole, and some of it as columns.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::output::{Cell, Column, TableRow};

/// A task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskRow(Value);

/// An agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentRow(Value);

impl TableRow for TaskRow {
  const KIND: &'static str = "task";
  const COLUMNS: &'static [Column] = &[
    Column::new("ID"),
    Column::new("NAME"),
    Column::new("TYPE"),
    Column::new("PRIORITY"),
    Column::new("STATUS"),
    Column::new("CREATED"),
  ];
  fn reference(&self) -> String {
    word(&self.0, "id")
  }
  fn cells(&self) -> Vec<Cell> {
    let text = |name: &str| Cell::text(word(&self.0, name));
    vec![
      text("id"),
      text("name"),
      text("task_type"),
      text("priority"),
      Cell::State(word(&self.0, "status")),
      instant(&self.0, "created_at"),
    ]
  }
}

impl TableRow for AgentRow {
  const KIND: &'static str = "agent";
  const COLUMNS: &'static [Column] = &[
    Column::new("ID"),
    Column::new("NAME"),
    Column::new("STATUS"),
    Column::new("CAPABILITIES"),
    Column::new("HEARTBEAT"),
  ];
  fn reference(&self) -> String {
    word(&self.0, "id")
  }
  fn cells(&self) -> Vec<Cell> {
    let can = self.0.get("capabilities").and_then(Value::as_array).map(Vec::as_slice);
    let can: Vec<&str> = can.unwrap_or_default().iter().filter_map(Value::as_str).collect();
    vec![
      Cell::text(word(&self.0, "id")),
      Cell::text(word(&self.0, "name")),
      Cell::State(word(&self.0, "status")),
      Cell::text(can.join(",")),
      instant(&self.0, "last_heartbeat"),
    ]
  }
}

/// A text or a number; nothing where it is not there.
fn word(value: &Value, name: &str) -> String {
  match value.get(name) {
    Some(Value::String(text)) => text.clone(),
    None | Some(Value::Null) => String::new(),
    Some(other) => other.to_string(),
  }
}

fn instant(value: &Value, name: &str) -> Cell {
  let text = word(value, name);
  text.parse().map_or_else(|_| Cell::text(text), Cell::At)
}
