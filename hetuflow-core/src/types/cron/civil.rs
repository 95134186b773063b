//! Days and dates as whole numbers, in the proleptic Gregorian calendar; no zone, no allocation.

/// Seconds of a day.
pub(super) const DAY_SECS: i64 = 86_400;

/// Days and years repeat after this many years.
pub(super) const CYCLE_YEARS: i32 = 400;

/// Days of that cycle: whole weeks, so that weekdays repeat too.
pub(super) const CYCLE_DAYS: i64 = 146_097;

/// Days from 1970-01-01 to a date. Years begin in March here, so that the leap day is the last.
pub(super) fn day_number(year: i32, month: u32, day: u32) -> i64 {
  let year = i64::from(year) - i64::from(month <= 2);
  let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
  let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
  cycle * CYCLE_DAYS + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
}

/// The date of a day number: year, month, day.
pub(super) fn date_of(number: i64) -> (i32, u32, u32) {
  let days = number + 719_468;
  let (cycle, of_cycle) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS) as u32);
  let leaps = of_cycle / 1_460 + of_cycle / 146_096;
  let year = (of_cycle - leaps + of_cycle / 36_524) / 365;
  let of_year = of_cycle - (365 * year + year / 4 - year / 100);
  let month = (5 * of_year + 2) / 153;
  let day = of_year - (153 * month + 2) / 5 + 1;
  let month = if month < 10 { month + 3 } else { month - 9 };
  (cycle as i32 * 400 + year as i32 + i32::from(month <= 2), month, day)
}

/// Days of a month.
pub(super) fn month_length(year: i32, month: u32) -> u32 {
  match month {
    2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
    2 => 28,
    // The months with 31 days are odd to July and even from August.
    _ => 30 + ((month + month / 8) & 1),
  }
}

/// The weekday of a day number, Sunday is 0. The first day of 1970 was a Thursday.
pub(super) fn weekday(number: i64) -> usize {
  (number + 4).rem_euclid(7) as usize
}

#[cfg(test)]
mod tests {
  use jiff::civil::{Date, date};

  use super::*;

  /// Every date of the calendar cycle and some at the ends of time, against jiff.
  #[test]
  fn dates_agree_with_jiff() {
    let check = |day: Date| {
      let (year, month) = (i32::from(day.year()), day.month().unsigned_abs().into());
      let number = day_number(year, month, day.day().unsigned_abs().into());
      let days = (day - date(1970, 1, 1)).get_days();
      assert_eq!(number, i64::from(days), "{day}");
      assert_eq!(date_of(number), (year, month, day.day().unsigned_abs().into()), "{day}");
      assert_eq!(weekday(number), day.weekday().to_sunday_zero_offset() as usize, "{day}");
      assert_eq!(month_length(year, month), u32::from(day.days_in_month().unsigned_abs()), "{day}");
    };
    let mut day = date(1900, 1, 1);
    while day.year() < 2310 {
      check(day);
      day = day.tomorrow().unwrap();
    }
    for (year, month, last) in [(-9999, 1, 1), (-1, 2, 28), (0, 2, 29), (0, 3, 1), (9999, 12, 31)] {
      check(date(year, month, last));
    }
  }
}
