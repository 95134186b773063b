//! Whether this host's clock runs as fast as the server's. Pure.
//!
//! A step of either clock moves the measured difference once, a drift moves it again and again. So
//! several stretches of time in a row must each show more than errors of measurement explain, all in
//! one direction. Short stretches find a clock that is far off within a second, long ones find what
//! hides behind a slow link.

use std::collections::VecDeque;

/// Rates that differ by no more are as good as equal: twice what exclusive delivery counts on.
const ALLOWED_PPM: i64 = 1_000;
/// Stretches that must agree.
const STRETCHES: usize = 4;
/// Exchanges in a stretch.
const LENGTHS: [usize; 5] = [1, 2, 4, 8, 16];
const POINTS_MAX: usize = STRETCHES * LENGTHS[LENGTHS.len() - 1] + 1;
/// What reading two clocks one after the other may cost.
const SLACK_US: i64 = 200;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Point {
  /// When, on our steady clock.
  pub at_us: i64,
  /// The server's clock minus ours.
  pub offset_us: i64,
  /// How far that may be wrong.
  pub error_us: i64,
}

/// The measurements of the last minutes.
#[derive(Debug, Default)]
pub struct Drift(VecDeque<Point>);

impl Drift {
  /// Takes a measurement in. By how many parts of a million our clock runs too fast, where that is
  /// more than can be worked with.
  pub fn note(&mut self, point: Point) -> Option<i64> {
    if self.0.back().is_some_and(|last| point.at_us <= last.at_us) {
      self.0.clear();
    }
    if self.0.len() == POINTS_MAX {
      self.0.pop_front();
    }
    self.0.push_back(point);
    LENGTHS.into_iter().find_map(|length| self.over(length))
  }

  fn over(&self, length: usize) -> Option<i64> {
    let last = self.0.len().checked_sub(1)?;
    let first = last.checked_sub(STRETCHES * length)?;
    let mut directions = 0;
    for stretch in 0..STRETCHES {
      let end = last - stretch * length;
      directions += direction(self.0[end - length], self.0[end]);
    }
    if directions.unsigned_abs() < STRETCHES as u64 {
      return None;
    }
    let (from, to) = (self.0[first], self.0[last]);
    let gained = i128::from(from.offset_us - to.offset_us) * 1_000_000;
    i64::try_from(gained / i128::from((to.at_us - from.at_us).max(1))).ok()
  }
}

/// 1 or -1 where the difference has grown or shrunk by more than is allowed, whatever the errors.
fn direction(from: Point, to: Point) -> i64 {
  let moved = to.offset_us - from.offset_us;
  let allowed = (to.at_us - from.at_us) * ALLOWED_PPM / 1_000_000;
  let sure = moved.abs() - from.error_us - to.error_us - SLACK_US;
  if sure > allowed { moved.signum() } else { 0 }
}

#[cfg(test)]
mod tests {
  use super::*;

  const SECOND: i64 = 1_000_000;

  /// Measurements at these seconds, of a clock that runs fast by so much; what each says.
  fn found(ppm: i64, error_us: i64, seconds: impl Iterator<Item = i64>) -> Vec<Option<i64>> {
    let mut drift = Drift::default();
    let point = |second: i64| Point {
      at_us: second * SECOND,
      // The error shows its worst side, now this way and now that.
      offset_us: -second * ppm + if second % 2 == 0 { error_us } else { -error_us },
      error_us,
    };
    seconds.map(|second| drift.note(point(second))).collect()
  }

  #[test]
  fn a_clock_that_is_far_off_is_found_at_once_and_a_good_one_never() {
    for ppm in [50_000, -50_000] {
      let told = found(ppm, 300, 0..10);
      assert_eq!(told[3], None);
      assert!(
        told[4..].iter().all(|one| one.is_some_and(|one| (one - ppm).abs() < 500)),
        "{told:?}"
      );
    }
    for ppm in [0, 100, -500, 500, 900] {
      assert!(found(ppm, 300, 0..3600).iter().all(Option::is_none), "{ppm}");
    }
  }

  #[test]
  fn a_slow_link_only_takes_longer() {
    let told = found(2_000, 20_000, (0..3600).step_by(5));
    let first = told.iter().position(Option::is_some).expect("found");
    assert!((20..65).contains(&first), "{first}");
    assert!(found(500, 20_000, (0..36_000).step_by(5)).iter().all(Option::is_none));
  }

  #[test]
  fn a_step_is_no_drift() {
    let mut drift = Drift::default();
    for second in 0..200 {
      let offset_us = if second < 100 { 0 } else { 7_200 * SECOND };
      let point = Point { at_us: second * SECOND, offset_us, error_us: 100 };
      assert_eq!(drift.note(point), None, "{second}");
    }
    let again = Point { at_us: 5, offset_us: 0, error_us: 0 };
    assert_eq!(drift.note(again), None, "our own clock begins anew");
  }
}
