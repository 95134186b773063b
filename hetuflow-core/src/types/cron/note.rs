//! What a change of the clocks did to a fire, for people.

use std::fmt;

use super::civil::{DAY_SECS, date_of};

/// What daylight saving time did to one fire. Times are wall seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockNote {
  /// The time does not exist; it fires at another one.
  Moved {
    /// The first time that does not exist.
    missing: i64,
    /// When it fires instead.
    to: i64,
    /// Other times of the same gap fire there too.
    more: bool,
  },
  /// Before this fire, a time that does not exist was left out.
  Skipped {
    /// That time.
    missing: i64,
  },
  /// The time comes twice, this is the first.
  FirstOfTwo {
    /// The time.
    wall: i64,
  },
  /// The time comes twice, this is the second, and the first did not fire.
  SecondOfTwo {
    /// The time.
    wall: i64,
  },
  /// The time comes twice and fires twice; this is the second.
  SecondPass,
}

impl fmt::Display for ClockNote {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const FORWARD: &str = "(clocks go forward)";
    const BACK: &str = "(clocks go back)";
    match *self {
      Self::Moved { missing, to, more } => {
        let (time, at) = (Clock(missing), Clock(to));
        if missing.div_euclid(DAY_SECS) != to.div_euclid(DAY_SECS) {
          let (on, to_date) = (Day(missing), Day(to));
          return write!(f, "{time} on {on} does not exist {FORWARD}: fires at {at} on {to_date}");
        }
        let day = time.day_or_night();
        if more {
          return write!(
            f,
            "{time} and other times before {at} do not exist that {day} {FORWARD}: \
             fires once at {at}"
          );
        }
        write!(f, "{time} does not exist that {day} {FORWARD}: fires at {at}")
      }
      Self::Skipped { missing } => {
        write!(f, "{} on {} does not exist {FORWARD}: skipped", Clock(missing), Day(missing))
      }
      Self::FirstOfTwo { wall } => {
        let (time, day) = (Clock(wall), Clock(wall).day_or_night());
        write!(f, "{time} happens twice that {day} {BACK}: fires the first time")
      }
      Self::SecondOfTwo { wall } => {
        let (time, day) = (Clock(wall), Clock(wall).day_or_night());
        write!(f, "{time} happens twice that {day} {BACK}: fires the second time")
      }
      Self::SecondPass => write!(f, "second pass of a repeated time {BACK}"),
    }
  }
}

/// `02:30`, with seconds only when there are some.
#[derive(Clone, Copy)]
struct Clock(i64);

impl Clock {
  /// Changes of the clocks mostly happen at night, but not in every zone.
  fn day_or_night(self) -> &'static str {
    let hour = self.0.rem_euclid(DAY_SECS) / 3600;
    if (6..22).contains(&hour) { "day" } else { "night" }
  }
}

impl fmt::Display for Clock {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let second = self.0.rem_euclid(DAY_SECS);
    write!(f, "{:02}:{:02}", second / 3600, second / 60 % 60)?;
    if second % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", second % 60) }
  }
}

/// `2026-03-29`.
#[derive(Clone, Copy)]
struct Day(i64);

impl fmt::Display for Day {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (year, month, day) = date_of(self.0.div_euclid(DAY_SECS));
    write!(f, "{year:04}-{month:02}-{day:02}")
  }
}
