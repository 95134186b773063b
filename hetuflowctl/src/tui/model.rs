//! Everything that the picture depends on. Nothing else keeps state.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::Ts;
use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use super::complete::Offered;
use super::draw::TimeMode;
use super::find::Finding;
use super::keys::Keys;
use super::link_state::{Condition, LinkState};
use super::log::LogPane;
use super::look::{Look, Role};
use super::marks::Collecting;
use super::overlay::Overlay;
pub use super::scene::{Screen, Site, TasksView};
use super::store::{Entry, Object, Store, View};
use super::waiting::Waiting;
use super::widget::input::Input;
use super::widget::list::{ListState, Target};
const TOAST_TIME: Duration = Duration::from_secs(5);

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
  /// The thing whose preview is asked for.
  pub(super) preview: Option<String>,
  /// Everything that matches is being marked.
  pub collecting: Option<Collecting>,
  /// What `^P` looks for.
  pub finding: Finding,
  /// Why the shown task waits.
  pub waiting: Waiting,
  /// What Tab offers in the line that is typed.
  pub offered: Offered,
  /// Questions of screens that were left, and since when.
  pub(super) leaving: BTreeMap<String, Duration>,
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
      collecting: None,
      finding: Finding::default(),
      waiting: Waiting::default(),
      offered: Offered::default(),
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
    self.collecting = None;
    self.attempt = None;
    self.preview = None;
  }
}
