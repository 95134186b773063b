//! Everything that the picture depends on. Nothing else keeps state.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::{NamespaceId, Scope, Ts, Watch};
use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use super::draw::TimeMode;
use super::keys::{Keys, Place};
use super::link_state::{Condition, LinkState};
use super::log::LogPane;
use super::look::{Look, Role};
use super::overlay::Overlay;
use super::store::{Entry, Object, Store, View};
use super::widget::input::Input;
use super::widget::list::{ListState, Target};

/// How long a screen that was left keeps its questions.
const LINGER: Duration = Duration::from_secs(10);
/// How long the cursor rests before its preview is asked for.
const PREVIEW_AFTER: Duration = Duration::from_millis(150);
const TOAST_TIME: Duration = Duration::from_secs(5);

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

/// A short message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
  /// What.
  pub text: String,
  /// How important.
  pub role: Role,
  /// When it goes.
  pub until: Duration,
}

/// Something under the mouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
  /// A tab.
  Tab(Screen),
  /// A row of the list.
  Row(u64),
  /// A heading.
  Head(&'static str),
  /// A row of a dashboard pane.
  Dash(usize, usize),
  /// A choice of the topmost overlay.
  Choice(usize),
}

/// Everything.
#[derive(Debug)]
pub struct Model {
  /// Keys.
  pub keys: Keys,
  /// Glyphs and colours.
  pub look: Look,
  /// The zone of this machine.
  pub zone: TimeZone,
  /// Where.
  pub site: Site,
  /// The link.
  pub link: LinkState,
  /// What the server told.
  pub store: Store,
  /// The steady clock.
  pub now: Duration,
  /// The screen.
  pub screen: Screen,
  /// Screens before.
  pub past: Vec<Screen>,
  /// Screens after, once one went back.
  pub future: Vec<Screen>,
  /// Places in lists.
  pub lists: BTreeMap<&'static str, ListState>,
  /// The pane with the keys.
  pub pane: usize,
  /// Only that pane is shown.
  pub zoom: bool,
  /// Cursor of each pane of the dashboard, by key.
  pub dash: [Option<String>; 4],
  /// The dashboard that is held.
  pub dash_frozen: Option<Box<View>>,
  /// The attempt that the task screen shows; none is the newest.
  pub attempt: Option<usize>,
  /// The output of the task screen's task, by its id.
  pub log: Option<(String, LogPane)>,
  /// Rows or board.
  pub tasks_view: TasksView,
  /// The board is shown because of a flood.
  pub flood: bool,
  /// The filter being typed.
  pub typing: Option<Input>,
  /// What lies over the screen, the topmost last.
  pub overlays: Vec<Overlay>,
  /// Short messages.
  pub toasts: Vec<Toast>,
  /// What was done in this session, and how it went.
  pub done: Vec<String>,
  /// Commands that were typed.
  pub recent: Vec<String>,
  /// How instants are shown.
  pub mode: TimeMode,
  /// Cells of the terminal.
  pub size: (u16, u16),
  /// The terminal takes long to write.
  pub slow_tty: bool,
  /// Something is being sent.
  pub acting: bool,
  /// Where things were drawn.
  pub hits: Vec<(Rect, Hit)>,
  /// When the cursor moved last.
  pub moved_at: Duration,
  preview: Option<String>,
  leaving: BTreeMap<String, Duration>,
}

/// What a sync of questions wants sent.
#[derive(Debug, Default)]
pub struct Asked {
  /// Questions.
  pub watch: Vec<Watch>,
  /// Ids that are no longer of interest.
  pub unwatch: Vec<String>,
}

impl Model {
  /// The model before anything was heard.
  pub fn new(look: Look, keys: Keys, site: Site, start: Ts) -> Self {
    let lists = ["tasks", "jobs", "agents", "events", "servers"];
    Self {
      keys,
      look,
      zone: TimeZone::system(),
      site,
      link: LinkState::new(start),
      store: Store::default(),
      now: Duration::ZERO,
      screen: Screen::Dash,
      past: Vec::new(),
      future: Vec::new(),
      lists: lists.into_iter().map(|name| (name, ListState::default())).collect(),
      pane: 0,
      zoom: false,
      dash: [const { None }; 4],
      dash_frozen: None,
      attempt: None,
      log: None,
      tasks_view: TasksView::Auto,
      flood: false,
      typing: None,
      overlays: Vec::new(),
      toasts: Vec::new(),
      done: Vec::new(),
      recent: Vec::new(),
      mode: TimeMode::Relative,
      size: (80, 24),
      slow_tty: false,
      acting: false,
      hits: Vec::new(),
      moved_at: Duration::ZERO,
      preview: None,
      leaving: BTreeMap::new(),
    }
  }

  /// The state of the link.
  pub fn condition(&self) -> Condition {
    self.link.condition(self.store.is_synced(), self.now)
  }

  /// The list of the screen.
  pub fn list(&self) -> Option<&ListState> {
    self.lists.get(self.screen.list()?.0)
  }

  /// The same to change it.
  pub fn list_mut(&mut self) -> Option<&mut ListState> {
    self.lists.get_mut(self.screen.list()?.0)
  }

  /// The view that the screen's list draws.
  pub fn list_view(&self) -> Option<&View> {
    let (name, _) = self.screen.list()?;
    self.lists.get(name)?.shown(self.store.view(name))
  }

  /// The row under the cursor.
  pub fn current(&self) -> Option<(&String, &Entry)> {
    let view = self.list_view()?;
    view.rows.get_key_value(self.list()?.key(view)?)
  }

  /// Marked things, or the one under the cursor.
  pub fn chosen(&self) -> Vec<Target> {
    match self.list() {
      Some(list) if !list.marks.is_empty() => {
        list.marks.values().map(super::act::target_of).collect()
      }
      _ => self.current().map(|(_, entry)| super::act::target_of(&entry.row)).into_iter().collect(),
    }
  }

  /// The overview, as far as it is known.
  pub fn overview(&self) -> Option<&hetuflow_core::Overview> {
    let live = self.store.view("overview");
    let view =
      if self.screen == Screen::Dash { self.dash_frozen.as_deref().or(live) } else { live };
    match view?.object.as_ref()? {
      Object::Overview(overview) => Some(overview),
      _ => None,
    }
  }

  /// The task of a view.
  pub fn task_detail(&self, name: &str) -> Option<&hetuflow_core::TaskDetail> {
    match self.store.view(name)?.object.as_ref()? {
      Object::Task(task) => Some(task),
      _ => None,
    }
  }

  /// The job of the jobs' pane.
  pub fn job_detail(&self) -> Option<&hetuflow_core::JobDetail> {
    match self.store.view("job")?.object.as_ref()? {
      Object::Job(job) => Some(job),
      _ => None,
    }
  }

  /// Shows a short message.
  pub fn toast(&mut self, role: Role, text: impl Into<String>) {
    let text = text.into();
    self.toasts.retain(|toast| toast.text != text);
    self.toasts.push(Toast { text, role, until: self.now + TOAST_TIME });
    let over = self.toasts.len().saturating_sub(3);
    self.toasts.drain(..over);
  }

  /// Whether the task screen shows the board.
  pub fn shows_board(&self) -> bool {
    match self.tasks_view {
      TasksView::Board => true,
      TasksView::Rows | TasksView::Heat => false,
      TasksView::Auto => self.flood,
    }
  }

  /// Whether the task under the cursor is shown beside or below the list.
  pub fn shows_preview(&self) -> bool {
    let (width, height) = self.size;
    let plain = !self.zoom && !self.shows_board() && self.tasks_view != TasksView::Heat;
    self.screen == Screen::Tasks && plain && width >= 60 && height >= 20
  }

  /// The output that takes keys: that of the task screen.
  pub fn log_with_keys(&mut self) -> Option<&mut LogPane> {
    match self.screen {
      Screen::Task(_) => self.log.as_mut().map(|(_, pane)| pane),
      _ => None,
    }
  }

  fn question(&self, name: &str, scope: Scope) -> Watch {
    let namespace_id =
      self.site.namespace.as_ref().and_then(|name| NamespaceId::new(name.clone()).ok());
    Watch {
      id: name.to_owned(),
      scope,
      namespace_id,
      filter: String::new(),
      sort: String::new(),
      from: 0,
      len: 0,
      max_hz: 4,
      target: None,
    }
  }

  /// The questions that this screen asks.
  fn wanted(&mut self) -> Vec<Watch> {
    let mut wanted = vec![Watch { max_hz: 2, ..self.question("overview", Scope::Overview) }];
    if let Some((name, scope)) = self.screen.list() {
      let asked = self.store.view(name).map(|view| (view.watch.from, u64::from(view.watch.len)));
      let list = &self.lists[name];
      let (from, len) = list.window(asked);
      let mut watch = self.question(name, scope);
      watch.filter.clone_from(&list.filter);
      watch.sort.clone_from(&list.sort);
      (watch.from, watch.len, watch.max_hz) = (from, u32::try_from(len).unwrap_or(u32::MAX), 10);
      wanted.push(watch);
    }
    if let Screen::Task(id) = &self.screen {
      let watch = self.question("task", Scope::Task);
      wanted.push(Watch { target: Some(id.clone()), namespace_id: None, ..watch });
    }
    let (name, scope) = match self.screen {
      Screen::Tasks => ("preview", Scope::Task),
      Screen::Jobs => ("job", Scope::Job),
      _ => return wanted,
    };
    let current = self.current().map(|(key, _)| key.clone());
    if current != self.preview
      && (self.preview.is_none() || self.now >= self.moved_at + PREVIEW_AFTER)
    {
      self.preview = current;
      self.moved_at = self.now;
    }
    if let Some(id) = &self.preview {
      let watch = self.question(name, scope);
      wanted.push(Watch { target: Some(id.clone()), namespace_id: None, ..watch });
    }
    wanted
  }

  /// Brings the questions in line with the screen.
  pub fn sync_watches(&mut self) -> Asked {
    let mut asked = Asked::default();
    let wanted = self.wanted();
    for watch in &wanted {
      self.leaving.remove(&watch.id);
      let former = self.store.view(&watch.id).map(View::wire_id);
      if self.store.ask(watch.clone()) && self.link.up {
        asked.unwatch.extend(former);
        asked.watch.extend(self.store.view(&watch.id).map(View::question));
      }
    }
    let others: Vec<String> = self
      .store
      .views()
      .map(|view| view.watch.id.clone())
      .filter(|id| wanted.iter().all(|watch| watch.id != *id))
      .collect();
    for name in others {
      let since = *self.leaving.entry(name.clone()).or_insert(self.now);
      if self.now >= since + LINGER {
        self.leaving.remove(&name);
        asked.unwatch.extend(self.store.forget(&name));
      }
    }
    asked
  }

  /// When something has to be done without any message.
  pub fn next_wake(&self) -> Option<Duration> {
    let toasts = self.toasts.iter().map(|toast| toast.until);
    let leaving = self.leaving.values().map(|since| *since + LINGER);
    let preview =
      (self.now < self.moved_at + PREVIEW_AFTER).then_some(self.moved_at + PREVIEW_AFTER);
    let link = self.link.next_change(self.now);
    let flood = self.flood.then(|| self.now + Duration::from_secs(1));
    toasts.chain(flood).chain(leaving).chain(preview).chain(link).filter(|at| *at > self.now).min()
  }

  /// Whether the preview is of the row under the cursor.
  pub fn is_settled(&self) -> bool {
    match self.screen {
      Screen::Tasks | Screen::Jobs => self.current().map(|(key, _)| key) == self.preview.as_ref(),
      _ => true,
    }
  }

  /// Goes to a screen and remembers this one.
  pub fn go(&mut self, screen: Screen) {
    if screen == self.screen {
      return;
    }
    let former = std::mem::replace(&mut self.screen, screen);
    self.past.push(former);
    let over = self.past.len().saturating_sub(50);
    self.past.drain(..over);
    self.future.clear();
    self.arrived();
  }

  /// After the screen became another one.
  pub fn arrived(&mut self) {
    self.pane = 0;
    self.zoom = false;
    self.typing = None;
    self.attempt = None;
    self.preview = None;
  }
}
