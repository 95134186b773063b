//! A line of the event log, and its columns.

use hetuflow_core::{Change, NamespaceId};
use serde::Serialize;

use crate::output::{Cell, Column, TableRow};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
  /// Something happened.
  Event {
    seq: i64,
    epoch: String,
    namespace_id: NamespaceId,
    #[serde(flatten)]
    change: Change,
  },
  /// Events are gone.
  Gap {
    #[serde(rename = "type")]
    kind: &'static str,
    from: i64,
    to: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
  },
}

impl TableRow for Line {
  const KIND: &'static str = "event";
  const COLUMNS: &'static [Column] = &[
    Column::new("SEQ"),
    Column::new("TIME"),
    Column::new("TYPE"),
    Column::new("OBJECT"),
    Column::wide("NAMESPACE"),
    Column::new("DETAIL"),
  ];
  fn reference(&self) -> String {
    match self {
      Self::Event { seq, .. } => seq.to_string(),
      Self::Gap { from, to, .. } => format!("{from}-{to}"),
    }
  }
  fn cells(&self) -> Vec<Cell> {
    match self {
      Self::Event { seq, namespace_id, change, .. } => vec![
        Cell::Number(*seq),
        Cell::At(change.at),
        Cell::text(&change.event_type),
        Cell::text(object(change)),
        Cell::text(namespace_id.as_str()),
        Cell::text(if change.data.is_null() { String::new() } else { change.data.to_string() }),
      ],
      Self::Gap { from, to, reason, .. } => vec![
        Cell::Number(*from),
        Cell::Empty,
        Cell::text("gap"),
        Cell::Empty,
        Cell::Empty,
        Cell::text(format!(
          "events {from} to {to} are gone {}",
          reason.as_deref().unwrap_or_default()
        )),
      ],
    }
  }
}

/// Tasks and attempts by the short id that people see elsewhere.
fn object(change: &Change) -> String {
  let id = &change.subject.id;
  let short =
    uuid::Uuid::parse_str(id).map_or_else(|_| id.clone(), |id| hetuflow_core::short_id(&id));
  format!("{}/{short}", change.subject.kind)
}
