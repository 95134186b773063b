//! When another scheduler fires, by its own rules: a plain walk over days and wall-clock times.
//!
//! This is written apart from our cron engine and shares nothing with it, so that a comparison of
//! the two proves something.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// Nothing is looked for after this year.
const LAST_YEAR: i16 = 2200;
/// Debian cron makes up for jumps of the clock up to this long.
const CRON_JUMP_SECS: i32 = 3 * 3600;

/// What a scheduler does where the clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
  /// Looks at the wall clock every minute: nothing in a gap, twice in a repeated hour
  /// (Kubernetes, Cronicle, Debian cron with `*` in minute or hour).
  EveryMinute,
  /// Debian cron, fixed times: those of a gap all run right after it, a repeated time once.
  CronFixed,
  /// systemd: nothing in a gap, a repeated time once, the first time.
  Systemd,
}

/// Days that count.
pub type DayRule = Box<dyn Fn(Date) -> bool + Send + Sync>;

/// Wall-clock times and days.
pub struct Pattern {
  /// Hours, sorted.
  pub hours: Vec<i8>,
  /// Minutes, sorted.
  pub minutes: Vec<i8>,
  /// Seconds, sorted.
  pub seconds: Vec<i8>,
  /// Days.
  pub days: DayRule,
  /// What happens where the clocks change.
  pub clocks: Clocks,
}

impl std::fmt::Debug for Pattern {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.debug_struct("Pattern")
      .field("hours", &self.hours)
      .field("minutes", &self.minutes)
      .field("seconds", &self.seconds)
      .field("clocks", &self.clocks)
      .finish_non_exhaustive()
  }
}

impl Pattern {
  /// The next fires strictly after an instant; an instant stands as often as it fires.
  pub fn fires(&self, after: Timestamp, zone: &TimeZone, count: usize) -> Vec<Timestamp> {
    let mut fires = Vec::new();
    // A day before: a fire of a gap at midnight belongs to the day that it was meant for.
    let mut date = after.to_zoned(zone.clone()).date().yesterday().unwrap_or(Date::MIN);
    while fires.len() < count && date.year() <= LAST_YEAR {
      if (self.days)(date) {
        let mut day = self.of_day(date, zone);
        day.retain(|at| *at > after);
        day.sort_unstable();
        fires.extend(day);
      }
      let Ok(next) = date.tomorrow() else { break };
      date = next;
    }
    fires.truncate(count);
    fires
  }

  fn of_day(&self, date: Date, zone: &TimeZone) -> Vec<Timestamp> {
    let mut fires = Vec::new();
    for hour in &self.hours {
      for minute in &self.minutes {
        for second in &self.seconds {
          self.instants(date.at(*hour, *minute, *second, 0), zone, &mut fires);
        }
      }
    }
    fires
  }

  fn instants(&self, wall: DateTime, zone: &TimeZone, fires: &mut Vec<Timestamp>) {
    match (zone.to_ambiguous_timestamp(wall).offset(), self.clocks) {
      (AmbiguousOffset::Unambiguous { offset }, _) => fires.extend(offset.to_timestamp(wall).ok()),
      (AmbiguousOffset::Fold { before, after }, Clocks::EveryMinute) => {
        fires.extend([before, after].iter().filter_map(|one| one.to_timestamp(wall).ok()));
      }
      (AmbiguousOffset::Fold { before, .. }, _) => fires.extend(before.to_timestamp(wall).ok()),
      (AmbiguousOffset::Gap { before, after }, Clocks::CronFixed) => {
        if after.seconds() - before.seconds() < CRON_JUMP_SECS {
          fires.extend(end_of_gap(wall, (before, after), zone));
        }
      }
      (AmbiguousOffset::Gap { .. }, _) => {}
    }
  }
}

/// The instant at which the clocks jump over a wall-clock time, by halving.
fn end_of_gap(
  wall: DateTime,
  (before, after): (Offset, Offset),
  zone: &TimeZone,
) -> Option<Timestamp> {
  let mut early = after.to_timestamp(wall).ok()?.as_second();
  let mut late = before.to_timestamp(wall).ok()?.as_second();
  while late - early > 1 {
    let middle = early + (late - early) / 2;
    if zone.to_offset(Timestamp::from_second(middle).ok()?) == after {
      late = middle;
    } else {
      early = middle;
    }
  }
  Timestamp::from_second(late).ok()
}

#[cfg(test)]
mod tests {
  use super::*;

  fn told(pattern: &Pattern, after: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let fires = pattern.fires(after.parse().expect("an instant"), &zone, count);
    fires.iter().map(|at| at.strftime("%m-%dT%H:%MZ").to_string()).collect()
  }

  fn daily(hours: Vec<i8>, minutes: Vec<i8>, clocks: Clocks) -> Pattern {
    Pattern { hours, minutes, seconds: vec![0], days: Box::new(|_| true), clocks }
  }

  /// As cron(8) of Debian describes it.
  #[test]
  fn cron_makes_up_for_a_gap_and_does_not_repeat() {
    let pattern = daily(vec![2], vec![0, 30], Clocks::CronFixed);
    let spring = told(&pattern, "2026-03-28T12:00:00Z", 3);
    assert_eq!(spring, ["03-29T01:00Z", "03-29T01:00Z", "03-30T00:00Z"]);
    let autumn = told(&pattern, "2026-10-24T12:00:00Z", 3);
    assert_eq!(autumn, ["10-25T00:00Z", "10-25T00:30Z", "10-26T01:00Z"]);
  }

  /// As `systemd-analyze calendar --iterations` of systemd 252 prints it.
  #[test]
  fn systemd_leaves_gaps_out_and_does_not_repeat() {
    let night = daily(vec![2], vec![30], Clocks::Systemd);
    let spring = told(&night, "2026-03-28T11:00:00Z", 2);
    assert_eq!(spring, ["03-30T00:30Z", "03-31T00:30Z"]);
    let autumn = told(&night, "2026-10-24T12:00:00Z", 2);
    assert_eq!(autumn, ["10-25T00:30Z", "10-26T01:30Z"]);
    let often = daily((0..24).collect(), vec![0, 20, 40], Clocks::Systemd);
    let autumn = told(&often, "2026-10-24T23:40:00Z", 5);
    assert_eq!(
      autumn,
      ["10-25T00:00Z", "10-25T00:20Z", "10-25T00:40Z", "10-25T02:00Z", "10-25T02:20Z"]
    );
  }

  #[test]
  fn a_look_at_every_minute_repeats() {
    let pattern = daily(vec![2], vec![30], Clocks::EveryMinute);
    assert_eq!(told(&pattern, "2026-10-24T12:00:00Z", 2), ["10-25T00:30Z", "10-25T01:30Z"]);
    assert_eq!(told(&pattern, "2026-03-28T12:00:00Z", 1), ["03-30T00:30Z"]);
  }
}
