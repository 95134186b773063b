//! What has been found: matches of a search to jump between, and the lines that a filter leaves.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::bytes::{Regex, RegexBuilder};
use tokio::sync::Notify;

use super::scan::{Question, Scan, scan_now};
use super::store::LogStore;

/// Lines that arrive are looked at at once up to so many, on a thread beyond that.
const NOW_LINES_MAX: u64 = 5_000;
/// Memory that a pattern may take.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// Reads a pattern. All lower case means that case does not matter.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
  let built = RegexBuilder::new(text)
    .multi_line(true)
    .crlf(true)
    .case_insensitive(!text.chars().any(char::is_uppercase))
    .size_limit(PATTERN_BYTES_MAX)
    .build();
  built.map_err(|error| {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
  })
}

/// A question over the log, and its answer so far.
#[derive(Debug)]
pub struct Find {
  question: Question,
  /// Hits before the line where it began, found after those behind it.
  before: Vec<u64>,
  after: Vec<u64>,
  begun_at: u64,
  covered: u64,
  scan: Option<(Scan, Range<u64>, bool)>,
  searched: u64,
  started: Instant,
  took: Option<Duration>,
}

impl Find {
  /// Begins at a line, goes on to the end, and then looks at what lies before.
  pub fn start(question: Question, store: &LogStore, from: u64, wake: &Arc<Notify>) -> Self {
    let lines = store.lines().start..store.index().whole();
    let from = from.clamp(lines.start, lines.end);
    let ranges = vec![from..lines.end, lines.start..from];
    let scan = Scan::start(question.clone(), store.snapshot(), ranges, Arc::clone(wake));
    Self {
      question,
      before: Vec::new(),
      after: Vec::new(),
      begun_at: from,
      covered: lines.end,
      scan: Some((scan, lines, false)),
      searched: 0,
      started: Instant::now(),
      took: None,
    }
  }

  /// Takes what has been found; true when that was something.
  pub fn poll(&mut self, store: &LogStore, wake: &Arc<Notify>) -> bool {
    let heard = self.listen();
    self.go_on(store, wake) || heard
  }

  fn listen(&mut self) -> bool {
    let mut heard = false;
    while let Some((scan, lines, second)) = &mut self.scan {
      let Some(report) = scan.report() else { break };
      heard = true;
      let into = if *second { &mut self.before } else { &mut self.after };
      into.extend(report.hits);
      let first_part = if *second { lines.end - self.begun_at.max(lines.start) } else { 0 };
      self.searched = self.searched.max(first_part + report.searched);
      if report.range_done && (*second || lines.start >= self.begun_at) {
        self.scan = None;
        self.took.get_or_insert_with(|| self.started.elapsed());
        self.searched = self.covered;
      } else if report.range_done {
        *second = true;
      }
    }
    heard
  }

  /// Looks at lines that came after the search had begun.
  fn go_on(&mut self, store: &LogStore, wake: &Arc<Notify>) -> bool {
    let whole = store.index().whole();
    if self.scan.is_some() || whole <= self.covered {
      return false;
    }
    let lines = self.covered.max(store.lines().start)..whole;
    self.covered = whole;
    if lines.end - lines.start <= NOW_LINES_MAX {
      self.after.extend(scan_now(&self.question, &store.snapshot(), lines));
      self.searched = whole;
      return true;
    }
    let ranges = vec![lines.clone()];
    let scan = Scan::start(self.question.clone(), store.snapshot(), ranges, Arc::clone(wake));
    // One range behind everything: there is no second part.
    self.scan = Some((scan, lines.start.max(self.begun_at)..lines.end, false));
    true
  }

  /// What is asked.
  pub fn question(&self) -> &Question {
    &self.question
  }

  /// How many lines answer, so far.
  pub fn count(&self) -> usize {
    self.before.len() + self.after.len()
  }

  /// Whether all lines have been looked at.
  pub fn is_done(&self) -> bool {
    self.scan.is_none()
  }

  /// Lines looked at.
  pub fn searched(&self) -> u64 {
    self.searched
  }

  /// How long the first look through everything took.
  pub fn took(&self) -> Option<Duration> {
    self.took
  }

  /// The n-th line that answers.
  pub fn get(&self, nth: usize) -> Option<u64> {
    match nth.checked_sub(self.before.len()) {
      None => self.before.get(nth).copied(),
      Some(nth) => self.after.get(nth).copied(),
    }
  }

  /// How many lines that answer stand before a line.
  pub fn rank(&self, line: u64) -> usize {
    self.before.partition_point(|hit| *hit < line) + self.after.partition_point(|hit| *hit < line)
  }

  /// Whether a line answers.
  pub fn has(&self, line: u64) -> bool {
    self.get(self.rank(line)) == Some(line)
  }

  /// The next line that answers after a line, or before it; from the other end when there is none.
  pub fn next(&self, line: u64, forward: bool) -> Option<u64> {
    let count = self.count();
    if count == 0 {
      return None;
    }
    let rank = self.rank(line);
    let nth = if forward {
      rank + usize::from(self.has(line))
    } else {
      rank.checked_sub(1).unwrap_or(count - 1)
    };
    self.get(nth % count)
  }
}

/// The lines that a filter leaves, with lines around each.
#[derive(Debug)]
pub struct Filter {
  find: Find,
  context: u64,
  taken: usize,
  shown: Vec<u64>,
}

impl Filter {
  /// Begins to filter from the first line on.
  pub fn start(question: Question, context: u64, store: &LogStore, wake: &Arc<Notify>) -> Self {
    let context = if question.regex.is_some() { context } else { 0 };
    let find = Find::start(question, store, store.lines().start, wake);
    Self { find, context, taken: 0, shown: Vec::new() }
  }

  /// Takes what has been found; true when that was something.
  pub fn poll(&mut self, store: &LogStore, wake: &Arc<Notify>) -> bool {
    let heard = self.find.poll(store, wake);
    let lines = store.lines();
    let before = self.shown.len();
    // Context behind the last hit that had not arrived when the hit was found.
    if let Some(last) = self.taken.checked_sub(1).and_then(|nth| self.find.get(nth)) {
      self.extend(last, &lines);
    }
    while let Some(hit) = self.find.get(self.taken) {
      self.taken += 1;
      self.extend(hit, &lines);
    }
    let gone = self.shown.partition_point(|line| *line < lines.start);
    if gone > 10_000 {
      self.shown.drain(..gone);
    }
    heard || self.shown.len() != before
  }

  fn extend(&mut self, hit: u64, lines: &Range<u64>) {
    let from = hit.saturating_sub(self.context).max(lines.start);
    let from = self.shown.last().map_or(from, |last| from.max(last + 1));
    self.shown.extend(from..(hit + self.context + 1).min(lines.end));
  }

  /// The lines, in order.
  pub fn shown(&self) -> &[u64] {
    &self.shown
  }

  /// The hits behind them.
  #[cfg(test)]
  pub fn find(&self) -> &Find {
    &self.find
  }

  /// Lines around each hit.
  pub fn context(&self) -> u64 {
    self.context
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Stream;

  use super::*;

  fn wait_for(find: &mut Find, store: &LogStore, wake: &Arc<Notify>) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !find.is_done() && Instant::now() < limit {
      find.poll(store, wake);
      std::thread::yield_now();
    }
    assert!(find.is_done());
  }

  fn lines(store: &mut LogStore, range: Range<u32>) {
    for line in range {
      store.append(Stream::Stdout, 0, format!("line {line}\n").as_bytes()).expect("kept");
    }
  }

  #[test]
  fn the_near_ones_first_and_all_in_the_end() {
    let mut store = LogStore::new().expect("a store");
    lines(&mut store, 0..50_000);
    let wake = Arc::new(Notify::new());
    let question = Question { regex: pattern("00$").ok(), ..Question::default() };
    let mut find = Find::start(question, &store, 30_000, &wake);
    wait_for(&mut find, &store, &wake);
    assert_eq!((find.count(), find.searched()), (499, 50_000));
    assert_eq!((find.get(0), find.get(498), find.rank(30_000)), (Some(100), Some(49_900), 299));
    assert_eq!((find.next(30_000, true), find.next(30_000, false)), (Some(30_100), Some(29_900)));
    assert_eq!((find.next(49_900, true), find.next(0, false)), (Some(100), Some(49_900)));
    // It goes on with what arrives, few lines and many.
    lines(&mut store, 50_000..50_101);
    find.poll(&store, &wake);
    assert_eq!((find.count(), find.get(500)), (501, Some(50_100)));
    lines(&mut store, 50_101..70_000);
    find.poll(&store, &wake);
    wait_for(&mut find, &store, &wake);
    assert_eq!((find.count(), find.searched()), (699, 70_000));
  }

  #[test]
  fn a_filter_keeps_the_lines_around() {
    let mut store = LogStore::new().expect("a store");
    lines(&mut store, 0..100);
    let wake = Arc::new(Notify::new());
    let question = Question { regex: pattern("(line|x) (1|3|98)$").ok(), ..Question::default() };
    let mut filter = Filter::start(question, 2, &store, &wake);
    let limit = Instant::now() + Duration::from_secs(20);
    while !filter.find.is_done() && Instant::now() < limit {
      filter.poll(&store, &wake);
    }
    assert_eq!(filter.shown(), [0, 1, 2, 3, 4, 5, 96, 97, 98, 99]);
    lines(&mut store, 100..103);
    filter.poll(&store, &wake);
    assert_eq!(filter.shown(), [0, 1, 2, 3, 4, 5, 96, 97, 98, 99, 100]);
  }

  #[test]
  fn a_bad_pattern_says_what_is_wrong() {
    assert_eq!(pattern("a(b").expect_err("bad"), "unclosed group");
    assert!(pattern("a{99999999}").is_err());
    assert!(pattern("RSS").expect("fine").is_match(b"RSS"));
    assert!(!pattern("RSS").expect("fine").is_match(b"rss"));
    assert!(pattern("rss").expect("fine").is_match(b"RSS"));
  }
}
