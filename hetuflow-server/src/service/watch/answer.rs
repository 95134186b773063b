//! The answer to a question, and what differs between two of them.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{Cause, Ts, WatchError, WatchFrame, WatchRow};
use serde::Serialize;
use serde_json::Value;

/// What a question found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
  /// Rows by key, in order.
  pub(super) rows: Vec<(String, Value)>,
  /// Rows that the filter lets through.
  pub(super) matched: Option<u64>,
  /// Rows without the filter.
  pub(super) total: Option<u64>,
  /// Failures by cause.
  pub(super) causes: Option<Vec<Cause>>,
  /// The one object.
  pub(super) object: Option<Value>,
  /// Why there is nothing.
  pub(super) error: Option<WatchError>,
  /// It may differ later although nothing is written.
  pub(super) ages: bool,
}

impl Found {
  /// Rows of a window.
  pub(super) fn rows<R: WatchRow>(rows: &[R]) -> Self {
    Self { rows: rows.iter().map(|row| (row.key(), plain(row))).collect(), ..Self::default() }
  }

  /// One object.
  pub(super) fn object(object: &impl Serialize) -> Self {
    Self { object: Some(plain(object)), ..Self::default() }
  }

  /// How many rows there are in all.
  pub(super) fn counted(mut self, matched: u64, total: u64) -> Self {
    (self.matched, self.total) = (Some(matched), Some(total));
    self
  }

  /// It may differ later although nothing is written.
  pub(super) fn ageing(mut self) -> Self {
    self.ages = true;
    self
  }
}

fn plain(value: &impl Serialize) -> Value {
  serde_json::to_value(value).expect("rows are plain data")
}

/// An answer at a place of the journal.
#[derive(Debug, Clone)]
pub(super) struct Answer {
  /// Everything up to this number is in it.
  pub(super) seq: i64,
  /// When it was asked.
  pub(super) at: Ts,
  /// How long that took.
  pub(super) cost: Duration,
  /// What was found.
  pub(super) found: Found,
}

/// The frame that brings a reader from `before` to `now`; `None` where nothing differs.
pub(super) fn frame(
  (id, epoch): (&str, &str),
  before: Option<(i64, &Answer)>,
  now: &Answer,
) -> Option<WatchFrame> {
  let blank = WatchFrame {
    id: id.to_owned(),
    epoch: epoch.to_owned(),
    prev_seq: 0,
    seq: now.seq,
    at: now.at,
    full: true,
    merged: 0,
    matched: now.found.matched,
    total: now.found.total,
    put: Vec::new(),
    order: None,
    causes: now.found.causes.clone(),
    object: now.found.object.clone(),
    error: now.found.error.clone(),
  };
  let keys = |found: &Found| found.rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
  let Some((prev_seq, before)) = before.filter(|(_, before)| !recovers(before, now)) else {
    let put = now.found.rows.iter().map(|(_, row)| row.clone()).collect();
    return Some(WatchFrame { put, order: Some(keys(&now.found)), ..blank });
  };
  let (old, new) = (&before.found, &now.found);
  if old == new {
    return None;
  }
  let known: HashMap<&str, &Value> =
    old.rows.iter().map(|(key, row)| (key.as_str(), row)).collect();
  let fresh = new.rows.iter().filter(|(key, row)| known.get(key.as_str()) != Some(&row));
  let same_order = old.rows.len() == new.rows.len()
    && old.rows.iter().zip(&new.rows).all(|((old, _), (new, _))| old == new);
  let frame = WatchFrame {
    prev_seq,
    full: false,
    merged: u32::try_from(now.seq.saturating_sub(prev_seq)).unwrap_or(u32::MAX),
    matched: changed(&old.matched, &new.matched),
    total: changed(&old.total, &new.total),
    put: fresh.map(|(_, row)| row.clone()).collect(),
    order: (!same_order).then(|| keys(new)),
    causes: changed(&old.causes, &new.causes),
    object: changed(&old.object, &new.object),
    error: changed(&old.error, &new.error),
    ..blank
  };
  let says = frame.matched.is_some()
    || frame.total.is_some()
    || !frame.put.is_empty()
    || frame.order.is_some()
    || frame.causes.is_some()
    || frame.object.is_some()
    || frame.error.is_some();
  says.then_some(frame)
}

/// An error that is over is told by the whole window.
fn recovers(before: &Answer, now: &Answer) -> bool {
  before.found.error.is_some() && now.found.error.is_none()
}

fn changed<T: PartialEq + Clone>(old: &Option<T>, new: &Option<T>) -> Option<T> {
  if old == new { None } else { new.clone() }
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  fn answer(seq: i64, rows: &[(&str, i64)]) -> Answer {
    let rows = rows.iter().map(|(key, n)| ((*key).to_owned(), json!({ "id": key, "n": n })));
    let found = Found { rows: rows.collect(), matched: Some(2), ..Found::default() };
    Answer { seq, at: Ts::now(), cost: Duration::ZERO, found }
  }

  #[test]
  fn the_first_frame_is_the_whole_window() {
    let first = frame(("w", "e"), None, &answer(7, &[("a", 1), ("b", 2)])).expect("a frame");
    assert!(first.full);
    assert_eq!((first.prev_seq, first.seq, first.put.len()), (0, 7, 2));
    assert_eq!(first.order, Some(vec!["a".to_owned(), "b".to_owned()]));
  }

  #[test]
  fn later_frames_say_what_differs() {
    let before = answer(7, &[("a", 1), ("b", 2)]);
    assert_eq!(frame(("w", "e"), Some((7, &before)), &answer(9, &[("a", 1), ("b", 2)])), None);
    let changed = frame(("w", "e"), Some((7, &before)), &answer(9, &[("a", 1), ("b", 3)]));
    let changed = changed.expect("a frame");
    assert_eq!((changed.full, changed.prev_seq, changed.seq, changed.merged), (false, 7, 9, 2));
    assert_eq!(changed.put, [json!({ "id": "b", "n": 3 })]);
    assert_eq!((changed.order, changed.matched), (None, None));
    let moved = frame(("w", "e"), Some((9, &before)), &answer(12, &[("b", 2), ("c", 0)]));
    let moved = moved.expect("a frame");
    assert_eq!(moved.put, [json!({ "id": "c", "n": 0 })]);
    assert_eq!(moved.order, Some(vec!["b".to_owned(), "c".to_owned()]));
  }

  #[test]
  fn an_error_that_is_over_is_told_by_a_full_frame() {
    let mut before = answer(1, &[]);
    let code = "unavailable".to_owned();
    before.found.error =
      Some(WatchError { code, message: String::new(), column: None, hint: String::new() });
    let now = frame(("w", "e"), Some((1, &before)), &answer(1, &[("a", 1)])).expect("a frame");
    assert!(now.full);
    assert_eq!(now.put.len(), 1);
  }
}
