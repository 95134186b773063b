//! What can be looked at: the screens, the place they are about, the ways to show tasks.

use hetuflow_core::Scope;

use super::keys::Place;

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
  /// The first one.
  Dash,
  /// Tasks.
  Tasks,
  /// One task by id.
  Task(String),
  /// Jobs.
  Jobs,
  /// Agents.
  Agents,
  /// Events.
  Events,
  /// Servers.
  Servers,
}

impl Screen {
  /// The screens with a key of their own, and the digit on it.
  pub const TABS: [(char, Self, &'static str); 6] = [
    ('1', Self::Dash, "Dash"),
    ('2', Self::Tasks, "Tasks"),
    ('3', Self::Jobs, "Jobs"),
    ('5', Self::Agents, "Agents"),
    ('6', Self::Events, "Events"),
    ('7', Self::Servers, "Servers"),
  ];

  /// The screen of a name on the command line.
  pub fn of_name(name: &str) -> Option<Self> {
    match name {
      "dash" | "dashboard" => Some(Self::Dash),
      "tasks" | "task" | "queue" => Some(Self::Tasks),
      "jobs" | "job" | "schedules" => Some(Self::Jobs),
      "agents" | "agent" => Some(Self::Agents),
      "events" => Some(Self::Events),
      "servers" | "server" => Some(Self::Servers),
      _ => None,
    }
  }

  /// Where its keys are in the table.
  pub fn place(&self) -> Place {
    match self {
      Self::Dash => Place::DASH,
      Self::Tasks => Place::TASKS,
      Self::Task(_) => Place::TASK,
      Self::Jobs => Place::JOBS,
      Self::Agents => Place::AGENTS,
      Self::Events => Place::EVENTS,
      Self::Servers => Place::SERVERS,
    }
  }

  /// Name and scope of its list.
  pub fn list(&self) -> Option<(&'static str, Scope)> {
    match self {
      Self::Tasks => Some(("tasks", Scope::Tasks)),
      Self::Jobs => Some(("jobs", Scope::Jobs)),
      Self::Agents => Some(("agents", Scope::Agents)),
      Self::Events => Some(("events", Scope::Events)),
      Self::Servers => Some(("servers", Scope::Servers)),
      Self::Dash | Self::Task(_) => None,
    }
  }

  /// Its title.
  pub fn title(&self) -> &'static str {
    match self {
      Self::Dash => "Dashboard",
      Self::Tasks => "Tasks",
      Self::Task(_) => "Task",
      Self::Jobs => "Jobs",
      Self::Agents => "Agents",
      Self::Events => "Events",
      Self::Servers => "Servers",
    }
  }
}

/// Whose picture it is.
#[derive(Debug, Clone, Default)]
pub struct Site {
  /// The context or the address.
  pub title: String,
  /// The namespace; none shows all.
  pub namespace: Option<String>,
  /// Nothing may be changed from here.
  pub read_only: bool,
  /// Every change wants a typed word.
  pub protected: bool,
  /// Other contexts.
  pub contexts: Vec<String>,
  /// Namespaces that the server has, once they are known.
  pub namespaces: Vec<String>,
}

impl Site {
  /// `prod:etl`.
  pub fn label(&self) -> String {
    format!("{}:{}", self.title, self.namespace.as_deref().unwrap_or("*"))
  }
}

/// Rows, board, or what suits the flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TasksView {
  /// Rows, and the board by itself when rows are too fast to read.
  #[default]
  Auto,
  /// Always rows.
  Rows,
  /// Always the board.
  Board,
  /// Failures by job and minute.
  Heat,
}
