//! What stands before a line of output: whose it is, and when it was written.

use anstyle::{AnsiColor, Style};
use hetuflow_core::Ts;
use jiff::tz::TimeZone;

use super::look::Look;
use super::sanitize::visible;
use super::view::{LogLine, LogStyle, Stamps};

/// Colours of sources, given out in order.
const COLORS: [AnsiColor; 6] = [
  AnsiColor::Cyan,
  AnsiColor::Yellow,
  AnsiColor::Green,
  AnsiColor::Magenta,
  AnsiColor::Blue,
  AnsiColor::BrightRed,
];

/// The head of each line; it knows the lines before.
#[derive(Debug, Default)]
pub struct LineStyle {
  style: LogStyle,
  first: Option<Ts>,
  before: Option<Ts>,
  labels: Vec<String>,
}

impl LineStyle {
  /// For lines of this style.
  pub fn new(style: LogStyle) -> Self {
    Self { style, ..Self::default() }
  }

  /// What stands before this line.
  pub fn head(&mut self, line: &LogLine, look: &Look) -> String {
    let mut head = String::new();
    if self.style.prefix {
      head.push_str(&self.label(line, look));
    }
    if let Some(stamp) = self.stamp(line.at) {
      head.push_str(&stamp);
      head.push(' ');
    }
    head
  }

  fn label(&mut self, line: &LogLine, look: &Look) -> String {
    let at = match self.labels.iter().position(|label| *label == line.label) {
      Some(at) => at,
      None => {
        self.labels.push(line.label.clone());
        self.labels.len() - 1
      }
    };
    let label = visible(&line.label);
    if !look.color {
      return format!("{label} │ ");
    }
    let style = Style::new().fg_color(Some(COLORS[at % COLORS.len()].into()));
    format!("{style}{label}{style:#} │ ")
  }

  fn stamp(&mut self, at: Ts) -> Option<String> {
    let first = *self.first.get_or_insert(at);
    let before = self.before.replace(at).unwrap_or(at);
    let instant = at.instant();
    Some(match self.style.stamps {
      Stamps::None => return None,
      Stamps::Local => {
        instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
      }
      Stamps::Utc => instant.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
      Stamps::Rfc3339 => at.to_string(),
      Stamps::Since => span(first, at),
      Stamps::Delta => span(before, at),
    })
  }
}

fn span(from: Ts, to: Ts) -> String {
  let secs = to.since(from).as_secs_f64() - from.since(to).as_secs_f64();
  format!("{secs:+10.3}")
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Stream;

  use super::*;
  use crate::output::Wishes;

  fn line(label: &str, millis: i64) -> LogLine {
    LogLine {
      at: Ts::from_millis(millis),
      stream: Stream::Stdout,
      task: "7qk2m9xa".into(),
      label: label.into(),
      attempt: 1,
      offset: 0,
      bytes: b"x".to_vec(),
      context: false,
    }
  }

  #[test]
  fn heads() {
    let look = Look { color: false, ..Look::new(Wishes::default()) };
    let mut style =
      LineStyle::new(LogStyle { stamps: Stamps::Delta, prefix: true, ..LogStyle::default() });
    assert_eq!(style.head(&line("a/1", 1000), &look), "a/1 │     +0.000 ");
    assert_eq!(style.head(&line("b/2", 2500), &look), "b/2 │     +1.500 ");
    let mut style = LineStyle::new(LogStyle { stamps: Stamps::Utc, ..LogStyle::default() });
    assert_eq!(style.head(&line("a", 1500), &look), "1970-01-01 00:00:01.500 ");
    assert_eq!(LineStyle::default().head(&line("a", 0), &look), "");
  }
}
