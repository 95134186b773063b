//! `OnCalendar=` of systemd: read by its rules (systemd.time(7)), told by days and times, and
//! spelled for our cron where that is possible.

use std::collections::BTreeSet;

use hetuflow_core::parse_time_zone;
use jiff::civil::Date;

use super::spell::{spell, spell_both};
use super::wall::{Clocks, Pattern};

type Set = BTreeSet<i16>;

const YEAR_MAX: i16 = 2200;
const WEEKDAYS: [&str; 7] =
  ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const SHORTHANDS: [(&str, &str); 10] = [
  ("minutely", "*-*-* *:*:00"),
  ("hourly", "*-*-* *:00:00"),
  ("daily", "*-*-* 00:00:00"),
  ("weekly", "Mon *-*-* 00:00:00"),
  ("monthly", "*-*-01 00:00:00"),
  ("quarterly", "*-01,04,07,10-01 00:00:00"),
  ("semiannually", "*-01,07-01 00:00:00"),
  ("yearly", "*-01-01 00:00:00"),
  ("annually", "*-01-01 00:00:00"),
  ("biannually", "*-01,07-01 00:00:00"),
];

/// What a calendar expression means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
  /// The zone, where it names one.
  pub zone: Option<String>,
  weekdays: Set,
  years: Option<Set>,
  months: Set,
  days: Days,
  hours: Set,
  minutes: Set,
  seconds: Set,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
  /// From the first.
  Days(Set),
  /// Counted from the end: 1 is the last day.
  FromEnd(Set),
}

impl Calendar {
  /// Reads an expression; `None` where it is none, or has parts of a second.
  pub fn read(text: &str) -> Option<Self> {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let zone =
      words.last().filter(|word| parse_time_zone(word).is_ok()).map(|one| (*one).to_owned());
    if zone.is_some() {
      words.pop();
    }
    if let [word] = words.as_slice()
      && let Some((_, long)) = SHORTHANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))
    {
      words = long.split(' ').collect();
    }
    let mut words = words.into_iter().peekable();
    let weekdays = match words.next_if(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())) {
      Some(word) => weekdays(word)?,
      None => (0..7).collect(),
    };
    let date = words.next_if(|word| !word.contains(':')).unwrap_or("*-*-*");
    let time = words.next().unwrap_or("00:00:00");
    if words.next().is_some() {
      return None;
    }
    let (years, months, days) = date_of(date)?;
    let times: Vec<&str> = time.split(':').collect();
    let (hour, minute, second) = match times.as_slice() {
      [hour, minute] => (*hour, *minute, "00"),
      [hour, minute, second] => (*hour, *minute, *second),
      _ => return None,
    };
    Some(Self {
      zone,
      weekdays,
      years,
      months,
      days,
      hours: component(hour, (0, 23))?,
      minutes: component(minute, (0, 59))?,
      seconds: component(second, (0, 59))?,
    })
  }

  /// Its days and times.
  pub fn pattern(&self) -> Pattern {
    let small = |set: &Set| set.iter().filter_map(|value| i8::try_from(*value).ok()).collect();
    let (hours, minutes, seconds) =
      (small(&self.hours), small(&self.minutes), small(&self.seconds));
    let own = self.clone();
    let days = Box::new(move |date| own.has(date));
    Pattern { hours, minutes, seconds, days, clocks: Clocks::Systemd }
  }

  fn has(&self, date: Date) -> bool {
    let day = i16::from(date.day());
    let from_end = i16::from(date.days_in_month()) - day + 1;
    let in_days = match &self.days {
      Days::Days(days) => days.contains(&day),
      Days::FromEnd(days) => days.contains(&from_end),
    };
    in_days
      && self.months.contains(&i16::from(date.month()))
      && self.weekdays.contains(&i16::from(date.weekday().to_sunday_zero_offset()))
      && self.years.as_ref().is_none_or(|years| years.contains(&date.year()))
  }

  /// As our cron says it; `None` where it cannot.
  pub fn spelled(&self) -> Option<String> {
    let (day, weekday) = match &self.days {
      Days::Days(days) => spell_both(days, &self.weekdays)?,
      Days::FromEnd(days) if *days == Set::from([1]) && self.weekdays.len() == 7 => {
        ("L".to_owned(), "*".to_owned())
      }
      // The last Monday is the Monday of the last seven days.
      Days::FromEnd(days) if *days == (1..=7).collect() && self.weekdays.len() == 1 => {
        ("*".to_owned(), format!("{}L", self.weekdays.first()?))
      }
      Days::FromEnd(_) => return None,
    };
    let (minute, hour) = (spell(&self.minutes, (0, 59)), spell(&self.hours, (0, 23)));
    let five = format!("{minute} {hour} {day} {} {weekday}", spell(&self.months, (1, 12)));
    let second = spell(&self.seconds, (0, 59));
    Some(match &self.years {
      Some(years) => {
        let years: Vec<String> = years.iter().map(ToString::to_string).collect();
        format!("{second} {five} {}", years.join(","))
      }
      None if self.seconds == Set::from([0]) => five,
      None => format!("{second} {five}"),
    })
  }
}

fn weekdays(text: &str) -> Option<Set> {
  let day = |name: &str| {
    let name = name.to_ascii_lowercase();
    let found = WEEKDAYS
      .iter()
      .position(|one| *one == name || (name.len() == 3 && one.starts_with(&name)))?;
    // The week begins on Monday here.
    Some(i16::try_from((found + 6) % 7).unwrap_or(0))
  };
  let mut set = Set::new();
  for item in text.split(',').filter(|item| !item.is_empty()) {
    let (first, last) = match item.split_once("..").or_else(|| item.split_once('-')) {
      Some((first, last)) => (day(first)?, day(last)?),
      None => (day(item)?, day(item)?),
    };
    if first > last {
      return None;
    }
    set.extend((first..=last).map(|day| (day + 1) % 7));
  }
  Some(set)
}

fn date_of(text: &str) -> Option<(Option<Set>, Set, Days)> {
  let (head, tail, from_end) = match text.split_once('~') {
    Some((head, tail)) => (head, tail, true),
    None => {
      let (head, tail) = text.rsplit_once('-')?;
      (head, tail, false)
    }
  };
  let (year, month) = head.split_once('-').unwrap_or(("*", head));
  let years = if year == "*" { None } else { Some(component(year, (1970, YEAR_MAX))?) };
  let days = if from_end {
    Days::FromEnd(from_the_end(tail)?)
  } else {
    Days::Days(component(tail, (1, 31))?)
  };
  Some((years, component(month, (1, 12))?, days))
}

/// `07/1`: from the seventh day before the end on, every day.
fn from_the_end(text: &str) -> Option<Set> {
  let mut set = Set::new();
  for item in text.split(',') {
    let (first, step) = match item.split_once('/') {
      Some((first, step)) => (first, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
      None => (item, None),
    };
    let first: i16 = first.parse().ok().filter(|day| (1..=31).contains(day))?;
    match step {
      Some(step) => set.extend((1..=first).rev().step_by(step)),
      None => {
        set.insert(first);
      }
    }
  }
  Some(set)
}

fn component(text: &str, (min, max): (i16, i16)) -> Option<Set> {
  let number = |text: &str| text.parse::<i16>().ok().filter(|value| (min..=max).contains(value));
  let mut set = Set::new();
  for item in text.split(',') {
    let (range, step) = match item.split_once('/') {
      Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
      None => (item, None),
    };
    let (first, last) = match range.split_once("..") {
      Some((first, last)) => (number(first)?, number(last)?),
      None if range == "*" => (min, max),
      None => {
        let first = number(range)?;
        (first, if step.is_some() { max } else { first })
      }
    };
    if first > last {
      return None;
    }
    set.extend((first..=last).step_by(step.unwrap_or(1)));
  }
  Some(set)
}

#[cfg(test)]
mod tests {
  use jiff::tz::TimeZone;

  use super::*;

  #[test]
  fn spelled_for_our_cron() {
    for (text, cron) in [
      ("daily", Some("0 0 * * *")),
      ("weekly", Some("0 0 * * 1")),
      ("quarterly", Some("0 0 1 */3 *")),
      ("*:0/15", Some("*/15 * * * *")),
      ("Mon..Fri 09..17:30", Some("30 9-17 * * 1-5")),
      ("Sat,Sun 10:00", Some("0 10 * * 0,6")),
      ("*-*~01 23:50:00", Some("50 23 L * *")),
      ("Fri *-*~07/1 18:00", Some("0 18 * * 5L")),
      ("Mon *-*-01..07 04:00", Some("0 4 */31,2-7 * 1")),
      ("Mon *-*-02..08 04:00", None),
      ("*-02~03", None),
      ("2027-01-01 12:00:30", Some("30 0 12 1 1 * 2027")),
      ("*-*-* 06:00:00 Europe/Paris", Some("0 6 * * *")),
    ] {
      let calendar = Calendar::read(text).unwrap_or_else(|| panic!("{text}"));
      assert_eq!(calendar.spelled().as_deref(), cron, "{text}");
    }
    for bad in ["Sat..Mon 10:00", "25:00", "*:*:0/20.5", "daily daily", "10:00 UTC x", "2027"] {
      assert!(Calendar::read(bad).is_none(), "{bad}");
    }
  }

  /// Recorded from `systemd-analyze calendar --iterations` of systemd 252, TZ=Europe/Berlin.
  #[test]
  fn the_same_days_as_systemd() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let base = "2026-11-21T10:50:00Z".parse().expect("an instant");
    for (text, expected) in [
      (
        "Mon..Fri *-1,6-1..7/2 9..17/4:00",
        ["2027-01-01T08:00:00Z", "2027-01-01T12:00:00Z", "2027-01-01T16:00:00Z"],
      ),
      ("*-02~03", ["2027-02-25T23:00:00Z", "2028-02-26T23:00:00Z", "2029-02-25T23:00:00Z"]),
    ] {
      let fires = Calendar::read(text).expect(text).pattern().fires(base, &zone, 3);
      let told: Vec<String> = fires.iter().map(ToString::to_string).collect();
      assert_eq!(told, expected, "{text}");
    }
  }
}
