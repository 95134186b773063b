//! Where lines begin, and which stream and time they have: four bytes a line.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use hetuflow_core::Stream;

use super::spool::SEGMENT_BYTES;

/// Bytes that came together, from one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
  /// Where in the segment.
  pub from: u32,
  /// Which pipe.
  pub stream: Stream,
  /// When the last of them was read, in microseconds since 1970.
  pub at_us: i64,
}

/// What is known about one segment of the spool.
#[derive(Debug, Clone, Default)]
pub struct Segment {
  first_line: u64,
  len: u32,
  starts: Vec<u32>,
  pieces: Vec<Piece>,
}

/// Where a line lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
  /// Its first byte in the log.
  pub begin: u64,
  /// The byte after its last, its line feed included.
  pub end: u64,
  /// Its stream.
  pub stream: Stream,
  /// Its time, in microseconds since 1970.
  pub at_us: i64,
}

impl Span {
  /// How many bytes.
  pub fn len(&self) -> u64 {
    self.end - self.begin
  }
}

/// The lines of a log. A copy shares its segments, so that it costs eight bytes a segment.
///
/// A line ends with its line feed, or where the other stream begins to speak.
#[derive(Debug, Clone, Default)]
pub struct Index {
  segments: VecDeque<Arc<Segment>>,
  /// Segments that were let go.
  gone: u64,
  end: u64,
  lines: u64,
  open: Option<Stream>,
}

impl Index {
  /// Takes note of bytes that follow what is there.
  pub fn append(&mut self, stream: Stream, at_us: i64, mut bytes: &[u8]) {
    while !bytes.is_empty() {
      let full = self.segments.back().is_none_or(|segment| segment.len as usize == SEGMENT_BYTES);
      if full {
        self.next_segment();
      }
      let room = SEGMENT_BYTES - self.segments.back().map_or(0, |segment| segment.len as usize);
      let (now, later) = bytes.split_at(room.min(bytes.len()));
      self.fill(stream, at_us, now);
      bytes = later;
    }
  }

  fn next_segment(&mut self) {
    if let Some(full) = self.segments.back_mut() {
      let full = Arc::make_mut(full);
      full.starts.shrink_to_fit();
      full.pieces.shrink_to_fit();
    }
    self.segments.push_back(Arc::new(Segment { first_line: self.lines, ..Segment::default() }));
  }

  fn fill(&mut self, stream: Stream, at_us: i64, bytes: &[u8]) {
    let Some(segment) = self.segments.back_mut() else { return };
    let segment = Arc::make_mut(segment);
    let from = segment.len;
    let same = segment
      .pieces
      .last()
      .is_some_and(|last| last.stream == stream && last.at_us / 1000 == at_us / 1000);
    if !same {
      segment.pieces.push(Piece { from, stream, at_us });
    }
    let before = segment.starts.len();
    if self.open != Some(stream) {
      segment.starts.push(from);
    }
    self.open = Some(stream);
    for at in memchr::memchr_iter(b'\n', bytes) {
      if at + 1 < bytes.len() {
        segment.starts.push(from + at as u32 + 1);
      } else {
        self.open = None;
      }
    }
    self.lines += (segment.starts.len() - before) as u64;
    segment.len += bytes.len() as u32;
    self.end += bytes.len() as u64;
  }

  /// Lets the oldest segment go; gives where the log now begins.
  pub fn let_go_one(&mut self) -> u64 {
    if self.segments.len() > 1 {
      self.segments.pop_front();
      self.gone += 1;
    }
    self.begin()
  }

  /// The first byte that is kept.
  pub fn begin(&self) -> u64 {
    self.gone * SEGMENT_BYTES as u64
  }

  /// The byte after the last.
  pub fn end(&self) -> u64 {
    self.end
  }

  /// The lines that are kept.
  pub fn lines(&self) -> Range<u64> {
    self.segments.front().map_or(self.lines, |segment| segment.first_line)..self.lines
  }

  /// The lines before this one are whole.
  pub fn whole(&self) -> u64 {
    self.lines - u64::from(self.open.is_some())
  }

  /// Where a line lies.
  pub fn span(&self, line: u64) -> Option<Span> {
    if !self.lines().contains(&line) {
      return None;
    }
    let last = |segment: &Arc<Segment>| segment.first_line + segment.starts.len() as u64;
    let nth = self.segments.partition_point(|segment| last(segment) <= line);
    let segment = self.segments.get(nth)?;
    let at = usize::try_from(line - segment.first_line).ok()?;
    let from = *segment.starts.get(at)?;
    let piece = segment.pieces.partition_point(|piece| piece.from <= from).checked_sub(1)?;
    let piece = segment.pieces.get(piece)?;
    let begin = self.offset_of(nth) + u64::from(from);
    let end = match segment.starts.get(at + 1) {
      Some(next) => self.offset_of(nth) + u64::from(*next),
      None => self.next_start(nth + 1),
    };
    Some(Span { begin, end, stream: piece.stream, at_us: piece.at_us })
  }

  fn offset_of(&self, nth: usize) -> u64 {
    (self.gone + nth as u64) * SEGMENT_BYTES as u64
  }

  fn next_start(&self, from: usize) -> u64 {
    let later = self.segments.iter().enumerate().skip(from);
    later
      .filter_map(|(nth, segment)| Some(self.offset_of(nth) + u64::from(*segment.starts.first()?)))
      .next()
      .unwrap_or(self.end)
  }

  /// The line that a byte belongs to.
  pub fn line_of(&self, offset: u64) -> Option<u64> {
    let nth = usize::try_from((offset / SEGMENT_BYTES as u64).checked_sub(self.gone)?).ok()?;
    let segment = self.segments.get(nth)?;
    let within = (offset % SEGMENT_BYTES as u64) as u32;
    let begun = segment.starts.partition_point(|start| *start <= within) as u64;
    (segment.first_line + begun).checked_sub(1)
  }

  /// Bytes of memory that the index takes.
  #[cfg(test)]
  pub fn memory(&self) -> usize {
    let of = |segment: &Arc<Segment>| {
      size_of::<Segment>()
        + segment.starts.capacity() * size_of::<u32>()
        + segment.pieces.capacity() * size_of::<Piece>()
    };
    self.segments.iter().map(of).sum()
  }
}
