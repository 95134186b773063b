//! Where a person is in a list: the thing under the cursor, the marks, the window.

use std::collections::{BTreeMap, BTreeSet};

use crate::tui::store::{Row, View};

/// Rows that a list asks for at least.
const WINDOW_MIN: u64 = 60;
/// Rows that a list asks for at most.
const WINDOW_MAX: u64 = 400;

/// A thing that an action is about, as it was when it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
  /// Its id, or the name that the API takes.
  pub id: String,
  /// What people call it.
  pub label: String,
  /// One line about it.
  pub detail: String,
  /// Its namespace, where it has one.
  pub namespace: Option<String>,
}

/// A place in a list.
#[derive(Debug, Clone, Default)]
pub struct ListState {
  /// The thing under the cursor; none follows the top of the list.
  pub cursor: Option<String>,
  /// Its row number as far as it is known.
  pub index: u64,
  /// Row number of the first visible row.
  pub top: u64,
  /// Visible rows, as of the last frame.
  pub height: u64,
  /// Marked things by id, as they were when they were marked.
  pub marks: BTreeMap<String, Row>,
  /// Where a range began.
  pub anchor: Option<u64>,
  /// The filter.
  pub filter: String,
  /// Earlier filters.
  pub earlier: Vec<String>,
  /// The order.
  pub sort: String,
  /// Columns that are not shown.
  pub hidden: BTreeSet<String>,
  /// Columns scrolled away at the left.
  pub skipped: usize,
  /// The picture that is held.
  pub frozen: Option<Box<View>>,
  /// Rows that came above the window since it was left.
  pub newer: u64,
  /// The thing under the cursor left the list; the cursor is on another one.
  pub moved: bool,
}

impl ListState {
  /// The view to draw: the held one or the living one.
  pub fn shown<'a>(&'a self, live: Option<&'a View>) -> Option<&'a View> {
    self.frozen.as_deref().or(live)
  }

  /// The window to ask for: what is visible and two pages around it.
  pub fn window(&self, asked: Option<(u64, u64)>) -> (u64, u64) {
    let page = self.height.max(10);
    if let Some((from, len)) = asked {
      let whole = page * 3 <= len;
      let above = from == 0 || self.top >= from + page / 2;
      let below = self.top + page + page / 2 <= from + len;
      if whole && above && below {
        return (from, len);
      }
    }
    let len = (page * 5).clamp(WINDOW_MIN, WINDOW_MAX);
    (self.top.saturating_sub(page * 2), len)
  }

  /// After new rows came: the cursor stays on its thing and the window on its rows.
  pub fn follow(&mut self, view: &View) {
    let Some(key) = &self.cursor else {
      (self.index, self.top, self.newer) = (0, 0, 0);
      return;
    };
    match view.index_of(key) {
      Some(index) => {
        if index > self.index && (self.top > 0 || self.index > 0) {
          self.newer += index - self.index;
        }
        let (before, top) = (self.index, self.top);
        self.index = index;
        self.top = (top + index).saturating_sub(before);
      }
      None => {
        let inside = self.index >= view.from && self.index < view.from + view.order.len() as u64;
        let last = (view.from + view.order.len() as u64).saturating_sub(1);
        if inside || self.index > last && last + 1 >= view.matched {
          self.index = self.index.min(last);
          self.cursor = view.entry_at(self.index).map(|(key, _)| key.clone());
          self.moved = self.cursor.is_some();
        }
      }
    }
    self.keep_visible(view.matched);
  }

  fn keep_visible(&mut self, matched: u64) {
    let height = self.height.max(1);
    self.top = self.top.min(matched.saturating_sub(height));
    if self.index < self.top {
      self.top = self.index;
    } else if self.index >= self.top + height {
      self.top = self.index + 1 - height;
    }
    if self.top == 0 {
      self.newer = 0;
    }
  }

  /// Moves to a row number, as far as there are rows.
  pub fn go(&mut self, index: u64, view: &View) {
    let last = view.matched.max(view.from + view.order.len() as u64).saturating_sub(1);
    self.index = index.min(last);
    self.cursor = view.entry_at(self.index).map(|(key, _)| key.clone());
    self.moved = false;
    self.keep_visible(last + 1);
  }

  /// Moves by rows.
  pub fn step(&mut self, by: i64, view: &View) {
    let from = if self.cursor.is_none() { 0 } else { self.index };
    self.go(from.saturating_add_signed(by), view);
  }

  /// Moves without changing the cursor's thing, as a wheel does.
  pub fn scroll(&mut self, by: i64, view: &View) {
    let last = view.matched.saturating_sub(self.height.max(1));
    self.top = self.top.saturating_add_signed(by).min(last);
    let low = self.top + self.height.max(1) - 1;
    let index = self.index.clamp(self.top, low);
    if index != self.index || self.cursor.is_none() {
      self.go(index, view);
    }
  }

  /// Back to the top, where the cursor follows what is newest.
  pub fn home(&mut self) {
    self.cursor = None;
    (self.index, self.top, self.newer, self.moved) = (0, 0, 0, false);
  }

  /// The key under the cursor; the first row's where it follows the top.
  pub fn key<'a>(&'a self, view: &'a View) -> Option<&'a String> {
    match &self.cursor {
      Some(key) => Some(key),
      None => view.entry_at(self.index).map(|(key, _)| key),
    }
  }

  /// Holds the picture, or lets it go on.
  pub fn freeze(&mut self, live: Option<&View>) {
    self.frozen = match self.frozen.take() {
      Some(_) => None,
      None => live.map(|view| Box::new(view.clone())),
    };
  }

  /// Another filter: another list.
  pub fn set_filter(&mut self, filter: &str) {
    if self.filter == filter {
      return;
    }
    if !filter.is_empty() {
      self.earlier.retain(|known| known != filter);
      self.earlier.push(filter.to_owned());
      let over = self.earlier.len().saturating_sub(50);
      self.earlier.drain(..over);
    }
    filter.clone_into(&mut self.filter);
    self.frozen = None;
    self.home();
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Scope, Watch};

  use super::*;
  use crate::tui::store::Entry;
  use crate::tui::test_data as data;

  fn view(keys: &[u32]) -> View {
    let watch: Watch =
      serde_json::from_value(serde_json::json!({"id": "t", "scope": "tasks"})).expect("a watch");
    assert_eq!(watch.scope, Scope::Tasks);
    let mut view = View::new(watch);
    for number in keys {
      let row = data::task(*number, "job", "failed");
      view.order.push(row.id.to_string());
      let raw = serde_json::to_value(&row).expect("JSON");
      view.rows.insert(row.id.to_string(), Entry { row: Row::Task(Box::new(row)), raw });
    }
    view.matched = keys.len() as u64;
    view
  }

  #[test]
  fn the_cursor_stays_on_its_thing() {
    let mut list = ListState { height: 3, ..ListState::default() };
    let old = view(&[5, 4, 3, 2, 1]);
    list.follow(&old);
    assert_eq!(list.key(&old), Some(&old.order[0]));
    list.step(2, &old);
    let held = list.cursor.clone().expect("a row");
    list.follow(&view(&[9, 8, 7, 6, 5, 4, 3, 2, 1]));
    assert_eq!(list.cursor.as_deref(), Some(held.as_str()));
    assert_eq!((list.index, list.newer), (6, 4));
    assert!(list.top <= 6 && list.top + 3 > 6);
    list.home();
    let new = view(&[9, 8]);
    assert_eq!(list.key(&new), Some(&new.order[0]));
  }

  #[test]
  fn a_thing_that_left_is_told() {
    let mut list = ListState { height: 3, ..ListState::default() };
    let old = view(&[3, 2, 1]);
    list.step(1, &old);
    list.follow(&view(&[3, 1]));
    assert!(list.moved);
    assert_eq!(list.cursor, Some(old.order[2].clone()));
    list.follow(&view(&[]));
    assert_eq!(list.cursor, None);
    assert!(!list.moved);
  }

  #[test]
  fn the_window_follows_with_room_around() {
    let mut list = ListState { height: 20, ..ListState::default() };
    assert_eq!(list.window(None), (0, 100));
    assert_eq!(list.window(Some((0, 100))), (0, 100));
    list.top = 75;
    let (from, len) = list.window(Some((0, 100)));
    assert!(from <= 55 && from + len >= 115, "{from} {len}");
    assert_eq!(list.window(Some((from, len))), (from, len));
  }
}
