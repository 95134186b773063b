//! Days of a year: which dates a rule of days means.

use jiff::civil::{Date, Weekday};

/// A day of every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct YearDay {
  pub month: i8,
  pub day: i8,
}

impl YearDay {
  /// The day of a date.
  pub fn of(date: Date) -> Self {
    Self { month: date.month(), day: date.day() }
  }

  /// Whether it exists in some year.
  pub fn is_real(self) -> bool {
    Date::new(2000, self.month, self.day).is_ok()
  }
}

/// Whether a day lies between two days of the year, around its end when the first is the later.
pub(super) fn between(day: YearDay, (first, last): (YearDay, YearDay)) -> bool {
  if first <= last { first <= day && day <= last } else { day >= first || day <= last }
}

/// Whether a date is the n-th such weekday of its month; 0 is the last.
pub(super) fn is_nth(date: Date, (weekday, nth): (Weekday, i8)) -> bool {
  date.weekday() == weekday
    && match nth {
      0 => date.day() + 7 > date.days_in_month(),
      _ => (date.day() + 6) / 7 == nth,
    }
}

/// Easter Sunday of the western churches: the Sunday after the full moon of the calendar's own moon
/// that comes on or after 21 March.
pub(super) fn easter(year: i16) -> Option<Date> {
  let (y, golden) = (i32::from(year), i32::from(year) % 19);
  let century = y / 100;
  // How far the moon has run ahead of the years, corrected each 300 and 400 years.
  let lag = century - century / 4 - (8 * century + 13) / 25;
  let epact = (19 * golden + lag + 15) % 30;
  // Two full moons of a cycle may not fall on the same late day.
  let moon = epact - i32::from(epact == 29 || (epact == 28 && golden > 10));
  let sunday = (y + y / 4 + moon + 2 - century + century / 4).rem_euclid(7);
  let after_march = 28 + moon - sunday;
  let first = Date::new(year, 3, 1).ok()?;
  first.checked_add(jiff::Span::new().days(after_march - 1)).ok()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn easter_sundays() {
    for (year, day) in [
      (1961, "1961-04-02"),
      (1981, "1981-04-19"),
      (2000, "2000-04-23"),
      (2008, "2008-03-23"),
      (2011, "2011-04-24"),
      (2019, "2019-04-21"),
      (2024, "2024-03-31"),
      (2025, "2025-04-20"),
      (2026, "2026-04-05"),
      (2027, "2027-03-28"),
      (2038, "2038-04-25"),
      (2049, "2049-04-18"),
      (2285, "2285-03-22"),
    ] {
      assert_eq!(easter(year), day.parse().ok(), "{year}");
    }
    for year in 1600..4000 {
      let sunday = easter(year).unwrap();
      assert_eq!(sunday.weekday(), Weekday::Sunday, "{year}");
      let (first, last) = (YearDay { month: 3, day: 22 }, YearDay { month: 4, day: 25 });
      assert!(between(YearDay::of(sunday), (first, last)), "{sunday}");
    }
  }
}
