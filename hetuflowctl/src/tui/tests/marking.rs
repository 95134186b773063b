//! Marking all that a filter lets through: one answer of the server, one set.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hetuflow_core::{Scope, Watch, WatchFrame};
use serde_json::Value;

use super::{data, picture, plain};
use crate::tui::link::LinkNews;
use crate::tui::model::{Model, Screen};
use crate::tui::overlay::Overlay;
use crate::tui::update::{Effect, Msg, update};
use data::Stage;

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
  let now = model.now + Duration::from_millis(5);
  update(model, Msg::Key(key), now)
}

fn mark_all(model: &mut Model) -> Vec<Effect> {
  press(model, KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL))
}

fn question(effects: Vec<Effect>) -> Option<Box<Watch>> {
  effects.into_iter().find_map(|effect| match effect {
    Effect::Watch(watch) if watch.id.starts_with("marks.") => Some(watch),
    _ => None,
  })
}

fn hear(model: &mut Model, frame: WatchFrame) -> Vec<Effect> {
  let now = model.now;
  update(model, Msg::Link(LinkNews::Frame(Box::new(frame))), now)
}

/// The list as if the server had more rows than the window holds.
fn with_more(matched: u64) -> Model {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  let mut frame = data::answer("tasks", Scope::Tasks, Stage::Full, 950);
  frame.id = model.store.view("tasks").expect("asked").wire_id();
  frame.matched = Some(matched);
  hear(&mut model, frame);
  model
}

fn everything(id: &str, rows: u32, matched: u64) -> WatchFrame {
  let rows: Vec<Value> = (0..rows).map(|n| data::task_json(n, "etl", "running")).collect();
  let order = rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect();
  let mut frame = data::answer(id, Scope::Tasks, Stage::Empty, 960);
  (frame.matched, frame.put, frame.order) = (Some(matched), rows, Some(order));
  frame
}

#[test]
fn all_that_matches_is_marked_and_the_set_stands() {
  let mut model = with_more(105);
  let asked = question(mark_all(&mut model)).expect("the rest is asked for");
  assert_eq!((asked.from, asked.len), (0, 1000));
  // Nothing is done with half of the set.
  press(&mut model, plain(KeyCode::Char('X')));
  assert!(model.overlays.is_empty());
  let effects = hear(&mut model, everything(&asked.id, 105, 105));
  assert_eq!(model.list().expect("a list").marks.len(), 105);
  assert!(picture(&mut model, 100, 30).contains("105 marked"));
  let unwatched = |effect: &Effect| matches!(effect, Effect::Unwatch(id) if *id == asked.id);
  assert!(effects.iter().any(unwatched), "the question is taken back");
  // Rows that come later are not of the set.
  let mut later = everything("tasks", 24, 300);
  later.id = model.store.view("tasks").expect("asked").wire_id();
  hear(&mut model, later);
  press(&mut model, plain(KeyCode::Char('X')));
  let Some(Overlay::Confirm { plan, .. }) = model.overlays.last() else { panic!("no dialog") };
  assert_eq!(plan.targets.len(), 105);
}

#[test]
fn more_than_can_be_marked_is_told() {
  let mut model = with_more(3214);
  let asked = question(mark_all(&mut model)).expect("asked");
  hear(&mut model, everything(&asked.id, 1000, 3214));
  assert_eq!(model.list().expect("a list").marks.len(), 1000);
  let text = picture(&mut model, 100, 30);
  assert!(text.contains("only the first 1,000 of 3,214 are marked"), "{text}");
}

#[test]
fn what_is_loaded_whole_or_held_is_not_asked_for() {
  let mut model = with_more(24);
  assert!(question(mark_all(&mut model)).is_none());
  assert_eq!(model.list().expect("a list").marks.len(), 24);
  let mut model = with_more(105);
  press(&mut model, plain(KeyCode::Char('f')));
  assert!(question(mark_all(&mut model)).is_none());
}

#[test]
fn another_filter_or_a_lost_link_ends_it() {
  let mut model = with_more(105);
  let asked = question(mark_all(&mut model)).expect("asked");
  let now = model.now;
  update(&mut model, Msg::Link(LinkNews::Down { error: "gone".into(), retry_ms: None }), now);
  hear(&mut model, everything(&asked.id, 105, 105));
  assert_eq!(model.list().expect("a list").marks.len(), 24);
  assert_eq!(model.collecting, None);
}
