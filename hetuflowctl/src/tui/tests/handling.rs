//! What keys do: identity, marks, dialogs, filters, the way between screens.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{data, picture, plain};
use crate::tui::act::Verb;
use crate::tui::link::LinkNews;
use crate::tui::model::{Model, Screen};
use crate::tui::overlay::Overlay;
use crate::tui::update::{Effect, Msg, update};
use data::Stage;

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
  let now = model.now + Duration::from_millis(5);
  update(model, Msg::Key(plain(code)), now)
}

fn type_text(model: &mut Model, text: &str) {
  for c in text.chars() {
    press(model, KeyCode::Char(c));
  }
}

fn shown(model: &mut Model) -> String {
  picture(model, 100, 30)
}

#[test]
fn a_dialog_keeps_the_ids_of_the_key_press() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  shown(&mut model);
  type_text(&mut model, "jj");
  press(&mut model, KeyCode::Char('X'));
  let Some(Overlay::Confirm { plan, .. }) = model.overlays.last() else { panic!("no dialog") };
  let id = plan.targets[0].id.clone();
  assert_eq!((plan.verb, id.as_str()), (Verb::Cancel, data::id(2).as_str()));
  // The list changes under the dialog.
  let mut frame = data::answer("tasks", hetuflow_core::Scope::Tasks, Stage::Full, 990);
  frame.id = model.store.view("tasks").expect("asked").wire_id();
  frame.order.as_mut().expect("rows").rotate_left(2);
  let now = model.now;
  update(&mut model, Msg::Link(LinkNews::Frame(Box::new(frame))), now);
  let effects = press(&mut model, KeyCode::Char('y'));
  let acts: Vec<&Effect> = effects.iter().filter(|it| matches!(it, Effect::Act(_))).collect();
  let [Effect::Act(plan)] = acts.as_slice() else { panic!("{effects:?}") };
  assert_eq!(plan.targets[0].id, id);
}

#[test]
fn marked_rows_are_the_set_and_others_are_left_out() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  shown(&mut model);
  for _ in 0..3 {
    press(&mut model, KeyCode::Char(' '));
  }
  assert_eq!(model.list().expect("a list").marks.len(), 3);
  assert!(shown(&mut model).contains("3 marked"));
  press(&mut model, KeyCode::Char('R'));
  let Some(Overlay::Confirm { plan, .. }) = model.overlays.last() else { panic!("no dialog") };
  // Of failed, waiting_retry and running only the failed one has ended.
  assert_eq!(plan.targets.len(), 1);
  let text = shown(&mut model);
  assert!(text.contains("same as: hetuflowctl -n etl task retry"), "{text}");
  press(&mut model, KeyCode::Esc);
  press(&mut model, KeyCode::Esc);
  assert!(model.list().expect("a list").marks.is_empty());
}

#[test]
fn protected_contexts_want_the_word_and_read_only_ones_nothing() {
  let mut model = data::model(Screen::Jobs, Stage::Full);
  model.site.protected = true;
  press(&mut model, KeyCode::Char('T'));
  assert!(press(&mut model, KeyCode::Char('y')).iter().all(|it| !matches!(it, Effect::Act(_))));
  press(&mut model, KeyCode::Backspace);
  type_text(&mut model, "run");
  assert!(shown(&mut model).contains("type  run  and Return"));
  assert!(press(&mut model, KeyCode::Enter).iter().any(|it| matches!(it, Effect::Act(_))));
  let mut model = data::model(Screen::Jobs, Stage::Full);
  model.site.read_only = true;
  press(&mut model, KeyCode::Char('T'));
  assert!(model.overlays.is_empty());
  let text = shown(&mut model);
  assert!(
    text.contains("read-only: nothing can be changed") && !text.contains("T run job"),
    "{text}"
  );
}

#[test]
fn offline_refuses_also_what_is_already_asked() {
  let mut model = data::model(Screen::Agents, Stage::Full);
  press(&mut model, KeyCode::Char('C'));
  assert!(matches!(model.overlays.last(), Some(Overlay::Confirm { .. })));
  let now = model.now;
  update(&mut model, Msg::Link(LinkNews::Down { error: "gone".into(), retry_ms: None }), now);
  assert!(press(&mut model, KeyCode::Char('y')).iter().all(|it| !matches!(it, Effect::Act(_))));
  assert!(shown(&mut model).contains("offline: nothing was sent"));
}

#[test]
fn filters_are_asked_of_the_server_and_escape_clears_them() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  press(&mut model, KeyCode::Char('/'));
  type_text(&mut model, "state=failed");
  let effects = press(&mut model, KeyCode::Enter);
  let asked = effects.iter().find_map(|effect| match effect {
    Effect::Watch(watch) if watch.id.starts_with("tasks.") => Some(watch.filter.clone()),
    _ => None,
  });
  assert_eq!(asked.as_deref(), Some("state=failed"));
  assert!(
    effects.iter().any(|effect| matches!(effect, Effect::Unwatch(id) if id.starts_with("tasks.")))
  );
  press(&mut model, KeyCode::Esc);
  assert_eq!(model.list().expect("a list").filter, "");
}

#[test]
fn screens_remember_the_way() {
  let mut model = data::model(Screen::Dash, Stage::Full);
  let effects = press(&mut model, KeyCode::Char('3'));
  let now = model.now;
  data::serve(&mut model, effects, Stage::Full, now);
  press(&mut model, KeyCode::Enter);
  assert_eq!(model.screen, Screen::Tasks);
  assert_eq!(model.list().expect("a list").filter, "job=etl-daily");
  press(&mut model, KeyCode::Char('['));
  assert_eq!(model.screen, Screen::Jobs);
  press(&mut model, KeyCode::Char(']'));
  assert_eq!(model.screen, Screen::Tasks);
  press(&mut model, KeyCode::Esc);
  press(&mut model, KeyCode::Esc);
  press(&mut model, KeyCode::Esc);
  assert_eq!(model.screen, Screen::Dash);
  assert!(press(&mut model, KeyCode::Char('q')).iter().any(|it| matches!(it, Effect::Quit)));
}

#[test]
fn the_palette_finds_things_and_the_line_takes_words() {
  let mut model = data::model(Screen::Jobs, Stage::Full);
  let find = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL);
  let now = model.now;
  update(&mut model, Msg::Key(find), now);
  type_text(&mut model, "job ml tr");
  press(&mut model, KeyCode::Enter);
  assert_eq!(
    (&model.screen, model.list().expect("a list").filter.as_str()),
    (&Screen::Tasks, "job=ml-train")
  );
  press(&mut model, KeyCode::Char(':'));
  type_text(&mut model, "agent list gpu");
  press(&mut model, KeyCode::Enter);
  assert_eq!(
    (&model.screen, model.list().expect("a list").filter.as_str()),
    (&Screen::Agents, "gpu")
  );
  press(&mut model, KeyCode::Char(':'));
  type_text(&mut model, "q");
  assert!(press(&mut model, KeyCode::Enter).iter().any(|it| matches!(it, Effect::Quit)));
}

#[test]
fn a_frozen_list_stands_while_data_goes_on() {
  let mut model = data::model(Screen::Events, Stage::Full);
  press(&mut model, KeyCode::Char('f'));
  let before = model.list_view().expect("rows").order.clone();
  let mut frame = data::answer("events", hetuflow_core::Scope::Events, Stage::Empty, 990);
  frame.id = model.store.view("events").expect("asked").wire_id();
  let now = model.now;
  update(&mut model, Msg::Link(LinkNews::Frame(Box::new(frame))), now);
  assert_eq!(model.list_view().expect("rows").order, before);
  assert!(shown(&mut model).contains("FROZEN"));
  press(&mut model, KeyCode::Char('f'));
  assert!(model.list_view().expect("a view").order.is_empty());
}

#[test]
fn overlays_look_as_drawn() {
  let mut all = String::new();
  for (screen, keys) in [
    (Screen::Tasks, "?"),
    (Screen::Tasks, "x"),
    (Screen::Tasks, ":"),
    (Screen::Tasks, "s"),
    (Screen::Tasks, "w"),
    (Screen::Tasks, "@"),
    (Screen::Jobs, "T"),
    (Screen::Agents, "i"),
  ] {
    let mut model = data::model(screen, Stage::Full);
    type_text(&mut model, keys);
    all.push_str(&format!("===== {keys}\n{}", picture(&mut model, 80, 24)));
  }
  insta::assert_snapshot!("overlays", all);
}

#[test]
fn the_same_state_is_the_same_picture_and_its_next_change_is_known() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  assert_eq!(picture(&mut model, 160, 48), picture(&mut model, 160, 48));
  let mut buf = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 80, 24));
  let drawn = crate::tui::view::view(&mut model, &mut buf);
  let soon = drawn.next_change.expect("the clock ticks");
  assert!(soon.since(data::now()) <= Duration::from_secs(1));
}
