//! The search over wall-clock time, in no zone: seconds since 1970 as a clock on the wall shows
//! them. Fields are bit sets, so a step is a shift and a count of zeros.

use super::civil::{CYCLE_YEARS, DAY_SECS, date_of, day_number, month_length, weekday};
use super::expression::CronExpression;

impl CronExpression {
  /// The first matching wall second at or after `from`.
  #[inline]
  pub(super) fn wall_at_or_after(&self, from: i64) -> Option<i64> {
    let (day, second) = (from.div_euclid(DAY_SECS), from.rem_euclid(DAY_SECS) as u32);
    let mut found = self.day_at_or_after(day)?;
    if found == day {
      if let Some(second) = self.time_at_or_after(second) {
        return Some(day * DAY_SECS + i64::from(second));
      }
      found = self.day_at_or_after(day + 1)?;
    }
    Some(found * DAY_SECS + i64::from(self.first_time()))
  }

  /// The last matching wall second at or before `to`.
  #[inline]
  pub(super) fn wall_at_or_before(&self, to: i64) -> Option<i64> {
    let (day, second) = (to.div_euclid(DAY_SECS), to.rem_euclid(DAY_SECS) as u32);
    let mut found = self.day_at_or_before(day)?;
    if found == day {
      if let Some(second) = self.time_at_or_before(second) {
        return Some(day * DAY_SECS + i64::from(second));
      }
      found = self.day_at_or_before(day - 1)?;
    }
    Some(found * DAY_SECS + i64::from(self.last_time()))
  }

  /// The first matching second of a matching day.
  pub(super) fn first_time(&self) -> u32 {
    let first = |bits: u64| bits.trailing_zeros();
    first(self.hours.into()) * 3600 + first(self.minutes) * 60 + first(self.seconds)
  }

  /// The last one.
  fn last_time(&self) -> u32 {
    highest(self.hours.into()) * 3600 + highest(self.minutes) * 60 + highest(self.seconds)
  }

  #[inline]
  fn time_at_or_after(&self, second: u32) -> Option<u32> {
    let (hour, minute) = (second / 3600, second / 60 % 60);
    if self.hours >> hour & 1 == 1 {
      let left = self.seconds >> (second % 60);
      if self.minutes >> minute & 1 == 1 && left != 0 {
        return Some(second + left.trailing_zeros());
      }
      let left = self.minutes & (u64::MAX << (minute + 1));
      if left != 0 {
        return Some(hour * 3600 + left.trailing_zeros() * 60 + self.seconds.trailing_zeros());
      }
    }
    let left = self.hours & (u32::MAX << (hour + 1));
    let (minute, second) = (self.minutes.trailing_zeros(), self.seconds.trailing_zeros());
    (left != 0).then(|| left.trailing_zeros() * 3600 + minute * 60 + second)
  }

  #[inline]
  fn time_at_or_before(&self, second: u32) -> Option<u32> {
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let up_to = |bits: u64, last: u32| bits & (u64::MAX >> (63 - last));
    let below = |bits: u64, value: u32| bits & !(u64::MAX << value);
    if self.hours >> hour & 1 == 1 {
      let left = up_to(self.seconds, second % 60);
      if self.minutes >> minute & 1 == 1 && left != 0 {
        return Some(second / 60 * 60 + highest(left));
      }
      let left = below(self.minutes, minute);
      if left != 0 {
        return Some(hour * 3600 + highest(left) * 60 + highest(self.seconds));
      }
    }
    let left = below(self.hours.into(), hour);
    (left != 0).then(|| highest(left) * 3600 + highest(self.minutes) * 60 + highest(self.seconds))
  }

  /// The first matching day at or after a day. Walks over months, one calendar cycle at most.
  #[inline]
  pub(super) fn day_at_or_after(&self, day: i64) -> Option<i64> {
    if self.every_day { Some(day) } else { self.searched_day_after(day) }
  }

  fn searched_day_after(&self, day: i64) -> Option<i64> {
    let (mut year, mut month, of_month) = date_of(day);
    let last_year = year + CYCLE_YEARS;
    let mut first = day + 1 - i64::from(of_month);
    let mut floor = u32::MAX << (of_month - 1);
    let mut listed = self.year_from(year)?;
    loop {
      if listed > year {
        (year, month, floor) = (listed, 1, u32::MAX);
        first = day_number(year, 1, 1);
      }
      let length = month_length(year, month);
      if self.months >> month & 1 == 1 {
        let days = self.masks[length as usize - 28][weekday(first)] & floor;
        if days != 0 {
          return Some(first + i64::from(days.trailing_zeros()));
        }
      }
      (first, floor, month) = (first + i64::from(length), u32::MAX, month + 1);
      if month > 12 {
        (year, month) = (year + 1, 1);
        if year > last_year {
          return None;
        }
        listed = self.year_from(year)?;
      }
    }
  }

  /// The last matching day at or before a day.
  fn day_at_or_before(&self, day: i64) -> Option<i64> {
    if self.every_day {
      return Some(day);
    }
    let (mut year, mut month, of_month) = date_of(day);
    let first_year = year - CYCLE_YEARS;
    let mut first = day + 1 - i64::from(of_month);
    let mut ceiling = u32::MAX >> (32 - of_month);
    let mut listed = self.year_to(year)?;
    loop {
      if listed < year {
        (year, month, ceiling) = (listed, 12, u32::MAX);
        first = day_number(year, 12, 1);
      }
      if self.months >> month & 1 == 1 {
        let length = month_length(year, month);
        let days = self.masks[length as usize - 28][weekday(first)] & ceiling;
        if days != 0 {
          return Some(first + i64::from(31 - days.leading_zeros()));
        }
      }
      (ceiling, month) = (u32::MAX, month - 1);
      if month == 0 {
        (year, month) = (year - 1, 12);
        if year < first_year {
          return None;
        }
        listed = self.year_to(year)?;
      }
      first -= i64::from(month_length(year, month));
    }
  }

  /// The first listed year not before this one.
  fn year_from(&self, year: i32) -> Option<i32> {
    match &self.years {
      None => Some(year),
      Some(years) => {
        years.get(years.partition_point(|y| i32::from(*y) < year)).map(|y| (*y).into())
      }
    }
  }

  /// The last listed year not after this one.
  fn year_to(&self, year: i32) -> Option<i32> {
    match &self.years {
      None => Some(year),
      Some(years) => {
        let after = years.partition_point(|y| i32::from(*y) <= year);
        Some(years[after.checked_sub(1)?].into())
      }
    }
  }
}

/// The position of the highest set bit.
fn highest(bits: u64) -> u32 {
  63 - bits.leading_zeros()
}
