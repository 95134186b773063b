//! Named cases: what an expression means, zone apart.

use std::time::Instant;

use super::{fires, parse, ts};

/// Dates of the next midnight fires in UTC.
fn dates(text: &str, after: &str, count: usize) -> Vec<String> {
  let found = fires(text, "UTC", after, count);
  found.iter().map(|fire| fire[..14].to_owned()).collect()
}

#[test]
fn leap_day() {
  let found = dates("0 0 29 2 *", "2026-01-01T00:00:00Z", 2);
  assert_eq!(found, ["Tue 2028-02-29", "Sun 2032-02-29"]);
  assert_eq!(dates("0 0 29 2 *", "2096-03-01T00:00:00Z", 1), ["Fri 2104-02-29"]);
  let and = dates("0 0 29 2 */7", "2026-01-01T00:00:00Z", 2);
  assert_eq!(and, ["Sun 2032-02-29", "Sun 2060-02-29"], "29 February and Sunday");
}

#[test]
fn nth_and_last() {
  let found = dates("0 0 * * FRI#5", "2026-01-01T00:00:00Z", 3);
  assert_eq!(found, ["Fri 2026-01-30", "Fri 2026-05-29", "Fri 2026-07-31"]);
  assert_eq!(dates("0 0 * * 7#2", "2026-01-01T00:00:00Z", 1), ["Sun 2026-01-11"]);
  assert_eq!(dates("0 0 * * 5L", "2026-02-01T00:00:00Z", 2), ["Fri 2026-02-27", "Fri 2026-03-27"]);
  assert_eq!(dates("0 0 * * sunL", "2026-02-01T00:00:00Z", 1), ["Sun 2026-02-22"]);
  assert_eq!(dates("0 0 L * *", "2028-02-01T00:00:00Z", 2), ["Tue 2028-02-29", "Fri 2028-03-31"]);
}

#[test]
fn nearest_working_day_stays_in_the_month() {
  assert_eq!(dates("0 0 LW * *", "2026-05-01T00:00:00Z", 2), ["Fri 2026-05-29", "Tue 2026-06-30"]);
  assert_eq!(dates("0 0 15W * *", "2026-08-01T00:00:00Z", 2), ["Fri 2026-08-14", "Tue 2026-09-15"]);
  assert_eq!(dates("0 0 1W * *", "2026-07-31T00:00:00Z", 1), ["Mon 2026-08-03"]);
  assert_eq!(dates("0 0 31W 5 *", "2026-05-01T00:00:00Z", 1), ["Fri 2026-05-29"]);
  assert_eq!(dates("0 0 31W * *", "2026-06-01T00:00:00Z", 1), ["Fri 2026-07-31"], "no 31 June");
}

#[test]
fn day_or_weekday_unless_one_starts_with_a_star() {
  let or = dates("0 0 2 * MON", "2026-06-30T00:00:00Z", 4);
  assert_eq!(or, ["Thu 2026-07-02", "Mon 2026-07-06", "Mon 2026-07-13", "Mon 2026-07-20"]);
  let and = dates("0 0 */2 * MON", "2026-06-30T00:00:00Z", 3);
  assert_eq!(and, ["Mon 2026-07-13", "Mon 2026-07-27", "Mon 2026-08-03"]);
  let and = dates("0 0 13 * */5", "2026-06-30T00:00:00Z", 2);
  assert_eq!(and, ["Sun 2026-09-13", "Fri 2026-11-13"], "*/5 is Sunday and Friday");
  let question = dates("0 0 ? * MON", "2026-06-30T00:00:00Z", 2);
  assert_eq!(question, ["Mon 2026-07-06", "Mon 2026-07-13"], "? restricts nothing");
  let star_first = dates("0 0 1,*/2 * MON", "2026-07-01T00:00:00Z", 2);
  assert_eq!(star_first, ["Fri 2026-07-03", "Sun 2026-07-05"], "starts with 1: OR");
}

#[test]
fn sunday_is_zero_and_seven() {
  for text in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 * * sun"] {
    assert_eq!(dates(text, "2026-07-01T00:00:00Z", 1), ["Sun 2026-07-05"], "{text}");
  }
  let weekend = dates("0 0 * * FRI-SUN", "2026-07-01T00:00:00Z", 4);
  assert_eq!(weekend, ["Fri 2026-07-03", "Sat 2026-07-04", "Sun 2026-07-05", "Fri 2026-07-10"]);
  assert_eq!(dates("0 0 * * 5-7", "2026-07-01T00:00:00Z", 4), weekend);
}

#[test]
fn steps_and_ranges() {
  let minutes = |text: &str, count| -> Vec<String> {
    let found = fires(text, "UTC", "2026-07-01T00:00:00Z", count);
    found.iter().map(|fire| fire[15..23].to_owned()).collect()
  };
  assert_eq!(
    minutes("1/15 * * * *", 5),
    ["00:01:00", "00:16:00", "00:31:00", "00:46:00", "01:01:00"]
  );
  assert_eq!(minutes("7-7/3 * * * *", 2), ["00:07:00", "01:07:00"], "a-a/k is a");
  assert_eq!(minutes("*/90 * * * *", 2), ["01:00:00", "02:00:00"], "only the first value remains");
  assert_eq!(minutes("*/20 * * * * *", 3), ["00:00:20", "00:00:40", "00:01:00"]);
  assert_eq!(minutes("59 59 23 * * *", 1), ["23:59:59"]);
}

#[test]
fn years_end() {
  let found = dates("0 0 0 1 1 ? 2027,2030", "2026-07-01T00:00:00Z", 9);
  assert_eq!(found, ["Fri 2027-01-01", "Tue 2030-01-01"]);
  assert!(dates("0 0 0 1 1 ? 2020", "2026-07-01T00:00:00Z", 1).is_empty());
  assert!(dates("0 0 * * *", "9999-12-30T12:00:00Z", 1).len() <= 1, "the end of time is no panic");
}

#[test]
fn hash_values_stay_inside_their_range_and_never_move() {
  let hourly = |seed| super::CronExpression::parse("H * * * *", seed).unwrap().describe();
  let spread: std::collections::BTreeSet<_> = (0..200).map(hourly).collect();
  assert!(spread.len() > 45, "{} different minutes", spread.len());
  // Stored schedules depend on these values: a change here moves every user's H schedules.
  assert_eq!(parse("H H * * *").describe(), parse("~ ~ * * *").describe());
  for (text, phrase) in [
    ("H H * * *", "every day at 02:36"),
    ("H(0-29) 9 * * *", "every day at 09:06"),
    ("10~12 9 * * *", "every day at 09:10"),
    ("H/15 9 * * *", "every day at 09:06, 09:21, 09:36 and 09:51"),
    ("0 9 H * *", "on the 8th of the month at 09:00"),
    ("0 9 * * H", "every Tuesday at 09:00"),
  ] {
    assert_eq!(parse(text).describe(), phrase, "{text}");
  }
  for seed in 0..500 {
    let parse = |text| super::CronExpression::parse(text, seed).unwrap();
    assert!(parse("0 0 H * *").days.days < 1 << 28, "every month has this day");
    assert!(parse("0 0 H 2 *").months == 1 << 2);
    assert!(parse("50~ * * * *").minutes >= 1 << 50);
    assert_eq!(parse("H/15 * * * *").minutes.count_ones(), 4);
    assert!(parse("H,H * * * *").minutes.count_ones() <= 2);
  }
}

#[test]
fn fields_and_text_are_shown_as_written() {
  let shown = |text: &str| {
    let fields = parse(text).fields();
    fields.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
  };
  assert_eq!(shown("30 2 * jan-mar MON"), "minute=30 hour=2 day=* month=jan-mar weekday=MON");
  assert_eq!(
    shown("\t0  0 12 * * ? 2030 "),
    "second=0 minute=0 hour=12 day=* month=* weekday=? year=2030"
  );
  assert_eq!(shown("@weekly"), "minute=0 hour=0 day=* month=* weekday=0");
  assert_eq!(parse(" 30 2 * * * ").to_string(), "30 2 * * *");
}

/// The worst expressions stay bounded: whole cycles without a match.
#[test]
fn the_worst_search_is_short() {
  let zone = super::CronZone::named("America/New_York").unwrap();
  for text in ["* 2 ? 3 SUN#2", "0 0 29 2 */7", "59 59 23 31 12 ? 2099", "0 0 29W 2 SUN#5"] {
    let started = Instant::now();
    parse(text).next_after(ts("2026-01-01T00:00:00Z"), &zone);
    assert!(started.elapsed().as_millis() < 200, "{text}: {:?}", started.elapsed());
  }
  assert_eq!(parse("* 2 ? 3 SUN#2").next_after(ts("2040-01-01T00:00:00Z"), &zone), None);
}
