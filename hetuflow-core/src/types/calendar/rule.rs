//! One rule of a calendar: its text, and the hours of a day that it covers.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::day::{YearDay, between, easter, is_nth};
use crate::types::cron::CronError;

/// Longer texts are refused.
const BYTES_MAX: usize = 128;
const WEEKDAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
const DAY_SECS: i32 = 86_400;
/// Farther from Easter no holiday lies.
const EASTER_DAYS_MAX: u32 = 200;

/// A rule, read from its text; see the module for its forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CalendarRule(pub(super) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
  /// From a date to a date, both included.
  Dates(Date, Date),
  /// The same in every year.
  Yearly(YearDay, YearDay),
  /// Month, weekday, which one (0 is the last).
  Nth(i8, Weekday, i8),
  /// Days from Easter Sunday.
  Easter(i32),
  /// Weekdays as bits (Monday is bit 0), and hours as seconds of the day.
  Weekly(u8, Option<(i32, i32)>),
  /// From an instant up to another.
  Span(Timestamp, Timestamp),
}

/// Stretches of a day, in seconds of its wall clock; no rule has more than two.
pub(super) type Stretches = [Option<(i32, i32)>; 2];

const WHOLE_DAY: Stretches = [Some((0, DAY_SECS)), None];

impl CalendarRule {
  /// What it covers of a date. Instants are asked for apart.
  pub(super) fn on(&self, date: Date) -> Stretches {
    let all_if = |covers: bool| if covers { WHOLE_DAY } else { [None, None] };
    match &self.0 {
      Kind::Dates(first, last) => all_if(*first <= date && date <= *last),
      Kind::Yearly(first, last) => all_if(between(YearDay::of(date), (*first, *last))),
      Kind::Nth(month, weekday, nth) => {
        all_if(date.month() == *month && is_nth(date, (*weekday, *nth)))
      }
      Kind::Easter(days) => all_if(is_from_easter(date, *days)),
      Kind::Weekly(weekdays, None) => all_if(has(*weekdays, Some(date))),
      Kind::Weekly(weekdays, Some((from, to))) if from < to => {
        [has(*weekdays, Some(date)).then_some((*from, *to)), None]
      }
      // Past midnight: the end of the day before, then the begin of this one.
      Kind::Weekly(weekdays, Some((from, to))) => {
        let late = has(*weekdays, date.yesterday().ok()).then_some((0, *to));
        [late, has(*weekdays, Some(date)).then_some((*from, DAY_SECS))]
      }
      Kind::Span(..) => [None, None],
    }
  }
}

fn is_from_easter(date: Date, days: i32) -> bool {
  // Far offsets may lead into the year before or after.
  let years = [-1, 0, 1].map(|n| date.year().saturating_add(n));
  years.into_iter().any(|year| {
    let day = easter(year).and_then(|sunday| sunday.checked_add(Span::new().days(days)).ok());
    day == Some(date)
  })
}

fn has(weekdays: u8, date: Option<Date>) -> bool {
  date.is_some_and(|date| weekdays >> date.weekday().to_monday_zero_offset() & 1 == 1)
}

fn refused(text: &str, why: &str) -> CronError {
  let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
  CronError::whole("calendar.rule", format!("\"{shown}\": {why}")).hint(
    "write 2026-12-24, 2026-12-24..2027-01-02, 12-25, 01-MON#3, 05-MONL, easter-2, SAT-SUN, \
     22:00-06:00 or MON-FRI 09:00-17:00",
  )
}

impl FromStr for CalendarRule {
  type Err = CronError;

  fn from_str(text: &str) -> Result<Self, CronError> {
    let rule = text.trim();
    if rule.len() > BYTES_MAX || !rule.is_ascii() {
      return Err(refused(rule, "this is no rule of a calendar"));
    }
    let upper = rule.to_ascii_uppercase();
    if let Some(rest) = upper.strip_prefix("EASTER") {
      let days = if rest.is_empty() { Ok(0) } else { rest.parse::<i32>() };
      return match days {
        Ok(days)
          if days.unsigned_abs() <= EASTER_DAYS_MAX
            && (rest.is_empty() || rest.starts_with(['+', '-'])) =>
        {
          Ok(Self(Kind::Easter(days)))
        }
        _ => Err(refused(rule, "after easter stand + or - and days, 200 at most")),
      };
    }
    let (first, last) = upper.split_once("..").unwrap_or((&upper, &upper));
    let kind = if let (Ok(first), Ok(last)) = (first.parse(), last.parse()) {
      (first < last).then_some(Kind::Span(first, last)).ok_or("the end is not after the begin")
    } else if let (Ok(first), Ok(last)) = (plain_date(first), plain_date(last)) {
      (first <= last).then_some(Kind::Dates(first, last)).ok_or("the end comes before the begin")
    } else if let (Some(first), Some(last)) = (year_day(first), year_day(last)) {
      let real = first.is_real() && last.is_real();
      real.then_some(Kind::Yearly(first, last)).ok_or("there is no such day in any year")
    } else if let Some(nth) = nth(&upper) {
      Ok(nth)
    } else {
      weekly(&upper).ok_or("this is no rule of a calendar")
    };
    kind.map(Self).map_err(|why| refused(rule, why))
  }
}

fn plain_date(text: &str) -> Result<Date, jiff::Error> {
  // The library takes more than this, as dates with times.
  if text.len() == 10 { text.parse() } else { Date::new(0, 0, 0) }
}

/// `12-25`.
fn year_day(text: &str) -> Option<YearDay> {
  let (month, day) = text.split_once('-')?;
  let number = |part: &str| -> Option<i8> {
    (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
  };
  Some(YearDay { month: number(month)?, day: number(day)? })
}

/// `01-MON#3`, `05-MONL`.
fn nth(text: &str) -> Option<Kind> {
  let (month, rest) = text.split_once('-')?;
  let month: i8 = month.parse().ok().filter(|month| (1..=12).contains(month))?;
  if let Some(day) = rest.strip_suffix('L') {
    return Some(Kind::Nth(month, weekday(day)?, 0));
  }
  let (day, count) = rest.split_once('#')?;
  let count = count.parse().ok().filter(|count| (1..=5).contains(count))?;
  Some(Kind::Nth(month, weekday(day)?, count))
}

fn weekday(text: &str) -> Option<Weekday> {
  let index = WEEKDAYS.iter().position(|name| *name == text)?;
  Weekday::from_monday_zero_offset(index as i8).ok()
}

/// `SAT-SUN`, `MON,WED 09:00-17:00`, `22:00-06:00`.
fn weekly(text: &str) -> Option<Kind> {
  let (days, hours) = match text.split_once(' ') {
    Some((days, hours)) => (Some(days), Some(hours.trim())),
    None if text.starts_with(|c: char| c.is_ascii_digit()) => (None, Some(text)),
    None => (Some(text), None),
  };
  let days = days.map_or(Some(0x7F), weekday_bits)?;
  let hours = match hours {
    None => None,
    Some(hours) => {
      let (from, to) = hours.split_once('-')?;
      let (from, to) = (clock(from)?, clock(to)?);
      if from == to || from == DAY_SECS || to == 0 {
        return None;
      }
      Some((from, to))
    }
  };
  Some(Kind::Weekly(days, hours))
}

/// `MON-FRI`, `SAT,SUN`; a range may pass the end of the week.
fn weekday_bits(text: &str) -> Option<u8> {
  let mut bits = 0;
  for part in text.split(',') {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let last = weekday(last)?;
    let mut day = weekday(first)?;
    loop {
      bits |= 1 << day.to_monday_zero_offset();
      if day == last {
        break;
      }
      day = day.next();
    }
  }
  Some(bits)
}

/// `09:00`, `24:00` is the end of the day.
fn clock(text: &str) -> Option<i32> {
  let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5)?;
  let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
  if (hour, minute) == (24, 0) {
    return Some(DAY_SECS);
  }
  let time = Time::new(hour, minute, 0, 0).ok()?;
  Some(i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60)
}

impl fmt::Display for CalendarRule {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let day = |day: YearDay| format!("{:02}-{:02}", day.month, day.day);
    let name = |weekday: Weekday| WEEKDAYS[weekday.to_monday_zero_offset() as usize];
    match &self.0 {
      Kind::Dates(first, last) if first == last => write!(f, "{first}"),
      Kind::Dates(first, last) => write!(f, "{first}..{last}"),
      Kind::Yearly(first, last) if first == last => f.write_str(&day(*first)),
      Kind::Yearly(first, last) => write!(f, "{}..{}", day(*first), day(*last)),
      Kind::Nth(month, weekday, 0) => write!(f, "{month:02}-{}L", name(*weekday)),
      Kind::Nth(month, weekday, nth) => write!(f, "{month:02}-{}#{nth}", name(*weekday)),
      Kind::Easter(0) => f.write_str("easter"),
      Kind::Easter(days) => write!(f, "easter{days:+}"),
      Kind::Weekly(days, hours) => {
        let named: Vec<&str> =
          (0..7).filter(|bit| days >> bit & 1 == 1).map(|bit| WEEKDAYS[bit]).collect();
        let clock = |secs: i32| format!("{:02}:{:02}", secs / 3600, secs / 60 % 60);
        let hours = hours.map(|(from, to)| format!("{}-{}", clock(from), clock(to)));
        match hours {
          Some(hours) if named.len() == 7 => f.write_str(&hours),
          Some(hours) => write!(f, "{} {hours}", named.join(",")),
          None => f.write_str(&named.join(",")),
        }
      }
      Kind::Span(first, last) => write!(f, "{first}..{last}"),
    }
  }
}

impl From<CalendarRule> for String {
  fn from(rule: CalendarRule) -> Self {
    rule.to_string()
  }
}

impl TryFrom<String> for CalendarRule {
  type Error = CronError;
  fn try_from(text: String) -> Result<Self, CronError> {
    text.parse()
  }
}
