//! How many tasks end per second here, and how deep the queue may therefore be.

/// A window of measurement, in microseconds.
const WINDOW_US: i64 = 10_000;
/// After this much time without an end a rate has fallen to an eighth, after nine times as much
/// to a thousandth.
const DECAY_US: f64 = 400_000.0;
/// Work for this long may wait in the agent's own queue.
const AHEAD_SECS: f64 = 0.1;

/// Completions per second: quick to rise, slower to fall.
#[derive(Debug, Default)]
pub struct Rate {
  per_second: f64,
  at_us: i64,
  window: Option<(i64, u32)>,
}

impl Rate {
  /// Takes note of ends.
  pub fn count(&mut self, ended: u32, now_us: i64) {
    let (start_us, count) = match self.window {
      // An end after a pause only opens a window: it says nothing about the pause.
      None => {
        self.window = Some((now_us, 0));
        return;
      }
      Some((start_us, count)) => (start_us, count + ended),
    };
    let span = now_us - start_us;
    if span < WINDOW_US {
      self.window = Some((start_us, count));
      return;
    }
    let measured = f64::from(count) * 1e6 / span as f64;
    self.per_second = self.now(now_us).max(measured);
    self.at_us = now_us;
    self.window = Some((now_us, 0));
  }

  /// The rate, faded since it was last confirmed.
  pub fn now(&self, now_us: i64) -> f64 {
    let age = (now_us - self.at_us).max(0) as f64;
    // No power of e: for one call a library would stay in memory, twice.
    let faded = 1.0 + age / DECAY_US;
    self.per_second / (faded * faded * faded)
  }

  /// How many tasks may wait beyond the free slots.
  pub fn depth(&self, now_us: i64, most: u32) -> u32 {
    let wanted = self.now(now_us) * AHEAD_SECS;
    // Long tasks: nothing is taken that another agent could start sooner.
    if wanted >= 1.0 { (wanted.ceil() as u32).min(most) } else { 0 }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn long_tasks_prefetch_nothing() {
    let mut rate = Rate::default();
    for second in 1..60 {
      rate.count(4, second * 1_000_000);
    }
    assert_eq!(rate.depth(59_000_000, 2000), 0);
  }

  #[test]
  fn a_burst_of_short_tasks_deepens_the_queue_at_once_and_fades() {
    let mut rate = Rate::default();
    let mut now = 5_000_000;
    // 20 slots whose tasks end at once, one round trip of 5 ms each: 4,000 a second.
    for _ in 0..3 {
      now += 5_000;
      rate.count(20, now);
    }
    assert!(rate.depth(now, 2000) >= 300, "{}", rate.depth(now, 2000));
    assert_eq!(rate.depth(now, 64), 64);
    assert_eq!(rate.depth(now + 3_000_000, 2000), 0);
  }
}
