//! The longest run time of an attempt, on the clock that goes on while the host sleeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When an attempt was frozen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
  /// Since then it is.
  since_us: Option<i64>,
  /// How long it was before, in microseconds.
  before_us: i64,
}

impl Pauses {
  /// It is frozen from now on, or no longer.
  pub fn note(&mut self, now_us: i64, frozen: bool) {
    match (self.since_us, frozen) {
      (None, true) => self.since_us = Some(now_us),
      (Some(since), false) => {
        *self = Self { since_us: None, before_us: self.before_us + now_us - since }
      }
      _ => {}
    }
  }

  /// Whether it is frozen.
  pub const fn is_frozen(&self) -> bool {
    self.since_us.is_some()
  }
}

/// A time limit; a frozen attempt does not use it up.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeLimit {
  until_us: Option<i64>,
  pauses: Pauses,
}

impl TimeLimit {
  /// Counted from the start of the attempt, in microseconds of the steady clock.
  pub fn new(started_us: i64, limit: Option<Duration>) -> Self {
    Self::after(started_us, limit, Pauses::default())
  }

  /// The same for an attempt that was frozen before.
  pub fn after(started_us: i64, limit: Option<Duration>, pauses: Pauses) -> Self {
    let limit_us = limit.and_then(|limit| i64::try_from(limit.as_micros()).ok());
    Self { until_us: limit_us.map(|limit| started_us.saturating_add(limit)), pauses }
  }

  /// Whether it is over.
  pub fn is_over(&self, now_us: i64) -> bool {
    self.left(now_us).is_some_and(|left| left.is_zero())
  }

  /// What is left of it; nothing is known while the attempt is frozen.
  pub fn left(&self, now_us: i64) -> Option<Duration> {
    let until_us = self.until_us.filter(|_| !self.pauses.is_frozen())?;
    let until_us = until_us.saturating_add(self.pauses.before_us);
    Some(Duration::from_micros(u64::try_from(until_us - now_us).unwrap_or(0)))
  }

  /// The attempt is frozen from now on, or no longer.
  pub fn freeze(&mut self, now_us: i64, frozen: bool) {
    self.pauses.note(now_us, frozen);
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn frozen_time_does_not_count() {
    let mut limit = TimeLimit::new(1000, Some(Duration::from_micros(500)));
    assert_eq!(limit.left(1200), Some(Duration::from_micros(300)));
    limit.freeze(1200, true);
    limit.freeze(1300, true);
    assert!(!limit.is_over(9_000_000));
    limit.freeze(2200, false);
    assert_eq!(limit.left(2200), Some(Duration::from_micros(300)));
    assert!(limit.is_over(2500));
    assert!(!TimeLimit::new(0, None).is_over(i64::MAX));
  }
}
