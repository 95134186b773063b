//! How long to wait before the next try: pure, with the random part as a parameter.

use std::time::Duration;

use super::BackoffStrategy;

/// A wait that grows with the number of failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
  /// How it grows.
  pub strategy: BackoffStrategy,
  /// The first wait.
  pub base: Duration,
  /// No wait is longer.
  pub max: Duration,
}

impl Backoff {
  /// The wait before retry number `retry` (1 is the first); `random` is in `0.0..1.0`.
  ///
  /// With jitter the wait is uniform between half and all of the exponential one: spread out, but
  /// never at once.
  pub fn delay(&self, retry: u32, random: f64) -> Duration {
    let retry = retry.max(1);
    let wanted = match self.strategy {
      BackoffStrategy::Fixed => self.base,
      BackoffStrategy::Linear => self.base.saturating_mul(retry),
      BackoffStrategy::Exponential | BackoffStrategy::ExponentialWithJitter => {
        self.base.saturating_mul(2_u32.saturating_pow(retry - 1))
      }
    };
    let capped = wanted.min(self.max);
    if self.strategy == BackoffStrategy::ExponentialWithJitter {
      return capped.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
    }
    capped
  }
}

/// Full jitter for reconnects: anywhere between nothing and the capped exponential wait, so that
/// a fleet does not come back as one.
pub fn full_jitter(base: Duration, max: Duration, retry: u32, random: f64) -> Duration {
  let ceiling = base.saturating_mul(2_u32.saturating_pow(retry.min(30))).min(max);
  ceiling.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  proptest! {
    #[test]
    fn waits_never_pass_the_cap(strategy in 0..4_usize, retry in 0_u32..5000, random in 0.0..1.0_f64) {
      let backoff = Backoff {
        strategy: BackoffStrategy::ALL[strategy],
        base: Duration::from_secs(3),
        max: Duration::from_secs(600),
      };
      prop_assert!(backoff.delay(retry, random) <= backoff.max);
      prop_assert!(full_jitter(backoff.base, backoff.max, retry, random) <= backoff.max);
    }

    #[test]
    fn without_jitter_waits_never_shrink(strategy in 0..3_usize, retry in 1_u32..50) {
      let backoff = Backoff {
        strategy: BackoffStrategy::ALL[strategy],
        base: Duration::from_millis(200),
        max: Duration::from_secs(600),
      };
      prop_assert!(backoff.delay(retry, 0.3) <= backoff.delay(retry + 1, 0.3));
    }
  }
}
