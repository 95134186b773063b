//! The line after `:`: the words of the CLI, and a few of the screen's own.

use super::actions;
use super::keys::Action;
use super::look::{Look, Role, Theme};
use super::model::{Model, Screen};
use super::overlay::{Overlay, Reading};
use super::screen;
use super::update::Effect;

/// Lines that are kept.
const RECENT_MAX: usize = 50;

/// What can be typed, for the list below the line.
pub const WORDS: &[(&str, &str)] = &[
  ("task list", "task list FILTER: tasks that match"),
  ("job list", "job list FILTER: jobs that match"),
  ("agent list", "agent list FILTER: agents that match"),
  ("event list", "event list FILTER: events that match"),
  ("task get", "task get ID: one task"),
  ("task cancel", "of the marked tasks; asks first"),
  ("task retry", "of the marked tasks; asks first"),
  ("job run", "of the marked jobs; asks first"),
  ("job disable", "of the marked jobs; asks first"),
  ("agent cordon", "of the marked agents; asks first"),
  ("context use", "context use NAME"),
  ("namespace use", "namespace use NAME; * shows all"),
  ("set theme", "set theme auto, dark, light, high-contrast, mono or catppuccin"),
  ("log", "what was done in this session"),
  ("help", "the keys"),
  ("q", "quit"),
];

/// Does what a line says.
pub fn run(model: &mut Model, line: &str, effects: &mut Vec<Effect>) {
  model.recent.retain(|known| known != line);
  model.recent.push(line.to_owned());
  let over = model.recent.len().saturating_sub(RECENT_MAX);
  model.recent.drain(..over);
  let line = line.trim().trim_start_matches("hetuflowctl ").trim();
  let words: Vec<&str> = line.split_whitespace().collect();
  match words.as_slice() {
    [] => {}
    ["q" | "quit" | "exit"] => effects.push(Effect::Quit),
    ["log"] => show_log(model),
    ["help"] => actions::run(model, Action::Help, effects),
    ["set", "theme", name] => set_theme(model, name),
    ["context" | "ctx", "use", name] => effects.push(Effect::Context((*name).to_owned())),
    ["namespace" | "ns", "use", "*"] => actions::change_namespace(model, None),
    ["namespace" | "ns", "use", name] => {
      actions::change_namespace(model, Some((*name).to_owned()));
    }
    ["task", "get", id] => open_task(model, id),
    [noun, "list" | "ls", rest @ ..] => list(model, noun, &rest.join(" ")),
    ["task", "cancel"] => actions::run(model, Action::Cancel, effects),
    ["task", "retry"] => actions::run(model, Action::Retry, effects),
    ["job", "run"] => actions::run(model, Action::Run, effects),
    ["job", "disable" | "enable"] => actions::run(model, Action::Pause, effects),
    ["agent", "cordon" | "uncordon"] => actions::run(model, Action::Cordon, effects),
    [name] if Screen::of_name(name).is_some() => {
      model.go(Screen::of_name(name).unwrap_or(Screen::Dash));
    }
    _ => model.toast(Role::Warn, format!("not known here: {line} (Tab completes)")),
  }
}

fn show_log(model: &mut Model) {
  let mut lines = model.done.clone();
  if lines.is_empty() {
    lines.push("nothing was changed in this session".to_owned());
  }
  model.overlays.push(Overlay::Reading(Reading::new("Done in this session", lines)));
}

fn set_theme(model: &mut Model, name: &str) {
  match Theme::of_name(name) {
    Some(theme) => model.look = Look { theme, ..model.look },
    None => {
      let names = Theme::ALL.map(Theme::name).join(", ");
      model.toast(Role::Warn, format!("themes: {names}"));
    }
  }
}

fn open_task(model: &mut Model, id: &str) {
  let known = model.store.view("tasks").and_then(|view| {
    view.order.iter().find(|key| {
      *key == id || key.parse::<hetuflow_core::TaskId>().is_ok_and(|key| key.short() == id)
    })
  });
  let id = known.cloned().unwrap_or_else(|| id.to_owned());
  model.go(Screen::Task(id));
}

fn list(model: &mut Model, noun: &str, filter: &str) {
  match Screen::of_name(noun).or_else(|| Screen::of_name(&format!("{noun}s"))) {
    Some(to) if to.list().is_some() => screen::list_with(model, to, filter),
    _ => model.toast(Role::Warn, format!("no list of {noun}")),
  }
}
