//! The line after `:`: the words of the CLI, and a few of the screen's own.

use super::actions;
use super::keys::Action;
use super::look::{Look, Role, Theme};
use super::menus;
use super::model::{Model, Screen};
use super::overlay::{Overlay, Reading};
use super::screen;
use super::update::Effect;
use hetuflow_core::split_words;

/// Lines that are kept.
const RECENT_MAX: usize = 50;

/// First words that only read.
const READING_WORDS: &[&str] =
  &["status", "logs", "get", "ls", "describe", "explain", "schema", "version", "whoami", "events"];
/// Second words that only read; they end by themselves.
const READING_VERBS: &[&str] = &[
  "list", "ls", "get", "show", "describe", "history", "versions", "diff", "stats", "why", "lint",
  "next", "explain", "check", "tree", "attempts", "logs", "result", "timeline", "count", "metrics",
  "health", "leader", "config", "status", "pending", "stuck", "oldest", "graph", "runs", "tail",
  "current", "fires",
];

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
  ("agent drain", "of the marked agents; asks first"),
  ("status", "the health of everything, as in a shell"),
  ("job get", "job get NAME, job history NAME, job versions NAME: as in a shell"),
  ("schedule next", "schedule next NAME or 'EXPRESSION': as in a shell"),
  ("task logs", "task logs ID --tail 50: as in a shell"),
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
    ["namespace" | "ns", "use", "*"] => menus::change_namespace(model, None),
    ["namespace" | "ns", "use", name] => {
      menus::change_namespace(model, Some((*name).to_owned()));
    }
    ["task", "get", id] => open_task(model, id),
    [noun, "list" | "ls", rest @ ..] => list(model, noun, &rest.join(" ")),
    ["task", "cancel"] => actions::run(model, Action::Cancel, effects),
    ["task", "retry"] => actions::run(model, Action::Retry, effects),
    ["job", "run"] => actions::run(model, Action::Run, effects),
    ["job", "disable" | "enable"] => actions::run(model, Action::Pause, effects),
    ["agent", "cordon" | "uncordon"] => actions::run(model, Action::Cordon, effects),
    ["agent", "drain"] => actions::run(model, Action::Drain, effects),
    [name] if Screen::of_name(name).is_some() => {
      model.go(Screen::of_name(name).unwrap_or(Screen::Dash));
    }
    _ => ask(model, line, effects),
  }
}

/// Hands words that only read to the command line itself; what it says is shown.
fn ask(model: &mut Model, line: &str, effects: &mut Vec<Effect>) {
  let words = match split_words(line) {
    Ok(words) => words,
    Err(error) => return model.toast(Role::Warn, format!("the line {error}")),
  };
  let plain: Vec<&str> = words.iter().map(String::as_str).collect();
  let reads = match plain.as_slice() {
    [first, ..] if READING_WORDS.contains(first) => true,
    [_, verb, ..] => READING_VERBS.contains(verb),
    _ => false,
  };
  let endless =
    |word: &&str| matches!(*word, "-f" | "--follow" | "-w" | "--watch" | "--watch-only");
  if plain.iter().any(endless) {
    return model.toast(Role::Warn, "what never ends belongs into a shell: leave out -f and -w");
  }
  match reads {
    true => effects.push(Effect::Ask(words)),
    false => model.toast(Role::Warn, format!("not known here: {line} (Tab completes)")),
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

#[cfg(test)]
mod tests {
  use super::*;
  use crate::tui::test_data as data;

  #[test]
  fn lines_are_split_as_a_shell_does() {
    let words = |line| split_words(line).ok().map(|words| words.join("|"));
    assert_eq!(
      words("schedule next  '0 2 * * *' --tz UTC").as_deref(),
      Some("schedule|next|0 2 * * *|--tz|UTC")
    );
    assert_eq!(words(r#"a "b \" c"d '' e\ f"#).as_deref(), Some("a|b \" cd||e f"));
    assert_eq!((words("a 'b"), words("")), (None, Some(String::new())));
  }

  #[test]
  fn only_words_that_read_are_handed_on() {
    let asked = |line: &str| {
      let mut model = data::model(Screen::Dash, data::Stage::Full);
      let mut effects = Vec::new();
      run(&mut model, line, &mut effects);
      effects.into_iter().find_map(|effect| match effect {
        Effect::Ask(words) => Some(words),
        _ => None,
      })
    };
    assert_eq!(asked("hetuflowctl schedule next '0 2 * * *'").expect("asked")[2], "0 2 * * *");
    assert!(asked("job history etl-daily").is_some() && asked("status").is_some());
    for line in
      ["job delete etl-daily", "dev", "apply -f x", "task logs x -f", "tui", "api POST /x"]
    {
      assert_eq!(asked(line), None, "{line}");
    }
  }
}
