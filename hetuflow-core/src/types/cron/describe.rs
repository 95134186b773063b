//! The expression in words. Everything is read from the parsed sets, never from the text, so two
//! expressions read alike only when they mean the same; where no short phrase fits, the values
//! are listed.

use super::expression::{ALL_MONTHS, CronExpression};

/// Up to this many times of day are listed one by one.
const TIMES_MAX: u32 = 4;

const WEEKDAYS: [&str; 7] =
  ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const MONTHS: [&str; 12] = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const NTH: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

impl CronExpression {
  /// One English phrase: `every day at 02:30`. The zone is the schedule's, not ours, to name.
  pub fn describe(&self) -> String {
    let days = self.day_words();
    let mut text = match self.times() {
      Some(times) => format!("{} at {times}", days.as_deref().unwrap_or("every day")),
      None => match days {
        Some(days) => format!("{}, {days}", self.pattern_words()),
        None => self.pattern_words(),
      },
    };
    if self.months != ALL_MONTHS {
      let month = |m: usize| MONTHS[m - 1].to_owned();
      text += &format!(" in {}", runs(&bits(self.months.into()), month));
    }
    if let Some(years) = &self.years {
      let years: Vec<_> = years.iter().map(|y| y.unsigned_abs().into()).collect();
      text += &format!(" in {}", runs(&years, |year| year.to_string()));
    }
    text
  }

  /// The times of day, when they are few.
  fn times(&self) -> Option<String> {
    let count = self.hours.count_ones() * self.minutes.count_ones() * self.seconds.count_ones();
    if count > TIMES_MAX {
      return None;
    }
    let mut times = Vec::new();
    for hour in bits(self.hours.into()) {
      for minute in bits(self.minutes) {
        for second in bits(self.seconds) {
          times.push(if self.seconds == 1 {
            format!("{hour:02}:{minute:02}")
          } else {
            format!("{hour:02}:{minute:02}:{second:02}")
          });
        }
      }
    }
    Some(join(times))
  }

  /// Times of day that repeat.
  fn pattern_words(&self) -> String {
    let (minutes, hours) = (bits(self.minutes), bits(self.hours.into()));
    let hours_all = hours.len() == 24;
    if self.seconds != 1 {
      let mut text = match period(self.seconds, 60) {
        Some(1) => "every second".to_owned(),
        Some(n) => format!("every {n} seconds"),
        None if minutes.len() == 60 => {
          format!("{} of every minute", listed("second", self.seconds))
        }
        None => listed("second", self.seconds),
      };
      if minutes.len() < 60 {
        text += &format!(" in {}", &listed("minute", self.minutes)[3..]);
      }
      if !hours_all {
        text += &format!(" in {}", hour_words(&hours));
      }
      return text;
    }
    let contiguous = hours.last().zip(hours.first()).filter(|(b, a)| *b - *a + 1 == hours.len());
    if let Some(n) = period(self.minutes, 60) {
      let every = if n == 1 { "every minute".into() } else { format!("every {n} minutes") };
      return match contiguous {
        _ if hours_all => every,
        Some((last, first)) => {
          format!("{every} from {first:02}:00 to {last:02}:{:02}", minutes[minutes.len() - 1])
        }
        None => format!("{every} in {}", hour_words(&hours)),
      };
    }
    let at_minutes = listed("minute", self.minutes);
    match (period(self.hours.into(), 24), contiguous) {
      (Some(n), _) => {
        let every = if n == 1 { "every hour".into() } else { format!("every {n} hours") };
        if self.minutes == 1 { every } else { format!("{every} {at_minutes}") }
      }
      (None, Some((last, first))) if minutes.len() == 1 => {
        format!("every hour from {first:02}:{0:02} to {last:02}:{0:02}", minutes[0])
      }
      _ => format!("{at_minutes} of {}", hour_words(&hours)),
    }
  }

  /// Which days, `None` for all of them.
  fn day_words(&self) -> Option<String> {
    let rule = &self.days;
    match (rule.any_day(), rule.any_weekday(), rule.both) {
      (true, true, _) | (true, _, false) | (_, true, false) => None,
      (false, true, true) => Some(self.month_day_words()),
      (true, false, true) => Some(self.weekday_words("every ", "on ")),
      (false, false, true) => {
        Some(format!("{} if it is {}", self.month_day_words(), self.weekday_words("", "")))
      }
      (false, false, false) => {
        Some(format!("{} or {}", self.month_day_words(), self.weekday_words("every ", "on ")))
      }
    }
  }

  /// The day field.
  fn month_day_words(&self) -> String {
    let rule = &self.days;
    let mut parts = Vec::new();
    if rule.days != 0 {
      parts.push(format!("the {}", runs(&bits(u64::from(rule.days) << 1), ordinal)));
    }
    let nearest = bits(u64::from(rule.nearest) << 1);
    parts.extend(
      nearest.into_iter().map(|day| format!("the working day nearest the {}", ordinal(day))),
    );
    if rule.last_workday {
      parts.push("the last working day".to_owned());
    }
    if rule.last_day {
      parts.push("the last day".to_owned());
    }
    format!("on {} of the month", join(parts))
  }

  /// The weekday field; the prefixes make it a sentence of its own or the end of one.
  fn weekday_words(&self, every: &str, on: &str) -> String {
    let rule = &self.days;
    let mut parts = Vec::new();
    // The week starts on Monday here: "Saturday and Sunday", "Friday to Sunday".
    let plain = bits(u64::from(rule.weekdays & !1) | u64::from(rule.weekdays & 1) << 7);
    if !plain.is_empty() {
      parts.push(format!("{every}{}", runs(&plain, |day| WEEKDAYS[day % 7].to_owned())));
    }
    let mut special = Vec::new();
    for (day, name) in WEEKDAYS.iter().enumerate() {
      let nth = bits(u64::from(rule.nth[day]));
      special.extend(nth.into_iter().map(|k| format!("the {} {name}", NTH[k])));
      if rule.last_weekdays >> day & 1 == 1 {
        special.push(format!("the last {name}"));
      }
    }
    if !special.is_empty() {
      parts.push(format!("{on}{} of the month", join(special)));
    }
    parts.join(" or ")
  }
}

/// The positions of the set bits.
fn bits(set: u64) -> Vec<usize> {
  (0..64).filter(|bit| set >> bit & 1 == 1).collect()
}

/// n, when the set is every n-th value of the whole circle, starting at 0.
fn period(set: u64, circle: usize) -> Option<usize> {
  let values = bits(set);
  let n = circle / values.len().max(1);
  let even = n < circle && circle.is_multiple_of(n) && values.len() * n == circle;
  (even && values.iter().enumerate().all(|(i, v)| i * n == *v)).then_some(n)
}

/// `at minute 5`, `at minutes 5 and 35`.
fn listed(unit: &str, set: u64) -> String {
  let values = bits(set);
  let plural = if values.len() > 1 { "s" } else { "" };
  format!("at {unit}{plural} {}", runs(&values, |v| v.to_string()))
}

/// `hour 09`, `the hours 09 to 17 and 20`.
fn hour_words(hours: &[usize]) -> String {
  let words = runs(hours, |hour| format!("{hour:02}"));
  if hours.len() == 1 { format!("hour {words}") } else { format!("the hours {words}") }
}

/// A list in which three neighbours or more become `a to b`.
fn runs(values: &[usize], word: impl Fn(usize) -> String) -> String {
  let mut parts = Vec::new();
  let mut rest = values;
  while let Some(first) = rest.first() {
    let length = rest.iter().enumerate().take_while(|(i, v)| first + i == **v).count();
    if length < 3 {
      parts.push(word(*first));
      rest = &rest[1..];
    } else {
      parts.push(format!("{} to {}", word(*first), word(rest[length - 1])));
      rest = &rest[length..];
    }
  }
  join(parts)
}

/// `a`, `a and b`, `a, b and c`.
fn join(mut parts: Vec<String>) -> String {
  match parts.pop() {
    None => String::new(),
    Some(last) if parts.is_empty() => last,
    Some(last) => format!("{} and {last}", parts.join(", ")),
  }
}

/// `1st`, `22nd`, `13th`.
fn ordinal(n: usize) -> String {
  let suffix = match (n % 10, n % 100 / 10) {
    (1, tens) if tens != 1 => "st",
    (2, tens) if tens != 1 => "nd",
    (3, tens) if tens != 1 => "rd",
    _ => "th",
  };
  format!("{n}{suffix}")
}
