//! Which days of a month match: one bit mask per month, so that searching days is counting
//! zeros.

use super::item::Items;

/// Matching days for months of 28 to 31 days, whose 1st is a Sunday to a Saturday.
pub(super) type MonthMasks = [[u32; 7]; 4];

/// Every day of the longest month.
const ALL_DAYS: u32 = 0x7FFF_FFFF;
const ALL_WEEKDAYS: u8 = 0x7F;

/// The day and weekday fields together. Bit 0 is day 1; weekday bit 0 is Sunday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DayRule {
  pub days: u32,
  pub nearest: u32,
  pub last_day: bool,
  pub last_workday: bool,
  pub weekdays: u8,
  /// For each weekday, bit k-1 for its k-th time in the month.
  pub nth: [u8; 7],
  pub last_weekdays: u8,
  /// Both fields must match, because one of them starts with `*`.
  pub both: bool,
}

impl DayRule {
  /// Joins the two fields by Debian's rule.
  pub fn new(day: &Items, weekday: &Items) -> Self {
    let mut nth = [0; 7];
    for (weekday, k) in &weekday.nth {
      nth[usize::from(*weekday)] |= 1 << (k - 1);
    }
    Self {
      days: day.bits(1) as u32,
      nearest: day.nearest.iter().fold(0, |bits, d| bits | 1 << (d - 1)),
      last_day: day.last_day,
      last_workday: day.last_workday,
      weekdays: weekday.bits(0) as u8,
      nth,
      last_weekdays: weekday.last_weekdays.iter().fold(0, |bits, d| bits | 1 << d),
      both: day.starts_with_star || weekday.starts_with_star,
    }
  }

  /// The day field lets every day pass.
  pub fn any_day(&self) -> bool {
    self.days == ALL_DAYS
  }

  /// The weekday field lets every day pass.
  pub fn any_weekday(&self) -> bool {
    self.weekdays == ALL_WEEKDAYS
  }

  /// No date is left out.
  pub fn is_every_day(&self) -> bool {
    if self.both {
      self.any_day() && self.any_weekday()
    } else {
      self.any_day() || self.any_weekday()
    }
  }

  /// The matching days of every shape that a month can have, bit 0 for the 1st.
  pub fn month_masks(&self) -> MonthMasks {
    std::array::from_fn(|extra| {
      std::array::from_fn(|start| self.shape_mask(28 + extra as u32, start as u32))
    })
  }

  /// The matching days of a month.
  #[cfg(test)]
  pub fn mask(&self, year: i16, month: i8) -> u32 {
    let first = jiff::civil::Date::constant(year, month, 1);
    let start = first.weekday().to_sunday_zero_offset().unsigned_abs();
    self.shape_mask(first.days_in_month().unsigned_abs().into(), start.into())
  }

  /// The matching days of a month of this length whose 1st is weekday `start`.
  fn shape_mask(&self, length: u32, start: u32) -> u32 {
    let inside = ALL_DAYS >> (31 - length);
    let (days, weekdays) = (self.day_mask(length, start), self.weekday_mask(length, start));
    inside & if self.both { days & weekdays } else { days | weekdays }
  }

  /// Days of the day field in a month of this length whose 1st is weekday `start`.
  fn day_mask(&self, length: u32, start: u32) -> u32 {
    let mut mask = self.days;
    if self.last_day {
      mask |= 1 << (length - 1);
    }
    if self.last_workday {
      mask |= 1 << (nearest_workday(length, length, start) - 1);
    }
    let mut rest = self.nearest;
    while rest != 0 {
      let day = rest.trailing_zeros() + 1;
      rest &= rest - 1;
      if day <= length {
        mask |= 1 << (nearest_workday(day, length, start) - 1);
      }
    }
    mask
  }

  /// Days of the weekday field in such a month.
  fn weekday_mask(&self, length: u32, start: u32) -> u32 {
    if self.any_weekday() {
      return ALL_DAYS;
    }
    let mut mask = 0;
    for weekday in 0..7 {
      let first = (weekday + 7 - start) % 7;
      let every = (1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28) << first;
      if self.weekdays >> weekday & 1 == 1 {
        mask |= every;
      }
      for k in 0..5 {
        if self.nth[weekday as usize] >> k & 1 == 1 && first + 7 * k < length {
          mask |= 1 << (first + 7 * k);
        }
      }
      if self.last_weekdays >> weekday & 1 == 1 {
        mask |= 1 << (first + (length - 1 - first) / 7 * 7);
      }
    }
    mask
  }
}

/// The Monday-to-Friday day nearest to `day` that stays inside the month.
fn nearest_workday(day: u32, length: u32, start: u32) -> u32 {
  match (start + day - 1) % 7 {
    6 if day == 1 => 3,
    6 => day - 1,
    0 if day == length => day - 2,
    0 => day + 1,
    _ => day,
  }
}
