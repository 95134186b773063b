//! Five cron fields as Debian cron and as Kubernetes read them.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::wall::{Clocks, Pattern};

/// Whose reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
  /// `cron` of Debian 12: `N/step` is refused, 7 is Sunday, `*/2` counts as `*` for the day rule.
  Debian,
  /// The library of the Kubernetes controller: `N/step` runs to the end, 7 is refused, `*/2` is
  /// a plain list of days.
  Kubernetes,
}

const MONTHS: [&str; 12] =
  ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One field.
#[derive(Debug, Clone)]
struct Field {
  values: BTreeSet<i8>,
  /// Counts as "any" for the rule of two day fields.
  star: bool,
}

/// Reads five fields; `None` where that scheduler would refuse them.
pub fn read(text: &str, dialect: Dialect) -> Option<Pattern> {
  let text = nickname(text, dialect)?;
  let fields: Vec<&str> = text.split_ascii_whitespace().collect();
  let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
  let last_weekday = if dialect == Dialect::Debian { 7 } else { 6 };
  let minutes = field(minute, (0, 59), &[], dialect)?;
  let hours = field(hour, (0, 23), &[], dialect)?;
  let days = field(day, (1, 31), &[], dialect)?;
  let months = field(month, (1, 12), &MONTHS, dialect)?;
  let mut weekdays = field(weekday, (0, last_weekday), &DAYS, dialect)?;
  if weekdays.values.remove(&7) {
    weekdays.values.insert(0);
  }
  let wild = minute.starts_with('*') || hour.starts_with('*');
  let clocks = match dialect {
    Dialect::Debian if !wild => Clocks::CronFixed,
    _ => Clocks::EveryMinute,
  };
  let rule = move |date: Date| {
    let in_days = days.values.contains(&date.day());
    let in_weekdays = weekdays.values.contains(&date.weekday().to_sunday_zero_offset());
    let day =
      if days.star || weekdays.star { in_days && in_weekdays } else { in_days || in_weekdays };
    day && months.values.contains(&date.month())
  };
  Some(Pattern {
    hours: hours.values.into_iter().collect(),
    minutes: minutes.values.into_iter().collect(),
    seconds: vec![0],
    days: Box::new(rule),
    clocks,
  })
}

fn nickname(text: &str, dialect: Dialect) -> Option<&str> {
  Some(match text.trim() {
    "@yearly" | "@annually" => "0 0 1 1 *",
    "@monthly" => "0 0 1 * *",
    "@weekly" => "0 0 * * 0",
    "@daily" | "@midnight" => "0 0 * * *",
    "@hourly" => "0 * * * *",
    other if other.starts_with('@') => return None,
    other if dialect == Dialect::Debian && other.contains('?') => return None,
    other => other,
  })
}

fn field(text: &str, bounds: (i8, i8), names: &[&str], dialect: Dialect) -> Option<Field> {
  let mut whole = Field { values: BTreeSet::new(), star: false };
  if dialect == Dialect::Debian {
    whole.star = text.starts_with('*');
  }
  for item in text.split(',') {
    let (range, step) = match item.split_once('/') {
      Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
      None => (item, None),
    };
    let (first, last) = match range {
      "*" | "?" => {
        whole.star |= dialect == Dialect::Kubernetes && step.unwrap_or(1) == 1;
        bounds
      }
      range => match range.split_once('-') {
        Some((first, last)) => (value(first, bounds, names)?, value(last, bounds, names)?),
        None => {
          let first = value(range, bounds, names)?;
          match (step, dialect) {
            (None, _) => (first, first),
            (Some(_), Dialect::Kubernetes) => (first, bounds.1),
            (Some(_), Dialect::Debian) => return None,
          }
        }
      },
    };
    if first > last {
      return None;
    }
    whole.values.extend((first..=last).step_by(step.unwrap_or(1)));
  }
  Some(whole)
}

fn value(text: &str, (min, max): (i8, i8), names: &[&str]) -> Option<i8> {
  let lower = text.to_ascii_lowercase();
  if let Some(place) = names.iter().position(|name| *name == lower) {
    return i8::try_from(place).ok().map(|place| place + if names.len() == 12 { 1 } else { 0 });
  }
  let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
  text.parse().ok().filter(|value| digits && (min..=max).contains(value))
}

/// The same fields for our own cron, where the two differ in writing: Kubernetes takes a stepped
/// star for a list of days, we take it for a star.
pub fn ours(text: &str, dialect: Dialect) -> String {
  let fields: Vec<&str> = text.split_ascii_whitespace().collect();
  let ([minute, hour, day, month, weekday], Dialect::Kubernetes) = (fields.as_slice(), dialect)
  else {
    return fields.join(" ");
  };
  let plain = |field: &str| !matches!(field, "*" | "?" | "*/1" | "?/1");
  if !(plain(day) && plain(weekday)) {
    return fields.join(" ");
  }
  let listed = |field: &str, all: &str| {
    let items = field.split(',').map(|item| match item.strip_prefix(['*', '?']) {
      Some(rest) => format!("{all}{rest}"),
      None => item.to_owned(),
    });
    items.collect::<Vec<_>>().join(",")
  };
  format!("{minute} {hour} {} {month} {}", listed(day, "1-31"), listed(weekday, "0-6"))
}

#[cfg(test)]
mod tests {
  use super::*;

  fn days(text: &str, dialect: Dialect) -> Vec<i8> {
    let pattern = read(text, dialect).expect("valid");
    // June 2026 begins on a Monday.
    (1..=30).filter(|day| (pattern.days)(jiff::civil::date(2026, 6, *day))).collect()
  }

  #[test]
  fn two_day_fields() {
    for dialect in [Dialect::Debian, Dialect::Kubernetes] {
      assert_eq!(days("0 0 13 * fri", dialect), [5, 12, 13, 19, 26]);
      assert_eq!(days("0 0 * * 1", dialect), [1, 8, 15, 22, 29]);
    }
    assert_eq!(days("0 0 */10 * 1", Dialect::Debian), [1]);
    assert_eq!(days("0 0 */10 * 1", Dialect::Kubernetes), [1, 8, 11, 15, 21, 22, 29]);
    assert_eq!(ours("0 0 */10 * 1", Dialect::Kubernetes), "0 0 1-31/10 * 1");
    assert_eq!(ours("0 0 */10 * *", Dialect::Kubernetes), "0 0 */10 * *");
  }

  #[test]
  fn what_they_refuse() {
    for (text, debian, kubernetes) in [
      ("5/15 * * * *", false, true),
      ("0 0 * * 7", true, false),
      ("0 0 ? * 1", false, true),
      ("60 * * * *", false, false),
      ("@reboot", false, false),
      ("@daily", true, true),
      ("1-", false, false),
      ("30-10 * * * *", false, false),
    ] {
      assert_eq!(read(text, Dialect::Debian).is_some(), debian, "{text}");
      assert_eq!(read(text, Dialect::Kubernetes).is_some(), kubernetes, "{text}");
    }
  }
}
