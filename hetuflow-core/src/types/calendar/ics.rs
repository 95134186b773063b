//! Holidays from an iCalendar file (RFC 5545): its events as rules.
//!
//! Read are single events, whole days or with times, and those of every year, by date or by weekday.
//! What cannot be a rule is named, never dropped in silence.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::day::YearDay;
use super::rule::{CalendarRule, Kind};
use crate::types::cron::CronError;
use crate::types::parse_time_zone;

/// Larger files are refused.
const BYTES_MAX: usize = 4 << 20;
/// More events are refused.
const EVENTS_MAX: usize = 20_000;
/// Years of an event that ends some time are written out, up to so many.
const YEARS_MAX: usize = 200;

/// What a file means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IcsRules {
  /// The rules, each once, in the order of the file.
  pub rules: Vec<CalendarRule>,
  /// Events that are not rules, with the reason.
  pub left_out: Vec<String>,
}

/// Reads the events of a file; times without a zone are in `zone`.
///
/// # Errors
/// `calendar.ics` when the text is no iCalendar file, or too large.
pub fn read_ics(text: &str, zone: &TimeZone) -> Result<IcsRules, CronError> {
  let refused = |why: &str| CronError::whole("calendar.ics", why.to_owned());
  if text.len() > BYTES_MAX {
    return Err(refused("the file is larger than 4 MiB"));
  }
  let mut lines = unfolded(text);
  if lines.next().is_none_or(|first| !first.trim().eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
    return Err(refused("this is no iCalendar file: it begins with BEGIN:VCALENDAR"));
  }
  let (mut found, mut event, mut events) = (IcsRules::default(), None::<Event>, 0);
  let mut inner = 0usize;
  for line in lines {
    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
    match (name.to_ascii_uppercase().as_str(), value.trim().to_ascii_uppercase().as_str()) {
      ("BEGIN", "VEVENT") => event = Some(Event::default()),
      // Alarms inside of events have properties of the same names.
      ("BEGIN", _) if event.is_some() => inner += 1,
      ("END", "VEVENT") => {
        events += 1;
        if events > EVENTS_MAX {
          return Err(refused("the file has more than 20,000 events"));
        }
        if let Some(event) = event.take() {
          event.tell(&mut found, zone);
        }
        inner = 0;
      }
      ("END", _) if event.is_some() => inner = inner.saturating_sub(1),
      _ if inner == 0 => {
        if let Some(event) = &mut event {
          event.take(name, value.trim());
        }
      }
      _ => {}
    }
  }
  Ok(found)
}

/// Lines, with those that were folded put together again.
fn unfolded(text: &str) -> impl Iterator<Item = String> + '_ {
  let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).peekable();
  std::iter::from_fn(move || {
    let mut line = lines.next()?.to_owned();
    while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
      line.push_str(&more[1..]);
    }
    Some(line)
  })
}

/// A date, or an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
  Day(Date),
  Instant(Timestamp),
}

/// The properties of one event: name without parameters, parameters, value.
#[derive(Default)]
struct Event {
  properties: BTreeMap<String, (String, String)>,
}

impl Event {
  fn take(&mut self, name: &str, value: &str) {
    let (name, parameters) = name.split_once(';').unwrap_or((name, ""));
    let entry = (parameters.to_owned(), value.to_owned());
    self.properties.entry(name.to_ascii_uppercase()).or_insert(entry);
  }

  fn value(&self, name: &str) -> Option<&str> {
    self.properties.get(name).map(|(_, value)| value.as_str())
  }

  /// Adds its rules, or why there are none.
  fn tell(&self, found: &mut IcsRules, zone: &TimeZone) {
    if self.value("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED")) {
      return;
    }
    match self.rules(zone) {
      Ok(rules) => {
        for rule in rules.into_iter().map(CalendarRule) {
          if !found.rules.contains(&rule) {
            found.rules.push(rule);
          }
        }
      }
      Err(why) => {
        let summary = self.value("SUMMARY").or(self.value("UID")).unwrap_or("an event");
        let shown: String = summary.chars().filter(|c| !c.is_control()).take(60).collect();
        found.left_out.push(format!("{shown}: {why}"));
      }
    }
  }

  fn rules(&self, zone: &TimeZone) -> Result<Vec<Kind>, String> {
    let start = self.when("DTSTART", zone)?.ok_or("it has no begin")?;
    let end = match self.when("DTEND", zone)? {
      Some(end) => Some(end),
      None => self.duration(start)?,
    };
    let single = match (start, end) {
      (When::Day(first), None) => Kind::Dates(first, first),
      // The end of whole days is the day after the last.
      (When::Day(first), Some(When::Day(end))) => {
        Kind::Dates(first, end.yesterday().map_err(|error| error.to_string())?.max(first))
      }
      (When::Instant(first), Some(When::Instant(end))) if first < end => Kind::Span(first, end),
      (When::Instant(_), _) => return Err("it takes no time".to_owned()),
      (When::Day(_), Some(When::Instant(_))) => return Err("it begins as a day only".to_owned()),
    };
    match self.value("RRULE") {
      None => Ok(vec![single]),
      Some(rule) => repeated(single, &rule.to_ascii_uppercase()),
    }
  }

  fn when(&self, name: &str, zone: &TimeZone) -> Result<Option<When>, String> {
    let Some((parameters, value)) = self.properties.get(name) else { return Ok(None) };
    let own = parameters.split(';').find_map(|one| one.strip_prefix("TZID="));
    let own = own.map(|name| parse_time_zone(name.trim_matches('"'))).transpose();
    let zone = own.map_err(|error| error.message)?.unwrap_or_else(|| zone.clone());
    let bad = |_| format!("{name} is no date: {}", value.chars().take(20).collect::<String>());
    if value.len() == 8 {
      return Ok(Some(When::Day(Date::strptime("%Y%m%d", value).map_err(bad)?)));
    }
    let (value, zone) = match value.strip_suffix('Z') {
      Some(value) => (value, TimeZone::UTC),
      None => (value.as_str(), zone),
    };
    let wall = DateTime::strptime("%Y%m%dT%H%M%S", value).map_err(bad)?;
    Ok(Some(When::Instant(zone.to_timestamp(wall).map_err(bad)?)))
  }

  /// `P1D`, `PT2H`, after the begin.
  fn duration(&self, start: When) -> Result<Option<When>, String> {
    let Some(text) = self.value("DURATION") else { return Ok(None) };
    let span: Span = text.parse().map_err(|_| "its DURATION cannot be read".to_owned())?;
    let days = span.get_weeks().saturating_mul(7).saturating_add(span.get_days());
    let hours = SignedDuration::try_from(span.days(0).weeks(0)).unwrap_or_default();
    let length = SignedDuration::from_hours(i64::from(days) * 24) + hours;
    Ok(Some(match start {
      When::Day(day) => {
        When::Day(day.checked_add(Span::new().days(days)).map_err(|error| error.to_string())?)
      }
      When::Instant(at) => {
        When::Instant(at.checked_add(length).map_err(|error| error.to_string())?)
      }
    }))
  }
}

/// An event of every year: for ever as one rule, else as the dates of each year.
fn repeated(single: Kind, rule: &str) -> Result<Vec<Kind>, String> {
  let Kind::Dates(first, last) = single else {
    return Err("it repeats with times of day".to_owned());
  };
  let parts: BTreeMap<&str, &str> = rule.split(';').filter_map(|one| one.split_once('=')).collect();
  let known = ["FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY", "COUNT", "UNTIL", "WKST"];
  if parts.get("FREQ") != Some(&"YEARLY") {
    return Err("only events of every year can be rules".to_owned());
  }
  if let Some(other) = parts.keys().find(|key| !known.contains(key)) {
    return Err(format!("{other} is not read"));
  }
  if parts.get("INTERVAL").is_some_and(|every| *every != "1") {
    return Err("it does not come every year".to_owned());
  }
  let month: i8 = parts
    .get("BYMONTH")
    .map_or(Ok(first.month()), |month| month.parse())
    .map_err(|_| "BYMONTH names one month".to_owned())?;
  let rule = match (parts.get("BYDAY"), parts.get("BYMONTHDAY")) {
    (Some(day), None) => nth_weekday(month, day)?,
    (None, day) => {
      let day: i8 = day
        .map_or(Ok(first.day()), |day| day.parse())
        .map_err(|_| "BYMONTHDAY names one day".to_owned())?;
      if (month, day) != (first.month(), first.day()) {
        return Err("it repeats on another day than it begins".to_owned());
      }
      Kind::Yearly(YearDay::of(first), YearDay::of(last))
    }
    _ => return Err("BYDAY and BYMONTHDAY together are not read".to_owned()),
  };
  let (count, until) = (parts.get("COUNT"), parts.get("UNTIL"));
  if count.is_none() && until.is_none() {
    return Ok(vec![rule]);
  }
  written_out((first, last), rule, (count.copied(), until.copied()))
}

/// `3MO`, `-1MO`.
fn nth_weekday(month: i8, text: &str) -> Result<Kind, String> {
  let bad = || "BYDAY names one weekday of the month, as 3MO or -1FR".to_owned();
  let (count, name) = text.split_at_checked(text.len().saturating_sub(2)).ok_or_else(bad)?;
  let nth = match count {
    "-1" => "L".to_owned(),
    count => format!("#{count}"),
  };
  let names = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
  let full = names.iter().find(|full| full.starts_with(name) && name.len() == 2).ok_or_else(bad)?;
  let rule: CalendarRule = format!("{month:02}-{full}{nth}").parse().map_err(|_| bad())?;
  Ok(rule.0)
}

/// The dates of an event that ends some time.
fn written_out(
  (first, last): (Date, Date),
  rule: Kind,
  (count, until): (Option<&str>, Option<&str>),
) -> Result<Vec<Kind>, String> {
  let count: usize =
    count.map_or(Ok(YEARS_MAX), str::parse).map_err(|_| "its COUNT cannot be read".to_owned())?;
  let until = until.map(|until| Date::strptime("%Y%m%d", until.get(..8).unwrap_or(until)));
  let until = until.transpose().map_err(|_| "its UNTIL cannot be read".to_owned())?;
  let (rule, length) = (CalendarRule(rule), last - first);
  let mut found = Vec::new();
  let mut day = first;
  while found.len() < count.min(YEARS_MAX) && until.is_none_or(|until| day <= until) {
    let begins = match rule.0 {
      Kind::Yearly(start, _) => YearDay::of(day) == start,
      _ => rule.on(day)[0].is_some(),
    };
    if begins {
      let end = day.checked_add(length).map_err(|error| error.to_string())?;
      found.push(Kind::Dates(day, end));
    }
    match day.tomorrow() {
      Ok(next) if next.year() - first.year() <= YEARS_MAX as i16 => day = next,
      _ => break,
    }
  }
  Ok(found)
}
