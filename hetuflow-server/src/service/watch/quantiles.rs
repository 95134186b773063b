//! The middle and the tail of durations.

use hetuflow_core::{Quantiles, Ts};

/// Quantiles by the nearest rank; zeros for none.
pub(super) fn quantiles(mut millis: Vec<f64>) -> Quantiles {
  millis.retain(|value| value.is_finite());
  millis.sort_by(f64::total_cmp);
  let Some(max) = millis.last().copied() else { return Quantiles::default() };
  let rank = |percent: usize| millis[(millis.len() * percent).div_ceil(100).max(1) - 1];
  let n = u32::try_from(millis.len()).unwrap_or(u32::MAX);
  Quantiles { n, p50: rank(50), p95: rank(95), p99: rank(99), max }
}

/// Milliseconds from one instant to a later one; zero where it is earlier.
pub(super) fn millis(from: Ts, to: Ts) -> f64 {
  to.micros().saturating_sub(from.micros()).max(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn ranks_are_values_that_were_there() {
    assert_eq!(quantiles(Vec::new()), Quantiles::default());
    let one = quantiles(vec![7.0]);
    assert_eq!((one.n, one.p50, one.p99, one.max), (1, 7.0, 7.0, 7.0));
    let hundred = quantiles((1..=100).rev().map(f64::from).collect());
    assert_eq!((hundred.p50, hundred.p95, hundred.p99, hundred.max), (50.0, 95.0, 99.0, 100.0));
  }
}
