//! Tests of the calendars: each form of rule, the gate against a walk, files of holidays.

use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Calendar, CalendarGate, CalendarRule, read_ics};
use crate::types::{CronExpression, CronZone, parse_time_zone};

fn ts(text: &str) -> Timestamp {
  text.parse().unwrap()
}

fn calendar(rules: &[&str], zone: &str) -> Calendar {
  let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
  Calendar::new(rules, CronZone::named(zone).unwrap())
}

#[test]
fn every_form_covers_what_it_says() {
  for (rule, inside, outside) in [
    ("2026-12-24", "2026-12-24T22:59:59Z", "2026-12-24T23:00:00Z"),
    ("2026-12-24..2027-01-02", "2026-12-31T12:00:00Z", "2027-01-02T23:00:00Z"),
    ("12-25", "2031-12-25T12:00:00Z", "2031-12-26T12:00:00Z"),
    ("12-27..01-02", "2031-01-01T12:00:00Z", "2031-01-03T12:00:00Z"),
    ("02-29", "2028-02-29T12:00:00Z", "2027-03-01T12:00:00Z"),
    ("01-MON#3", "2026-01-19T12:00:00Z", "2026-01-26T12:00:00Z"),
    ("05-monl", "2026-05-25T12:00:00Z", "2026-05-18T12:00:00Z"),
    ("easter", "2026-04-05T12:00:00Z", "2026-04-06T12:00:00Z"),
    ("easter-2", "2026-04-03T12:00:00Z", "2026-04-05T12:00:00Z"),
    ("Easter+39", "2026-05-14T12:00:00Z", "2026-05-15T12:00:00Z"),
    ("SAT-SUN", "2026-07-04T22:30:00Z", "2026-07-05T22:30:00Z"),
    ("FRI-MON", "2026-07-06T12:00:00Z", "2026-07-07T12:00:00Z"),
    ("MON,WED", "2026-07-01T12:00:00Z", "2026-07-02T12:00:00Z"),
    ("09:00-17:00", "2026-07-01T07:00:00Z", "2026-07-01T15:00:00Z"),
    ("22:00-06:00", "2026-07-01T03:59:59Z", "2026-07-01T04:00:00Z"),
    ("FRI 22:00-06:00", "2026-07-04T03:00:00Z", "2026-07-04T20:30:00Z"),
    ("MON-FRI 09:00-24:00", "2026-07-03T21:59:00Z", "2026-07-03T22:00:00Z"),
    ("2026-12-24T18:00:00Z..2026-12-25T06:00:00Z", "2026-12-24T18:00:00Z", "2026-12-25T06:00:00Z"),
  ] {
    let calendar = calendar(&[rule], "Europe/Berlin");
    assert!(calendar.covers(ts(inside)), "{rule} at {inside}");
    assert!(!calendar.covers(ts(outside)), "{rule} at {outside}");
    let parsed: CalendarRule = rule.parse().unwrap();
    let again: CalendarRule = parsed.to_string().parse().unwrap();
    assert_eq!(again, parsed, "{rule}");
    let json = serde_json::to_string(&parsed).unwrap();
    assert_eq!(serde_json::from_str::<CalendarRule>(&json).unwrap(), parsed, "{json}");
  }
}

#[test]
fn what_is_no_rule_is_refused_with_examples() {
  for bad in [
    "",
    "2026-02-30",
    "02-30",
    "13-01",
    "2026-12-24..2026-12-01",
    "easter+201",
    "easter-2147483648",
    "easter2",
    "01-MON#6",
    "00-MON#1",
    "MO",
    "25:00-26:00",
    "09:00-09:00",
    "09:00",
    "MON 9-17",
    "2026-12-25T06:00:00Z..2026-12-24T18:00:00Z",
    "上海",
    "MON-FRI 09:00-17:00 x",
  ] {
    let error = bad.parse::<CalendarRule>().unwrap_err();
    assert_eq!(error.code, "calendar.rule", "{bad}");
    assert!(error.hint.is_some_and(|hint| hint.contains("easter-2")), "{bad}");
  }
  assert!(serde_json::from_str::<CalendarRule>("\"someday\"").is_err());
}

/// Closed for a year with a fire each second: found at once, at the first open instant.
#[test]
fn closed_stretches_are_jumped_over() {
  let zone = CronZone::named("Europe/Berlin").unwrap();
  let every_second = CronExpression::parse("* * * * * *", 0).unwrap();
  let next = |at| every_second.next_after(at, &zone).map(|fire| fire.at);
  let started = Instant::now();
  let gate = CalendarGate {
    exclude: vec![calendar(&["2027-01-01..2027-12-31"], "Europe/Berlin")],
    ..CalendarGate::default()
  };
  let open = gate.next_open(ts("2026-12-31T22:59:59Z"), next);
  assert_eq!(open, Some(ts("2027-12-31T23:00:00Z")), "the first second of 2028 there");
  let gate = CalendarGate {
    include: vec![calendar(&["02-29"], "Europe/Berlin")],
    exclude: vec![calendar(&["SAT-SUN", "00:00-09:30"], "Asia/Tokyo")],
  };
  let open = gate.next_open(ts("2028-03-01T00:00:00Z"), next);
  assert_eq!(open, Some(ts("2036-02-29T00:30:00Z")), "2032 is a Sunday; 09:30 in Tokyo");
  let never = CalendarGate {
    include: vec![calendar(&["12-24"], "UTC")],
    exclude: vec![calendar(&["12-20..12-28"], "UTC")],
  };
  assert_eq!(never.next_open(ts("2026-01-01T00:00:00Z"), next), None);
  assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// 01:00 to 02:00 comes twice on that day: its second pass is open up to 01:30.
#[test]
fn an_hour_that_comes_twice_opens_twice() {
  let zone = CronZone::named("America/New_York").unwrap();
  let calendar = |rules: &[&str]| calendar(rules, "America/New_York");
  let gate = CalendarGate {
    include: vec![calendar(&["SAT-SUN"])],
    exclude: vec![calendar(&["SUN 01:30-04:15"])],
  };
  let expression = CronExpression::parse("*/10 * * * *", 0).unwrap();
  let next = |at| expression.next_after(at, &zone).map(|fire| fire.at);
  let found = gate.next_open(ts("2026-11-01T05:20:00Z"), next);
  assert_eq!(found, Some(ts("2026-11-01T06:00:00Z")));
  let found = gate.next_open(ts("2026-11-01T06:20:00Z"), next);
  assert_eq!(found, Some(ts("2026-11-01T09:20:00Z")));
}

proptest! {
  #![proptest_config(ProptestConfig::with_cases(150))]

  /// The gate finds what a walk over all fires finds, across changes of the clocks too.
  #[test]
  fn the_gate_agrees_with_a_walk(
    include in prop::sample::subsequence(RULES.to_vec(), 0..3),
    exclude in prop::sample::subsequence(RULES.to_vec(), 0..4),
    cron in prop::sample::select(vec!["*/10 * * * *", "30 2 * * *", "7 */3 * * *"]),
    start in prop::sample::select(vec!["2026-03-27T00:00:00Z", "2026-10-23T10:00:00Z", "2026-12-22T00:00:00Z"]),
    zones in (0usize..ZONES.len(), 0usize..ZONES.len()),
  ) {
    let zone = CronZone::named(ZONES[zones.0]).unwrap();
    let expression = CronExpression::parse(cron, 0).unwrap();
    let make = |rules: &[&str]| {
      let calendar = (!rules.is_empty()).then(|| calendar(rules, ZONES[zones.1]));
      calendar.into_iter().collect::<Vec<_>>()
    };
    let gate = CalendarGate { include: make(&include), exclude: make(&exclude) };
    let next = |at| expression.next_after(at, &zone).map(|fire| fire.at);
    let end = ts(start) + SignedDuration::from_hours(24 * 9);
    let fires = expression.fires_after(ts(start), &zone).map(|fire| fire.at);
    let walked: Vec<_> = fires.take_while(|at| *at < end).filter(|at| {
      (gate.include.is_empty() || gate.include.iter().any(|one| one.covers(*at)))
        && !gate.exclude.iter().any(|one| one.covers(*at))
    }).collect();
    let mut found = Vec::new();
    let mut after = ts(start);
    while let Some(at) = gate.next_open(after, next).filter(|at| *at < end) {
      found.push(at);
      after = at;
    }
    prop_assert_eq!(found, walked);
  }

  /// Nothing a stranger types or uploads panics.
  #[test]
  fn no_text_panics(text in "[ -~]{0,40}|[0-9A-Z:.#,-]{0,24}|.{0,20}", lines in prop::collection::vec(ICS_LINE, 0..20)) {
    let _ = text.parse::<CalendarRule>().map(|rule| rule.to_string());
    let file = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.join("\n"));
    let _ = read_ics(&file, &TimeZone::UTC);
    let _ = read_ics(&text, &TimeZone::UTC);
  }
}

const RULES: [&str; 9] = [
  "SAT-SUN",
  "MON-FRI 09:00-17:00",
  "22:00-06:00",
  "02:00-03:00",
  "SUN 01:30-04:15",
  "12-24..01-02",
  "2026-10-25",
  "03-SUNL",
  "2026-03-29T00:30:00Z..2026-03-29T01:30:00Z",
];
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];
const ICS_LINE: &str = "(DTSTART|DTEND|DURATION|RRULE|SUMMARY|STATUS)(;VALUE=DATE|;TZID=Europe/Berlin)?:[0-9TZPDHYMW=;A-Z-]{0,24}";

const HOLIDAYS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n\
BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\n\
SUMMARY:Christmas\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:2\r\nDTSTART;VALUE=DATE:20260525\r\nSUMMARY:Memorial Day, a name so long that\r\n  \
it is folded\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:3\r\nDTSTART;TZID=Europe/Berlin:20260701T080000\r\nDURATION:PT4H\r\n\
BEGIN:VALARM\r\nDURATION:PT1H\r\nEND:VALARM\r\nSUMMARY:power cut\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:4\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=YEARLY;COUNT=3\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:5\r\nDTSTART;VALUE=DATE:20260105\r\nSUMMARY:every week\r\n\
RRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:6\r\nDTSTART;VALUE=DATE:20260106\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:7\r\nDTSTART:20260801T100000Z\r\nDTEND:20260801T120000Z\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:8\r\nSUMMARY:no date\r\nEND:VEVENT\r\n\
END:VCALENDAR\r\n";

#[test]
fn a_file_of_holidays() {
  let found = read_ics(HOLIDAYS, &parse_time_zone("America/New_York").unwrap()).unwrap();
  let rules: Vec<String> = found.rules.iter().map(ToString::to_string).collect();
  assert_eq!(
    rules,
    [
      "12-25..12-26",
      "05-MONL",
      "2026-07-01T06:00:00Z..2026-07-01T10:00:00Z",
      "2026-01-01",
      "2027-01-01",
      "2028-01-01",
      "2026-08-01T10:00:00Z..2026-08-01T12:00:00Z",
    ]
  );
  assert_eq!(
    found.left_out,
    ["every week: only events of every year can be rules", "no date: it has no begin"]
  );
}

#[test]
fn files_that_are_none() {
  for bad in ["", "<html>", "BEGIN:VEVENT\n"] {
    assert_eq!(read_ics(bad, &TimeZone::UTC).unwrap_err().code, "calendar.ics", "{bad}");
  }
  let large = format!("BEGIN:VCALENDAR\n{}", " ".repeat(5 << 20));
  assert_eq!(read_ics(&large, &TimeZone::UTC).unwrap_err().code, "calendar.ics");
  assert_eq!(read_ics("BEGIN:VCALENDAR\n", &TimeZone::UTC).unwrap(), Default::default());
}
