//! Versions in labels, and their order.

use std::cmp::Ordering;

/// A version: numbers and words.
///
/// The rule: a leading `v` is left out, and everything from the first `+` on. What remains is cut
/// at `.`, `-`, `_`, `~` and between digits and other characters, into numbers and words. Parts are
/// compared from the left: numbers by their value (of any length), words byte by byte, and a number
/// is newer than a word. Where one version has ended it goes on with zeros, so that `1.2` equals
/// `1.2.0` and is newer than `1.2-rc1`. A text that does not begin with a digit (after the `v`) is
/// no version.
#[derive(Debug, Clone)]
pub struct Version(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
  Word(String),
  /// Digits without leading zeros: first how many, then which.
  Number(usize, String),
}

impl Part {
  fn of(text: &str) -> Self {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
      let digits = text.trim_start_matches('0');
      return Self::Number(digits.len(), digits.to_owned());
    }
    Self::Word(text.to_owned())
  }
}

impl Version {
  /// Reads a version; `None` for a text that does not begin as one.
  pub fn parse(text: &str) -> Option<Self> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
      return None;
    }
    let plain = text.split('+').next().unwrap_or_default();
    let mut parts = Vec::new();
    for piece in plain.split(['.', '-', '_', '~']).filter(|piece| !piece.is_empty()) {
      let mut rest = piece;
      while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        parts.push(Part::of(&rest[..end]));
        rest = &rest[end..];
      }
    }
    Some(Self(parts))
  }
}

impl Ord for Version {
  fn cmp(&self, other: &Self) -> Ordering {
    let zero = Part::of("0");
    let count = self.0.len().max(other.0.len());
    let part = |version: &Self, at: usize| version.0.get(at).unwrap_or(&zero).clone();
    (0..count)
      .map(|at| part(self, at).cmp(&part(other, at)))
      .find(|order| order.is_ne())
      .unwrap_or(Ordering::Equal)
  }
}

impl PartialOrd for Version {
  fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
    Some(self.cmp(other))
  }
}

impl PartialEq for Version {
  fn eq(&self, other: &Self) -> bool {
    self.cmp(other).is_eq()
  }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  fn version(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
  }

  #[test]
  fn versions_have_an_order() {
    let rising = [
      "0.9",
      "1.0-rc1",
      "1.0-rc2",
      "1.0-rc10",
      "1.0",
      "1.0.1",
      "1.2-alpha",
      "1.2-beta",
      "1.2",
      "1.2.3",
      "1.10",
      "5.10.0-8-amd64",
      "5.10.0-9-amd64",
      "12",
      "99999999999999999999999999",
    ];
    for pair in rising.windows(2) {
      assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
    }
    for (a, b) in [("1.2", "1.2.0"), ("v1.2", "1.2"), ("1.2+build7", "1.2"), ("1.02", "1.2")] {
      assert_eq!(version(a), version(b));
    }
    for text in ["", "v", "abc", "-1", "vv1", " 1"] {
      assert!(Version::parse(text).is_none(), "{text}");
    }
  }

  proptest! {
    #[test]
    fn the_order_is_total(a in "[0-9]{1,3}([.a-c-][0-9a-c]{0,3}){0,3}",
        b in "[0-9]{1,3}([.a-c-][0-9a-c]{0,3}){0,3}", c in "[0-9]{1,3}([.a-c-][0-9a-c]{0,3}){0,3}") {
      let (a, b, c) = (version(&a), version(&b), version(&c));
      prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
      if a <= b && b <= c {
        prop_assert!(a <= c);
      }
    }
  }
}
