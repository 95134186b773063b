//! What happens: messages change the model and leave effects. No I/O, no clock.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use hetuflow_core::Watch;

use super::act::Plan;
use super::actions;
use super::asking;
use super::command_line;
use super::complete;
use super::find;
use super::link::LinkNews;
use super::log::{LogAsk, LogOutcome};
use super::look::Role;
use super::marks;
use super::menus;
use super::model::{Hit, Model, Screen};
use super::moving;
use super::overlay::{Choice, MenuKind, Overlay, Reading, Told};
use super::questions::Asked;
use super::screen;
use super::store::Verdict;
use super::text::{age, count};
use super::waiting;
use super::widget::input::Typed;

/// Lines of the session's log that are kept.
const DONE_MAX: usize = 5000;

/// Something happened.
#[derive(Debug, Clone)]
pub enum Msg {
  /// A key was pressed.
  Key(KeyEvent),
  /// The mouse.
  Mouse(MouseEvent),
  /// Text was pasted.
  Paste(String),
  /// The terminal has another size.
  Resize(u16, u16),
  /// The link told something.
  Link(LinkNews),
  /// Time passed.
  Tick,
  /// The machine or the process slept.
  Woke,
  /// A plan was carried out: each target's label and what became of it.
  Acted(Plan, Vec<(String, Result<(), String>)>),
  /// Namespaces of the server.
  Namespaces(Vec<String>),
  /// Something to tell.
  Note(Role, String),
  /// Why a task waits; none where the server cannot say it.
  Why(String, Option<serde_json::Value>),
  /// What a command said.
  Answered(String, Vec<String>),
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
  /// Ask the server this.
  Watch(Box<Watch>),
  /// Take it back.
  Unwatch(String),
  /// Connect now.
  Reconnect,
  /// Change the server.
  Act(Plan),
  /// Into the clipboard.
  Copy(String),
  /// Into a file of this name.
  Export(String, String),
  /// Into the pager.
  Pager(String),
  /// Stop until `fg`.
  Suspend,
  /// Draw all cells.
  Redraw,
  /// Another context.
  Context(String),
  /// Ask for the namespaces.
  Namespaces,
  /// Something with the output of a task.
  Log(LogAsk),
  /// Remember columns and order.
  Remember,
  /// Ask why a task waits.
  Why(String),
  /// Run these words of the command line, which change nothing.
  Ask(Vec<String>),
  /// Leave.
  Quit,
}

/// Changes the model; what is left to do.
pub fn update(model: &mut Model, msg: Msg, now: Duration) -> Vec<Effect> {
  model.now = now;
  model.toasts.retain(|toast| toast.until > now);
  let mut effects = Vec::new();
  match msg {
    Msg::Key(key) if key.kind != KeyEventKind::Release => key_pressed(model, key, &mut effects),
    Msg::Key(_) | Msg::Tick => {}
    Msg::Mouse(mouse) => mouse_moved(model, mouse, &mut effects),
    Msg::Paste(text) => paste(model, &text),
    Msg::Resize(width, height) => {
      model.size = (width, height);
      effects.push(Effect::Redraw);
    }
    Msg::Link(news) => link_told(model, news, &mut effects),
    Msg::Woke => effects.push(Effect::Reconnect),
    Msg::Acted(plan, results) => acted(model, &plan, &results),
    Msg::Namespaces(names) => namespaces(model, names),
    Msg::Note(role, text) => model.toast(role, text),
    Msg::Why(task, answer) => waiting::answered(model, &task, answer),
    Msg::Answered(title, lines) => {
      model.toasts.retain(|toast| toast.text != "asking");
      model.overlays.push(Overlay::Reading(Reading::new(title, lines)));
    }
  }
  model.flood = is_flood(model);
  marks::collect(model);
  find::refresh(model);
  follow_lists(model);
  screen::task::sync_log(model);
  waiting::sync(model, &mut effects);
  let Asked { watch, unwatch } = model.sync_watches();
  effects.extend(unwatch.into_iter().map(Effect::Unwatch));
  effects.extend(watch.into_iter().map(|watch| Effect::Watch(Box::new(watch))));
  effects
}

fn key_pressed(model: &mut Model, key: KeyEvent, effects: &mut Vec<Effect>) {
  if quits(key) {
    effects.push(Effect::Quit);
    return;
  }
  if let Some(overlay) = model.overlays.last_mut() {
    let told = overlay.key(key, &model.recent);
    overlay_told(model, told, effects);
    return;
  }
  if model.typing.is_some() {
    type_filter(model, key);
    return;
  }
  if log_key(model, key, effects) {
    return;
  }
  if let Some(action) = model.keys.action(key, model.screen.place()) {
    actions::run(model, action, effects);
  }
}

/// The output of the task screen takes a key before the screen does.
fn log_key(model: &mut Model, key: KeyEvent, effects: &mut Vec<Effect>) -> bool {
  let Some(pane) = model.log_with_keys() else { return false };
  let outcome = pane.handle(key);
  let attempt = pane.attempt();
  model.attempt = attempt;
  match outcome {
    LogOutcome::Handled => {}
    LogOutcome::Ignored => return false,
    LogOutcome::Ask(LogAsk::Copy(text)) => effects.push(Effect::Copy(text)),
    LogOutcome::Ask(ask) => effects.push(Effect::Log(ask)),
  }
  true
}

/// `^C` leaves from everywhere, whatever the table says.
fn quits(key: KeyEvent) -> bool {
  use crossterm::event::KeyModifiers;
  key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn overlay_told(model: &mut Model, told: Told, effects: &mut Vec<Effect>) {
  match told {
    Told::Kept => {}
    Told::Closed => {
      model.overlays.pop();
    }
    Told::Copied(text) => effects.push(Effect::Copy(text)),
    Told::CopiedChoice(choice, text) => {
      let command = find::command(model, &choice).filter(|_| !matches!(choice, Choice::Line(_)));
      effects.push(Effect::Copy(command.unwrap_or(text)));
    }
    Told::Typed(line) => {
      model.overlays.pop();
      command_line::run(model, &line, effects);
    }
    Told::Chosen(choice) => chosen(model, choice, effects),
    Told::Confirmed(plan) => {
      model.overlays.pop();
      confirmed(model, plan, effects);
    }
  }
}

/// The only place from which something is changed on the server.
fn confirmed(model: &mut Model, plan: Plan, effects: &mut Vec<Effect>) {
  if let Some(why) = asking::why_not_now(model) {
    model.toast(Role::Warn, why);
    return;
  }
  model.acting = true;
  model.done.push(format!("…  {}", plan.command()));
  effects.push(Effect::Act(plan));
}

fn chosen(model: &mut Model, choice: Choice, effects: &mut Vec<Effect>) {
  let stays =
    matches!(model.overlays.last(), Some(Overlay::Menu(menu)) if menu.kind == MenuKind::Columns);
  if !stays {
    model.overlays.pop();
  }
  match choice {
    Choice::Do(action) => actions::run(model, action, effects),
    Choice::Go(screen) => model.go(screen),
    Choice::JobTasks(job) => screen::tasks_with(model, &format!("job={}", screen::value(&job))),
    Choice::AgentTasks(agent) => {
      screen::tasks_with(model, &format!("agent={}", screen::value(&agent)));
    }
    Choice::Schedule(name) => screen::list_with(model, Screen::Jobs, &screen::value(&name)),
    Choice::Sort(field) => {
      menus::sort_by(model, &field);
      effects.push(Effect::Remember);
    }
    Choice::Column(name) => {
      menus::toggle_column(model, &name);
      effects.push(Effect::Remember);
    }
    Choice::Context(name) => effects.push(Effect::Context(name)),
    Choice::Namespace(name) => menus::change_namespace(model, name),
    Choice::Line(line) => command_line::run(model, &line, effects),
    Choice::Ask(verb, target) => asking::ask_one(model, verb, *target),
  }
}

fn type_filter(model: &mut Model, key: KeyEvent) {
  let earlier = model.list().map(|list| list.earlier.clone()).unwrap_or_default();
  if matches!(key.code, KeyCode::Tab | KeyCode::BackTab) {
    return complete::turn(model, key.code == KeyCode::BackTab);
  }
  let Some(input) = &mut model.typing else { return };
  match input.key(key, &earlier) {
    Typed::Done => {
      let text = input.text().trim().to_owned();
      model.typing = None;
      if let Some(list) = model.list_mut() {
        list.set_filter(&text);
      }
    }
    Typed::Left => model.typing = None,
    Typed::Changed | Typed::Moved => complete::look_up(model),
    Typed::Ignored => {}
  }
}

fn paste(model: &mut Model, text: &str) {
  match (model.overlays.last_mut(), &mut model.typing) {
    (Some(overlay), _) => overlay.paste(text),
    (None, Some(input)) => input.insert(text),
    (None, None) => {}
  }
}

fn mouse_moved(model: &mut Model, mouse: MouseEvent, effects: &mut Vec<Effect>) {
  let by = match mouse.kind {
    MouseEventKind::ScrollUp => -3,
    MouseEventKind::ScrollDown => 3,
    MouseEventKind::Down(MouseButton::Left) => 0,
    _ => return,
  };
  if by != 0 {
    match model.overlays.last_mut() {
      Some(Overlay::Reading(reading)) => {
        let last = reading.lines.len().saturating_sub(1);
        reading.top = reading.top.saturating_add_signed(by).min(last);
      }
      Some(_) => {}
      None if matches!(model.screen, Screen::Task(_)) => roll_log(model, by),
      None => moving::scroll(model, by as i64),
    }
    return;
  }
  let at = ratatui::layout::Position::new(mouse.column, mouse.row);
  let Some(hit) =
    model.hits.iter().rev().find(|(area, _)| area.contains(at)).map(|it| it.1.clone())
  else {
    return;
  };
  clicked(model, hit, effects);
}

/// The wheel moves the output by rows, as the keys do.
fn roll_log(model: &mut Model, by: isize) {
  use crossterm::event::KeyModifiers;
  let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
  if let Some(pane) = model.log_with_keys() {
    for _ in 0..by.unsigned_abs() {
      let _handled = pane.handle(KeyEvent::new(code, KeyModifiers::NONE));
    }
  }
}

fn clicked(model: &mut Model, hit: Hit, effects: &mut Vec<Effect>) {
  let covered = !model.overlays.is_empty();
  match hit {
    Hit::Choice(at) => {
      if let Some(Overlay::Menu(menu)) = model.overlays.last_mut() {
        menu.at = at;
        if let Some(choice) = menu.chosen().map(|item| item.value.clone()) {
          chosen(model, choice, effects);
        }
      }
    }
    _ if covered => {}
    Hit::Tab(screen) => model.go(screen),
    Hit::Head(field) => {
      menus::sort_by(model, field);
      effects.push(Effect::Remember);
    }
    Hit::Row(index) => moving::click_row(model, index, effects),
    Hit::Dash(pane, row) => screen::dashboard::click(model, pane, row),
  }
}

fn link_told(model: &mut Model, news: LinkNews, effects: &mut Vec<Effect>) {
  let away = model.link.lost_at.map(|since| model.now.saturating_sub(since));
  model.link.hear(&news, model.now);
  match news {
    LinkNews::Up => {
      let again = model.store.ask_all_again();
      effects.extend(again.into_iter().map(|watch| Effect::Watch(Box::new(watch))));
      if let Some(away) = away {
        let words = format!("back after {}, {} lost", age(away), count(model.store.holes));
        model.toast(Role::Good, words);
      }
    }
    LinkNews::Frame(frame) => {
      if let (Verdict::AskAgain, Some(watch)) = model.store.apply(*frame, model.now) {
        effects.push(Effect::Watch(Box::new(watch)));
      }
    }
    LinkNews::Refused(words) => model.toast(Role::Bad, words),
    LinkNews::Tick(_) | LinkNews::Rtt(_) | LinkNews::Down { .. } => {}
  }
}

/// More than 30 of 100 rows of the window change in a second: too fast to read.
fn is_flood(model: &Model) -> bool {
  let Some(view) = model.store.view("tasks") else { return false };
  let changes = view.changes_per_second(model.now);
  changes >= 20 && changes * 10 > view.order.len() as u64 * 3
}

fn follow_lists(model: &mut Model) {
  let Model { lists, store, .. } = model;
  for (name, list) in lists {
    if let (None, Some(view)) = (&list.frozen, store.view(name))
      && view.synced
      && view.error.is_none()
    {
      list.follow(view);
    }
  }
}

fn acted(model: &mut Model, plan: &Plan, results: &[(String, Result<(), String>)]) {
  model.acting = false;
  let failed: Vec<String> = results
    .iter()
    .filter_map(|(label, result)| Some(format!("{label}: {}", result.as_ref().err()?)))
    .collect();
  let fine = results.len() - failed.len();
  let words = match failed.as_slice() {
    [] if fine == 1 => format!("{} {}", results[0].0, plan.verb.done()),
    [] => format!("{fine} {}", plan.verb.done()),
    [one] if results.len() == 1 => format!("not {}: {one}", plan.verb.done()),
    many => format!("{fine} {}, {} not", plan.verb.done(), many.len()),
  };
  keep_in_log(model, plan, &words, results);
  model.toast(if failed.is_empty() { Role::Good } else { Role::Bad }, words);
  if results.len() > 1 && !failed.is_empty() {
    let lines = results.iter().map(|(label, result)| match result {
      Ok(()) => format!("{} {label}  {}", model.look.glyphs.succeeded, plan.verb.done()),
      Err(why) => format!("{} {label}  {why}", model.look.glyphs.failed),
    });
    let lines = lines.collect();
    model.overlays.push(Overlay::Reading(Reading::new("Results", lines)));
  }
  if let Some(list) = model.list_mut().filter(|_| failed.is_empty()) {
    list.marks.clear();
  }
}

/// The session's log: what became of it, the command, and of several each by itself.
fn keep_in_log(
  model: &mut Model,
  plan: &Plan,
  words: &str,
  results: &[(String, Result<(), String>)],
) {
  let pending = format!("…  {}", plan.command());
  if let Some(line) = model.done.iter_mut().rfind(|line| **line == pending) {
    *line = format!("{words}:  {}", plan.command());
  }
  if results.len() > 1 {
    model.done.extend(results.iter().map(|(label, result)| match result {
      Ok(()) => format!("  {} {label}  {}", model.look.glyphs.succeeded, plan.verb.done()),
      Err(why) => format!("  {} {label}  {why}", model.look.glyphs.failed),
    }));
  }
  let over = model.done.len().saturating_sub(DONE_MAX);
  model.done.drain(..over);
}

fn namespaces(model: &mut Model, names: Vec<String>) {
  model.site.namespaces = names;
  let items = menus::places(model);
  if let Some(Overlay::Menu(menu)) = model.overlays.last_mut()
    && menu.kind == MenuKind::Where
  {
    menu.items = items;
  } else {
    find::again(model);
  }
}
