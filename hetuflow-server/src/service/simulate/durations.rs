//! How long runs take: the middle and the tail of the past, drawn by a hash, so that the same seed
//! gives the same times.

use hetuflow_core::Ts;

/// The 95th part of a hundred of the normal distribution.
const Z95: f64 = 1.644_853_6;
/// A drawn duration is at most this many times the tail.
const TAIL_TIMES: f64 = 4.0;

/// What is known of a job's runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Durations {
  /// The middle, in microseconds.
  pub p50: f64,
  /// The tail, in microseconds.
  pub p95: f64,
  /// Runs that this was learned from.
  pub learned_from: u32,
}

impl Durations {
  /// All runs take this long.
  pub fn constant(secs: f64) -> Self {
    let micros = (secs * 1e6).max(1.0);
    Self { p50: micros, p95: micros, learned_from: 0 }
  }

  /// From runs of the past, in microseconds; none for none.
  pub fn learn(mut micros: Vec<i64>) -> Option<Self> {
    micros.retain(|value| *value >= 0);
    micros.sort_unstable();
    let last = micros.len().checked_sub(1)?;
    let rank = |percent: usize| {
      let nth = (micros.len() * percent).div_ceil(100).max(1) - 1;
      micros[nth.min(last)].max(1) as f64
    };
    let learned_from = u32::try_from(micros.len()).unwrap_or(u32::MAX);
    Some(Self { p50: rank(50), p95: rank(95), learned_from })
  }

  /// The duration of one run, in microseconds: log-normal through both figures.
  pub fn draw(&self, seed: u64, schedule: u64, at: Ts) -> i64 {
    if self.p95 <= self.p50 {
      return self.p50 as i64;
    }
    let hash = mix(seed ^ mix(schedule ^ mix(at.micros().cast_unsigned())));
    let sigma = (self.p95 / self.p50).ln() / Z95;
    let drawn = self.p50 * (sigma * normal(hash)).exp();
    drawn.clamp(1.0, self.p95 * TAIL_TIMES) as i64
  }
}

/// A hash that spreads every bit (the finaliser of SplitMix64).
pub(super) fn mix(seed: u64) -> u64 {
  let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
  z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
  z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
  z ^ (z >> 31)
}

/// A draw of the normal distribution from a hash, by Box and Muller.
fn normal(hash: u64) -> f64 {
  let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
  let (a, b) = (unit(hash), unit(mix(hash)));
  (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn draws_have_the_middle_and_the_tail_that_were_learned() {
    let past = Durations::learn((1..=100).map(|n| n * 1_000_000).collect()).expect("runs");
    assert_eq!((past.p50, past.p95, past.learned_from), (50e6, 95e6, 100));
    let mut drawn: Vec<i64> = (0..10_000).map(|n| past.draw(7, 3, Ts::from_micros(n))).collect();
    drawn.sort_unstable();
    let near = |nth: usize, wanted: f64| (drawn[nth] as f64 / wanted - 1.0).abs() < 0.05;
    assert!(near(5000, 50e6) && near(9500, 95e6), "{} {}", drawn[5000], drawn[9500]);
    assert_eq!(past.draw(7, 3, Ts::from_micros(9)), past.draw(7, 3, Ts::from_micros(9)));
    assert_ne!(past.draw(7, 3, Ts::from_micros(9)), past.draw(8, 3, Ts::from_micros(9)));
    assert_eq!(Durations::constant(60.0).draw(1, 2, Ts::from_micros(3)), 60_000_000);
    assert_eq!(Durations::learn(Vec::new()), None);
  }
}
