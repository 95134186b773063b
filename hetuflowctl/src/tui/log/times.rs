//! The time column, in five modes.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How a line's time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeMode {
  /// Not at all.
  None,
  /// Local time of day.
  Local,
  /// UTC time of day.
  Utc,
  /// Since the first line.
  Since,
  /// Since the line before.
  Delta,
}

impl TimeMode {
  /// The next mode.
  pub fn next(self) -> Self {
    match self {
      Self::None => Self::Local,
      Self::Local => Self::Utc,
      Self::Utc => Self::Since,
      Self::Since => Self::Delta,
      Self::Delta => Self::None,
    }
  }

  /// Its name.
  pub fn name(self) -> &'static str {
    match self {
      Self::None => "no time",
      Self::Local => "local time",
      Self::Utc => "UTC",
      Self::Since => "time since start",
      Self::Delta => "time since the line before",
    }
  }

  /// Cells that the column takes.
  pub fn width(self) -> u16 {
    match self {
      Self::None => 0,
      _ => 12,
    }
  }
}

/// Where differences are counted from.
#[derive(Debug, Clone)]
pub struct Clockwork {
  /// The zone of local times.
  pub zone: TimeZone,
  /// The first line's time.
  pub first_us: i64,
}

impl Clockwork {
  /// A line's time; `before_us` is the time of the line before.
  pub fn text(&self, mode: TimeMode, at_us: i64, before_us: i64) -> String {
    match mode {
      TimeMode::None => String::new(),
      TimeMode::Local => self.of_day(at_us, &self.zone),
      TimeMode::Utc => self.of_day(at_us, &TimeZone::UTC),
      TimeMode::Since => span(at_us - self.first_us),
      TimeMode::Delta => span(at_us - before_us),
    }
  }

  fn of_day(&self, at_us: i64, zone: &TimeZone) -> String {
    let instant = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = instant.to_zoned(zone.clone()).time();
    let milli = time.subsec_nanosecond() / 1_000_000;
    format!("{:02}:{:02}:{:02}.{milli:03}", time.hour(), time.minute(), time.second())
  }
}

/// A difference, such as `+12.345s` or `+1h02m03s`.
fn span(us: i64) -> String {
  let sign = if us < 0 { '-' } else { '+' };
  let ms = us.unsigned_abs() / 1000;
  let (seconds, ms) = (ms / 1000, ms % 1000);
  let text = match seconds {
    0..60 => format!("{sign}{seconds}.{ms:03}s"),
    60..3600 => format!("{sign}{}m{:02}.{ms:03}s", seconds / 60, seconds % 60),
    3600..86_400 => {
      format!("{sign}{}h{:02}m{:02}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
    86_400..86_400_000 => {
      format!("{sign}{}d{:02}h{:02}m", seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60)
    }
    _ => format!("{sign}{}d", seconds / 86_400),
  };
  format!("{text:>12}")
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn five_modes() {
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    let works = Clockwork { zone, first_us: 1_732_168_800_000_000 };
    let at = 1_732_168_853_004_999;
    let shown = |mode| works.text(mode, at, at - 620_000);
    assert_eq!(shown(TimeMode::None), "");
    assert_eq!(shown(TimeMode::Local), "14:00:53.004");
    assert_eq!(shown(TimeMode::Utc), "06:00:53.004");
    assert_eq!(shown(TimeMode::Since), "    +53.004s");
    assert_eq!(shown(TimeMode::Delta), "     +0.620s");
    let mut mode = TimeMode::None;
    for _ in 0..5 {
      let text = works.text(mode, i64::MAX / 1_000_000, 0);
      assert_eq!(text.len(), usize::from(mode.width()), "{text}");
      mode = mode.next();
    }
    assert_eq!(mode, TimeMode::None);
  }

  #[test]
  fn long_and_backward_differences() {
    for (us, expected) in [
      (0, "+0.000s"),
      (-1_500_000, "-1.500s"),
      (61_002_000, "+1m01.002s"),
      (3_723_000_000, "+1h02m03s"),
      (90_061_000_000, "+1d01h01m"),
    ] {
      assert_eq!(span(us).trim_start(), expected);
    }
  }
}
