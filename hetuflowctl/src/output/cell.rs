//! One value of a table, shown as the look wants it.

use std::time::Duration;

use hetuflow_core::Ts;
use jiff::tz::TimeZone;

use super::look::{Format, Look, TimeStyle};
use super::sanitize::visible;

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
  /// Nothing.
  Empty,
  /// Text.
  Text(String),
  /// A state, coloured by what it means.
  State(String),
  /// An instant.
  At(Ts),
  /// A length of time.
  Took(Duration),
  /// A number.
  Number(i64),
}

impl Cell {
  /// Text, or nothing where it is empty.
  pub fn text(text: impl Into<String>) -> Self {
    let text = text.into();
    if text.is_empty() { Self::Empty } else { Self::Text(text) }
  }

  /// Something that may be absent.
  pub fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
    value.map_or(Self::Empty, cell)
  }

  /// From a start to an end, or to now.
  pub fn span(from: Option<Ts>, to: Option<Ts>) -> Self {
    from.map_or(Self::Empty, |from| Self::Took(to.unwrap_or_else(Ts::now).since(from)))
  }

  /// The text of the cell; anything a server sent is made harmless.
  pub fn show(&self, look: &Look) -> String {
    let raw = look.format == Format::Tsv;
    match self {
      Self::Empty => {
        if raw {
          String::new()
        } else {
          "-".to_owned()
        }
      }
      Self::Text(text) | Self::State(text) => visible(text),
      Self::Number(number) => number.to_string(),
      Self::At(at) if raw && look.time == TimeStyle::Relative => at.to_string(),
      Self::At(at) => show_instant(*at, look),
      Self::Took(took) if raw => format!("{:.3}", took.as_secs_f64()),
      Self::Took(took) => show_duration(*took),
    }
  }
}

fn show_instant(at: Ts, look: &Look) -> String {
  match look.time {
    TimeStyle::Relative => relative(at, look.now),
    TimeStyle::Local => {
      at.instant().to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
    TimeStyle::Utc => at.instant().strftime("%Y-%m-%d %H:%M:%S").to_string(),
    TimeStyle::Rfc3339 => at.to_string(),
    TimeStyle::Unix => (at.millis().div_euclid(1000)).to_string(),
  }
}

/// `5m ago`, `in 3h`.
pub fn relative(at: Ts, now: Ts) -> String {
  if at > now {
    format!("in {}", ago(at.since(now)))
  } else {
    format!("{} ago", ago(now.since(at)))
  }
}

/// The two largest units: `3d4h`, `1m5s`, `0s`.
pub fn ago(duration: Duration) -> String {
  let secs = duration.as_secs();
  let (days, hours, minutes, seconds) =
    (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
  let pair = |a: u64, x: &str, b: u64, y: &str| {
    if b == 0 { format!("{a}{x}") } else { format!("{a}{x}{b}{y}") }
  };
  match (days, hours, minutes) {
    (0, 0, 0) => format!("{seconds}s"),
    (0, 0, _) => pair(minutes, "m", seconds, "s"),
    (0, _, _) => pair(hours, "h", minutes, "m"),
    (1..10, _, _) => pair(days, "d", hours, "h"),
    _ => format!("{days}d"),
  }
}

/// Short times with their fractions, long ones in two units.
pub fn show_duration(duration: Duration) -> String {
  if duration < Duration::from_secs(1) {
    format!("{}ms", duration.as_millis())
  } else if duration < Duration::from_secs(60) {
    format!("{:.1}s", duration.as_secs_f64())
  } else {
    ago(duration)
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn times_in_words() {
    for (secs, text) in [
      (0, "0s"),
      (59, "59s"),
      (60, "1m"),
      (65, "1m5s"),
      (3600, "1h"),
      (93_600, "1d2h"),
      (9_000_000, "104d"),
    ] {
      assert_eq!(ago(Duration::from_secs(secs)), text);
    }
    let now = Ts::from_millis(1_000_000);
    assert_eq!(relative(Ts::from_millis(940_000), now), "1m ago");
    assert_eq!(relative(Ts::from_millis(1_005_000), now), "in 5s");
    assert_eq!(show_duration(Duration::from_millis(1234)), "1.2s");
  }
}
