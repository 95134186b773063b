//! Interval schedules: every instant is `anchor + k * interval`.

use jiff::Timestamp;

use super::cron::CronError;

/// Shortest interval: the planner works in whole seconds.
const SECS_MIN: i64 = 1;
/// Longest interval: a leap year. Anything longer is a typing error or a cron expression.
const SECS_MAX: i64 = 366 * 24 * 60 * 60;

const NANOS_PER_SEC: i128 = 1_000_000_000;

/// The first `anchor + k * interval` (k ≥ 0) strictly after an instant.
///
/// Counted from the fixed anchor, never from "now": a restart, a late tick or a long outage
/// neither moves nor spreads later fires. Takes the same time however long ago the anchor is.
/// `None` when the interval is not positive or the instant lies beyond the year 9999.
pub fn next_interval(anchor: Timestamp, interval_secs: i64, after: Timestamp) -> Option<Timestamp> {
  if interval_secs < 1 {
    return None;
  }
  if after < anchor {
    return Some(anchor);
  }
  let interval = i128::from(interval_secs) * NANOS_PER_SEC;
  let (anchor, after) = (anchor.as_nanosecond(), after.as_nanosecond());
  let k = (after - anchor) / interval + 1;
  Timestamp::from_nanosecond(anchor + k * interval).ok()
}

/// The last `anchor + k * interval` (k ≥ 0) strictly before an instant; `None` where there is none.
pub fn previous_interval(
  anchor: Timestamp,
  interval_secs: i64,
  before: Timestamp,
) -> Option<Timestamp> {
  if interval_secs < 1 || before <= anchor {
    return None;
  }
  let interval = i128::from(interval_secs) * NANOS_PER_SEC;
  let (anchor, before) = (anchor.as_nanosecond(), before.as_nanosecond());
  Timestamp::from_nanosecond(anchor + (before - anchor - 1) / interval * interval).ok()
}

/// How many `anchor + k * interval` (k ≥ 0) lie from an instant to another, both included.
pub fn count_intervals(
  anchor: Timestamp,
  interval_secs: i64,
  (first, last): (Timestamp, Timestamp),
) -> u64 {
  if interval_secs < 1 || last < anchor || last < first {
    return 0;
  }
  let interval = i128::from(interval_secs) * NANOS_PER_SEC;
  let anchor = anchor.as_nanosecond();
  // Those up to `last`, without those before `first`.
  let up_to = |at: i128| if at < anchor { 0 } else { (at - anchor) / interval + 1 };
  let count = up_to(last.as_nanosecond()) - up_to(first.as_nanosecond() - 1);
  u64::try_from(count).unwrap_or(0)
}

/// Checks the length of an interval in seconds.
///
/// # Errors
/// `interval.range` outside 1 s … 366 d.
pub fn check_interval(secs: i64) -> Result<(), CronError> {
  if (SECS_MIN..=SECS_MAX).contains(&secs) {
    return Ok(());
  }
  let message = format!("interval {secs} s (allowed 1 s … 366 d)");
  Err(CronError::whole("interval.range", message).hint("whole seconds, from 1 to 31622400"))
}

#[cfg(test)]
mod tests {
  use super::*;

  fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
  }

  #[test]
  fn is_strictly_after_and_on_the_grid() {
    let anchor = ts("2026-01-01T00:00:07Z");
    for (after, expected) in [
      ("2025-06-01T00:00:00Z", "2026-01-01T00:00:07Z"),
      ("2026-01-01T00:00:06.999999999Z", "2026-01-01T00:00:07Z"),
      ("2026-01-01T00:00:07Z", "2026-01-01T00:05:07Z"),
      ("2026-01-01T00:05:06.999999999Z", "2026-01-01T00:05:07Z"),
      ("2026-01-01T00:05:07Z", "2026-01-01T00:10:07Z"),
      ("2036-01-01T00:00:00Z", "2036-01-01T00:00:07Z"),
    ] {
      assert_eq!(next_interval(anchor, 300, ts(after)), Some(ts(expected)), "after {after}");
    }
  }

  #[test]
  fn the_instant_before_is_on_the_grid() {
    let anchor = ts("2026-01-01T00:00:07Z");
    for (before, expected) in [
      ("2026-01-01T00:00:07Z", None),
      ("2026-01-01T00:00:07.000000001Z", Some("2026-01-01T00:00:07Z")),
      ("2026-01-01T00:05:07Z", Some("2026-01-01T00:00:07Z")),
      ("2026-01-01T00:05:08Z", Some("2026-01-01T00:05:07Z")),
      ("2025-01-01T00:00:00Z", None),
    ] {
      assert_eq!(previous_interval(anchor, 300, ts(before)), expected.map(ts), "before {before}");
    }
    for bad in [0, -1, i64::MIN] {
      assert_eq!(previous_interval(anchor, bad, Timestamp::MAX), None);
    }
    assert_eq!(previous_interval(Timestamp::MIN, i64::MAX, Timestamp::MAX), Some(Timestamp::MIN));
  }

  #[test]
  fn counts_both_ends() {
    let anchor = ts("2026-01-01T00:00:07Z");
    for (first, last, expected) in [
      ("2026-01-01T00:00:07Z", "2026-01-01T00:00:07Z", 1),
      ("2026-01-01T00:00:08Z", "2026-01-01T00:05:06Z", 0),
      ("2025-01-01T00:00:00Z", "2026-01-01T00:10:07Z", 3),
      ("2026-01-01T00:05:07Z", "2026-01-01T00:00:07Z", 0),
      ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", 0),
    ] {
      let span = (ts(first), ts(last));
      assert_eq!(count_intervals(anchor, 300, span), expected, "{first} to {last}");
    }
    assert_eq!(count_intervals(anchor, 0, (Timestamp::MIN, Timestamp::MAX)), 0);
    assert_eq!(count_intervals(Timestamp::MIN, i64::MAX, (Timestamp::MIN, Timestamp::MAX)), 1);
  }

  #[test]
  fn extremes_do_not_overflow() {
    let (min, max) = (Timestamp::MIN, Timestamp::MAX);
    assert_eq!(next_interval(min, i64::MAX, min), None);
    assert_eq!(next_interval(min, 1, max), None);
    assert_eq!(next_interval(max, i64::MAX, max), None);
    assert_eq!(next_interval(max, 1, min), Some(max));
    assert!(next_interval(min, 1, ts("2026-01-01T00:00:00Z")).is_some());
    for bad in [0, -5, i64::MIN] {
      assert_eq!(next_interval(min, bad, max), None);
    }
  }

  /// RELIABILITY B020, the rows that survive the JSON number type.
  #[test]
  fn b020_interval_range() {
    for good in [1, 60, 366 * 86_400] {
      assert_eq!(check_interval(good), Ok(()));
    }
    for bad in [0, -5, i64::MIN, i64::MAX, 366 * 86_400 + 1] {
      let error = check_interval(bad).unwrap_err();
      assert_eq!(error.code, "interval.range");
      assert!(error.message.contains("1 s … 366 d"), "{error}");
    }
  }
}
