//! What `^P` finds: actions, screens, and things of every kind, also those that no list has loaded.
//! The server is asked while the palette is open, again at each rest of the keys.

use std::time::Duration;

use hetuflow_core::{Scope, TaskId, Watch};

use super::act::{self, Plan, Verb, quoted};
use super::asking;
use super::keys::{Action, Group, TABLE};
use super::model::{Model, Screen};
use super::overlay::{Choice, Menu, MenuKind, Overlay};
use super::screen;
use super::store::{Row, View};
use super::waiting;
use super::widget::list::Target;
use super::widget::menu::Item;

/// A rest of the keys after which the server is asked for what was typed.
const TYPING_REST: Duration = Duration::from_millis(120);
/// Things of a kind that are asked for; of more the server picks those that match.
const THINGS_MAX: u32 = 300;
/// Tasks that are asked for.
const TASKS_MAX: u32 = 50;
/// The questions, and what they are of.
const QUESTIONS: [(&str, Scope, u32); 4] = [
  ("find-jobs", Scope::Jobs, THINGS_MAX),
  ("find-agents", Scope::Agents, THINGS_MAX),
  ("find-servers", Scope::Servers, TASKS_MAX),
  ("find-tasks", Scope::Tasks, TASKS_MAX),
];
/// Words of a line that name a kind or an action, not a thing.
const KINDS: [&str; 6] = ["job", "task", "agent", "server", "schedule", "screen"];

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
  /// The line as it was last seen.
  typed: String,
  /// When it became that.
  typed_at: Duration,
  /// The line that the server was asked about.
  asked: String,
  /// What the shown items were made from.
  stamp: Vec<(u32, i64, usize)>,
}

/// The palette, where it is on top.
fn palette(model: &Model) -> Option<&Menu> {
  match model.overlays.last() {
    Some(Overlay::Menu(menu)) if menu.kind == MenuKind::Find => Some(menu),
    _ => None,
  }
}

/// Names of jobs and agents are of use here: in the palette, and where a filter is typed.
fn questions_here(model: &Model) -> &'static [(&'static str, Scope, u32)] {
  match (palette(model), &model.typing) {
    (Some(_), _) => &QUESTIONS,
    (None, Some(_)) => &QUESTIONS[..2],
    (None, None) if waiting::wants_agents(model) => &QUESTIONS[1..2],
    (None, None) => &[],
  }
}

/// What the server is asked now.
pub fn questions(model: &mut Model) -> Vec<Watch> {
  let typed = palette(model).map(|menu| menu.input.text().to_owned()).unwrap_or_default();
  let now = model.now;
  let finding = &mut model.finding;
  if finding.typed != typed {
    (finding.typed, finding.typed_at) = (typed, now);
  }
  if finding.typed.is_empty() || now >= finding.typed_at + TYPING_REST {
    finding.asked.clone_from(&finding.typed);
  }
  let wanted = questions_here(model).iter();
  let asked = wanted.map(|(name, scope, len)| {
    let filter = filter(model, (name, *scope, *len));
    Watch { filter, len: *len, max_hz: 1, ..model.question(name, *scope) }
  });
  asked.collect()
}

/// When the server is to be asked for what was typed.
pub fn next_wake(model: &Model) -> Option<Duration> {
  palette(model)?;
  let rest = model.finding.typed_at + TYPING_REST;
  (model.finding.typed != model.finding.asked && rest > model.now).then_some(rest)
}

/// The words that the server narrows a list by: all of them are looked through here where they fit.
fn filter(model: &Model, (name, scope, len): (&str, Scope, u32)) -> String {
  let many = model.store.view(name).is_some_and(|view| view.total > u64::from(len));
  let narrows = match scope {
    Scope::Servers => false,
    Scope::Tasks => true,
    _ => many,
  };
  if !narrows {
    return String::new();
  }
  let action = |word: &str| TABLE.iter().any(|row| row.name.starts_with(word));
  let words = model.finding.asked.split_whitespace();
  let words = words.filter(|word| !(KINDS.contains(word) || word.len() > 2 && action(word)));
  let quoted: Vec<String> =
    words.map(|word| format!("\"{}\"", word.replace(['"', '\\'], ""))).collect();
  quoted.join(" ")
}

/// Brings the palette in line with what the server told; the choice under the cursor stays.
pub fn refresh(model: &mut Model) {
  if palette(model).is_none() {
    return;
  }
  let of = |name: &str| {
    model.store.view(name).map_or((0, 0, 0), |view| {
      (if view.synced { view.generation } else { 0 }, view.seq, view.order.len())
    })
  };
  let stamp: Vec<(u32, i64, usize)> = QUESTIONS.iter().map(|(name, ..)| of(name)).collect();
  if model.finding.stamp == stamp {
    return;
  }
  model.finding.stamp = stamp;
  show(model);
}

/// Makes the palette's items anew, where it is open.
pub fn again(model: &mut Model) {
  if palette(model).is_some() {
    show(model);
  }
}

fn show(model: &mut Model) {
  let items = findable(model);
  let Some(Overlay::Menu(menu)) = model.overlays.last_mut() else { return };
  let held = menu.chosen().map(|item| item.text.clone()).filter(|_| menu.at > 0);
  menu.items = items;
  let at = held.and_then(|text| menu.matching().iter().position(|item| item.text == text));
  menu.at = at.unwrap_or(0);
}

/// Everything that can be found.
pub fn findable(model: &Model) -> Vec<Item<Choice>> {
  let (mut items, mut elsewhere) = (Vec::new(), Vec::new());
  actions(model, &mut items, &mut elsewhere);
  for (key, screen, name) in Screen::TABS {
    items.push(Item::new(format!("screen {name}"), key.to_string(), Choice::Go(screen)));
  }
  for line in model.recent.iter().rev().take(5) {
    items.push(Item::new(line.clone(), "recent", Choice::Line(line.clone())));
  }
  let rows = rows(model);
  for row in &rows {
    things(row, &mut items);
  }
  for name in &model.site.namespaces {
    let choice = Choice::Namespace(Some(name.clone()));
    items.push(Item::new(format!("namespace {name}"), "", choice));
  }
  for name in &model.site.contexts {
    items.push(Item::new(format!("context {name}"), "", Choice::Context(name.clone())));
  }
  if asking::why_not_now(model).is_none() {
    for row in &rows {
      changes(row, &mut items);
    }
  }
  items.append(&mut elsewhere);
  items
}

/// Every action of the table: those of this screen on what is chosen, those of others by their
/// screen.
fn actions(model: &Model, items: &mut Vec<Item<Choice>>, elsewhere: &mut Vec<Item<Choice>>) {
  let (enter, here) = (model.look.glyphs.enter, model.screen.place());
  let quiet = asking::why_not_now(model).is_some();
  let on = model.chosen().first().map(|target| target.label.clone()).unwrap_or_default();
  let is_about_row = |group| matches!(group, Group::Screen | Group::Acting);
  for row in TABLE.iter().filter(|row| !is_motion(row.action)) {
    if row.group == Group::Acting && quiet {
      continue;
    }
    let key = model.keys.label(row.action, enter);
    if row.place.meets(here) {
      let about = if is_about_row(row.group) { on.as_str() } else { "" };
      let text = format!("{} {about}", row.name);
      let note = format!("{}  {key}", row.help);
      items.push(Item::new(text.trim_end(), note, Choice::Do(row.action)));
    } else if let Some((digit, screen, name)) =
      Screen::TABS.into_iter().find(|(_, screen, _)| row.place.meets(screen.place()))
    {
      let text = format!("{}: {}", row.name, row.help);
      elsewhere.push(Item::new(text, format!("on {digit} {name}  {key}"), Choice::Go(screen)));
    }
  }
}

/// Moving about is for keys; what opens the palette is done already.
fn is_motion(action: Action) -> bool {
  use Action as A;
  matches!(
    action,
    A::Open
      | A::Find
      | A::Up
      | A::Down
      | A::HalfUp
      | A::HalfDown
      | A::PageUp
      | A::PageDown
      | A::Top
      | A::Bottom
      | A::Left
      | A::Right
      | A::Back
  )
}

/// Rows of every view, each thing once; what was asked for the palette goes first.
fn rows(model: &Model) -> Vec<Row> {
  let asked = QUESTIONS.iter().filter_map(|(name, ..)| model.store.view(name));
  let others = model.store.views().filter(|view| QUESTIONS.iter().all(|it| it.0 != view.watch.id));
  let of = |view: &View| -> Vec<Row> {
    let entries = view.order.iter().filter_map(|key| view.rows.get(key));
    entries.map(|entry| entry.row.clone()).collect()
  };
  let mut all: Vec<Row> = asked.chain(others).flat_map(of).collect();
  if let Some(overview) = model.overview() {
    all.extend(overview.agents.iter().map(|agent| Row::Agent(Box::new(agent.clone()))));
    all.extend(overview.running.iter().map(|task| Row::Task(Box::new(task.clone()))));
  }
  let mut known = std::collections::HashSet::new();
  all.retain(|row| known.insert((std::mem::discriminant(row), act::target_of(row).id)));
  all
}

fn things(row: &Row, items: &mut Vec<Item<Choice>>) {
  let target = act::target_of(row);
  let (text, choice) = match row {
    Row::Job(job) => {
      let choice = Choice::JobTasks(target.label.clone());
      items.push(Item::new(format!("job {}", target.label), target.detail, choice));
      for one in &job.schedules {
        let text = format!("schedule {} of {}", one.name, job.name);
        let choice = Choice::Schedule(one.name.clone());
        items.push(Item::new(text, format!("{} {}  {}", one.kind, one.text, one.status), choice));
      }
      return;
    }
    Row::Agent(_) => (format!("agent {}", target.label), Choice::AgentTasks(target.label)),
    Row::Task(task) => {
      let text = format!("task {} {}", target.label, task.job);
      let note = super::look::task_word(task.status);
      items.push(Item::new(text, note, Choice::Go(Screen::Task(target.id))));
      return;
    }
    Row::Server(_) => (format!("server {}", target.label), Choice::Go(Screen::Servers)),
    Row::Event(_) | Row::Fire(_) => return,
  };
  items.push(Item::new(text, target.detail, choice));
}

/// What can be changed about a thing; each asks first.
fn changes(row: &Row, items: &mut Vec<Item<Choice>>) {
  for action in
    [Action::Run, Action::Pause, Action::Cordon, Action::Drain, Action::Cancel, Action::Retry]
  {
    let Ok((verb, target)) = act::verb_for(action, row) else { continue };
    if matches!((action, row), (Action::Run, Row::Task(_))) {
      continue;
    }
    let (word, noun) = verb.title();
    let of = if let Row::Task(task) = row { format!(" {}", task.job) } else { String::new() };
    let text = format!("{} {noun} {}{of}", word.to_lowercase(), target.label);
    items.push(Item::new(text, "asks first", Choice::Ask(verb, Box::new(target))));
  }
}

/// The same as a command for a shell, where there is one.
pub fn command(model: &Model, choice: &Choice) -> Option<String> {
  let namespace = model.site.namespace.as_deref();
  let at = namespace.map_or_else(String::new, |name| format!("-n {} ", quoted(name)));
  let tasks = |field: &str, name: &str| {
    format!("task list -F {}", quoted(&format!("{field}={}", screen::value(name))))
  };
  let words = match choice {
    Choice::Ask(verb, target) => return Some(plan(*verb, (**target).clone())),
    Choice::Do(action) => return of_action(model, *action),
    Choice::JobTasks(job) => tasks("job", job),
    Choice::AgentTasks(agent) => tasks("agent", agent),
    Choice::Schedule(name) => format!("schedule get {}", quoted(name)),
    Choice::Line(line) => line.trim_start_matches("hetuflowctl ").to_owned(),
    Choice::Context(name) => return Some(format!("hetuflowctl context use {}", quoted(name))),
    Choice::Namespace(Some(name)) => {
      return Some(format!("hetuflowctl namespace use {}", quoted(name)));
    }
    Choice::Go(Screen::Task(id)) => {
      let id = id.parse::<TaskId>().map_or_else(|_| id.clone(), |id| id.short());
      format!("task get {id}")
    }
    Choice::Go(screen) => match screen {
      Screen::Dash => "status",
      Screen::Jobs => "job list",
      Screen::Agents => return Some("hetuflowctl agent list".to_owned()),
      Screen::Servers => return Some("hetuflowctl server list".to_owned()),
      Screen::Events => "events",
      Screen::Tasks | Screen::Task(_) => "task list",
    }
    .to_owned(),
    Choice::Namespace(None) | Choice::Sort(_) | Choice::Column(_) => return None,
  };
  Some(format!("hetuflowctl {at}{words}"))
}

fn plan(verb: Verb, target: Target) -> String {
  Plan::new(verb, vec![target], false).command()
}

fn of_action(model: &Model, action: Action) -> Option<String> {
  let rows = asking::rows(model);
  let row = rows.first()?;
  match action {
    Action::Inspect | Action::Copy | Action::CopyCommand => Some(act::show_command(row)),
    Action::Logs => match row {
      Row::Task(task) => Some(format!("hetuflowctl logs {}", task.id.short())),
      _ => None,
    },
    _ => act::verb_for(action, row).ok().map(|(verb, target)| plan(verb, target)),
  }
}
