//! What a watch shows, kept up to date frame by frame.

use std::collections::HashMap;

use hetuflow_core::{Cause, WatchFrame};
use serde_json::{Value, json};

/// The window of one watch.
#[derive(Debug, Default)]
pub struct Window {
  /// The number that the last frame covers.
  pub seq: i64,
  rows: HashMap<String, Value>,
  order: Vec<String>,
  /// Rows that the filter lets through.
  pub matched: u64,
  /// The one object of some scopes.
  pub object: Option<Value>,
  /// Failures by cause.
  pub causes: Vec<Cause>,
  begun: bool,
}

/// One change of a window, for programs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
  /// `add`, `change`, `remove` or `sync`.
  pub op: &'static str,
  /// The row; for `remove` as it was last.
  pub object: Value,
}

/// A frame was lost: the reader must ask again.
#[derive(Debug, PartialEq, Eq)]
pub struct Hole;

impl Window {
  /// The rows, in order.
  pub fn rows(&self) -> impl Iterator<Item = &Value> {
    self.order.iter().filter_map(|key| self.rows.get(key))
  }

  /// Takes a frame; what it changes. The first rows come as `add`, with a `sync` after them.
  ///
  /// # Errors
  /// When frames are missing before it.
  pub fn take(&mut self, frame: WatchFrame) -> Result<Vec<Change>, Hole> {
    if !frame.full && frame.prev_seq != self.seq {
      return Err(Hole);
    }
    let mut changes = Vec::new();
    let mut before = if frame.full { std::mem::take(&mut self.rows) } else { HashMap::new() };
    for row in frame.put {
      let key = key_of(&row);
      let known = before.remove(&key).or_else(|| self.rows.get(&key).cloned());
      match known {
        None => changes.push(Change { op: "add", object: row.clone() }),
        Some(known) if known != row => changes.push(Change { op: "change", object: row.clone() }),
        Some(_) => {}
      }
      self.rows.insert(key, row);
    }
    if let Some(order) = frame.order {
      self.order = order;
    }
    changes.extend(before.into_values().map(|object| Change { op: "remove", object }));
    let gone: Vec<String> =
      self.rows.keys().filter(|key| !self.order.contains(key)).cloned().collect();
    for key in gone {
      if let Some(object) = self.rows.remove(&key) {
        changes.push(Change { op: "remove", object });
      }
    }
    if frame.full && !self.begun {
      self.begun = true;
      changes.push(Change { op: "sync", object: Value::Null });
    }
    self.seq = frame.seq;
    self.matched = frame.matched.unwrap_or(self.matched);
    self.causes = frame.causes.unwrap_or(std::mem::take(&mut self.causes));
    if frame.object.is_some() {
      self.object = frame.object;
    }
    Ok(changes)
  }
}

/// The key of a row, as the server orders them.
fn key_of(row: &Value) -> String {
  let text = |field: &str| row.get(field).and_then(Value::as_str);
  match (text("id"), row.get("seq"), text("schedule_id")) {
    (Some(id), ..) => id.to_owned(),
    (None, Some(seq), _) => format!("{seq}.{}", row.get("index").unwrap_or(&json!(0))),
    (None, None, Some(schedule)) => format!("{schedule}@{}", text("at").unwrap_or_default()),
    (None, None, None) => row.to_string(),
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Ts;

  use super::*;

  fn frame(full: bool, prev_seq: i64, seq: i64, put: &[(&str, i64)], order: &[&str]) -> WatchFrame {
    WatchFrame {
      id: "w".into(),
      epoch: "e".into(),
      prev_seq,
      seq,
      at: Ts::from_millis(0),
      full,
      merged: 1,
      matched: Some(order.len() as u64),
      total: None,
      put: put.iter().map(|(id, n)| json!({ "id": id, "n": n })).collect(),
      order: (!order.is_empty()).then(|| order.iter().map(ToString::to_string).collect()),
      causes: None,
      object: None,
      error: None,
    }
  }

  fn ops(changes: &[Change]) -> Vec<&'static str> {
    let mut ops: Vec<_> = changes.iter().map(|change| change.op).collect();
    ops.sort_unstable();
    ops
  }

  #[test]
  fn changes_are_told_once() {
    let mut window = Window::default();
    let first = window.take(frame(true, 0, 5, &[("a", 1), ("b", 1)], &["a", "b"])).expect("whole");
    assert_eq!(ops(&first), ["add", "add", "sync"]);
    let next = window.take(frame(false, 5, 6, &[("b", 2), ("c", 1)], &["c", "b"])).expect("next");
    assert_eq!(ops(&next), ["add", "change", "remove"]);
    assert_eq!(window.rows().map(key_of).collect::<Vec<_>>(), ["c", "b"]);
    assert_eq!(window.take(frame(false, 5, 7, &[], &[])), Err(Hole));
    // After a break the whole window comes again; only what differs is told.
    let again = window.take(frame(true, 0, 9, &[("b", 2), ("d", 1)], &["b", "d"])).expect("whole");
    assert_eq!(ops(&again), ["add", "remove"]);
  }
}
