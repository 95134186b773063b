//! Output that is not kept: counted, and with a tail its last bytes are held back for the end of
//! the gap.

use std::collections::VecDeque;

use hetuflow_core::Stream;

/// Why output is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
  /// No memory is left for output that waits for the server.
  Buffer,
  /// The task has said all that it may.
  Limit,
}

/// A gap that is under way, or none.
#[derive(Debug, Default)]
pub struct Overflow {
  why: Option<Why>,
  dropped: u64,
  tail_max: usize,
  tail: VecDeque<u8>,
  runs: VecDeque<(Stream, usize)>,
}

/// A gap that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap {
  /// Why.
  pub why: Why,
  /// Bytes that are lost.
  pub dropped: u64,
  /// What was held back, in order.
  pub tail: Vec<(Stream, Vec<u8>)>,
}

impl Overflow {
  /// Why a gap is under way; none where none is.
  pub fn why(&self) -> Option<Why> {
    self.why
  }

  /// Begins a gap that holds back so many of its last bytes.
  pub fn open(&mut self, why: Why, tail_max: usize) {
    self.why = Some(why);
    self.tail_max = tail_max;
  }

  /// Takes bytes in; the oldest ones make room for them.
  pub fn add(&mut self, stream: Stream, raw: &[u8]) {
    let kept = raw.len().min(self.tail_max);
    let (lost, raw) = raw.split_at(raw.len() - kept);
    self.dropped += lost.len() as u64;
    let over = (self.tail.len() + kept).saturating_sub(self.tail_max);
    self.forget(over);
    self.tail.extend(raw);
    match self.runs.back_mut() {
      _ if kept == 0 => {}
      Some((last, length)) if *last == stream => *length += kept,
      _ => self.runs.push_back((stream, kept)),
    }
  }

  /// Gives up the oldest bytes that are held back.
  fn forget(&mut self, mut count: usize) {
    self.dropped += count as u64;
    self.tail.drain(..count);
    while count > 0
      && let Some((_, length)) = self.runs.front_mut()
    {
      let part = count.min(*length);
      *length -= part;
      count -= part;
      if *length == 0 {
        self.runs.pop_front();
      }
    }
  }

  /// Ends the gap.
  pub fn close(&mut self) -> Option<Gap> {
    let why = self.why?;
    let Self { dropped, mut tail, runs, .. } = std::mem::take(self);
    let tail = runs.into_iter().map(|(stream, length)| (stream, tail.drain(..length).collect()));
    Some(Gap { why, dropped, tail: tail.collect() })
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_last_bytes_are_held_back_with_their_streams() {
    let mut overflow = Overflow::default();
    assert_eq!(overflow.close(), None);
    overflow.open(Why::Buffer, 5);
    overflow.add(Stream::Stdout, b"abc");
    overflow.add(Stream::Stderr, b"de");
    overflow.add(Stream::Stdout, b"f");
    overflow.add(Stream::Stdout, b"gh");
    let tail = vec![(Stream::Stderr, b"de".to_vec()), (Stream::Stdout, b"fgh".to_vec())];
    assert_eq!(overflow.close(), Some(Gap { why: Why::Buffer, dropped: 3, tail }));
    overflow.open(Why::Limit, 4);
    overflow.add(Stream::Stdout, b"123456789");
    overflow.add(Stream::Stderr, b"x");
    let tail = vec![(Stream::Stdout, b"789".to_vec()), (Stream::Stderr, b"x".to_vec())];
    assert_eq!(overflow.close(), Some(Gap { why: Why::Limit, dropped: 6, tail }));
    overflow.open(Why::Limit, 0);
    overflow.add(Stream::Stdout, b"123456789");
    assert_eq!(overflow.close(), Some(Gap { why: Why::Limit, dropped: 9, tail: Vec::new() }));
  }
}
