//! The screens, and what they have in common: columns, panes, ways from one to another.

pub mod agents;
pub mod dashboard;
pub mod events;
pub mod heat;
pub mod jobs;
pub mod preview;
pub mod servers;
pub mod task;
pub mod tasks;

use hetuflow_core::{Subject, Topic};

use super::keys::{Action, Group, TABLE};
use super::model::{Model, Screen};
use super::overlay::Choice;
use super::store::Row;
use super::widget::menu::Item;
use super::widget::table::Column;

/// The columns of a screen's list.
pub fn columns(screen: &Screen) -> &'static [Column] {
  match screen {
    Screen::Tasks => tasks::COLUMNS,
    Screen::Jobs => jobs::COLUMNS,
    Screen::Agents => agents::COLUMNS,
    Screen::Events => events::COLUMNS,
    Screen::Servers => servers::COLUMNS,
    Screen::Dash | Screen::Task(_) => &[],
  }
}

/// How many panes can have the keys.
pub fn panes(screen: &Screen) -> usize {
  match screen {
    Screen::Dash => dashboard::PANES,
    _ => 1,
  }
}

/// A value as the filter takes it.
pub fn value(text: &str) -> String {
  let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
  if !text.is_empty() && text.chars().all(plain) {
    return text.to_owned();
  }
  format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Goes to a list with a filter.
pub fn list_with(model: &mut Model, screen: Screen, filter: &str) {
  model.go(screen);
  if let Some(list) = model.list_mut() {
    list.set_filter(filter);
  }
}

/// Goes to the tasks that match.
pub fn tasks_with(model: &mut Model, filter: &str) {
  list_with(model, Screen::Tasks, filter);
}

/// Goes to what an event or a warning is about.
pub fn open_subject(model: &mut Model, subject: &Subject, name: &str) {
  match subject.kind {
    Topic::Task => model.go(Screen::Task(subject.id.clone())),
    Topic::TaskInstance => tasks_with(model, ""),
    Topic::Job => tasks_with(model, &format!("job={}", value(name))),
    Topic::Schedule => list_with(model, Screen::Jobs, &value(name)),
    Topic::Agent => list_with(model, Screen::Agents, &value(&subject.id)),
    Topic::Server => model.go(Screen::Servers),
    Topic::Namespace | Topic::Audit => model.go(Screen::Events),
  }
}

/// Everything that `^P` can find: screens, actions on the selection, things that are loaded.
pub fn findable(model: &Model) -> Vec<Item<Choice>> {
  let mut items = Vec::new();
  let enter = model.look.glyphs.enter;
  let here = model.screen.place();
  let quiet = super::actions::why_not_now(model).is_some();
  for row in TABLE.iter().filter(|row| row.place.meets(here)) {
    let fits = row.group == Group::Screen || row.group == Group::Acting && !quiet;
    if fits && row.action != Action::Open {
      let on = model.chosen().first().map(|target| target.label.clone()).unwrap_or_default();
      let text = format!("{} {on}", row.name);
      items.push(Item::new(text, model.keys.label(row.action, enter), Choice::Do(row.action)));
    }
  }
  for (key, screen, name) in Screen::TABS {
    items.push(Item::new(format!("screen {name}"), key.to_string(), Choice::Go(screen)));
  }
  for line in model.recent.iter().rev().take(5) {
    items.push(Item::new(line.clone(), "recent", Choice::Line(line.clone())));
  }
  things(model, &mut items);
  items
}

fn things(model: &Model, items: &mut Vec<Item<Choice>>) {
  for view in model.store.views() {
    for entry in view.order.iter().filter_map(|key| view.rows.get(key)) {
      let target = super::act::target_of(&entry.row);
      let (text, choice) = match &entry.row {
        Row::Job(_) => (format!("job {}", target.label), Choice::JobTasks(target.label)),
        Row::Agent(_) => (format!("agent {}", target.label), Choice::AgentTasks(target.label)),
        Row::Task(task) => {
          let text = format!("task {} {}", target.label, task.job);
          (text, Choice::Go(Screen::Task(target.id)))
        }
        _ => continue,
      };
      items.push(Item::new(text, target.detail, choice));
    }
  }
  let Some(overview) = model.overview() else { return };
  for agent in &overview.agents {
    let choice = Choice::AgentTasks(agent.id.to_string());
    let item = Item::new(format!("agent {}", agent.id), agent.status.as_str(), choice);
    if !items.iter().any(|known| known.text == item.text) {
      items.push(item);
    }
  }
  for task in &overview.running {
    let item = Item::new(
      format!("task {} {}", task.id.short(), task.job),
      task.status.as_str(),
      Choice::Go(Screen::Task(task.id.to_string())),
    );
    if !items.iter().any(|known| known.text == item.text) {
      items.push(item);
    }
  }
}
