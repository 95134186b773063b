//! The log as the pane holds it: every byte in the spool, the index in memory, words between lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use hetuflow_core::Stream;

use super::index::{Index, Span};
use super::spool::{SEGMENT_BYTES, Spool};

/// Bytes that the spool keeps on disk; the oldest go first.
pub const SPOOL_BYTES_MAX: u64 = 2 << 30;
/// Segments whose bytes stay in memory: 16 MiB.
const CACHED_MAX: usize = 64;
/// Words between lines that are kept.
const NOTES_MAX: usize = 10_000;

/// Something to say before a line, that no task wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
  /// Before this line.
  pub line: u64,
  /// What.
  pub text: String,
}

/// A log that grows.
#[derive(Debug)]
pub struct LogStore {
  spool: Arc<Spool>,
  index: Index,
  notes: VecDeque<Note>,
  bytes_max: u64,
  cache: VecDeque<(u64, Arc<Vec<u8>>)>,
}

impl LogStore {
  /// An empty log.
  ///
  /// # Errors
  /// When the temporary folder cannot be written.
  pub fn new() -> io::Result<Self> {
    Self::bounded(SPOOL_BYTES_MAX)
  }

  /// As [`LogStore::new`] with another bound; at least two segments are kept.
  ///
  /// # Errors
  /// As [`LogStore::new`].
  pub fn bounded(bytes_max: u64) -> io::Result<Self> {
    let spool = Arc::new(Spool::new()?);
    let (index, notes, cache) = (Index::default(), VecDeque::new(), VecDeque::new());
    Ok(Self { spool, index, notes, bytes_max, cache })
  }

  /// Adds bytes.
  ///
  /// # Errors
  /// When the disk is full; nothing of these bytes is kept then.
  pub fn append(&mut self, stream: Stream, at_us: i64, bytes: &[u8]) -> io::Result<()> {
    self.spool.write(self.index.end(), bytes)?;
    self.index.append(stream, at_us, bytes);
    let segment = SEGMENT_BYTES as u64;
    let over = |index: &Index, max: u64| index.end() - index.begin() > max.max(2 * segment);
    if over(&self.index, self.bytes_max) {
      while over(&self.index, self.bytes_max) {
        self.index.let_go_one();
      }
      self.spool.let_go(self.index.begin());
      let first = self.index.lines().start;
      self.notes.retain(|note| note.line >= first);
    }
    Ok(())
  }

  /// Says something before the next line.
  pub fn note(&mut self, text: String) {
    self.notes.push_back(Note { line: self.index.lines().end, text });
    if self.notes.len() > NOTES_MAX {
      self.notes.pop_front();
    }
  }

  /// What is said before a line.
  pub fn notes_at(&self, line: u64) -> impl Iterator<Item = &str> {
    let from = self.notes.partition_point(|note| note.line < line);
    self.notes.range(from..).take_while(move |note| note.line == line).map(|note| &*note.text)
  }

  /// The newest thing that was said.
  pub fn last_note_mut(&mut self) -> Option<&mut Note> {
    self.notes.back_mut()
  }

  /// The lines.
  pub fn index(&self) -> &Index {
    &self.index
  }

  /// The lines that are kept.
  pub fn lines(&self) -> Range<u64> {
    self.index.lines()
  }

  /// Where a line lies.
  pub fn span(&self, line: u64) -> Option<Span> {
    self.index.span(line)
  }

  /// The first bytes of a line, without its line feed; bytes that cannot be read are left out.
  pub fn head(&mut self, span: &Span, bytes_max: usize) -> Vec<u8> {
    let wanted = usize::try_from(span.len()).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
      let at = span.begin + bytes.len() as u64;
      let Some(segment) = self.segment(at / SEGMENT_BYTES as u64) else { break };
      let from = (at % SEGMENT_BYTES as u64) as usize;
      let to = segment.len().min(from + wanted - bytes.len());
      bytes.extend_from_slice(segment.get(from..to).unwrap_or_default());
      if to <= from {
        break;
      }
    }
    let whole = bytes.len() as u64 == span.len();
    if whole && bytes.last() == Some(&b'\n') {
      bytes.pop();
      if bytes.last() == Some(&b'\r') {
        bytes.pop();
      }
    }
    bytes
  }

  /// The bytes of a segment, from memory where they are there.
  fn segment(&mut self, nth: u64) -> Option<Arc<Vec<u8>>> {
    let begin = nth * SEGMENT_BYTES as u64;
    let len = usize::try_from(self.index.end().checked_sub(begin)?).ok()?.min(SEGMENT_BYTES);
    let found = self.cache.iter().position(|(number, bytes)| *number == nth && bytes.len() == len);
    let entry = match found {
      Some(at) => self.cache.remove(at)?,
      None => (nth, Arc::new(self.spool.read(begin, len).ok()?)),
    };
    self.cache.retain(|(number, _)| *number != nth);
    self.cache.push_front(entry);
    self.cache.truncate(CACHED_MAX);
    self.cache.front().map(|(_, bytes)| Arc::clone(bytes))
  }

  /// The log as it is now, for another thread.
  pub fn snapshot(&self) -> LogSnapshot {
    LogSnapshot { spool: Arc::clone(&self.spool), index: self.index.clone() }
  }
}

/// A log at one moment. Bytes that are let go meanwhile are errors when they are read.
#[derive(Debug, Clone)]
pub struct LogSnapshot {
  spool: Arc<Spool>,
  index: Index,
}

impl LogSnapshot {
  /// The lines.
  pub fn index(&self) -> &Index {
    &self.index
  }

  /// Bytes from their place.
  ///
  /// # Errors
  /// When they are no longer kept.
  pub fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    self.spool.read(range.start, len)
  }

  /// Writes every byte that is kept, exactly; gives how many.
  ///
  /// # Errors
  /// When the reader is gone, or bytes are no longer kept.
  pub fn write_to(&self, out: &mut impl Write) -> io::Result<u64> {
    let (mut at, end) = (self.index.begin(), self.index.end());
    while at < end {
      let next = (at + (1 << 20)).min(end);
      out.write_all(&self.read(at..next)?)?;
      at = next;
    }
    out.flush()?;
    Ok(end - self.index.begin())
  }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  fn text_of(store: &mut LogStore, line: u64) -> String {
    let span = store.span(line).expect("a line");
    String::from_utf8(store.head(&span, usize::MAX)).expect("text")
  }

  #[test]
  fn a_line_ends_where_the_other_stream_speaks() {
    let mut store = LogStore::new().expect("a store");
    for (stream, text) in [
      (Stream::Stdout, "one\ntw"),
      (Stream::Stderr, "oops\r\n"),
      (Stream::Stdout, "o\n"),
      (Stream::Stdout, "\nlast"),
    ] {
      store.append(stream, 5_000_000, text.as_bytes()).expect("kept");
    }
    let lines: Vec<String> = store.lines().map(|line| text_of(&mut store, line)).collect();
    assert_eq!(lines, ["one", "tw", "oops", "o", "", "last"]);
    assert_eq!(store.span(2).expect("a line").stream, Stream::Stderr);
    assert_eq!((store.index().whole(), store.lines().end), (5, 6));
  }

  #[test]
  fn the_oldest_goes_and_the_rest_stays_right() {
    let mut store = LogStore::bounded(1 << 20).expect("a store");
    for line in 0..400_000_u32 {
      store.append(Stream::Stdout, 0, format!("line {line}\n").as_bytes()).expect("kept");
    }
    let lines = store.lines();
    assert!(lines.start > 200_000 && lines.end == 400_000, "{lines:?}");
    for line in [lines.start, lines.start + 1, 399_999] {
      assert_eq!(text_of(&mut store, line), format!("line {line}"));
    }
    assert!(store.span(lines.start - 1).is_none());
    let mut kept = Vec::new();
    let bytes = store.snapshot().write_to(&mut kept).expect("written");
    assert_eq!(bytes as usize, kept.len());
    assert!(kept.ends_with(b"line 399999\n") && kept.len() <= 1 << 20);
  }

  #[test]
  fn a_million_lines_take_four_bytes_each() {
    let mut store = LogStore::new().expect("a store");
    let block: Vec<u8> = (0..1000).flat_map(|_| [vec![b'x'; 117], vec![b'\n']].concat()).collect();
    for second in 0..1000 {
      store.append(Stream::Stdout, second * 1_000_000, &block).expect("kept");
    }
    assert_eq!(store.lines(), 0..1_000_000);
    assert!(store.index().memory() <= 8_000_000, "{}", store.index().memory());
    assert_eq!(store.span(999_999).expect("a line").at_us, 999_000_000);
    assert_eq!(store.index().line_of(118 * 654_321 + 5), Some(654_321));
  }

  proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_exact_bytes_come_back(
      pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(
        prop_oneof![4 => any::<u8>(), 1 => Just(b'\n')], 1..200), 1_usize..3000), 1..20)
    ) {
      let mut store = LogStore::new().expect("a store");
      let mut all = Vec::new();
      for (error, bytes, times) in pieces {
        let bytes = bytes.repeat(times);
        let stream = if error { Stream::Stderr } else { Stream::Stdout };
        store.append(stream, 1, &bytes).expect("kept");
        all.extend_from_slice(&bytes);
      }
      let mut out = Vec::new();
      store.snapshot().write_to(&mut out).expect("written");
      prop_assert!(out == all);
      // Lines follow each other without a hole, and each byte knows its line.
      let mut at = 0;
      for line in store.lines() {
        let span = store.span(line).expect("a line");
        prop_assert_eq!(span.begin, at);
        prop_assert!(span.end > at);
        prop_assert_eq!(store.index().line_of(span.begin), Some(line));
        prop_assert_eq!(store.index().line_of(span.end - 1), Some(line));
        at = span.end;
      }
      prop_assert_eq!(at, all.len() as u64);
    }
  }
}
