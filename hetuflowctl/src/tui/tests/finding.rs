//! The palette reaches things that no list has loaded, and Tab completes filters.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hetuflow_core::Watch;

use super::{data, picture, plain};
use crate::tui::model::{Model, Screen};
use crate::tui::overlay::Overlay;
use crate::tui::update::{Effect, Msg, update};
use data::Stage;

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
  let now = model.now + Duration::from_millis(5);
  update(model, Msg::Key(key), now)
}

fn type_text(model: &mut Model, text: &str) -> Vec<Effect> {
  text.chars().flat_map(|c| press(model, plain(KeyCode::Char(c)))).collect()
}

/// Opens the palette; the server answers.
fn open(model: &mut Model) {
  let effects = press(model, KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL));
  let now = model.now;
  data::serve(model, effects, Stage::Full, now);
}

fn questions(effects: Vec<Effect>) -> Vec<Watch> {
  let asked = effects.into_iter().filter_map(|effect| match effect {
    Effect::Watch(watch) if watch.id.starts_with("find-") => Some(*watch),
    _ => None,
  });
  asked.collect()
}

fn tick(model: &mut Model, millis: u64) -> Vec<Effect> {
  let now = model.now + Duration::from_millis(millis);
  update(model, Msg::Tick, now)
}

#[test]
fn things_of_every_kind_are_found_from_the_first_screen() {
  for (typed, found, leads_to, filter) in [
    ("job thumbs", "job thumbs", Screen::Tasks, "job=thumbs"),
    ("agent edge", "agent edge-cn-1", Screen::Tasks, "agent=edge-cn-1"),
    ("sched s3", "schedule s3 of ", Screen::Jobs, "s3"),
    ("server s2", "server s2", Screen::Servers, ""),
  ] {
    let mut model = data::model(Screen::Dash, Stage::Full);
    open(&mut model);
    type_text(&mut model, typed);
    let text = picture(&mut model, 80, 24);
    assert!(text.contains(found), "{typed}\n{text}");
    assert!(text.contains("same as: hetuflowctl "), "{typed}\n{text}");
    press(&mut model, plain(KeyCode::Enter));
    assert_eq!(model.screen, leads_to, "{typed}");
    assert_eq!(model.list().expect("a list").filter, filter, "{typed}");
  }
}

#[test]
fn what_is_changed_is_asked_first_and_has_its_command() {
  let mut model = data::model(Screen::Dash, Stage::Full);
  open(&mut model);
  type_text(&mut model, "cordon agent worker-02");
  let text = picture(&mut model, 80, 24);
  assert!(text.contains("same as: hetuflowctl agent cordon worker-02"), "{text}");
  let copied = press(&mut model, KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL));
  let is_command = |effect: &Effect| matches!(effect, Effect::Copy(text) if text == "hetuflowctl agent cordon worker-02");
  assert!(copied.iter().any(is_command));
  press(&mut model, plain(KeyCode::Enter));
  assert!(matches!(model.overlays.last(), Some(Overlay::Confirm { .. })));
}

#[test]
fn the_server_is_asked_at_a_rest_of_the_keys() {
  let mut model = data::model(Screen::Dash, Stage::Full);
  open(&mut model);
  let asked = questions(type_text(&mut model, "etl"));
  assert_eq!(asked.len(), 0, "keys alone ask nothing");
  assert!(model.next_wake().is_some());
  let asked = questions(tick(&mut model, 200));
  // More tasks than are asked for: the server narrows them.
  let tasks = asked.iter().find(|watch| watch.id.starts_with("find-tasks.")).expect("asked");
  assert_eq!(tasks.filter, "\"etl\"");
  // While a list of names is asked for, the picture is as good as it was.
  assert!(model.store.is_synced());
  press(&mut model, plain(KeyCode::Esc));
  let ended = tick(&mut model, 20_000);
  let ended = tick(&mut model, 20_000).len() + ended.len();
  assert!(ended >= 4, "questions end some time after the palette");
}

#[test]
fn the_choice_under_the_cursor_stays_when_more_is_known() {
  let mut model = data::model(Screen::Dash, Stage::Full);
  let effects = press(&mut model, KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL));
  type_text(&mut model, "screen");
  for _ in 0..2 {
    press(&mut model, plain(KeyCode::Down));
  }
  let chosen = |model: &Model| match model.overlays.last() {
    Some(Overlay::Menu(menu)) => menu.chosen().map(|item| item.text.clone()),
    _ => None,
  };
  let before = chosen(&model);
  let now = model.now;
  data::serve(&mut model, effects, Stage::Full, now);
  assert_eq!(chosen(&model), before);
}

#[test]
fn tab_completes_fields_operators_and_values() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  let tab = |model: &mut Model| press(model, plain(KeyCode::Tab));
  let line = |model: &Model| model.typing.as_ref().expect("typing").text().to_owned();
  type_text(&mut model, "/sta");
  tab(&mut model);
  assert_eq!(line(&model), "state=");
  type_text(&mut model, "fa");
  assert!(picture(&mut model, 80, 24).contains("Tab failed"));
  tab(&mut model);
  assert_eq!(line(&model), "state=failed");
  type_text(&mut model, " job=etl");
  tab(&mut model);
  assert_eq!(line(&model), "state=failed job=etl-");
  tab(&mut model);
  assert_eq!(line(&model), "state=failed job=etl-daily");
  tab(&mut model);
  assert_eq!(line(&model), "state=failed job=etl-fetch-api");
  press(&mut model, plain(KeyCode::BackTab));
  type_text(&mut model, " agent=worker-01 ru");
  tab(&mut model);
  assert_eq!(line(&model), "state=failed job=etl-daily agent=worker-01 run");
  tab(&mut model);
  assert_eq!(line(&model), "state=failed job=etl-daily agent=worker-01 run<");
  press(&mut model, plain(KeyCode::Enter));
  assert!(model.typing.is_none());
  assert!(model.list().expect("a list").filter.ends_with("run<"));
}
