//! What the bytes of a log come to: made where they are captured, made again from what is stored.
//!
//! It does not depend on where chunks begin and end. The first half is the SHA-256 of the merged
//! log, byte by byte in the order of capture, so that `sha256sum` can be asked as well; the second
//! half is the SHA-256 of which bytes came from which stream: for each longest run of one stream
//! its number (one byte) and its length (eight bytes, little-endian).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Stream;

const HALF: usize = 32;

/// The digest of a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogDigest {
  bytes: [u8; HALF],
  runs: [u8; HALF],
}

impl LogDigest {
  /// The SHA-256 of the merged bytes, in hexadecimal.
  pub fn sha256(&self) -> String {
    hex(&self.bytes)
  }
}

impl fmt::Display for LogDigest {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}{}", hex(&self.bytes), hex(&self.runs))
  }
}

impl fmt::Debug for LogDigest {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "LogDigest({self})")
  }
}

/// A text that is no digest of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 128 hexadecimal digits")]
pub struct BadDigest;

impl FromStr for LogDigest {
  type Err = BadDigest;
  fn from_str(text: &str) -> Result<Self, BadDigest> {
    let mut all = [0_u8; 2 * HALF];
    if text.len() != 2 * all.len() || !text.is_ascii() {
      return Err(BadDigest);
    }
    for (byte, digits) in all.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
      let digit = |c: u8| char::from(c).to_digit(16).ok_or(BadDigest);
      *byte = u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).map_err(|_| BadDigest)?;
    }
    let (mut bytes, mut runs) = ([0; HALF], [0; HALF]);
    bytes.copy_from_slice(&all[..HALF]);
    runs.copy_from_slice(&all[HALF..]);
    Ok(Self { bytes, runs })
  }
}

impl Serialize for LogDigest {
  fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(self)
  }
}

impl<'de> Deserialize<'de> for LogDigest {
  fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
  }
}

fn hex(bytes: &[u8]) -> String {
  use fmt::Write as _;
  bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
    let _infallible = write!(text, "{byte:02x}");
    text
  })
}

/// Makes a digest, piece by piece.
#[derive(Debug, Clone, Default)]
pub struct LogHasher {
  bytes: Sha256,
  runs: Sha256,
  run: Option<(Stream, u64)>,
}

impl LogHasher {
  /// Takes the next bytes of the merged log.
  pub fn add(&mut self, stream: Stream, raw: &[u8]) {
    if raw.is_empty() {
      return;
    }
    self.bytes.update(raw);
    match &mut self.run {
      Some((last, length)) if *last == stream => *length += raw.len() as u64,
      _ => {
        self.end_run();
        self.run = Some((stream, raw.len() as u64));
      }
    }
  }

  fn end_run(&mut self) {
    if let Some((stream, length)) = self.run.take() {
      self.runs.update([stream.number()]);
      self.runs.update(length.to_le_bytes());
    }
  }

  /// The digest of all that was taken.
  pub fn finish(mut self) -> LogDigest {
    self.end_run();
    LogDigest { bytes: self.bytes.finalize().into(), runs: self.runs.finalize().into() }
  }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  fn digest(pieces: &[(Stream, &[u8])]) -> LogDigest {
    let mut hasher = LogHasher::default();
    pieces.iter().for_each(|(stream, raw)| hasher.add(*stream, raw));
    hasher.finish()
  }

  #[test]
  fn the_first_half_is_what_sha256sum_says() {
    let whole = digest(&[(Stream::Stdout, b"abc")]);
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(whole.sha256(), expected);
    assert_eq!(digest(&[(Stream::Stdout, b"a"), (Stream::Stderr, b"bc")]).sha256(), expected);
  }

  #[test]
  fn a_byte_that_moves_to_another_stream_shows() {
    let one = digest(&[(Stream::Stdout, b"ab"), (Stream::Stderr, b"c")]);
    for other in [
      digest(&[(Stream::Stdout, b"a"), (Stream::Stderr, b"bc")]),
      digest(&[(Stream::Stdout, b"abc")]),
      digest(&[(Stream::Stderr, b"ab"), (Stream::Stdout, b"c")]),
      digest(&[(Stream::Stdout, b"ab"), (Stream::Stderr, b"d")]),
    ] {
      assert_ne!(one, other);
    }
  }

  #[test]
  fn a_digest_is_read_back_and_nonsense_is_not() {
    let one = digest(&[(Stream::System, b"x")]);
    assert_eq!(one.to_string().parse::<LogDigest>(), Ok(one));
    let json = serde_json::to_string(&one).expect("written");
    assert_eq!(serde_json::from_str::<LogDigest>(&json).expect("read"), one);
    for bad in ["", "ab", &"g".repeat(128), &"é".repeat(64), &one.to_string()[1..]] {
      assert!(bad.parse::<LogDigest>().is_err(), "{bad}");
    }
  }

  proptest! {
    #[test]
    fn the_cuts_do_not_matter(raw in proptest::collection::vec(any::<u8>(), 2..300), cut in 1_usize..299) {
      let cut = cut % raw.len();
      let (first, second) = raw.split_at(cut);
      let whole = digest(&[(Stream::Stderr, &raw)]);
      prop_assert_eq!(digest(&[(Stream::Stderr, first), (Stream::Stderr, second)]), whole);
    }
  }
}
