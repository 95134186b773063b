//! Looking through the whole log on a thread of its own: which lines answer a question.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hetuflow_core::Stream;
use regex::bytes::Regex;
use tokio::sync::Notify;

use super::level::Level;
use super::store::LogSnapshot;

/// Bytes that are looked at in one go; also how soon a cancelled scan ends.
const BLOCK_BYTES: u64 = 256 << 10;
/// A line longer than this is looked at in parts.
const LINE_BYTES_MAX: usize = 4 << 20;
/// How far back the level of a line without one is looked for.
const LEVEL_BACK_MAX: u64 = 200;

/// What a line must be.
#[derive(Debug, Clone, Default)]
pub struct Question {
  /// It has a match of this.
  pub regex: Option<Regex>,
  /// It is at least as bad as this; lines without a level are as bad as the one before.
  pub level: Option<Level>,
  /// It comes from this stream.
  pub stream: Option<Stream>,
  /// How long the look waits before it begins: somebody may still be typing.
  pub patience: Duration,
}

/// What a scan has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
  /// Lines that answer, in order.
  pub hits: Vec<u64>,
  /// Lines looked at in this range so far.
  pub searched: u64,
  /// The range is looked through.
  pub range_done: bool,
}

/// A scan that runs. It owns its thread, which has ended when this is dropped.
#[derive(Debug)]
pub struct Scan {
  reports: Receiver<Report>,
  cancel: Arc<AtomicBool>,
  thread: Option<JoinHandle<()>>,
}

impl Scan {
  /// Looks through ranges of lines, one after the other; `wake` is told of each report.
  pub fn start(
    question: Question,
    snapshot: LogSnapshot,
    ranges: Vec<Range<u64>>,
    wake: Arc<Notify>,
  ) -> Self {
    let (sender, reports) = channel();
    let cancel = Arc::new(AtomicBool::new(false));
    let run = Run { question, snapshot, sender, cancel: Arc::clone(&cancel), wake };
    let work = move || {
      run.wait();
      for range in ranges {
        if run.range(range).is_none() {
          return;
        }
      }
    };
    let thread = std::thread::Builder::new().name("log-scan".to_owned()).spawn(work).ok();
    Self { reports, cancel, thread }
  }

  /// The next report that is there.
  pub fn report(&self) -> Option<Report> {
    self.reports.try_recv().ok()
  }
}

impl Drop for Scan {
  fn drop(&mut self) {
    self.cancel.store(true, Ordering::Relaxed);
    if let Some(thread) = self.thread.take() {
      thread.thread().unpark();
      // At most one block is still looked at.
      let _ended = thread.join();
    }
  }
}

/// Looks through a few lines at once, here and now.
pub fn scan_now(question: &Question, snapshot: &LogSnapshot, lines: Range<u64>) -> Vec<u64> {
  let (sender, reports) = channel();
  let run = Run {
    question: question.clone(),
    snapshot: snapshot.clone(),
    sender,
    cancel: Arc::default(),
    wake: Arc::default(),
  };
  run.range(lines);
  drop(run);
  reports.iter().flat_map(|report| report.hits).collect()
}

struct Run {
  question: Question,
  snapshot: LogSnapshot,
  sender: Sender<Report>,
  cancel: Arc<AtomicBool>,
  wake: Arc<Notify>,
}

impl Run {
  /// Waits while somebody may still be typing; a cancel wakes it.
  fn wait(&self) {
    let until = Instant::now() + self.question.patience;
    while !self.cancel.load(Ordering::Relaxed) {
      let left = until.saturating_duration_since(Instant::now());
      if left.is_zero() {
        return;
      }
      std::thread::park_timeout(left);
    }
  }

  /// `None` when nobody listens any more.
  fn range(&self, lines: Range<u64>) -> Option<()> {
    // Bytes that were let go meanwhile cannot be looked at: the range ends there.
    let _kept = self.blocks(&lines).ok();
    if self.cancel.load(Ordering::Relaxed) {
      return None;
    }
    let searched = lines.end.saturating_sub(lines.start);
    self.say(Report { hits: Vec::new(), searched, range_done: true })
  }

  fn say(&self, report: Report) -> Option<()> {
    self.sender.send(report).ok()?;
    self.wake.notify_one();
    Some(())
  }

  fn blocks(&self, lines: &Range<u64>) -> io::Result<()> {
    let index = self.snapshot.index();
    let Some(first) = index.span(lines.start) else { return Ok(()) };
    let Some(last) = lines.end.checked_sub(1).and_then(|line| index.span(line)) else {
      return Ok(());
    };
    let mut level = self.level_before(lines.start);
    let (mut at, mut carried) = (first.begin, Vec::new());
    while at < last.end && !self.cancel.load(Ordering::Relaxed) {
      let next = (at + BLOCK_BYTES).min(last.end);
      let base = at - carried.len() as u64;
      carried.extend_from_slice(&self.snapshot.read(at..next)?);
      at = next;
      let usable = match memchr::memrchr(b'\n', &carried) {
        _ if at == last.end => carried.len(),
        Some(end) => end + 1,
        None if carried.len() < LINE_BYTES_MAX => continue,
        None => carried.len(),
      };
      let hits = self.hits(&carried[..usable], base, &mut level);
      carried.drain(..usable);
      let reached = index.line_of(at.saturating_sub(1)).unwrap_or(lines.end);
      let searched = reached.saturating_sub(lines.start);
      if self.say(Report { hits, searched, range_done: false }).is_none() {
        return Ok(());
      }
    }
    Ok(())
  }

  fn hits(&self, bytes: &[u8], base: u64, level: &mut Option<Level>) -> Vec<u64> {
    match &self.question {
      Question { regex: Some(regex), level: None, stream: None, .. } => {
        self.matches(regex, bytes, base)
      }
      _ => self.line_by_line(bytes, base, level),
    }
  }

  /// Over the whole block at once, which is what makes it quick where matches are rare.
  fn matches(&self, regex: &Regex, bytes: &[u8], base: u64) -> Vec<u64> {
    let index = self.snapshot.index();
    let (mut hits, mut at) = (Vec::new(), 0);
    while at < bytes.len()
      && let Some(found) = regex.find_at(bytes, at)
    {
      let offset = base + found.start() as u64;
      // An empty match after the last line feed is on no line.
      if found.start() >= bytes.len() {
        break;
      }
      let Some((line, span)) =
        index.line_of(offset).and_then(|line| Some((line, index.span(line)?)))
      else {
        break;
      };
      let end = ((span.end - base) as usize).min(bytes.len());
      let begin = span.begin.saturating_sub(base) as usize;
      let on_one_line = found.end() <= end || regex.is_match(trim_end(&bytes[begin..end]));
      if on_one_line && hits.last() != Some(&line) {
        hits.push(line);
      }
      at = end.max(at + 1);
    }
    hits
  }

  fn line_by_line(&self, bytes: &[u8], base: u64, level: &mut Option<Level>) -> Vec<u64> {
    let index = self.snapshot.index();
    let (mut hits, mut at) = (Vec::new(), 0);
    let Some(mut line) = index.line_of(base) else { return hits };
    while at < bytes.len()
      && let Some(span) = index.span(line)
    {
      let end = ((span.end - base) as usize).min(bytes.len());
      let text = trim_end(&bytes[at..end]);
      if self.question.level.is_some() {
        *level = Level::of(text).or(*level);
      }
      let wanted = &self.question;
      if wanted.stream.is_none_or(|stream| stream == span.stream)
        && wanted.level.is_none_or(|least| level.is_none_or(|level| level >= least))
        && wanted.regex.as_ref().is_none_or(|regex| regex.is_match(text))
      {
        hits.push(line);
      }
      (at, line) = (end, line + 1);
    }
    hits
  }

  /// The level that holds before a line.
  fn level_before(&self, line: u64) -> Option<Level> {
    self.question.level?;
    let index = self.snapshot.index();
    let first = index.lines().start.max(line.saturating_sub(LEVEL_BACK_MAX));
    (first..line).rev().find_map(|line| {
      let span = index.span(line)?;
      let head = span.begin..span.end.min(span.begin + 256);
      Level::of(&self.snapshot.read(head).ok()?)
    })
  }
}

fn trim_end(line: &[u8]) -> &[u8] {
  let line = line.strip_suffix(b"\n").unwrap_or(line);
  line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
  use super::super::find::pattern;
  use super::super::store::LogStore;
  use super::*;

  fn store(lines: u32) -> LogStore {
    let mut store = LogStore::new().expect("a store");
    for line in 0..lines {
      let (stream, word) = match line % 100 {
        7 => (Stream::Stderr, "WARN"),
        8 => (Stream::Stdout, "  more"),
        _ => (Stream::Stdout, "INFO"),
      };
      store.append(stream, 0, format!("{word} line {line}\n").as_bytes()).expect("kept");
    }
    store
  }

  fn ask(question: &Question, store: &LogStore) -> Vec<u64> {
    scan_now(question, &store.snapshot(), store.lines())
  }

  #[test]
  fn every_line_that_answers_and_no_other() {
    let store = store(200_000);
    let regex = |text| Some(pattern(text).expect("a pattern"));
    let of = |text| Question { regex: regex(text), ..Question::default() };
    assert_eq!(ask(&of("line 1999.9$"), &store).len(), 10);
    assert_eq!(ask(&of("^INFO line 42$"), &store), [42]);
    assert_eq!(ask(&of("WARN"), &store).len(), 2000);
    assert_eq!(ask(&of("line \\d+\\s+INFO"), &store), [0; 0]);
    assert_eq!(ask(&of("^$"), &store), [0; 0]);
    assert_eq!(ask(&of(""), &store).len(), 200_000);
    let errors = Question { stream: Some(Stream::Stderr), ..Question::default() };
    assert_eq!(ask(&errors, &store).len(), 2000);
    let warnings = Question { level: Some(Level::Warn), ..Question::default() };
    let found = ask(&warnings, &store);
    assert_eq!((found.len(), &found[..4]), (4000, &[7, 8, 107, 108][..]));
    let both = Question { regex: regex("line 107"), ..errors };
    let expected: Vec<u64> =
      [107, 10_707].into_iter().chain((107_007..108_000).step_by(100)).collect();
    assert_eq!(ask(&both, &store), expected);
  }

  #[test]
  fn a_long_line_is_one_line() {
    let mut store = LogStore::new().expect("a store");
    store.append(Stream::Stdout, 0, b"first\n").expect("kept");
    store.append(Stream::Stdout, 0, &vec![b'x'; 3 << 20]).expect("kept");
    store.append(Stream::Stdout, 0, b"needle\nlast needle\n").expect("kept");
    let question = Question { regex: pattern("needle").ok(), ..Question::default() };
    assert_eq!(ask(&question, &store), [1, 2]);
  }

  #[test]
  fn a_scan_on_its_thread_says_what_the_one_here_says() {
    let store = store(100_000);
    let question = Question { regex: pattern("line .*77$").ok(), ..Question::default() };
    let wake = Arc::new(Notify::new());
    let scan =
      Scan::start(question.clone(), store.snapshot(), vec![50_000..100_000, 0..50_000], wake);
    let (mut hits, mut done) = (Vec::new(), 0);
    while done < 2 {
      let report = scan.reports.recv().expect("a report");
      hits.extend(report.hits);
      done += usize::from(report.range_done);
    }
    hits.sort_unstable();
    assert_eq!(hits, ask(&question, &store));
  }
}
