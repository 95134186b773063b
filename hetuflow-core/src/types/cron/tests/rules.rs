//! `dst_gap` and `dst_overlap`: each value, named.

use super::{super::CronZone, parse, ts};
use crate::types::{DstGap, DstOverlap};

/// Local times and notes of the next fires.
fn told(text: &str, dst: (DstGap, DstOverlap), after: &str, count: usize) -> Vec<String> {
  let (expression, zone) =
    (parse(text).with_dst(dst.0, dst.1), CronZone::named("Europe/Berlin").unwrap());
  let fires: Vec<_> = expression.fires_after(ts(after), &zone).take(count).collect();
  let line = |fire: &super::super::CronFire| {
    let note = fire.note.map(|note| format!(" | {note}")).unwrap_or_default();
    format!("{}{note}", zone.local(fire.at).strftime("%d %H:%M %:z"))
  };
  fires.iter().map(line).collect()
}

#[test]
fn each_value_for_a_gap() {
  let gap = |gap, text, count| told(text, (gap, DstOverlap::Auto), "2026-03-28T12:00:00Z", count);
  assert_eq!(
    gap(DstGap::Next, "30 2 * * *", 2),
    [
      "29 03:00 +02:00 | 02:30 does not exist that night (clocks go forward): fires at 03:00",
      "30 02:30 +02:00"
    ]
  );
  assert_eq!(
    gap(DstGap::Skip, "30 2 * * *", 2),
    [
      "30 02:30 +02:00 | 02:30 on 2026-03-29 does not exist (clocks go forward): skipped",
      "31 02:30 +02:00"
    ]
  );
  assert_eq!(
    gap(DstGap::Shift, "30 2 * * *", 2),
    [
      "29 03:30 +02:00 | 02:30 does not exist that night (clocks go forward): fires at 03:30",
      "30 02:30 +02:00"
    ]
  );
  // Shifted times mix with those that exist, and become one with them.
  assert_eq!(
    gap(DstGap::Shift, "15,45 2,3 * * *", 3),
    [
      "29 03:15 +02:00 | 02:15 does not exist that night (clocks go forward): fires at 03:15",
      "29 03:45 +02:00 | 02:45 does not exist that night (clocks go forward): fires at 03:45",
      "30 02:15 +02:00"
    ]
  );
  // A pattern skips the gap by its text, and obeys when it is told otherwise.
  let pattern = told("*/30 2 * * *", (DstGap::Auto, DstOverlap::Auto), "2026-03-28T12:00:00Z", 1);
  assert_eq!(pattern, ["30 02:00 +02:00"]);
  assert_eq!(gap(DstGap::Shift, "*/30 2 * * *", 2).len(), 2);
  assert!(gap(DstGap::Next, "*/30 2 * * *", 1)[0].starts_with("29 03:00 +02:00"));
}

/// Half an hour is left out there: 02:10 becomes 02:40, after 02:35, which exists.
#[test]
fn shifted_times_stand_in_order() {
  let zone = CronZone::named("Australia/Lord_Howe").unwrap();
  let expression = parse("10,35 2 * * *").with_dst(DstGap::Shift, DstOverlap::Auto);
  let start = ts("2026-10-03T12:00:00Z");
  let fires: Vec<_> = expression.fires_after(start, &zone).take(3).map(|fire| fire.at).collect();
  let local: Vec<_> =
    fires.iter().map(|at| zone.local(*at).strftime("%d %H:%M").to_string()).collect();
  assert_eq!(local, ["04 02:35", "04 02:40", "05 02:10"]);
  for pair in fires.windows(2) {
    assert_eq!(expression.previous_before(pair[1], &zone).map(|fire| fire.at), Some(pair[0]));
  }
}

#[test]
fn each_value_for_an_overlap() {
  let twice =
    |overlap, text, count| told(text, (DstGap::Auto, overlap), "2026-10-24T12:00:00Z", count);
  assert_eq!(
    twice(DstOverlap::First, "30 2 * * *", 2),
    [
      "25 02:30 +02:00 | 02:30 happens twice that night (clocks go back): fires the first time",
      "26 02:30 +01:00"
    ]
  );
  assert_eq!(
    twice(DstOverlap::Both, "30 2 * * *", 3),
    [
      "25 02:30 +02:00",
      "25 02:30 +01:00 | second pass of a repeated time (clocks go back)",
      "26 02:30 +01:00"
    ]
  );
  assert_eq!(
    twice(DstOverlap::Last, "30 2 * * *", 2),
    [
      "25 02:30 +01:00 | 02:30 happens twice that night (clocks go back): fires the second time",
      "26 02:30 +01:00"
    ]
  );
  let once = twice(DstOverlap::First, "0,30 1-3 * * *", 6);
  let times: Vec<_> = once.iter().map(|line| &line[..15]).collect();
  assert_eq!(
    times,
    [
      "25 01:00 +02:00",
      "25 01:30 +02:00",
      "25 02:00 +02:00",
      "25 02:30 +02:00",
      "25 03:00 +01:00",
      "25 03:30 +01:00"
    ]
  );
}

#[test]
fn the_text_decides_where_nothing_is_said() {
  assert_eq!(parse("30 2 * * *").dst(), (DstGap::Next, DstOverlap::First));
  for pattern in ["* 2 * * *", "30 * * * *", "*/5 2 * * *", "0 30 */2 * * *"] {
    assert_eq!(parse(pattern).dst(), (DstGap::Skip, DstOverlap::Both), "{pattern}");
  }
  // Seconds alone make no pattern.
  assert_eq!(parse("* 30 2 * * *").dst(), (DstGap::Next, DstOverlap::First));
}

#[test]
fn previous_fires_have_the_notes_of_next_ones() {
  let zone = CronZone::named("Europe/Berlin").unwrap();
  for text in ["30 2 * * *", "*/20 * * * *", "0,30 1-4 * * *"] {
    for start in ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"] {
      let expression = parse(text);
      let fires: Vec<_> = expression.fires_after(ts(start), &zone).take(30).collect();
      for pair in fires.windows(2) {
        assert_eq!(expression.previous_before(pair[1].at, &zone), Some(pair[0]), "{text}");
      }
    }
  }
}
