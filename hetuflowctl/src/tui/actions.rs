//! What each key does.

use super::act;
use super::asking::{ask, rows};
use super::draw::TimeMode;
use super::keys::Action;
use super::look::Role;
use super::marks::mark;
use super::menus;
use super::model::{Model, Screen, TasksView};
use super::moving::{motion, skip_columns};
use super::overlay::{Overlay, Reading};
use super::screen;
use super::store::Row;
use super::update::Effect;
use super::widget::input::Input;

/// Does what a key does.
pub fn run(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
  use Action as A;
  match action {
    A::Open => open(model),
    A::Logs => open_logs(model),
    A::Inspect => inspect(model),
    A::Pager => pager(model, effects),
    A::View => turn_view(model),
    A::Export => export(model, effects),
    A::PrevAttempt => screen::task::turn(model, -1),
    A::NextAttempt => screen::task::turn(model, 1),
    A::RowMenu => menus::action_menu(model),
    A::Run
    | A::Retry
    | A::Cancel
    | A::Kill
    | A::Force
    | A::Pause
    | A::Cordon
    | A::Drain
    | A::Delete => {
      ask(model, action);
    }
    A::Up | A::Down | A::HalfUp | A::HalfDown | A::PageUp | A::PageDown | A::Top | A::Bottom => {
      motion(model, action);
    }
    A::Left => skip_columns(model, -1),
    A::Right => skip_columns(model, 1),
    A::Mark | A::MarkRange | A::MarkAll | A::ClearMarks => mark(model, action),
    A::Sort => menus::sort_menu(model),
    A::Columns => menus::column_menu(model),
    A::Filter => type_filter(model, ""),
    A::Exclude => type_filter(model, "!"),
    A::Command => menus::command_line(model),
    A::Find => menus::find(model, effects),
    A::Where => menus::ask_where(model, effects),
    A::ScreenDash => model.go(Screen::Dash),
    A::ScreenTasks => model.go(Screen::Tasks),
    A::ScreenJobs => model.go(Screen::Jobs),
    A::ScreenAgents => model.go(Screen::Agents),
    A::ScreenEvents => model.go(Screen::Events),
    A::ScreenServers => model.go(Screen::Servers),
    A::NextPane => turn_pane(model, 1),
    A::PrevPane => turn_pane(model, -1),
    A::Zoom => model.zoom = !model.zoom,
    A::Freeze => freeze(model),
    A::Resync => resync(model, effects),
    A::TimeMode => {
      model.mode = TimeMode::next(model.mode);
      model.toast(Role::Text, format!("times: {}", model.mode.name()));
    }
    A::Copy => copy(model, effects, false),
    A::CopyCommand => copy(model, effects, true),
    A::HistoryBack => history(model, false),
    A::HistoryForward => history(model, true),
    A::LastScreen => {
      if let Some(last) = model.past.last().cloned() {
        model.go(last);
      }
    }
    A::Help => model.overlays.push(Overlay::Help { input: Input::default(), top: 0 }),
    A::Redraw => effects.push(Effect::Redraw),
    A::Suspend => effects.push(Effect::Suspend),
    A::Back => {
      step_back(model);
    }
    A::Leave => leave(model, effects),
    A::Quit => effects.push(Effect::Quit),
  }
}

fn open(model: &mut Model) {
  if model.screen == Screen::Dash {
    return screen::dashboard::open(model);
  }
  let Some((_, entry)) = model.current() else { return };
  match &entry.row {
    Row::Task(task) => model.go(Screen::Task(task.id.to_string())),
    Row::Job(job) => {
      let filter = format!("job={}", screen::value(&job.name));
      screen::tasks_with(model, &filter);
    }
    Row::Agent(agent) => {
      let filter = format!("agent={}", screen::value(agent.id.as_str()));
      screen::tasks_with(model, &filter);
    }
    Row::Event(event) => {
      let (subject, name) = (event.change.subject.clone(), event.name.clone());
      screen::open_subject(model, &subject, &name);
    }
    Row::Server(_) | Row::Fire(_) => inspect(model),
  }
}

fn open_logs(model: &mut Model) {
  if let Some((_, entry)) = model.current() {
    if let Row::Task(task) = &entry.row {
      let id = task.id.to_string();
      model.go(Screen::Task(id));
      model.zoom = true;
    }
  } else if model.screen == Screen::Dash {
    screen::dashboard::open(model);
  }
}

fn inspect(model: &mut Model) {
  let found = match &model.screen {
    Screen::Task(_) => {
      model.store.view("task").map(|view| ("task".to_owned(), view.object_raw.clone()))
    }
    Screen::Dash => {
      model.store.view("overview").map(|v| ("overview".to_owned(), v.object_raw.clone()))
    }
    _ => model.current().map(|(_, entry)| (act::target_of(&entry.row).label, entry.raw.clone())),
  };
  if let Some((title, raw)) = found.filter(|(_, raw)| !raw.is_null()) {
    model.overlays.push(Overlay::Reading(Reading::fields(title, raw)));
  }
}

fn pager(model: &mut Model, effects: &mut Vec<Effect>) {
  inspect(model);
  if let Some(Overlay::Reading(reading)) = model.overlays.pop() {
    effects.push(Effect::Pager(reading.lines.join("\n") + "\n"));
  }
}

fn turn_view(model: &mut Model) {
  model.tasks_view = match model.tasks_view {
    TasksView::Heat => TasksView::Rows,
    _ if model.shows_board() => TasksView::Heat,
    _ => TasksView::Board,
  };
}

fn export(model: &mut Model, effects: &mut Vec<Effect>) {
  let (Some(view), Some((name, _))) = (model.list_view(), model.screen.list()) else { return };
  let entries = view.order.iter().filter_map(|key| view.rows.get(key));
  let lines: Vec<String> = entries.map(|entry| entry.raw.to_string()).collect();
  if lines.is_empty() {
    return model.toast(Role::Warn, "there are no rows to export");
  }
  effects.push(Effect::Export(format!("hetuflow-{name}.jsonl"), lines.join("\n") + "\n"));
}

fn type_filter(model: &mut Model, more: &str) {
  if let Some(list) = model.list() {
    let mut text = list.filter.clone();
    if !more.is_empty() {
      text = format!("{text} {more}").trim_start().to_owned();
    }
    model.typing = Some(Input::of(&text));
    super::complete::look_up(model);
  }
}

fn turn_pane(model: &mut Model, by: isize) {
  let panes = screen::panes(&model.screen);
  let at = model.pane as isize + by;
  model.pane = usize::try_from(at.rem_euclid(panes as isize)).unwrap_or(0);
}

fn freeze(model: &mut Model) {
  if model.screen == Screen::Dash {
    model.dash_frozen = match model.dash_frozen.take() {
      Some(_) => None,
      None => model.store.view("overview").map(|view| Box::new(view.clone())),
    };
    return;
  }
  let Some((name, _)) = model.screen.list() else { return };
  let Model { lists, store, .. } = model;
  if let Some(list) = lists.get_mut(name) {
    list.freeze(store.view(name));
  }
}

fn resync(model: &mut Model, effects: &mut Vec<Effect>) {
  if !model.link.up {
    effects.push(Effect::Reconnect);
    return model.toast(Role::Text, "connecting");
  }
  for watch in model.store.ask_all_again() {
    effects.push(Effect::Watch(Box::new(watch)));
  }
}

fn copy(model: &mut Model, effects: &mut Vec<Effect>, command: bool) {
  let rows = rows(model);
  let texts: Vec<String> = rows
    .iter()
    .map(|row| if command { act::show_command(row) } else { act::target_of(row).id })
    .collect();
  if texts.is_empty() && model.screen == Screen::Dash {
    let Some((subject, name)) = screen::dashboard::subject(model) else {
      return model.toast(Role::Warn, "there is no row here to copy");
    };
    let text = if command { act::subject_command(&subject, &name) } else { subject.id };
    effects.push(Effect::Copy(text));
    return;
  }
  if texts.is_empty() {
    return model.toast(Role::Warn, "there is no row here to copy");
  }
  effects.push(Effect::Copy(texts.join("\n")));
}

fn history(model: &mut Model, forward: bool) {
  let (from, to) = if forward {
    (&mut model.future, &mut model.past)
  } else {
    (&mut model.past, &mut model.future)
  };
  if let Some(screen) = from.pop() {
    to.push(std::mem::replace(&mut model.screen, screen));
    model.arrived();
  }
}

fn leave(model: &mut Model, effects: &mut Vec<Effect>) {
  if !step_back(model) {
    effects.push(Effect::Quit);
  }
}

/// One step back: out of what narrows this screen, then to the screen before. `false` where there
/// is no way back.
fn step_back(model: &mut Model) -> bool {
  if std::mem::take(&mut model.zoom) {
    return true;
  }
  if let Some(list) = model.list_mut() {
    if list.frozen.take().is_some() {
      return true;
    }
    if !list.marks.is_empty() {
      list.marks.clear();
      model.collecting = None;
      return true;
    }
    if !list.filter.is_empty() {
      list.set_filter("");
      return true;
    }
  }
  if model.dash_frozen.take().is_some() {
    return true;
  }
  let has_past = !model.past.is_empty();
  if has_past {
    history(model, false);
  }
  has_past
}
