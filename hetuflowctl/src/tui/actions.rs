//! What each key does.

use super::act::{self, Plan, Verb};
use super::draw::TimeMode;
use super::keys::{Action, Group, TABLE};
use super::look::Role;
use super::model::{Model, Screen, TasksView};
use super::overlay::{Choice, Menu, MenuKind, Overlay, Reading};
use super::screen;
use super::store::{Row, View};
use super::update::Effect;
use super::widget::input::Input;
use super::widget::list::Target;
use super::widget::menu::Item;

/// Marks at most; a bulk of more is the CLI's work.
const MARKS_MAX: usize = 500;

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
    A::RowMenu => action_menu(model),
    A::Run | A::Retry | A::Cancel | A::Kill | A::Pause | A::Cordon | A::Delete => {
      ask(model, action);
    }
    A::Up | A::Down | A::HalfUp | A::HalfDown | A::PageUp | A::PageDown | A::Top | A::Bottom => {
      motion(model, action);
    }
    A::Left => skip_columns(model, -1),
    A::Right => skip_columns(model, 1),
    A::Mark | A::MarkRange | A::MarkAll | A::ClearMarks => mark(model, action),
    A::Sort => sort_menu(model),
    A::Columns => column_menu(model),
    A::Filter => type_filter(model, ""),
    A::Exclude => type_filter(model, "!"),
    A::Command => command_line(model),
    A::Find => find(model),
    A::Where => ask_where(model, effects),
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

/// Why nothing may be changed now.
pub fn why_not_now(model: &Model) -> Option<String> {
  if model.site.read_only {
    return Some("read-only: nothing can be changed from here".to_owned());
  }
  if !model.condition().may_act() {
    return Some("offline: nothing was sent, nothing waits to be sent".to_owned());
  }
  model.acting.then(|| "the last change is still on its way".to_owned())
}

/// The row that acts are about: of the list, or the task of the task screen.
fn rows(model: &Model) -> Vec<Row> {
  if let Screen::Task(_) = model.screen {
    let task = model.task_detail("task").map(|detail| Row::Task(Box::new(detail.task.clone())));
    return task.into_iter().collect();
  }
  if model.screen == Screen::Dash {
    return screen::dashboard::row(model).into_iter().collect();
  }
  let (Some(view), Some(list)) = (model.list_view(), model.list()) else { return Vec::new() };
  if list.marks.is_empty() {
    return model.current().map(|(_, entry)| entry.row.clone()).into_iter().collect();
  }
  let newest = |(key, marked)| view.rows.get(key).map_or(marked, |entry| &entry.row);
  list.marks.iter().map(newest).cloned().collect()
}

fn ask(model: &mut Model, action: Action) {
  if let Some(why) = why_not_now(model) {
    return model.toast(Role::Warn, why);
  }
  if model.list().is_some_and(|list| list.moved && list.marks.is_empty()) {
    if let Some(list) = model.list_mut() {
      list.moved = false;
    }
    let words = "the row under the cursor has left the list: look, then press again";
    return model.toast(Role::Warn, words);
  }
  let (mut verb, mut targets, mut refused) = (None, Vec::<Target>::new(), None);
  let rows = rows(model);
  for row in &rows {
    match act::verb_for(action, row) {
      Ok((found, target)) if verb.is_none_or(|known| known == found) => {
        verb = Some(found);
        if !targets.iter().any(|known| known.id == target.id) {
          targets.push(target);
        }
      }
      Ok(_) => refused = Some("the marked rows are in different states: mark fewer"),
      Err(why) => refused = Some(why),
    }
  }
  match (verb, refused) {
    (_, Some(why))
      if targets.is_empty()
        || verb.is_some_and(|verb| {
          matches!(verb, Verb::Enable | Verb::Disable | Verb::Cordon | Verb::Uncordon)
        }) =>
    {
      model.toast(Role::Warn, why);
    }
    (Some(verb), _) => {
      let left_out = rows.len() - targets.len().min(rows.len());
      if left_out > 0 && verb != Verb::Run {
        model.toast(
          Role::Warn,
          format!("{left_out} of the marked rows do not apply and are left out"),
        );
      }
      let plan = Plan::new(verb, targets, model.site.protected);
      model.overlays.push(Overlay::Confirm { plan, input: Input::default() });
    }
    (None, _) => model.toast(Role::Warn, "there is no row here to act on"),
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

fn action_menu(model: &mut Model) {
  let place = model.screen.place();
  let may_act = why_not_now(model).is_none();
  let enter = model.look.glyphs.enter;
  let items = TABLE.iter().filter(|row| row.place.meets(place)).filter(|row| {
    row.group == Group::Screen && row.action != Action::RowMenu
      || row.group == Group::Acting && may_act
  });
  let items = items.map(|row| {
    let note = model.keys.label(row.action, enter);
    Item::new(format!("{}: {}", row.name, row.help), note, Choice::Do(row.action))
  });
  let mut items: Vec<Item<Choice>> = items.collect();
  if may_act {
    items.extend(schedule_items(model));
  }
  let title = match model.chosen().as_slice() {
    [] => "Actions".to_owned(),
    [one] => format!("Actions on {}", one.label),
    many => format!("Actions on {} marked rows", many.len()),
  };
  let menu = Menu::new(MenuKind::Actions, title, items);
  model.overlays.push(Overlay::Menu(menu));
}

/// What can be done to each schedule of the job under the cursor.
fn schedule_items(model: &Model) -> Vec<Item<Choice>> {
  let Some(Row::Job(job)) = model.current().map(|(_, entry)| &entry.row) else {
    return Vec::new();
  };
  let verb = |status: &str| match status {
    "paused" => Verb::ResumeSchedule,
    "disabled" => Verb::EnableSchedule,
    _ => Verb::PauseSchedule,
  };
  let item = |one: &hetuflow_core::ScheduleBrief| {
    let verb = verb(&one.status);
    let target = Target {
      id: one.id.to_string(),
      label: one.name.clone(),
      detail: format!("{} {}  {}", one.kind, one.text, one.status),
      namespace: Some(job.namespace_id.to_string()),
    };
    let text = format!("{} schedule {}", verb.title().0.to_lowercase(), one.name);
    Item::new(text, one.text.clone(), Choice::Ask(verb, Box::new(target)))
  };
  job.schedules.iter().map(item).collect()
}

/// Asks before one thing is changed, as chosen from a menu.
pub fn ask_one(model: &mut Model, verb: Verb, target: Target) {
  if let Some(why) = why_not_now(model) {
    return model.toast(Role::Warn, why);
  }
  let plan = Plan::new(verb, vec![target], model.site.protected);
  model.overlays.push(Overlay::Confirm { plan, input: Input::default() });
}

fn motion(model: &mut Model, action: Action) {
  if model.screen == Screen::Dash {
    return screen::dashboard::motion(model, action);
  }
  model.moved_at = model.now;
  with_list(model, |list, view| {
    let page = i64::try_from(list.height.max(2)).unwrap_or(10);
    match action {
      Action::Up => list.step(-1, view),
      Action::Down => list.step(1, view),
      Action::HalfUp => list.step(-page / 2, view),
      Action::HalfDown => list.step(page / 2, view),
      Action::PageUp => list.step(1 - page, view),
      Action::PageDown => list.step(page - 1, view),
      Action::Top => list.home(),
      _ => list.go(u64::MAX, view),
    }
  });
}

/// Works on the screen's list with the view that it shows.
fn with_list(model: &mut Model, work: impl FnOnce(&mut super::widget::list::ListState, &View)) {
  let Some((name, _)) = model.screen.list() else { return };
  let Model { lists, store, .. } = model;
  let Some(list) = lists.get_mut(name) else { return };
  let frozen = list.frozen.take();
  if let Some(view) = frozen.as_deref().or(store.view(name)) {
    work(list, view);
  }
  list.frozen = frozen;
}

/// Rolls the pane.
pub fn scroll(model: &mut Model, by: i64) {
  model.moved_at = model.now;
  with_list(model, |list, view| list.scroll(by, view));
}

/// A click selects; a click on the selected row opens it.
pub fn click_row(model: &mut Model, index: u64, effects: &mut Vec<Effect>) {
  let again = model.list().is_some_and(|list| list.cursor.is_some() && list.index == index);
  if again {
    return run(model, Action::Open, effects);
  }
  model.moved_at = model.now;
  with_list(model, |list, view| list.go(index, view));
}

fn skip_columns(model: &mut Model, by: isize) {
  let most = screen::columns(&model.screen).len().saturating_sub(2);
  if let Some(list) = model.list_mut() {
    list.skipped = list.skipped.saturating_add_signed(by).min(most);
  }
}

fn mark(model: &mut Model, action: Action) {
  with_list(model, |list, view| {
    let put = |list: &mut super::widget::list::ListState, index: u64| {
      if let Some((key, entry)) = view.entry_at(index)
        && list.marks.len() < MARKS_MAX
      {
        list.marks.insert(key.clone(), entry.row.clone());
      }
    };
    match action {
      Action::Mark => {
        let Some(key) = list.key(view).cloned() else { return };
        let index = view.index_of(&key).unwrap_or(list.index);
        if list.marks.remove(&key).is_none() {
          put(list, index);
        }
        list.anchor = Some(index);
        list.go(index + 1, view);
      }
      Action::MarkRange => {
        let anchor = list.anchor.unwrap_or(list.index);
        for index in anchor.min(list.index)..=anchor.max(list.index) {
          put(list, index);
        }
        list.anchor = Some(list.index);
      }
      Action::MarkAll => {
        for at in 0..view.order.len() {
          put(list, view.from + at as u64);
        }
      }
      _ => {
        list.marks.clear();
        list.anchor = None;
      }
    }
  });
}

fn sort_menu(model: &mut Model) {
  let columns = screen::columns(&model.screen).iter().filter(|column| !column.sort.is_empty());
  let mut items = vec![Item::new("the server's own order", "", Choice::Sort(String::new()))];
  for column in columns {
    let name = column.name.to_lowercase();
    let glyphs = model.look.glyphs;
    let up = Choice::Sort(column.sort.to_owned());
    let down = Choice::Sort(format!("-{}", column.sort));
    items.push(Item::new(format!("{name} {}", glyphs.more[0]), "lowest first", up));
    items.push(Item::new(format!("{name} {}", glyphs.more[1]), "highest first", down));
  }
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Sort, "Sort by", items)));
}

/// Sorts by a field; again turns it around. A field with `-` is taken as it is.
pub fn sort_by(model: &mut Model, field: &str) {
  if let Some(list) = model.list_mut() {
    list.sort =
      if !field.is_empty() && list.sort == field { format!("-{field}") } else { field.to_owned() };
    list.frozen = None;
    list.home();
  }
}

fn column_items(model: &Model) -> Vec<Item<Choice>> {
  let Some(list) = model.list() else { return Vec::new() };
  let columns = screen::columns(&model.screen).iter();
  columns
    .map(|column| {
      let shown = !list.hidden.contains(column.name);
      let mark = if shown { model.look.glyphs.succeeded } else { " " };
      Item::new(format!("{mark} {}", column.name), "", Choice::Column(column.name.to_owned()))
    })
    .collect()
}

fn column_menu(model: &mut Model) {
  let items = column_items(model);
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Columns, "Columns", items)));
}

/// Shows or hides a column; the first one stays.
pub fn toggle_column(model: &mut Model, name: &str) {
  let first = screen::columns(&model.screen).first().map(|column| column.name);
  if let Some(list) = model.list_mut()
    && !list.hidden.remove(name)
    && first != Some(name)
  {
    list.hidden.insert(name.to_owned());
  }
  let items = column_items(model);
  if let Some(Overlay::Menu(menu)) = model.overlays.last_mut() {
    menu.items = items;
  }
}

fn type_filter(model: &mut Model, more: &str) {
  if let Some(list) = model.list() {
    let mut text = list.filter.clone();
    if !more.is_empty() {
      text = format!("{text} {more}").trim_start().to_owned();
    }
    model.typing = Some(Input::of(&text));
  }
}

fn command_line(model: &mut Model) {
  let words = super::command_line::WORDS.iter();
  let mut items: Vec<Item<Choice>> =
    words.map(|(word, note)| Item::new(*word, *note, Choice::Line((*word).to_owned()))).collect();
  for line in model.recent.iter().rev().take(10) {
    items.push(Item::new(line.clone(), "recent", Choice::Line(line.clone())));
  }
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Command, "Command", items)));
}

fn find(model: &mut Model) {
  let items = screen::findable(model);
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Find, "Find", items)));
}

fn ask_where(model: &mut Model, effects: &mut Vec<Effect>) {
  effects.push(Effect::Namespaces);
  let items = places(model);
  let title = format!("Where · {}", model.site.label());
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Where, title, items)));
}

/// Namespaces and contexts to go to.
pub fn places(model: &Model) -> Vec<Item<Choice>> {
  let site = &model.site;
  let here = |yes: bool| if yes { "here" } else { "" };
  let all = Item::new("namespace *", here(site.namespace.is_none()), Choice::Namespace(None));
  let mut items = vec![all];
  for name in &site.namespaces {
    let note = here(site.namespace.as_ref() == Some(name));
    items.push(Item::new(format!("namespace {name}"), note, Choice::Namespace(Some(name.clone()))));
  }
  for name in &site.contexts {
    let note = here(*name == site.title);
    items.push(Item::new(format!("context {name}"), note, Choice::Context(name.clone())));
  }
  items
}

/// Another namespace: other lists.
pub fn change_namespace(model: &mut Model, name: Option<String>) {
  model.site.namespace = name;
  for list in model.lists.values_mut() {
    list.frozen = None;
    list.marks.clear();
    list.home();
  }
  model.toast(Role::Text, format!("now at {}", model.site.label()));
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
