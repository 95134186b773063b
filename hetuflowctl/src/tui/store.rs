//! What the server has told: one [`View`] per watch, and the rules by which frames change it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hetuflow_core::{
  AgentRow, Cause, EventRow, FireRow, JobDetail, JobRow, Overview, Scope, ServerRow, TaskDetail,
  TaskRow, Watch, WatchError, WatchFrame, WatchRow as _,
};
use serde_json::Value;

/// A row of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
  /// Of the scope `tasks`.
  Task(Box<TaskRow>),
  /// Of the scope `jobs`.
  Job(Box<JobRow>),
  /// Of the scope `agents`.
  Agent(Box<AgentRow>),
  /// Of the scope `events`.
  Event(Box<EventRow>),
  /// Of the scope `servers`.
  Server(Box<ServerRow>),
  /// Of the scope `fires`.
  Fire(Box<FireRow>),
}

impl Row {
  fn read(scope: Scope, value: &Value) -> Option<(String, Self)> {
    use serde::Deserialize as _;
    Some(match scope {
      Scope::Tasks => {
        let row = TaskRow::deserialize(value).ok()?;
        (row.key(), Self::Task(Box::new(row)))
      }
      Scope::Jobs => {
        let row = JobRow::deserialize(value).ok()?;
        (row.key(), Self::Job(Box::new(row)))
      }
      Scope::Agents => {
        let row = AgentRow::deserialize(value).ok()?;
        (row.key(), Self::Agent(Box::new(row)))
      }
      Scope::Events => {
        let row = EventRow::deserialize(value).ok()?;
        (row.key(), Self::Event(Box::new(row)))
      }
      Scope::Servers => {
        let row = ServerRow::deserialize(value).ok()?;
        (row.key(), Self::Server(Box::new(row)))
      }
      Scope::Fires => {
        let row = FireRow::deserialize(value).ok()?;
        (row.key(), Self::Fire(Box::new(row)))
      }
      Scope::Overview | Scope::Task | Scope::Job => return None,
    })
  }
}

/// A row and its JSON with all fields, also those that we do not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
  /// What we read.
  pub row: Row,
  /// What came.
  pub raw: Value,
}

/// The one object of a scope that has no rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
  /// Of the scope `overview`.
  Overview(Box<Overview>),
  /// Of the scope `task`.
  Task(Box<TaskDetail>),
  /// Of the scope `job`.
  Job(Box<JobDetail>),
}

impl Object {
  fn read(scope: Scope, value: &Value) -> Option<Self> {
    use serde::Deserialize as _;
    match scope {
      Scope::Overview => Overview::deserialize(value).ok().map(|it| Self::Overview(Box::new(it))),
      Scope::Task => TaskDetail::deserialize(value).ok().map(|it| Self::Task(Box::new(it))),
      Scope::Job => JobDetail::deserialize(value).ok().map(|it| Self::Job(Box::new(it))),
      _ => None,
    }
  }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
  /// The picture moved on.
  Applied,
  /// Known already, or of a question that is no longer asked.
  Ignored,
  /// Something is missing: ask again.
  AskAgain,
}

/// The window of one question as far as it is known.
#[derive(Debug, Clone)]
pub struct View {
  /// The question; its id is the name without generation.
  pub watch: Watch,
  /// Goes up with every question, so that late answers to the former one are known.
  pub generation: u32,
  /// Whether the first full answer to this question is here.
  pub synced: bool,
  /// The journal's epoch.
  pub epoch: String,
  /// The number up to which this is true.
  pub seq: i64,
  /// Row number of the first of `order`.
  pub from: u64,
  /// Keys in order.
  pub order: Vec<String>,
  /// Rows by key.
  pub rows: HashMap<String, Entry>,
  /// Rows that the filter lets through.
  pub matched: u64,
  /// Rows without the filter.
  pub total: u64,
  /// Failures by cause.
  pub causes: Vec<Cause>,
  /// The object.
  pub object: Option<Object>,
  /// Its JSON.
  pub object_raw: Value,
  /// Why nothing can be shown.
  pub error: Option<WatchError>,
  /// When the last frame came.
  pub heard_at: Duration,
  /// Journal rows folded into frames so far.
  pub merged: u64,
  /// Rows that could not be read.
  pub unreadable: u64,
  /// Whether anything was ever received.
  pub seen: bool,
  churn: Churn,
}

/// How many rows changed in this second and in the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Churn {
  second: u64,
  now: u64,
  before: u64,
}

impl View {
  /// A question that was not asked yet.
  pub fn new(watch: Watch) -> Self {
    Self {
      watch,
      generation: 1,
      synced: false,
      epoch: String::new(),
      seq: 0,
      from: 0,
      order: Vec::new(),
      rows: HashMap::new(),
      matched: 0,
      total: 0,
      causes: Vec::new(),
      object: None,
      object_raw: Value::Null,
      error: None,
      heard_at: Duration::ZERO,
      merged: 0,
      unreadable: 0,
      seen: false,
      churn: Churn::default(),
    }
  }

  /// Asked for a list of names or marks, not for the picture.
  fn is_aside(&self) -> bool {
    self.watch.id.starts_with("find-") || self.watch.id == super::marks::QUESTION
  }

  /// The id on the wire.
  pub fn wire_id(&self) -> String {
    format!("{}.{}", self.watch.id, self.generation)
  }

  /// The question as it is sent.
  pub fn question(&self) -> Watch {
    Watch { id: self.wire_id(), ..self.watch.clone() }
  }

  /// The entry in the row of a number, where the window holds it.
  pub fn entry_at(&self, index: u64) -> Option<(&String, &Entry)> {
    let at = usize::try_from(index.checked_sub(self.from)?).ok()?;
    let key = self.order.get(at)?;
    self.rows.get_key_value(key)
  }

  /// The row number of a key.
  pub fn index_of(&self, key: &str) -> Option<u64> {
    self.order.iter().position(|known| known == key).map(|at| self.from + at as u64)
  }

  /// Rows that changed in the last whole second.
  pub fn changes_per_second(&self, now: Duration) -> u64 {
    match now.as_secs().checked_sub(self.churn.second) {
      Some(0) => self.churn.before.max(self.churn.now),
      Some(1) => self.churn.now,
      _ => 0,
    }
  }

  /// Takes a frame.
  pub fn apply(&mut self, frame: WatchFrame, now: Duration) -> Verdict {
    if frame.full {
      if self.synced && frame.epoch == self.epoch && frame.seq <= self.seq {
        return Verdict::Ignored;
      }
      return self.replace(frame, now);
    }
    if !self.synced || frame.epoch != self.epoch {
      return Verdict::AskAgain;
    }
    if frame.prev_seq != self.seq {
      return if frame.seq <= self.seq { Verdict::Ignored } else { Verdict::AskAgain };
    }
    self.seq = frame.seq;
    self.fill(frame, now)
  }

  fn replace(&mut self, frame: WatchFrame, now: Duration) -> Verdict {
    self.synced = true;
    self.epoch.clone_from(&frame.epoch);
    self.seq = frame.seq;
    self.error = None;
    // A question that cannot be answered leaves the former picture.
    if frame.error.is_none() {
      self.from = self.watch.from;
      self.rows.clear();
      self.order.clear();
      self.causes.clear();
      self.churn = Churn::default();
    }
    self.fill(frame, now)
  }

  fn fill(&mut self, frame: WatchFrame, now: Duration) -> Verdict {
    self.seen = true;
    self.heard_at = now;
    self.merged += u64::from(frame.merged);
    if !frame.full {
      self.count_changes(frame.put.len() as u64, now);
    }
    for raw in frame.put {
      match Row::read(self.watch.scope, &raw) {
        Some((key, row)) => {
          self.rows.insert(key, Entry { row, raw });
        }
        None => self.unreadable += 1,
      }
    }
    self.matched = frame.matched.unwrap_or(self.matched);
    self.total = frame.total.unwrap_or(self.total);
    if let Some(causes) = frame.causes {
      self.causes = causes;
    }
    if let Some(value) = frame.object {
      match Object::read(self.watch.scope, &value) {
        Some(object) => self.object = Some(object),
        None => self.unreadable += 1,
      }
      self.object_raw = value;
    }
    if frame.error.is_some() {
      self.error = frame.error;
    }
    match frame.order {
      Some(order) => self.reorder(order),
      None => Verdict::Applied,
    }
  }

  fn reorder(&mut self, order: Vec<String>) -> Verdict {
    let whole = order.iter().all(|key| self.rows.contains_key(key));
    let wanted: std::collections::HashSet<&String> = order.iter().collect();
    self.rows.retain(|key, _| wanted.contains(key));
    self.order = order;
    self.order.retain(|key| self.rows.contains_key(key));
    // A row of a newer server that we cannot read is left out; anything else missing is a hole.
    if whole || self.unreadable > 0 { Verdict::Applied } else { Verdict::AskAgain }
  }

  fn count_changes(&mut self, changes: u64, now: Duration) {
    let second = now.as_secs();
    if second != self.churn.second {
      let before = if second == self.churn.second + 1 { self.churn.now } else { 0 };
      self.churn = Churn { second, now: 0, before };
    }
    self.churn.now += changes;
  }
}

/// All views by name.
#[derive(Debug, Clone, Default)]
pub struct Store {
  views: BTreeMap<String, View>,
  /// Frames taken so far.
  pub frames: u64,
  /// Times that something was missing and was asked for again.
  pub holes: u64,
}

impl Store {
  /// The view of a name.
  pub fn view(&self, name: &str) -> Option<&View> {
    self.views.get(name)
  }

  /// Every view.
  pub fn views(&self) -> impl Iterator<Item = &View> {
    self.views.values()
  }

  /// Asks a question under its name; whether it is another one than before.
  pub fn ask(&mut self, watch: Watch) -> bool {
    match self.views.get_mut(&watch.id) {
      Some(view) if view.watch == watch => false,
      Some(view) => {
        if view.watch.target != watch.target || view.watch.namespace_id != watch.namespace_id {
          *view = View { generation: view.generation, ..View::new(view.watch.clone()) };
        }
        view.watch = watch;
        view.generation += 1;
        view.synced = false;
        true
      }
      None => {
        self.views.insert(watch.id.clone(), View::new(watch));
        true
      }
    }
  }

  /// Forgets a view; the id on the wire.
  pub fn forget(&mut self, name: &str) -> Option<String> {
    self.views.remove(name).map(|view| view.wire_id())
  }

  /// Every question has to be asked anew, as the connection is a new one.
  pub fn ask_all_again(&mut self) -> Vec<Watch> {
    let again = |view: &mut View| {
      view.generation += 1;
      view.synced = false;
      view.question()
    };
    self.views.values_mut().map(again).collect()
  }

  /// Takes a frame; the question to ask again where something is missing.
  pub fn apply(&mut self, mut frame: WatchFrame, now: Duration) -> (Verdict, Option<Watch>) {
    self.frames += 1;
    let Some((name, generation)) = frame.id.rsplit_once('.') else {
      return (Verdict::Ignored, None);
    };
    let (name, generation) = (name.to_owned(), generation.parse::<u32>().ok());
    let Some(view) = self.views.get_mut(&name) else { return (Verdict::Ignored, None) };
    if generation != Some(view.generation) {
      return (Verdict::Ignored, None);
    }
    frame.id = name;
    match view.apply(frame, now) {
      Verdict::AskAgain => {
        self.holes += 1;
        view.generation += 1;
        view.synced = false;
        (Verdict::AskAgain, Some(view.question()))
      }
      verdict => (verdict, None),
    }
  }

  /// Whether every question of the screen has its first answer.
  pub fn is_synced(&self) -> bool {
    self.views.values().all(|view| view.synced || view.is_aside())
  }
}
