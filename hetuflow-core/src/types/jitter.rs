//! Jitter: how much later than its nominal time a schedule fires, the same each time.

use std::time::Duration;

/// Longest jitter: a day.
pub const JITTER_SECS_MAX: i64 = 86_400;

/// How much later a schedule fires: from nothing to the whole jitter, in milliseconds, chosen by its
/// seed.
///
/// A schedule keeps its place for ever, on every server and after every restart: it fires in the
/// same rhythm as without jitter, and a thousand schedules of one minute are spread.
pub fn jitter_of(seed: u64, jitter_secs: i64) -> Duration {
  let millis = u64::try_from(jitter_secs.clamp(0, JITTER_SECS_MAX)).unwrap_or(0) * 1000;
  // SplitMix64: neighbouring seeds end far apart. Stored schedules depend on it.
  let mut z = seed ^ 0x6A69_7474_6572_0001;
  z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
  z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
  Duration::from_millis((z ^ (z >> 31)) % (millis + 1))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn jitter_is_stable_bounded_and_spread() {
    assert_eq!(jitter_of(7, 0), Duration::ZERO);
    assert_eq!(jitter_of(7, -5), Duration::ZERO);
    // A change here moves the schedules of every user.
    assert_eq!(jitter_of(42, 60), Duration::from_millis(57752));
    let mut tenths = [0; 10];
    for seed in 0..10_000 {
      let late = jitter_of(seed, 60);
      assert!(late <= Duration::from_secs(60), "{seed}: {late:?}");
      tenths[(late.as_millis() / 6001) as usize] += 1;
    }
    assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    assert!(jitter_of(1, i64::MAX) <= Duration::from_secs(86_400));
  }
}
