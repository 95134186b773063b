//! What the tasks of a bench run: this very program, under two hidden words.
//!
//! `stamp FILE` says when it began, `lines BYTES` writes text like a log's, the same each time.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Bytes that one write hands over.
const PIECE_BYTES: usize = 64 << 10;

const LEVELS: [&str; 8] = ["INFO ", "INFO ", "INFO ", "DEBUG", "DEBUG", "WARN ", "INFO ", "ERROR"];
const MODULES: [&str; 8] = [
  "http::server ",
  "store::pool  ",
  "auth::session",
  "queue::worker",
  "mail::smtp   ",
  "cache::lru   ",
  "report::build",
  "gateway::ws  ",
];
const MESSAGES: [&str; 8] = [
  "request finished path=/api/v1/items/",
  "statement took longer than usual rows=",
  "session renewed user=",
  "job picked up attempt=1 queue=default job=",
  "message delivered recipients=3 size=",
  "entry evicted age_secs=",
  "page rendered template=monthly page=",
  "connection closed by peer after frames=",
];

/// Wall clock in nanoseconds since 1970.
pub fn now_ns() -> i128 {
  let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
  i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// Appends `AT_NS TASK_ID SCHEDULED_AT` to the file with one write, so that lines never mix; what
/// the environment does not say is `-`.
///
/// # Errors
/// When the file cannot be written.
pub fn stamp(file: &Path, at_ns: i128) -> Result<()> {
  let word = |name: &str| std::env::var(name).unwrap_or_else(|_| "-".to_owned());
  let (task, planned) = (word("HETUFLOW_TASK_ID"), word("HETUFLOW_SCHEDULED_AT"));
  let line = format!("{at_ns} {task} {planned}\n");
  let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
  Ok(file.write_all(line.as_bytes())?)
}

/// Writes so many bytes of text to standard output.
///
/// # Errors
/// When nobody reads.
pub fn lines(bytes: &str) -> Result<()> {
  let bytes = bytes.parse().context("lines BYTES: a number is needed")?;
  let mut out = io::stdout().lock();
  for piece in Lines::new(bytes) {
    out.write_all(&piece)?;
  }
  Ok(out.flush()?)
}

/// Text like a log's: every line differs, and all of it is the same each time.
#[derive(Debug, Clone)]
pub struct Lines {
  left: usize,
  number: u64,
  state: u64,
  rest: Vec<u8>,
}

impl Lines {
  /// So many bytes; the last line may be cut.
  pub fn new(bytes: usize) -> Self {
    Self { left: bytes, number: 0, state: 0x9e37_79b9_7f4a_7c15, rest: Vec::new() }
  }

  /// The next number of xorshift64.
  fn random(&mut self) -> u64 {
    self.state ^= self.state << 13;
    self.state ^= self.state >> 7;
    self.state ^= self.state << 17;
    self.state
  }

  /// Appends one line.
  fn line(&mut self, out: &mut Vec<u8>) {
    let random = self.random();
    let pick = |shift: u32| (random >> shift & 7) as usize;
    let second = self.number / 400;
    out.extend_from_slice(b"2026-01-01T");
    digits(out, second / 3600 % 24, 2);
    out.push(b':');
    digits(out, second / 60 % 60, 2);
    out.push(b':');
    digits(out, second % 60, 2);
    out.push(b'.');
    digits(out, self.number % 400 * 2500 + (random & 0x7ff), 6);
    out.extend_from_slice(b"Z ");
    out.extend_from_slice(LEVELS[pick(11)].as_bytes());
    out.push(b' ');
    out.extend_from_slice(MODULES[pick(14)].as_bytes());
    out.extend_from_slice(b" [req-");
    digits(out, self.number, 8);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(MESSAGES[pick(17)].as_bytes());
    digits(out, random >> 20 & 0xffff, 5);
    out.extend_from_slice(b" duration_us=");
    digits(out, random >> 40 & 0x3fff, 5);
    out.push(b'\n');
    self.number += 1;
  }
}

impl Iterator for Lines {
  type Item = Vec<u8>;

  /// The next piece, [`PIECE_BYTES`] long but for the last.
  fn next(&mut self) -> Option<Vec<u8>> {
    if self.left == 0 {
      return None;
    }
    let mut piece = Vec::with_capacity(PIECE_BYTES + 256);
    piece.append(&mut self.rest);
    while piece.len() < PIECE_BYTES {
      self.line(&mut piece);
    }
    self.rest = piece.split_off(PIECE_BYTES.min(self.left));
    self.left -= piece.len();
    Some(piece)
  }
}

/// Appends a number in so many decimal digits, cut on the left.
fn digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
  let start = out.len();
  out.resize(start + width, b'0');
  for slot in out[start..].iter_mut().rev() {
    *slot = b'0' + (value % 10) as u8;
    value /= 10;
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn lines_are_exact_varied_and_the_same_each_time() {
    for bytes in [1, 100, PIECE_BYTES, PIECE_BYTES + 1, 300_000] {
      let text: Vec<u8> = Lines::new(bytes).flatten().collect();
      assert_eq!(text.len(), bytes);
      assert_eq!(text, Lines::new(bytes).flatten().collect::<Vec<u8>>());
    }
    let text: Vec<u8> = Lines::new(300_000).flatten().collect();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let different: std::collections::HashSet<&[u8]> = lines.iter().copied().collect();
    assert_eq!(lines.len(), different.len());
    assert!(text.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)));
    let packed = zstd::bulk::compress(&text, 1).unwrap().len();
    assert!((3..12).contains(&(text.len() / packed)), "packs {} to {packed}", text.len());
  }

  #[test]
  fn a_stamp_is_one_line_of_three_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stamps");
    stamp(&file, 5).unwrap();
    stamp(&file, now_ns()).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| line.split(' ').count() == 3), "{text}");
  }
}
