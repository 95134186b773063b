//! What commands hand back: data with its columns, in no form yet.

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use hetuflow_core::{Stream, Ts};
use serde::Serialize;
use serde_json::Value;

use super::cell::Cell;
use super::fault::Failure;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
  /// Its head.
  pub name: &'static str,
  /// Shown with `-o wide` only.
  pub wide: bool,
}

impl Column {
  /// A column that is always shown.
  pub const fn new(name: &'static str) -> Self {
    Self { name, wide: false }
  }

  /// A column of `-o wide`.
  pub const fn wide(name: &'static str) -> Self {
    Self { name, wide: true }
  }
}

/// A thing that can stand in a table.
pub trait TableRow: Serialize {
  /// The word before the slash in `-o name`.
  const KIND: &'static str;
  /// The columns.
  const COLUMNS: &'static [Column];
  /// What follows the slash.
  fn reference(&self) -> String;
  /// One cell per column.
  fn cells(&self) -> Vec<Cell>;
  /// As `apply -f` would take it, where that is another form.
  fn manifest(&self) -> Option<Value> {
    None
  }
}

/// A row in no form yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
  /// `job/etl-daily`.
  pub name: String,
  /// The JSON.
  pub value: Value,
  /// What YAML shows in place of the JSON.
  pub manifest: Option<Value>,
  /// One cell per column.
  pub cells: Vec<Cell>,
}

impl Record {
  /// The row of a thing.
  pub fn of<T: TableRow>(thing: &T) -> Self {
    Self {
      name: format!("{}/{}", T::KIND, thing.reference()),
      value: serde_json::to_value(thing).expect("our own types are JSON"),
      manifest: thing.manifest(),
      cells: thing.cells(),
    }
  }
}

/// Rows that may still be on the way, page by page.
pub struct Rows {
  /// The columns.
  pub columns: &'static [Column],
  /// Pages.
  pub pages: BoxStream<'static, Result<Page, Failure>>,
  /// `--sort` is ours to do: the pages come in an order of their own.
  pub sort_here: bool,
}

/// Some rows, and where the next ones begin.
#[derive(Debug)]
pub struct Page {
  /// The rows.
  pub rows: Vec<Record>,
  /// The cursor that was left when the limit was reached.
  pub next: Option<String>,
}

impl Rows {
  /// Rows that come page by page.
  pub fn paged<E: Into<Failure> + 'static>(
    columns: &'static [Column],
    pages: impl futures_util::Stream<Item = Result<Page, E>> + Send + 'static,
  ) -> Self {
    Self { columns, pages: pages.map_err(Into::into).boxed(), sort_here: false }
  }

  /// Rows that are there.
  pub fn ready<T: TableRow>(things: &[T]) -> Self {
    let page = Page { rows: things.iter().map(Record::of).collect(), next: None };
    let pages = futures_util::stream::once(async { Ok(page) }).boxed();
    Self { columns: T::COLUMNS, pages, sort_here: true }
  }
}

/// A piece of task output on its way to stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
  /// Bytes of a stream; the label tells several tasks apart.
  Bytes {
    /// Which pipe they came from.
    stream: Stream,
    /// What they are.
    bytes: Vec<u8>,
    /// Before each line, where there are several sources.
    label: Option<String>,
  },
  /// One line, where lines were asked about.
  Line(LogLine),
  /// A word of ours, for stderr.
  Note(String),
  /// What to hand back at the end.
  Exit(u8),
}

/// One line of task output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
  /// When it was captured.
  pub at: Ts,
  /// Which pipe it came from.
  pub stream: Stream,
  /// The task, by its short id.
  pub task: String,
  /// `JOB/TASK`, for the prefix.
  pub label: String,
  /// The attempt.
  pub attempt: i64,
  /// Where it begins in the merged output.
  pub offset: u64,
  /// The line without its end.
  pub bytes: Vec<u8>,
  /// It only stands beside a line that was looked for.
  pub context: bool,
}

/// What stands before each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStyle {
  /// Bytes as they are, on a terminal too.
  pub raw: bool,
  /// The time.
  pub stamps: Stamps,
  /// Whose line it is.
  pub prefix: bool,
}

/// The time before each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stamps {
  /// None.
  #[default]
  None,
  /// In the zone of this machine.
  Local,
  /// In UTC.
  Utc,
  /// RFC 3339.
  Rfc3339,
  /// Since the first line.
  Since,
  /// Since the line before.
  Delta,
}

/// A list that changes while it is shown.
pub struct Live {
  /// The columns.
  pub columns: &'static [Column],
  /// What it shows, one frame after the other; its end is the end of the command.
  pub frames: BoxStream<'static, Result<LiveFrame, Failure>>,
}

/// One state of a list that changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveFrame {
  /// All rows, in order.
  pub rows: Vec<Record>,
  /// What differs from the frame before, for programs.
  pub changes: Vec<Value>,
  /// A line under the table.
  pub foot: String,
}

/// One state of a text that changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Screen {
  /// What people read.
  pub text: String,
  /// What programs read.
  pub value: Value,
}

/// What a command hands back.
pub enum View {
  /// Nothing to show.
  Nothing,
  /// Rows of a list.
  List(Rows),
  /// One or several things that were named.
  Things(&'static [Column], Vec<Record>),
  /// Text for people, a value for programs, names for `-o name`.
  Text {
    /// What people read.
    text: String,
    /// What programs read.
    value: Value,
    /// What `-o name` prints.
    names: Vec<String>,
  },
  /// Bytes as they are, whatever the form.
  Raw(Vec<u8>),
  /// Task output.
  Logs {
    /// The pieces.
    pieces: BoxStream<'static, Result<LogPiece, Failure>>,
    /// What stands before each line.
    style: LogStyle,
  },
  /// A list that changes while it is shown.
  Live(Live),
  /// A text that changes while it is shown; its end is the end of the command.
  Screen(BoxStream<'static, Result<Screen, Failure>>),
}

impl std::fmt::Debug for View {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str(match self {
      Self::Nothing => "Nothing",
      Self::List(_) => "List",
      Self::Things(..) => "Things",
      Self::Text { .. } => "Text",
      Self::Raw(_) => "Raw",
      Self::Logs { .. } => "Logs",
      Self::Live(_) => "Live",
      Self::Screen(_) => "Screen",
    })
  }
}

impl View {
  /// One thing.
  pub fn thing<T: TableRow>(thing: &T) -> Self {
    Self::Things(T::COLUMNS, vec![Record::of(thing)])
  }

  /// Several things.
  pub fn things<T: TableRow>(things: &[T]) -> Self {
    Self::Things(T::COLUMNS, things.iter().map(Record::of).collect())
  }

  /// Task output.
  pub fn logs<E: Into<Failure> + 'static>(
    pieces: impl futures_util::Stream<Item = Result<LogPiece, E>> + Send + 'static,
    style: LogStyle,
  ) -> Self {
    Self::Logs { pieces: pieces.map_err(Into::into).boxed(), style }
  }

  /// Text for people and a value for programs.
  pub fn text(text: impl Into<String>, value: Value) -> Self {
    Self::Text { text: text.into(), value, names: Vec::new() }
  }
}

/// What a command hands back, with the exit code.
#[derive(Debug)]
pub struct Outcome {
  /// What to show.
  pub view: View,
  /// The exit code; a stream's own goes before it.
  pub exit: u8,
  /// Lines for stderr after the view.
  pub notes: Vec<String>,
  /// What went wrong with a part of it; told after the view, and its exit code counts.
  pub failure: Option<Failure>,
}

impl From<View> for Outcome {
  fn from(view: View) -> Self {
    Self { view, exit: 0, notes: Vec::new(), failure: None }
  }
}

impl Outcome {
  /// With an exit code.
  #[must_use]
  pub fn exit(mut self, exit: u8) -> Self {
    self.exit = exit;
    self
  }

  /// With a part that went wrong.
  #[must_use]
  pub fn partial(mut self, failure: Failure) -> Self {
    self.exit = failure.exit;
    self.failure = Some(failure);
    self
  }

  /// With a line for stderr.
  #[must_use]
  pub fn note(mut self, note: impl Into<String>) -> Self {
    self.notes.push(note.into());
    self
  }
}
