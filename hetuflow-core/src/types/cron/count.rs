//! How many fires lie between two instants, without asking for each of them.

use jiff::Timestamp;

use super::civil::DAY_SECS;
use super::expression::CronExpression;
use super::zone::CronZone;

/// Farther from a change of the clocks every matching day has all of its fires.
const CHANGE_REACH: i64 = 2 * DAY_SECS;

impl CronExpression {
  /// The number of fires after an instant, up to another and including it. Whole days far from a
  /// change of the clocks are counted at once, so a year of every second takes milliseconds.
  pub fn count_between(&self, after: Timestamp, until: Timestamp, zone: &CronZone) -> u64 {
    let a_day = u64::from(self.seconds.count_ones())
      * u64::from(self.minutes.count_ones())
      * u64::from(self.hours.count_ones());
    let (mut count, mut after) = (0, after);
    while let Some(fire) = self.next_after(after, zone).filter(|fire| fire.at <= until) {
      match self.end_of_plain_day(fire.at, zone).filter(|end| *end <= until) {
        Some(end) => (count, after) = (count + a_day, end),
        None => (count, after) = (count + 1, fire.at),
      }
    }
    count
  }

  /// Where an instant is the first fire of a day that no change of the clocks touches: the last
  /// second of that day.
  fn end_of_plain_day(&self, at: Timestamp, zone: &CronZone) -> Option<Timestamp> {
    let second = at.as_second();
    let span = zone.table().at(second);
    let wall = second + span.offset;
    let day = wall.div_euclid(DAY_SECS) * DAY_SECS;
    if wall - day != i64::from(self.first_time()) {
      return None;
    }
    let (start, end) = (day - span.offset, day + DAY_SECS - 1 - span.offset);
    let plain = start >= span.start.saturating_add(CHANGE_REACH)
      && end <= span.end.saturating_sub(CHANGE_REACH);
    if plain { Timestamp::from_second(end).ok() } else { None }
  }
}
