//! How far the server's clock is from ours, from the four stamps of a heartbeat exchange. Pure.

use std::collections::VecDeque;

use super::drift::Point;

/// Exchanges that are remembered.
const SAMPLES: usize = 8;
/// Clocks of two hosts may drift this far apart between exchanges without being called stepped.
const DRIFT_US: i64 = 1_000;

/// One exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
  /// Sent, on our steady clock.
  pub sent_us: i64,
  /// Read, on the server's clock.
  pub server_received_us: i64,
  /// Answered, on the server's clock.
  pub server_sent_us: i64,
  /// Heard, on our steady clock.
  pub heard_us: i64,
  /// Our wall clock minus our steady clock.
  pub wall_delta_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
  offset_us: i64,
  half_trip_us: i64,
}

/// What one exchange says of the two clocks, and how far that may be wrong; `None` when it makes no
/// sense.
pub fn point(exchange: &Exchange) -> Option<Point> {
  let Sample { offset_us, half_trip_us } = measure(exchange)?;
  Some(Point { at_us: exchange.heard_us, offset_us, error_us: half_trip_us })
}

/// The best recent measurement.
#[derive(Debug, Default)]
pub struct ClockOffset {
  samples: VecDeque<Sample>,
}

/// What is known of the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerClock {
  /// As far as can be measured it is this host's wall clock. Then the wall clock itself is taken,
  /// and an attempt cannot start early by the error of a measurement.
  SameAsWall,
  /// This much ahead of the steady clock, in microseconds.
  Ahead(i64),
}

impl ClockOffset {
  /// Takes an exchange in; `None` when it makes no sense.
  pub fn note(&mut self, exchange: Exchange) -> Option<ServerClock> {
    let sample = measure(&exchange)?;
    // A sample that cannot be true together with the best one: a clock has stepped.
    let stepped = self.best().is_some_and(|best| {
      let allowed = best.half_trip_us + sample.half_trip_us + DRIFT_US;
      (best.offset_us - sample.offset_us).abs() > allowed
    });
    if stepped {
      self.samples.clear();
    }
    if self.samples.len() == SAMPLES {
      self.samples.pop_front();
    }
    self.samples.push_back(sample);
    let best = self.best()?;
    let from_wall = (best.offset_us - exchange.wall_delta_us).abs();
    if from_wall <= best.half_trip_us + 1 {
      return Some(ServerClock::SameAsWall);
    }
    Some(ServerClock::Ahead(best.offset_us))
  }

  /// The offset for people, in milliseconds against our wall clock.
  pub fn millis(&self, wall_delta_us: i64) -> f64 {
    self.best().map_or(0.0, |best| (best.offset_us - wall_delta_us) as f64 / 1000.0)
  }

  fn best(&self) -> Option<Sample> {
    self.samples.iter().copied().min_by_key(|sample| sample.half_trip_us)
  }
}

fn measure(exchange: &Exchange) -> Option<Sample> {
  let there = exchange.server_received_us.checked_sub(exchange.sent_us)?;
  let back = exchange.server_sent_us.checked_sub(exchange.heard_us)?;
  let trip = there.checked_sub(back)?;
  let plausible = exchange.server_received_us > 0 && exchange.server_sent_us > 0 && trip >= 0;
  plausible.then(|| Sample { offset_us: there / 2 + back / 2, half_trip_us: trip / 2 })
}

#[cfg(test)]
mod tests {
  use super::*;

  fn exchange(offset: i64, there: i64, back: i64, at: i64) -> Exchange {
    Exchange {
      sent_us: at,
      server_received_us: at + there + offset,
      server_sent_us: at + there + offset + 30,
      heard_us: at + there + 30 + back,
      wall_delta_us: 0,
    }
  }

  #[test]
  fn the_quickest_exchange_counts() {
    let mut clock = ClockOffset::default();
    clock.note(exchange(700_000, 5_000, 100, 1_000_000));
    let best = clock.note(exchange(700_000, 200, 200, 2_000_000));
    assert_eq!(best, Some(ServerClock::Ahead(700_000)));
    let later = clock.note(exchange(700_000, 100, 9_000, 3_000_000));
    assert_eq!(later, Some(ServerClock::Ahead(700_000)));
  }

  #[test]
  fn on_one_host_the_wall_clock_itself_is_taken() {
    let mut clock = ClockOffset::default();
    let same = clock.note(exchange(0, 40, 90, 1_000_000));
    assert_eq!(same, Some(ServerClock::SameAsWall));
    let mut stepped = exchange(5_000_000, 40, 90, 2_000_000);
    stepped.wall_delta_us = 5_000_000;
    assert_eq!(clock.note(stepped), Some(ServerClock::SameAsWall), "both stepped together");
  }

  #[test]
  fn a_step_is_believed_at_once_and_nonsense_never() {
    let mut clock = ClockOffset::default();
    clock.note(exchange(700_000, 10, 10, 1_000_000));
    let stepped = clock.note(exchange(-90_000, 900, 900, 2_000_000));
    assert_eq!(stepped, Some(ServerClock::Ahead(-90_000)));
    for nonsense in [
      Exchange { server_received_us: 0, ..exchange(0, 1, 1, 5) },
      Exchange { heard_us: 0, ..exchange(0, 1, 1, 5_000_000) },
      Exchange { server_sent_us: i64::MIN, ..exchange(0, 1, 1, 5) },
    ] {
      assert_eq!(clock.note(nonsense), None, "{nonsense:?}");
    }
  }
}
