//! Output as lines: each stream has lines of its own, though their pieces come mixed.

use hetuflow_core::{OutputFrame, Stream};

/// Bytes of a line that are kept; what is longer is cut.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;
/// The streams, in the order of a cursor's places.
const STREAMS: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::System];

/// A line that ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
  /// Counted from 1, in the order in which lines ended.
  pub(super) number: u64,
  /// Where it begins in the merged output.
  pub(super) offset: u64,
  /// Its stream.
  pub(super) stream: Stream,
  /// Its bytes without the end, or the first of them.
  pub(super) bytes: Vec<u8>,
  /// It is longer.
  pub(super) cut: bool,
}

/// Where a reading stands: where the next line of each stream begins, and how many lines ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
  next: [u64; 3],
  lines: u64,
}

impl Place {
  /// Where to read on: nothing before it is needed.
  pub(super) fn offset(&self) -> u64 {
    self.next.into_iter().min().unwrap_or_default()
  }

  /// From an offset on, with lines counted from there.
  pub(super) fn at(offset: u64) -> Self {
    Self { next: [offset; 3], lines: 0 }
  }

  /// Reads the text of a cursor.
  pub(super) fn read(text: &str) -> Option<Self> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let mut part = || parts.next().flatten();
    let place = Self { next: [part()?, part()?, part()?], lines: part()? };
    parts.next().is_none().then_some(place)
  }
}

impl std::fmt::Display for Place {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let [out, err, system] = self.next;
    write!(f, "{out}-{err}-{system}-{}", self.lines)
  }
}

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
struct Open {
  begin: Option<u64>,
  bytes: Vec<u8>,
  cut: bool,
}

/// Makes lines of frames.
#[derive(Debug)]
pub(super) struct Lines {
  place: Place,
  /// Everything up to here was taken in.
  seen: u64,
  open: [Open; 3],
}

impl Lines {
  /// Goes on at a place.
  pub(super) fn from(place: Place) -> Self {
    Self { place, seen: place.offset(), open: Default::default() }
  }

  /// Takes a frame in and gives every line that ends in it, with the place right after it, as long
  /// as `wanted` says that more are wanted.
  pub(super) fn take(
    &mut self,
    (frame, raw): (&OutputFrame, &[u8]),
    wanted: &mut impl FnMut(Line, Place) -> bool,
  ) -> bool {
    let Some(index) = STREAMS.iter().position(|stream| *stream == frame.stream) else {
      return true;
    };
    // What the cursor has left behind already.
    let skip = self.place.next[index].saturating_sub(frame.offset);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(raw.len());
    let mut at = frame.offset + skip as u64;
    for piece in raw[skip..].split_inclusive(|byte| *byte == b'\n') {
      self.open[index].add(at, piece);
      at += piece.len() as u64;
      self.seen = self.seen.max(at);
      if piece.ends_with(b"\n") && !self.end_line(index, at, wanted) {
        return false;
      }
    }
    true
  }

  /// The output is over: what has no end of line is a line, too.
  pub(super) fn finish(&mut self, wanted: &mut impl FnMut(Line, Place) -> bool) {
    let mut rest: Vec<usize> = (0..3).filter(|index| self.open[*index].begin.is_some()).collect();
    rest.sort_by_key(|index| self.open[*index].begin);
    let end = self.seen;
    for index in rest {
      if !self.end_line(index, end, wanted) {
        return;
      }
    }
  }

  /// Where to go on, everything considered that was taken in.
  pub(super) fn place(&self) -> Place {
    let mut place = self.place;
    for (next, open) in place.next.iter_mut().zip(&self.open) {
      *next = open.begin.unwrap_or_else(|| (*next).max(self.seen));
    }
    place
  }

  fn end_line(
    &mut self,
    index: usize,
    after: u64,
    wanted: &mut impl FnMut(Line, Place) -> bool,
  ) -> bool {
    let open = std::mem::take(&mut self.open[index]);
    self.place.next[index] = after;
    self.place.lines += 1;
    let line = Line {
      number: self.place.lines,
      offset: open.begin.unwrap_or(after),
      stream: STREAMS[index],
      bytes: open.bytes,
      cut: open.cut,
    };
    wanted(line, self.place())
  }
}

impl Open {
  fn add(&mut self, at: u64, piece: &[u8]) {
    self.begin.get_or_insert(at);
    let text = piece.strip_suffix(b"\n").unwrap_or(piece);
    let room = LINE_BYTES_MAX - self.bytes.len();
    self.cut |= text.len() > room;
    self.bytes.extend_from_slice(&text[..text.len().min(room)]);
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Codec, TaskInstanceId, Ts};

  use super::*;

  fn frames(pieces: &[(Stream, &str)]) -> Vec<(OutputFrame, Vec<u8>)> {
    let mut offset = 0;
    let mut all = Vec::new();
    for (stream, text) in pieces {
      let frame = OutputFrame {
        instance_id: TaskInstanceId::generate(),
        fence: 0,
        seq: 0,
        offset,
        stream_offset: 0,
        at: Ts::from_micros(0),
        raw_len: 0,
        stream: *stream,
        codec: Codec::Plain,
        data: Vec::new(),
      };
      offset += text.len() as u64;
      all.push((frame, text.as_bytes().to_vec()));
    }
    all
  }

  const MIXED: [(Stream, &str); 5] = [
    (Stream::Stdout, "one\ntw"),
    (Stream::Stderr, "bad\nwor"),
    (Stream::Stdout, "o\n\nthree"),
    (Stream::Stderr, "se\n"),
    (Stream::Stdout, "!"),
  ];

  fn all(place: Place, most: usize) -> (Vec<(u64, u64, String)>, Place) {
    let mut lines = Lines::from(place);
    let (mut got, mut last) = (Vec::new(), place);
    let mut wanted = |line: Line, after: Place| {
      got.push((line.number, line.offset, String::from_utf8(line.bytes).expect("text")));
      last = after;
      got.len() < most
    };
    let mut whole = true;
    for (frame, raw) in frames(&MIXED) {
      let end = frame.offset + raw.len() as u64;
      if whole && end > place.offset() {
        whole = lines.take((&frame, &raw), &mut wanted);
      }
    }
    if whole {
      lines.finish(&mut wanted);
      last = lines.place();
    }
    (got, last)
  }

  #[test]
  fn lines_of_mixed_streams_are_whole_and_can_be_read_on_at_every_place() {
    let (whole, _) = all(Place::default(), usize::MAX);
    let texts: Vec<&str> = whole.iter().map(|(.., text)| text.as_str()).collect();
    assert_eq!(texts, ["one", "bad", "two", "", "worse", "three!"]);
    assert_eq!(whole[2].1, 4, "two begins in the first piece");
    for most in 1..=whole.len() {
      let (mut got, place) = all(Place::default(), most);
      let place = Place::read(&place.to_string()).expect("a cursor");
      got.extend(all(place, usize::MAX).0);
      assert_eq!(got, whole, "cut after {most}");
    }
    assert_eq!(Place::read("1-2-3"), None);
    assert_eq!(Place::read("1-2-3-4-5"), None);
  }

  #[test]
  fn a_line_without_an_end_is_cut() {
    let text = "x".repeat(LINE_BYTES_MAX + 10);
    let mut lines = Lines::from(Place::default());
    let mut got = Vec::new();
    let mut wanted = |line: Line, _: Place| {
      got.push((line.bytes.len(), line.cut));
      true
    };
    for (frame, raw) in frames(&[(Stream::Stdout, &text), (Stream::Stdout, "\nshort\n")]) {
      assert!(lines.take((&frame, &raw), &mut wanted));
    }
    assert_eq!(got, [(LINE_BYTES_MAX, true), (5, false)]);
  }
}
