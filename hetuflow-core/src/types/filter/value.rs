//! Values of a filter: as they were written, and what they mean.

use std::time::Duration;

use super::super::{Ts, Version};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterValue {
  /// As it was written, without quotes.
  pub text: String,
  /// What it means to its field.
  pub meaning: Meaning,
}

/// What a value means.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
  /// Any of these words.
  Words(Vec<&'static str>),
  /// This text; `*` stands for any characters.
  Glob,
  /// This regular expression.
  Regex,
  /// A whole number.
  Whole(i64),
  /// A number.
  Number(f64),
  /// A duration.
  Duration(Duration),
  /// An instant.
  Instant(Instant),
  /// A version.
  Version(Version),
}

/// An instant, fixed or counted from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
  /// A fixed one.
  At(Ts),
  /// So long before now.
  Ago(Duration),
  /// The midnight (UTC) so many days before the last.
  Midnight(u32),
}

impl Instant {
  /// The instant, seen from `now`.
  pub fn seen_from(self, now: Ts) -> Ts {
    const DAY: i64 = 86_400_000_000;
    match self {
      Self::At(at) => at,
      Self::Ago(ago) => now.minus(ago),
      Self::Midnight(days) => {
        let midnight = now.micros().div_euclid(DAY).saturating_sub(i64::from(days));
        Ts::from_micros(midnight.saturating_mul(DAY))
      }
    }
  }
}

/// Whether a text is what a pattern with `*` asks for.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
  let mut parts = pattern.split('*');
  let first = parts.next().unwrap_or_default();
  let Some(mut rest) = text.strip_prefix(first) else { return false };
  let parts: Vec<&str> = parts.collect();
  let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
  for part in middle {
    match rest.find(part) {
      Some(at) => rest = &rest[at + part.len()..],
      None => return false,
    }
  }
  rest.ends_with(last)
}
