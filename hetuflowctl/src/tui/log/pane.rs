//! The pane: one log, how it is looked at, and what has been found in it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::Stream;
use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

use super::feeder::{Feed, Feeder};
use super::find::{Filter, Find, pattern};
use super::level::Level;
use super::prompt::{Prompt, Remembered};
use super::scan::Question;
use super::store::{LogSnapshot, LogStore};
use super::target::{LogAttempt, LogTarget, Which};
use super::times::TimeMode;
use crate::tui::text;

/// Bytes taken from the feeder between two pictures, so that keys are never kept waiting.
const POLL_BYTES_MAX: usize = 4 << 20;
/// Lines around each match of a filter.
pub const CONTEXT: u64 = 2;

/// What a key asks the program to do.
#[derive(Debug)]
pub enum LogAsk {
  /// Write the log to a new file: [`super::export`], on a thread; then [`LogPane::say`].
  Export(LogSnapshot, String),
  /// Feed a command: [`super::pipe`], with the terminal given back meanwhile.
  Pipe(LogSnapshot, String),
  /// Show it in the pager: [`super::page`], with the terminal given back meanwhile.
  Pager(LogSnapshot),
  /// Put this on the clipboard.
  Copy(String),
}

/// What became of a key.
#[derive(Debug)]
pub enum LogOutcome {
  /// The pane took it.
  Handled,
  /// It means nothing here.
  Ignored,
  /// Something is to be done.
  Ask(LogAsk),
}

/// How the log is looked at.
#[derive(Debug, Clone)]
pub(super) struct Options {
  pub wrap: bool,
  pub time: TimeMode,
  pub json: bool,
  pub stream: Option<Stream>,
  pub level: Option<Level>,
  pub filter: Option<String>,
  pub context: u64,
  pub follow: bool,
  pub sideways: usize,
}

/// A place in the picture: a line, and a row of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
  pub line: u64,
  pub row: usize,
}

/// What the last picture showed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
  pub height: u16,
  /// The last line of the picture.
  pub last: u64,
  /// The line under the cursor goes on below.
  pub cut_below: bool,
}

/// A link that is down, or was.
#[derive(Debug, Clone, Copy)]
struct Gap {
  from_line: u64,
  down: Duration,
  until_us: i64,
}

/// One log on the screen.
#[derive(Debug)]
pub struct LogPane {
  pub(super) target: LogTarget,
  pub(super) which: Which,
  pub(super) store: LogStore,
  pub(super) options: Options,
  pub(super) cursor: u64,
  pub(super) top: Place,
  pub(super) seen: Seen,
  /// How many lines were shown when following ended.
  pub(super) paused_at: u64,
  pub(super) search: Option<(String, Find)>,
  pub(super) filter: Option<Filter>,
  /// A jump that waits for the first match, forward or back.
  pub(super) jump: Option<bool>,
  pub(super) mark: Option<u64>,
  pub(super) selected_from: Option<u64>,
  pub(super) prompt: Option<Prompt>,
  pub(super) remembered: Remembered,
  pub(super) message: Option<String>,
  pub(super) lost: u64,
  pub(super) state: State,
  pub(super) zone: TimeZone,
  gap: Option<Gap>,
  feed: Option<Receiver<Feed>>,
  feeder: Option<Feeder>,
  pub(super) wake: Arc<Notify>,
}

/// Whether more is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
  Reading,
  Offline(String),
  Ended,
  Failed(String),
}

impl LogPane {
  /// A pane on the newest attempt. Take its feeder next.
  ///
  /// # Errors
  /// When the temporary folder cannot be written.
  pub fn new(target: LogTarget) -> io::Result<Self> {
    let options = Options {
      wrap: true,
      time: TimeMode::Local,
      json: false,
      stream: None,
      level: None,
      filter: None,
      context: CONTEXT,
      follow: true,
      sideways: 0,
    };
    let mut pane = Self {
      target,
      which: Which::Latest,
      store: LogStore::new()?,
      options,
      cursor: 0,
      top: Place::default(),
      seen: Seen::default(),
      paused_at: 0,
      search: None,
      filter: None,
      jump: None,
      mark: None,
      selected_from: None,
      prompt: None,
      remembered: Remembered::default(),
      message: None,
      lost: 0,
      state: State::Reading,
      zone: TimeZone::system(),
      gap: None,
      feed: None,
      feeder: None,
      wake: Arc::new(Notify::new()),
    };
    pane.begin();
    Ok(pane)
  }

  /// Told when [`LogPane::poll`] has something to do.
  pub fn wake(&self) -> Arc<Notify> {
    Arc::clone(&self.wake)
  }

  /// Work to be run by the program: after the start, and whenever another attempt was chosen.
  pub fn take_feeder(&mut self) -> Option<Feeder> {
    self.feeder.take()
  }

  /// The task's attempts as they are now; those that are known are read from where they were.
  pub fn set_attempts(&mut self, mut attempts: Vec<LogAttempt>) {
    for one in &mut attempts {
      let known = self.target.attempts.iter().find(|it| it.instance_id == one.instance_id);
      one.from = known.map_or(one.from, |known| known.from);
    }
    let before = self.target.chosen(self.which).to_vec();
    self.target.attempts = attempts;
    if self.target.chosen(self.which) != before {
      self.choose(self.which);
    }
  }

  /// The chosen attempt by its place; none follows the newest or shows all.
  pub fn attempt(&self) -> Option<usize> {
    match self.which {
      Which::One(nth) => Some(nth),
      Which::Latest | Which::All => None,
    }
  }

  /// Says something in the status line until the next key.
  pub fn say(&mut self, words: impl Into<String>) {
    self.message = Some(words.into());
  }

  /// Shows other attempts, from the beginning.
  pub(super) fn choose(&mut self, which: Which) {
    match LogStore::new() {
      Ok(store) => self.store = store,
      Err(error) => return self.say(format!("no room for another log: {error}")),
    }
    (self.which, self.top, self.cursor) = (which, Place::default(), 0);
    (self.lost, self.gap, self.state) = (0, None, State::Reading);
    (self.mark, self.selected_from, self.paused_at) = (None, None, 0);
    self.options.follow = true;
    self.begin();
    self.ask_again();
  }

  fn begin(&mut self) {
    let attempts = self.target.chosen(self.which).to_vec();
    if attempts.is_empty() {
      (self.feed, self.feeder) = (None, None);
      return;
    }
    let (feeder, feed) = Feeder::new(attempts, Arc::clone(&self.wake));
    (self.feed, self.feeder) = (Some(feed), Some(feeder));
  }

  /// Puts the questions that stand to the log anew.
  pub(super) fn ask_again(&mut self) {
    self.set_filter();
    if let Some((text, _)) = self.search.take() {
      self.set_search(&text);
    }
  }

  /// Begins to search; a bad pattern is told.
  pub(super) fn set_search(&mut self, text: &str) {
    self.search_after(text, Duration::ZERO);
  }

  /// The same when no key has come for so long.
  pub(super) fn search_after(&mut self, text: &str, patience: Duration) {
    self.search = None;
    if text.is_empty() {
      return;
    }
    match pattern(text) {
      Ok(regex) => {
        let question = Question { regex: Some(regex), patience, ..Question::default() };
        let find = Find::start(question, &self.store, self.cursor, &self.wake);
        self.search = Some((text.to_owned(), find));
      }
      Err(error) => self.say(format!("not a pattern: {error}")),
    }
  }

  /// Begins to filter by what the options say.
  pub(super) fn set_filter(&mut self) {
    let regex = match self.options.filter.as_deref().map(pattern).transpose() {
      Ok(regex) => regex,
      Err(error) => return self.say(format!("not a pattern: {error}")),
    };
    let (level, stream) = (self.options.level, self.options.stream);
    let question = Question { regex, level, stream, ..Question::default() };
    let Question { regex: None, level: None, stream: None, .. } = question else {
      let context = self.options.context;
      self.filter = Some(Filter::start(question, context, &self.store, &self.wake));
      return;
    };
    self.filter = None;
  }

  /// Takes what came from the server and from searches; true when the picture may differ. Never
  /// waits, and does a bounded amount of work.
  pub fn poll(&mut self) -> bool {
    let mut changed = self.take_feed();
    let wake = Arc::clone(&self.wake);
    if let Some((_, find)) = &mut self.search {
      changed |= find.poll(&self.store, &wake);
    }
    if let Some(filter) = &mut self.filter {
      changed |= filter.poll(&self.store, &wake);
    }
    if let (Some(forward), Some((_, find))) = (self.jump, &self.search) {
      // The lines behind the cursor are looked at first: what is found early is near.
      match find.next(self.cursor, forward) {
        Some(line) if find.is_done() || (forward && line > self.cursor) => self.jump_to(line),
        None if find.is_done() => self.jump = None,
        _ => {}
      }
    }
    changed
  }

  /// Whether a key still waits for the line that it goes to.
  pub fn is_awaited(&self) -> bool {
    self.jump.is_some()
  }

  pub(super) fn jump_to(&mut self, line: u64) {
    self.jump = None;
    self.stop_following();
    self.cursor = line;
  }

  pub(super) fn stop_following(&mut self) {
    if std::mem::take(&mut self.options.follow) {
      self.paused_at = self.shown_count();
    }
  }

  fn take_feed(&mut self) -> bool {
    let Some(mut feed) = self.feed.take() else { return false };
    let mut taken = 0;
    let mut changed = false;
    while taken < POLL_BYTES_MAX {
      match feed.try_recv() {
        Ok(item) => {
          taken += if let Feed::Bytes(_, _, bytes) = &item { bytes.len() } else { 1 };
          changed = true;
          self.take(item);
        }
        Err(_) => {
          self.feed = Some(feed);
          return changed;
        }
      }
    }
    // There is more: the program looks at keys first and then comes back.
    self.wake.notify_one();
    self.feed = Some(feed);
    changed
  }

  /// Takes one piece of news.
  pub(super) fn take(&mut self, item: Feed) {
    match item {
      Feed::Bytes(stream, at_us, bytes) => {
        self.state = State::Reading;
        if let Err(error) = self.store.append(stream, at_us, &bytes) {
          self.lost += bytes.len() as u64;
          self.say(format!("the log cannot be kept: {error}"));
        }
        self.count_gap(at_us);
      }
      Feed::Gap(down, until_us) => {
        let from_line = self.store.lines().end;
        self.gap = Some(Gap { from_line, down, until_us });
        self.store.note(gap_words(down, 0));
        self.state = State::Reading;
      }
      Feed::Lost(bytes) => {
        self.lost += bytes;
        self.store.note(format!("── {} no longer kept on the server ──", size(bytes)));
      }
      Feed::Attempt(attempt) => {
        let agent = attempt.agent.map(|agent| format!(" on {agent}")).unwrap_or_default();
        self.store.note(format!("── attempt {}{agent} ──", attempt.number));
      }
      Feed::Offline(why) => self.state = State::Offline(why),
      Feed::Ended => self.state = State::Ended,
      Feed::Failed(why) => self.state = State::Failed(why),
    }
  }

  /// Counts lines that were written while the link was down, once they are here.
  fn count_gap(&mut self, at_us: i64) {
    let Some(gap) = self.gap else { return };
    if at_us > gap.until_us {
      self.gap = None;
      return;
    }
    let lines = self.store.lines().end - gap.from_line;
    if let Some(note) = self.store.last_note_mut().filter(|note| note.line == gap.from_line) {
      note.text = gap_words(gap.down, lines);
    }
  }

  /// How many lines there are to show.
  pub(super) fn shown_count(&self) -> u64 {
    match &self.filter {
      Some(filter) => filter.shown().len() as u64,
      None => self.store.lines().end - self.store.lines().start,
    }
  }

  /// The n-th line that is shown.
  pub(super) fn nth_shown(&self, nth: u64) -> Option<u64> {
    match &self.filter {
      Some(filter) => filter.shown().get(usize::try_from(nth).ok()?).copied(),
      None => Some(self.store.lines().start + nth).filter(|line| *line < self.store.lines().end),
    }
  }

  /// How many shown lines stand before a line.
  pub(super) fn shown_before(&self, line: u64) -> u64 {
    let lines = self.store.lines();
    match &self.filter {
      Some(filter) => filter.shown().partition_point(|shown| *shown < line) as u64,
      None => line.clamp(lines.start, lines.end) - lines.start,
    }
  }

  /// Lines below the picture that came after following had ended.
  pub fn new_below(&self) -> u64 {
    if self.options.follow {
      return 0;
    }
    let seen = self.shown_before(self.seen.last + 1);
    self.shown_count().saturating_sub(seen.max(self.paused_at))
  }
}

fn gap_words(down: Duration, lines: u64) -> String {
  let seconds = down.as_secs_f64();
  match lines {
    0 => format!("── gap: {seconds:.1} s without link, nothing lost ──"),
    lines => format!(
      "── gap: {seconds:.1} s without link, {} lines fetched afterwards, none lost ──",
      text::count(lines)
    ),
  }
}

/// Bytes for people: `512 B`, `96 KB`, `118 MB`.
pub(super) fn size(bytes: u64) -> String {
  match bytes {
    0..1000 => format!("{bytes} B"),
    1000..1_000_000 => format!("{} KB", bytes / 1000),
    1_000_000..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
    10_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
    _ => format!("{:.1} GB", bytes as f64 / 1e9),
  }
}
