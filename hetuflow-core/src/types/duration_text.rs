//! Durations and sizes as people write them: `90s`, `1h30m`, `2d`, `10MiB`; a unit is required.

use std::time::Duration;

const UNITS: [(&str, u64); 12] = [
  ("ms", 1),
  ("s", 1_000),
  ("sec", 1_000),
  ("secs", 1_000),
  ("m", 60_000),
  ("min", 60_000),
  ("mins", 60_000),
  ("h", 3_600_000),
  ("hour", 3_600_000),
  ("hours", 3_600_000),
  ("d", 86_400_000),
  ("w", 604_800_000),
];

/// Why a duration or a size was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{value}\" is not {what}; write {example}")]
pub struct BadQuantity {
  what: &'static str,
  value: String,
  example: &'static str,
}

/// Reads `90s`, `1h30m`, `1h 30m`, `250ms`, `2d`.
///
/// # Errors
/// [`BadQuantity`] when a unit is missing or unknown, or the sum does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, BadQuantity> {
  let bad = || BadQuantity {
    what: "a duration",
    value: text.chars().take(40).flat_map(char::escape_default).collect(),
    example: "a number with a unit, as 30s, 5m, 1h30m or 2d",
  };
  let mut rest = text.trim();
  let mut total: u64 = 0;
  if rest.is_empty() {
    return Err(bad());
  }
  while !rest.is_empty() {
    let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
    let tail = rest[digits..].trim_start();
    let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == &tail[..end]).ok_or_else(bad)?;
    total = number.checked_mul(*millis).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
    rest = tail[end..].trim_start();
  }
  Ok(Duration::from_millis(total))
}

/// Writes the shortest form that [`parse_duration`] reads back: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
  let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
  if millis == 0 {
    return "0s".to_owned();
  }
  let mut text = String::new();
  for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
  {
    if millis >= size {
      text.push_str(&format!("{}{unit}", millis / size));
      millis %= size;
    }
  }
  text
}

/// Reads `512`, `64KiB`, `10MiB`, `4GiB`, `10MB`.
///
/// # Errors
/// [`BadQuantity`] when the unit is unknown or the number does not fit.
pub fn parse_size(text: &str) -> Result<u64, BadQuantity> {
  let bad = || BadQuantity {
    what: "a size",
    value: text.chars().take(40).flat_map(char::escape_default).collect(),
    example: "bytes, or a number with a unit, as 64KiB, 10MiB or 4GiB",
  };
  let text = text.trim();
  let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
  let number: u64 = text[..digits].parse().map_err(|_| bad())?;
  let factor: u64 = match text[digits..].trim() {
    "" | "B" => 1,
    "KiB" | "K" | "k" => 1 << 10,
    "MiB" | "M" => 1 << 20,
    "GiB" | "G" => 1 << 30,
    "TiB" | "T" => 1 << 40,
    "KB" | "kB" => 1_000,
    "MB" => 1_000_000,
    "GB" => 1_000_000_000,
    "TB" => 1_000_000_000_000,
    _ => return Err(bad()),
  };
  number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  #[test]
  fn units_are_required_and_known() {
    assert_eq!(parse_duration("1h 30m").expect("valid"), Duration::from_secs(5400));
    for bad in ["", "5", "1 fortnight", "-1s", "s", "1.5h", "99999999999999999999s"] {
      assert!(parse_duration(bad).is_err(), "{bad:?} was accepted");
    }
    assert_eq!(parse_size("10MiB").expect("valid"), 10 << 20);
    assert!(parse_size("10 parsecs").is_err());
  }

  proptest! {
    #[test]
    fn what_is_written_is_read_back(millis in 0_u64..1_000_000_000_000) {
      let duration = Duration::from_millis(millis);
      prop_assert_eq!(parse_duration(&format_duration(duration)).expect("own text"), duration);
    }
  }
}
