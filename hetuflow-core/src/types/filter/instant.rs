//! Instants as people write them in a filter.

use super::super::{Ts, parse_duration};
use super::value::Instant;

/// Reads `1h`, `-10m`, `today`, `yesterday`, `2026-11-21`, `2026-11-21 14:00`, RFC 3339, `@1763733600`.
pub(super) fn parse_instant(text: &str) -> Option<Instant> {
  let lower = text.trim().to_ascii_lowercase();
  match lower.as_str() {
    "now" => return Some(Instant::Ago(std::time::Duration::ZERO)),
    "today" => return Some(Instant::Midnight(0)),
    "yesterday" => return Some(Instant::Midnight(1)),
    _ => {}
  }
  if let Some(seconds) = lower.strip_prefix('@') {
    let seconds: i64 = seconds.parse().ok()?;
    return Some(Instant::At(Ts::from_micros(seconds.checked_mul(1_000_000)?)));
  }
  let ago = lower.strip_prefix('-').unwrap_or(&lower);
  if let Ok(ago) = parse_duration(ago) {
    return Some(Instant::Ago(ago));
  }
  let text = text.trim();
  if let Ok(at) = text.parse::<Ts>() {
    return Some(Instant::At(at));
  }
  if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    return Some(Instant::At(Ts::from(zoned.timestamp())));
  }
  let date: jiff::civil::Date = text.parse().ok()?;
  let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
  Some(Instant::At(Ts::from(zoned.timestamp())))
}
