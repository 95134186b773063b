//! The engine against a walk through every minute or second of daylight saving weeks.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
  super::{CronExpression, parse_time_zone},
  brute_expression::{Sample, expressions},
  ts,
};

/// Each instant of a window with its wall clock.
struct Window {
  tz: TimeZone,
  step: SignedDuration,
  clock: Vec<(Timestamp, DateTime)>,
}

impl Window {
  fn new(zone: &str, around: &str, half: SignedDuration, step: SignedDuration) -> Self {
    let tz = parse_time_zone(zone).unwrap();
    let (mut at, end) = (ts(around) - half, ts(around) + half);
    let mut clock = Vec::new();
    while at <= end {
      clock.push((at, tz.to_datetime(at)));
      at += step;
    }
    Self { tz, step, clock }
  }

  /// Every fire inside the window, by walking.
  fn walk(&self, sample: &Sample) -> Vec<Timestamp> {
    let mut fires = Vec::new();
    let mut highest = self.clock[0].1;
    for pair in self.clock.windows(2) {
      let (before, (at, wall)) = (pair[0].1, pair[1]);
      let mut due = sample.matches(wall);
      if !sample.is_wall_pattern() {
        due &= wall > highest;
        let mut skipped = before + self.step;
        while skipped < wall && wall > highest {
          due |= sample.matches(skipped);
          skipped += self.step;
        }
      }
      if due {
        fires.push(at);
      }
      highest = highest.max(wall);
    }
    fires
  }

  /// The engine finds exactly the fires of the walk, from the start and from between them.
  fn check(&self, sample: &Sample) -> Result<(), TestCaseError> {
    let Ok(expression) = CronExpression::parse(&sample.text(), 0) else { return Ok(()) };
    let (start, end) = (self.clock[0].0, self.clock[self.clock.len() - 1].0);
    let mut after = start;
    for expected in self.walk(sample) {
      let found = expression.next_after(after, &self.tz).map(|fire| fire.at);
      prop_assert_eq!(found, Some(expected), "{} after {}", sample.text(), after);
      let just_before = expected - SignedDuration::from_nanos(1);
      if just_before > after {
        let found = expression.next_after(just_before, &self.tz).map(|fire| fire.at);
        prop_assert_eq!(found, Some(expected), "{} after {}", sample.text(), just_before);
      }
      after = expected;
    }
    let beyond = expression.next_after(after, &self.tz).map(|fire| fire.at);
    prop_assert!(beyond.is_none_or(|at| at > end), "{} also at {:?}", sample.text(), beyond);
    Ok(())
  }
}

/// Minutes over the week, then seconds over the hours around the change.
fn compare(zone: &str, changes: &[&str]) {
  let (minute, second) = (SignedDuration::from_mins(1), SignedDuration::from_secs(1));
  for change in changes {
    let week = Window::new(zone, change, SignedDuration::from_hours(84), minute);
    let night = Window::new(zone, change, SignedDuration::from_mins(100), second);
    let run = |cases, with_seconds, window: &Window| {
      let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
      let outcome = TestRunner::new(config).run(&expressions(), |mut sample| {
        sample.with_seconds = with_seconds;
        window.check(&sample)
      });
      outcome.unwrap_or_else(|error| panic!("{zone} {change}: {error}"));
    };
    run(24, false, &week);
    run(16, true, &night);
  }
}

#[test]
fn berlin() {
  compare("Europe/Berlin", &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]);
}

#[test]
fn new_york() {
  compare("America/New_York", &["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"]);
}

#[test]
fn lord_howe() {
  compare("Australia/Lord_Howe", &["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"]);
}

#[test]
fn casablanca() {
  compare("Africa/Casablanca", &["2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"]);
}

#[test]
fn utc() {
  compare("UTC", &["2028-02-29T00:00:00Z"]);
}

/// The windows above must contain the changes they are named for.
#[test]
fn windows_contain_a_change() {
  for (zone, at) in [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00:00Z"),
  ] {
    let tz = parse_time_zone(zone).unwrap();
    let early = ts(at) - SignedDuration::from_secs(1);
    assert_eq!(tz.following(early).next().map(|t| t.timestamp()), Some(ts(at)), "{zone}");
  }
}

proptest! {
  #![proptest_config(ProptestConfig::with_cases(60))]

  /// Dates over ten years, and the refusal of expressions without any date.
  #[test]
  fn dates_over_years(mut sample in expressions(), offset in 0i32..4000) {
    sample.with_seconds = true;
    for field in 0..3 {
      sample.fields[field] = vec![super::brute_expression::Item::One(0)];
    }
    let start = jiff::civil::date(2020, 1, 1) + jiff::Span::new().days(offset);
    let Ok(expression) = CronExpression::parse(&sample.text(), 0) else {
      let mut date = jiff::civil::date(2000, 1, 1);
      while date.year() < 2400 {
        prop_assert!(!sample.matches_date(date), "{} fires on {date}", sample.text());
        date = date.tomorrow().unwrap();
      }
      return Ok(());
    };
    let mut after = start.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let mut date = start;
    for _ in 0..3650 {
      date = date.tomorrow().unwrap();
      if sample.matches_date(date) {
        let found = expression.next_after(after, &TimeZone::UTC).unwrap().at;
        prop_assert_eq!(found.to_zoned(TimeZone::UTC).date(), date, "{}", sample.text());
        after = found;
      }
    }
  }
}
