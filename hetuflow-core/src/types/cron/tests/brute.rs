//! The engine against the clock, minute by minute and second by second, in more than fifty zones:
//! at their changes of the clocks in the past, now and in two hundred years, on leap days and at the
//! ends of years; and day by day over years.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
  super::{CronExpression, CronZone, parse_time_zone},
  brute_expression::{Item, expressions},
  ts,
  window::{Window, any_dst},
};

/// Of every continent and of every odd kind.
const ZONES: [&str; 64] = [
  "Africa/Cairo",
  "Africa/Casablanca",
  "Africa/El_Aaiun",
  "Africa/Juba",
  "Africa/Lagos",
  "Africa/Monrovia",
  "Africa/Sao_Tome",
  "Africa/Windhoek",
  "America/Anchorage",
  "America/Argentina/Buenos_Aires",
  "America/Asuncion",
  "America/Bogota",
  "America/Caracas",
  "America/Chicago",
  "America/Godthab",
  "America/Halifax",
  "America/Havana",
  "America/Mexico_City",
  "America/New_York",
  "America/Phoenix",
  "America/Santiago",
  "America/Sao_Paulo",
  "America/Scoresbysund",
  "America/St_Johns",
  "America/Vancouver",
  "Antarctica/Casey",
  "Antarctica/Troll",
  "Asia/Amman",
  "Asia/Baghdad",
  "Asia/Beirut",
  "Asia/Colombo",
  "Asia/Dhaka",
  "Asia/Gaza",
  "Asia/Jerusalem",
  "Asia/Kabul",
  "Asia/Kathmandu",
  "Asia/Kolkata",
  "Asia/Pyongyang",
  "Asia/Shanghai",
  "Asia/Tehran",
  "Asia/Tokyo",
  "Asia/Ulaanbaatar",
  "Asia/Yangon",
  "Atlantic/Azores",
  "Australia/Adelaide",
  "Australia/Eucla",
  "Australia/Lord_Howe",
  "Australia/Sydney",
  "Europe/Berlin",
  "Europe/Chisinau",
  "Europe/Dublin",
  "Europe/Istanbul",
  "Europe/London",
  "Europe/Moscow",
  "Europe/Samara",
  "Pacific/Apia",
  "Pacific/Auckland",
  "Pacific/Chatham",
  "Pacific/Easter",
  "Pacific/Fakaofo",
  "Pacific/Kiritimati",
  "Pacific/Norfolk",
  "Pacific/Tongatapu",
  "UTC",
];

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn run(cases: u32, with_seconds: bool, name: &str, window: &Window) {
  let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
  let inputs = (expressions(), any_dst(), 0u8..4);
  let outcome = TestRunner::new(config).run(&inputs, |(mut sample, dst, aim)| {
    sample.with_seconds = with_seconds;
    window.aim(&mut sample, aim);
    window.check(&sample, dst)
  });
  outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Changes of a zone that are worth a look: the widest since 1970, the next two from 2026, two in
/// the year 2150. Changes by parts of a minute do not fit the walk and are left out.
fn changes(zone: &TimeZone) -> Vec<Timestamp> {
  let turns = |from: &str, count: usize| -> Vec<(i32, Timestamp)> {
    let whole = zone.following(ts(from)).filter_map(|turn| {
      let at = turn.timestamp();
      let before = zone.to_offset(at - SECOND).seconds();
      let width = turn.offset().seconds() - before;
      (width != 0 && before % 60 == 0 && width % 60 == 0).then_some((width.abs(), at))
    });
    whole.take(count).collect()
  };
  let written = turns("1970-01-02T00:00:00Z", 60);
  let mut found: Vec<_> = written.iter().max().into_iter().copied().collect();
  found.extend(turns("2026-01-01T00:00:00Z", 2));
  found.extend(turns("2150-01-01T00:00:00Z", 2));
  found.into_iter().map(|(_, at)| at).collect()
}

/// Each window of a zone, by minutes.
fn compare(zones: &[&str]) {
  for name in zones {
    let zone = parse_time_zone(name).unwrap();
    let mut centers = changes(&zone);
    centers
      .extend(["2028-02-29T12:00:00Z", "2026-12-31T23:30:00Z", "2100-02-28T18:00:00Z"].map(ts));
    for center in centers {
      let window = Window::new(zone.clone(), center, SignedDuration::from_hours(33), MINUTE);
      run(12, false, &format!("{name} {center}"), &window);
    }
  }
}

#[test]
fn zones_a() {
  compare(&ZONES[..16]);
}

#[test]
fn zones_b() {
  compare(&ZONES[16..32]);
}

#[test]
fn zones_c() {
  compare(&ZONES[32..48]);
}

#[test]
fn zones_d() {
  compare(&ZONES[48..]);
}

/// A week by minutes, then the hours around the change by seconds.
#[test]
fn weeks_and_seconds() {
  for (name, at) in [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
  ] {
    let zone = parse_time_zone(name).unwrap();
    let turn = zone.following(ts(at) - SECOND).next().map(|turn| turn.timestamp());
    assert_eq!(turn, Some(ts(at)), "the clocks of {name} change there");
    let week = Window::new(zone.clone(), ts(at), SignedDuration::from_hours(84), MINUTE);
    run(12, false, name, &week);
    let night = Window::new(zone, ts(at), SignedDuration::from_mins(130), SECOND);
    run(12, true, name, &night);
  }
}

proptest! {
  #![proptest_config(ProptestConfig::with_cases(60))]

  /// Dates over ten years, forwards and backwards, and the refusal of expressions without any date.
  #[test]
  fn dates_over_years(mut sample in expressions(), offset in 0i32..4000) {
    sample.with_seconds = true;
    for field in 0..3 {
      sample.fields[field] = vec![Item::One(0)];
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
    let utc = CronZone::utc();
    let mut after = start.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let mut date = start;
    let mut last = None;
    for _ in 0..3650 {
      date = date.tomorrow().unwrap();
      if sample.matches_date(date) {
        let found = expression.next_after(after, &utc).unwrap().at;
        prop_assert_eq!(found.to_zoned(TimeZone::UTC).date(), date, "{}", sample.text());
        if let Some(last) = last {
          let back = expression.previous_before(found, &utc).unwrap().at;
          prop_assert_eq!(back, last, "{} before {}", sample.text(), found);
        }
        last = Some(found);
        after = found;
      }
    }
  }

  /// Nothing panics at the ends of time, and the two searches are each other's mirror.
  #[test]
  fn there_and_back(
    sample in expressions(),
    second in -377_705_023_201i64..=253_402_207_200,
    nano in 0i32..1_000_000_000,
    pick in 0usize..ZONES.len(),
    dst in any_dst(),
  ) {
    let Ok(expression) = CronExpression::parse(&sample.text(), 0) else { return Ok(()) };
    let expression = expression.with_dst(dst.0, dst.1);
    let zone = CronZone::named(ZONES[pick]).unwrap();
    let Ok(at) = Timestamp::new(second, nano) else { return Ok(()) };
    if let Some(next) = expression.next_after(at, &zone) {
      prop_assert!(next.at > at);
      let back = expression.previous_before(next.at, &zone).map(|fire| fire.at);
      prop_assert!(back.is_none_or(|back| back <= at), "{} {back:?}", sample.text());
      if let Some(back) = back {
        let again = expression.next_after(back, &zone).map(|fire| fire.at);
        prop_assert_eq!(again, Some(next.at), "{} after {}", sample.text(), back);
      }
    }
    for end in [Timestamp::MIN, Timestamp::MAX] {
      expression.next_after(end, &zone);
      expression.previous_before(end, &zone);
    }
  }
}
