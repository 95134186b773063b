//! Many measurements of one thing.

/// Measurements, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample(Vec<f64>);

impl Sample {
  /// Sorts the measurements.
  pub fn new(mut values: Vec<f64>) -> Self {
    values.sort_by(f64::total_cmp);
    Self(values)
  }

  /// The smallest value that `share` (0 to 1) of all values do not exceed; 0 without values.
  pub fn quantile(&self, share: f64) -> f64 {
    let rank = (share * self.0.len() as f64).ceil() as usize;
    self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(0.0)
  }

  /// Half of all values do not exceed it.
  pub fn p50(&self) -> f64 {
    self.quantile(0.5)
  }

  /// 99 of 100 values do not exceed it.
  pub fn p99(&self) -> f64 {
    self.quantile(0.99)
  }

  /// The smallest.
  pub fn min(&self) -> f64 {
    self.quantile(0.0)
  }

  /// The largest.
  pub fn max(&self) -> f64 {
    self.quantile(1.0)
  }

  /// How many.
  pub fn len(&self) -> usize {
    self.0.len()
  }

  /// Whether there are none.
  pub fn is_empty(&self) -> bool {
    self.0.is_empty()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn quantiles_are_values_of_the_sample() {
    let sample = Sample::new((1..=200).rev().map(f64::from).collect());
    assert_eq!((sample.min(), sample.p50(), sample.p99()), (1.0, 100.0, 198.0));
    assert_eq!((sample.max(), sample.len()), (200.0, 200));
    assert_eq!(Sample::new(vec![7.0]).p99(), 7.0);
    assert_eq!(Sample::new(Vec::new()).p50(), 0.0);
  }
}
