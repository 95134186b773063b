//! The seven fields: their ranges, names and the positions they take in a text.

use std::ops::Range;

use super::error::CronError;

/// One field of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
  Second,
  Minute,
  Hour,
  Day,
  Month,
  Weekday,
  Year,
}

/// In the order of a seven-field text; five fields are the middle, six start with the second.
pub(super) const FIELDS: [Field; 7] = [
  Field::Second,
  Field::Minute,
  Field::Hour,
  Field::Day,
  Field::Month,
  Field::Weekday,
  Field::Year,
];

const MONTHS: [&str; 12] =
  ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
  /// The word used in messages and in `fields()`.
  pub fn name(self) -> &'static str {
    match self {
      Field::Second => "second",
      Field::Minute => "minute",
      Field::Hour => "hour",
      Field::Day => "day",
      Field::Month => "month",
      Field::Weekday => "weekday",
      Field::Year => "year",
    }
  }

  /// Smallest and largest value a user may write. Sunday is 0 and 7; years follow Quartz.
  pub fn bounds(self) -> (u16, u16) {
    match self {
      Field::Second | Field::Minute => (0, 59),
      Field::Hour => (0, 23),
      Field::Day => (1, 31),
      Field::Month => (1, 12),
      Field::Weekday => (0, 7),
      Field::Year => (1970, 2099),
    }
  }

  /// The range a bare `H` or `~` draws from: each value once, and days that every month has.
  pub fn hash_bounds(self) -> (u16, u16) {
    match self {
      Field::Day => (1, 28),
      Field::Weekday => (0, 6),
      other => other.bounds(),
    }
  }

  /// The three-letter names of this field, starting at its first value.
  pub fn names(self) -> &'static [&'static str] {
    match self {
      Field::Month => &MONTHS,
      Field::Weekday => &WEEKDAYS,
      _ => &[],
    }
  }

  /// Whether this field selects days, where `?`, `L`, `W` and `#` have a meaning.
  pub fn is_day(self) -> bool {
    matches!(self, Field::Day | Field::Weekday)
  }

  /// The value of a name, in any case.
  pub fn value_of_name(self, token: &str) -> Option<u16> {
    let index = self.names().iter().position(|name| name.eq_ignore_ascii_case(token))?;
    Some(index as u16 + if self == Field::Month { 1 } else { 0 })
  }
}

/// One field as it stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Slot<'t> {
  pub field: Field,
  pub text: &'t str,
  /// Where `text` starts in the whole expression, in bytes.
  pub start: usize,
}

impl Slot<'_> {
  /// The bytes this field takes.
  pub fn span(&self) -> Range<usize> {
    self.start..self.start + self.text.len()
  }
}

/// Splits at blanks and names the fields by their count.
///
/// # Errors
/// `cron.empty` and `cron.field_count`.
pub(super) fn split(text: &str) -> Result<Vec<Slot<'_>>, CronError> {
  let mut parts: Vec<(usize, &str)> = Vec::new();
  for part in text.split([' ', '\t']).filter(|part| !part.is_empty()) {
    parts.push((part.as_ptr() as usize - text.as_ptr() as usize, part));
  }
  let fields = match parts.len() {
    5 => &FIELDS[1..6],
    6 => &FIELDS[..6],
    7 => &FIELDS[..],
    0 => {
      return Err(
        CronError::whole("cron.empty", "expected 5, 6 or 7 fields, got 0")
          .hint("minute hour day month weekday, for example \"30 2 * * *\": every day at 02:30"),
      );
    }
    count => {
      let span = parts[0].0..parts[count - 1].0 + parts[count - 1].1.len();
      let message = format!("expected 5, 6 or 7 fields, got {count}");
      return Err(CronError::at("cron.field_count", span, message).hint(
        "5 fields: minute hour day month weekday; 6: second first; 7: second first, year last",
      ));
    }
  };
  let slot = |(field, (start, text)): (&Field, (usize, _))| Slot { field: *field, text, start };
  Ok(fields.iter().zip(parts).map(slot).collect())
}
