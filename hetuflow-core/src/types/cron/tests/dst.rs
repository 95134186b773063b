//! Named cases of daylight saving time.

use super::{super::CronZone, fires, parse, ts};

/// The note of the first fire after an instant.
fn note(text: &str, zone: &str, after: &str) -> Option<String> {
  let zone = CronZone::named(zone).unwrap();
  parse(text).next_after(ts(after), &zone).unwrap().note.map(|note| note.to_string())
}

/// TERMINAL B7: the example of `schedule next`.
#[test]
fn fixed_time_in_a_gap_fires_once_after_it() {
  assert_eq!(
    fires("30 2 * * *", "Europe/Berlin", "2026-03-27T23:00:00Z", 3),
    [
      "Sat 2026-03-28 02:30:00 +01:00",
      "Sun 2026-03-29 03:00:00 +02:00",
      "Mon 2026-03-30 02:30:00 +02:00"
    ]
  );
  assert_eq!(
    note("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z").unwrap(),
    "02:30 does not exist that night (clocks go forward): fires at 03:00"
  );
  assert_eq!(note("30 2 * * *", "Europe/Berlin", "2026-03-27T23:00:00Z"), None);
}

#[test]
fn times_in_a_gap_collapse_with_each_other_and_with_its_end() {
  assert_eq!(
    fires("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
    [
      "Sun 2026-03-29 03:00:00 +02:00",
      "Sun 2026-03-29 03:30:00 +02:00",
      "Mon 2026-03-30 02:00:00 +02:00"
    ]
  );
  assert_eq!(
    note("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z").unwrap(),
    "02:00 and other times before 03:00 do not exist that night \
     (clocks go forward): fires once at 03:00"
  );
  let collapsed = fires("1/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
  assert_eq!(collapsed, ["Sun 2026-03-29 03:00:00 +02:00", "Mon 2026-03-30 02:01:00 +02:00"]);
}

#[test]
fn wall_pattern_skips_a_gap_and_runs_both_copies() {
  assert_eq!(
    fires("1/15 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 3),
    [
      "Sun 2026-03-29 01:31:00 +01:00",
      "Sun 2026-03-29 01:46:00 +01:00",
      "Sun 2026-03-29 03:01:00 +02:00"
    ]
  );
  assert_eq!(
    fires("1/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 5),
    [
      "Sun 2026-10-25 02:01:00 +02:00",
      "Sun 2026-10-25 02:31:00 +02:00",
      "Sun 2026-10-25 02:01:00 +01:00",
      "Sun 2026-10-25 02:31:00 +01:00",
      "Sun 2026-10-25 03:01:00 +01:00"
    ]
  );
  let again = note("1/30 * * * *", "Europe/Berlin", "2026-10-25T00:40:00Z").unwrap();
  assert_eq!(again, "second pass of a repeated time (clocks go back)");
  assert_eq!(fires("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 4).len(), 4);
}

#[test]
fn a_gap_may_hold_every_fire_of_a_wall_pattern() {
  let found = fires("* 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00:00Z", 1);
  assert_eq!(found, ["Mon 2027-03-29 02:00:00 +02:00"]);
}

#[test]
fn fixed_time_in_a_repeated_hour_fires_at_its_first_copy() {
  let expected = ["Sun 2026-10-25 02:30:00 +02:00", "Mon 2026-10-26 02:30:00 +01:00"];
  assert_eq!(fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2), expected);
  // Started inside the second copy, before and after 02:30: nothing is left that night.
  for after in ["2026-10-25T01:00:00Z", "2026-10-25T01:29:59.5Z", "2026-10-25T01:45:00Z"] {
    assert_eq!(fires("30 2 * * *", "Europe/Berlin", after, 1), expected[1..], "{after}");
  }
  assert_eq!(
    note("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z").unwrap(),
    "02:30 happens twice that night (clocks go back): fires the first time"
  );
}

#[test]
fn half_hour_zone() {
  assert_eq!(
    fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
    ["Sun 2026-10-04 02:30:00 +11:00", "Mon 2026-10-05 02:15:00 +11:00"]
  );
  assert_eq!(
    fires("45 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", 3),
    [
      "Sun 2026-04-05 01:45:00 +11:00",
      "Sun 2026-04-05 01:45:00 +10:30",
      "Sun 2026-04-05 02:45:00 +10:30"
    ]
  );
}

#[test]
fn gap_at_midnight_and_a_whole_missing_day() {
  let beirut = fires("0 0 29 3 *", "Asia/Beirut", "2026-01-01T00:00:00Z", 2);
  assert_eq!(beirut, ["Sun 2026-03-29 01:00:00 +03:00", "Mon 2027-03-29 00:00:00 +03:00"]);
  assert_eq!(
    fires("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 3),
    [
      "Sat 2011-12-31 00:00:00 +14:00",
      "Sat 2011-12-31 12:00:00 +14:00",
      "Sun 2012-01-01 12:00:00 +14:00"
    ]
  );
  assert_eq!(
    note("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z").unwrap(),
    "12:00 on 2011-12-30 does not exist (clocks go forward): fires at 00:00 on 2011-12-31"
  );
}

#[test]
fn seconds_in_gap_and_overlap() {
  let gap = fires("*/20 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
  assert_eq!(gap, ["Sun 2026-03-29 03:00:00 +02:00", "Mon 2026-03-30 02:30:00 +02:00"]);
  let found = fires("*/20 30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:20Z", 2);
  assert_eq!(found, ["Sun 2026-10-25 02:30:40 +02:00", "Mon 2026-10-26 02:30:00 +01:00"]);
}

/// healthchecks#196: what a text means must not depend on the day it is looked at.
#[test]
fn every_start_inside_the_night_agrees() {
  let berlin = CronZone::named("Europe/Berlin").unwrap();
  for text in ["30 2 * * *", "*/10 * * * *", "0 1-4 * * *", "* 2 * * *", "5 5 * * *"] {
    let expression = parse(text);
    for start in ["2026-03-28T22:00:00Z", "2026-10-24T21:00:00Z"] {
      let mut after = ts(start);
      for _ in 0..60 {
        let fire = expression.next_after(after, &berlin).unwrap();
        let middle = after + (fire.at.duration_since(after) / 2);
        assert_eq!(expression.next_after(middle, &berlin).unwrap(), fire, "{text} from {middle}");
        after = fire.at;
      }
    }
  }
}
