//! The screens, and what they have in common: columns, panes, ways from one to another.

pub mod agents;
mod dash_figures;
mod dash_lists;
pub mod dashboard;
pub mod events;
pub mod heat;
pub mod jobs;
pub mod preview;
pub mod servers;
pub mod task;
pub mod tasks;

use hetuflow_core::{Subject, Topic};

use super::model::{Model, Screen};
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
