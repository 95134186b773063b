//! Values of secrets in the output of their task, made unreadable before anything is kept, hashed or
//! sent: also where a value comes in several pieces.
//!
//! What may be the beginning of a value is held back until the next bytes of its stream say what it
//! is, or the stream ends; nothing else waits.

use aho_corasick::{AhoCorasick, MatchKind};
use hetuflow_core::{Stream, TaskConfig};
use serde_json::{Map, Value};

use super::Start;

/// What stands in place of a value.
pub const MASK: &[u8] = b"***";
/// Shorter values are words that stand in many outputs by chance.
pub const VALUE_BYTES_MIN: usize = 6;
/// Shorter lines of a value with several lines are not looked for alone.
const LINE_BYTES_MIN: usize = 8;

/// Masks the output of one attempt.
#[derive(Debug)]
pub struct Masker {
  search: AhoCorasick,
  beginnings: Vec<Beginning>,
  /// What may be the beginning of a value, by stream.
  held: [Vec<u8>; 3],
  masked: u64,
}

/// A value, as what it begins with is looked for.
struct Beginning {
  bytes: Vec<u8>,
  /// For each length of what was found of it: the longest shorter beginning that ends there too.
  shorter: Vec<usize>,
}

impl std::fmt::Debug for Beginning {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str("***")
  }
}

impl Masker {
  /// A masker of the secrets of an attempt; none where there is nothing to look for.
  pub fn of(start: &Start, config: &TaskConfig) -> Option<Self> {
    let values = config.secrets.iter().filter_map(|name| start.task.secrets.get(name));
    Self::new(values.map(|value| value.expose()))
  }

  fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
    let mut words: Vec<Vec<u8>> = values.flat_map(words).collect();
    words.sort_unstable();
    words.dedup();
    if words.is_empty() {
      return None;
    }
    let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&words);
    match search {
      Ok(search) => {
        let beginnings = words.into_iter().map(Beginning::new).collect();
        Some(Self { search, beginnings, held: Default::default(), masked: 0 })
      }
      Err(error) => {
        tracing::error!(%error, "values of secrets cannot be looked for in output");
        None
      }
    }
  }

  /// The last `count` bytes are new ones of a stream: changes them, and returns how many bytes there
  /// are in their place now.
  pub fn pass(&mut self, stream: Stream, buffer: &mut Vec<u8>, count: usize) -> usize {
    let start = buffer.len() - count;
    let slot = usize::from(stream.number()) - 1;
    if self.held[slot].is_empty()
      && self.search.find(&buffer[start..]).is_none()
      && self.beginning_in(&buffer[start..]) == count
    {
      return count;
    }
    let mut text = std::mem::take(&mut self.held[slot]);
    text.extend_from_slice(&buffer[start..]);
    buffer.truncate(start);
    let rest = self.mask(&text, buffer, false);
    self.held[slot] = text.split_off(rest);
    buffer.len() - start
  }

  /// Nothing comes any more: what was held back of a stream is added.
  pub fn end(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    let text = std::mem::take(&mut self.held[usize::from(stream.number()) - 1]);
    self.mask(&text, buffer, true);
    buffer.len() - start
  }

  /// How many places were masked.
  pub fn count(&self) -> u64 {
    self.masked
  }

  /// Adds a text without values; returns from where on it was not added, since it may go on.
  fn mask(&mut self, text: &[u8], out: &mut Vec<u8>, is_all: bool) -> usize {
    let mut at = 0;
    loop {
      let open = at + if is_all { text.len() - at } else { self.beginning_in(&text[at..]) };
      let found = self.search.find(&text[at..]).map(|found| (at + found.start(), at + found.end()));
      match found {
        // What begins here may become a longer one.
        Some((begin, end)) if begin < open || is_all => {
          out.extend_from_slice(&text[at..begin]);
          out.extend_from_slice(MASK);
          self.masked += 1;
          at = end;
        }
        _ => {
          out.extend_from_slice(&text[at..open]);
          return open;
        }
      }
    }
  }

  /// Where the longest end of a text begins that is the beginning of a value and not all of it; its
  /// length where there is none.
  fn beginning_in(&self, text: &[u8]) -> usize {
    let longest = self.beginnings.iter().map(|value| value.found_at_end(text)).max();
    text.len() - longest.unwrap_or(0)
  }

  /// Masks the texts of what an attempt hands on.
  pub fn mask_values(&mut self, values: &mut Map<String, Value>) {
    values.values_mut().for_each(|value| self.mask_value(value));
  }

  fn mask_value(&mut self, value: &mut Value) {
    match value {
      Value::String(text) => {
        let mut masked = Vec::with_capacity(text.len());
        self.mask(text.as_bytes(), &mut masked, true);
        *text = String::from_utf8_lossy(&masked).into_owned();
      }
      Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
      Value::Object(fields) => self.mask_values(fields),
      _ => {}
    }
  }
}

impl Beginning {
  fn new(bytes: Vec<u8>) -> Self {
    let mut shorter = vec![0; bytes.len()];
    let mut length = 0;
    for at in 1..bytes.len() {
      while length > 0 && bytes[at] != bytes[length] {
        length = shorter[length - 1];
      }
      length += usize::from(bytes[at] == bytes[length]);
      shorter[at] = length;
    }
    Self { bytes, shorter }
  }

  /// How much of the value, but never all of it, a text ends with.
  fn found_at_end(&self, text: &[u8]) -> usize {
    let most = self.bytes.len() - 1;
    let mut length = 0;
    for byte in &text[text.len().saturating_sub(most)..] {
      while length > 0 && (length == most || *byte != self.bytes[length]) {
        length = self.shorter[length - 1];
      }
      // A value of one byte has no beginning; there is none that short.
      length += usize::from(*byte == self.bytes[length]);
    }
    length
  }
}

/// What is looked for because of one value: the value, without the white space around it; its lines;
/// and its base64, with and without the line end that mostly comes with it.
fn words(value: &[u8]) -> Vec<Vec<u8>> {
  use base64::Engine;
  use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
  let plain = value.trim_ascii();
  if plain.len() < VALUE_BYTES_MIN {
    return Vec::new();
  }
  let mut words = vec![plain.to_vec()];
  let lines = plain.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
  // The frame of a key says nothing of it.
  let tells = |line: &&[u8]| line.len() >= LINE_BYTES_MIN && !line.starts_with(b"-----");
  words.extend(lines.filter(tells).map(<[u8]>::to_vec));
  for form in [value, plain, &[plain, b"\n"].concat()] {
    words.push(STANDARD.encode(form).into_bytes());
    words.push(STANDARD_NO_PAD.encode(form).into_bytes());
    words.push(URL_SAFE_NO_PAD.encode(form).into_bytes());
  }
  words
}

#[cfg(test)]
mod tests {
  use super::*;

  fn masker(values: &[&[u8]]) -> Masker {
    Masker::new(values.iter().copied()).expect("something to look for")
  }

  /// What comes out of pieces of one stream.
  fn masked(values: &[&[u8]], pieces: &[&[u8]]) -> Vec<u8> {
    let mut masker = masker(values);
    let mut out = Vec::new();
    for piece in pieces {
      let before = out.len();
      out.extend_from_slice(piece);
      let count = masker.pass(Stream::Stdout, &mut out, piece.len());
      assert_eq!(out.len(), before + count);
    }
    masker.end(Stream::Stdout, &mut out);
    out
  }

  const KEY: &[u8] = b"-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDDEEEE\nFF\n-----END KEY-----\n";

  #[test]
  fn a_value_is_found_wherever_it_is_cut() {
    let values: &[&[u8]] = &[b"hunter2-hunter3", b"hunter2", b"aabaab\n", KEY];
    let text = [
      b"x hunter2 hunter2-hunter3 hunter2-hunterhunter2 aabaabaab aabaa ".as_slice(),
      KEY,
      b"huntDDDDEEEE FF aHVudGVyMg== hunte",
    ]
    .concat();
    let whole = masked(values, &[&text]);
    let shown = String::from_utf8_lossy(&whole).into_owned();
    assert_eq!(shown, "x *** *** ***-hunter*** ***aab aabaa ***\nhunt*** FF *** hunte");
    for cut in 0..=text.len() {
      let (left, right) = text.split_at(cut);
      assert_eq!(masked(values, &[left, right]), whole, "{cut}");
      for other in cut..=text.len() {
        let pieces = [left, &text[cut..other], &text[other..]];
        assert_eq!(masked(values, &pieces), whole, "{cut} {other}");
      }
    }
    let single: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(masked(values, &single), whole, "byte by byte");
  }

  #[test]
  fn any_value_in_any_pieces_is_the_same_as_at_once() {
    // Few letters, so that beginnings and ends meet all the time.
    let mut state = 7_u64;
    let mut random = |below: u64| {
      state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
      (state >> 33) % below
    };
    for _ in 0..2000 {
      let mut word = |length: u64| -> Vec<u8> {
        (0..length).map(|_| b"ab\n"[usize::try_from(random(3)).expect("small")]).collect()
      };
      let values = [word(9), [b"ab".to_vec(), word(7), b"ba".to_vec()].concat()];
      let text = word(60);
      let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
      let Some(_) = Masker::new(values.iter().copied()) else { continue };
      let whole = masked(&values, &[&text]);
      let cut = usize::try_from(random(60)).expect("small");
      assert_eq!(masked(&values, &[&text[..cut], &text[cut..]]), whole);
      let pieces: Vec<&[u8]> = text.chunks(1 + cut % 7).collect();
      assert_eq!(masked(&values, &pieces), whole);
    }
  }

  #[test]
  fn streams_are_apart_and_only_beginnings_wait() {
    let mut masker = masker(&[b"password"]);
    let mut out = b"say pass".to_vec();
    assert_eq!(masker.pass(Stream::Stdout, &mut out, 8), 4);
    out.extend_from_slice(b"word");
    assert_eq!(masker.pass(Stream::Stderr, &mut out, 4), 4);
    assert_eq!(out, b"say word");
    out.extend_from_slice(b"word!");
    assert_eq!(masker.pass(Stream::Stdout, &mut out, 5), 4);
    assert_eq!((out.as_slice(), masker.count()), (b"say word***!".as_slice(), 1));
  }

  #[test]
  fn short_values_are_words_and_base64_is_known() {
    assert!(Masker::new([b"short".as_slice(), b"", b" abc \n"].into_iter()).is_none());
    let value: &[u8] = b"s3cr3t?>value\n";
    for (text, wanted) in [
      ("s3cr3t?>value", "***"),
      ("czNjcjN0Pz52YWx1ZQ==", "***"),
      ("czNjcjN0Pz52YWx1ZQo=", "***"),
      ("czNjcjN0Pz52YWx1ZQo", "***"),
      ("czNjcjN0Pz52YWx1", "czNjcjN0Pz52YWx1"),
    ] {
      let came = masked(&[value], &[text.as_bytes()]);
      assert_eq!(String::from_utf8_lossy(&came), wanted, "{text}");
    }
    let mut values = Map::new();
    values
      .insert("a".to_owned(), serde_json::json!(["x s3cr3t?>value y", 1, {"b": "s3cr3t?>value"}]));
    masker(&[value]).mask_values(&mut values);
    assert_eq!(Value::Object(values), serde_json::json!({"a": ["x *** y", 1, {"b": "***"}]}));
  }
}
