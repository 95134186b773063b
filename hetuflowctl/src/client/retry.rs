//! When a request is worth sending again (R13): 3 times, 0.2, 0.6, 1.8 s with jitter.

use std::time::Duration;

const WAITS_MS: [u64; 3] = [200, 600, 1800];
/// A server that asks for more patience than this gets none.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The wait before the next try, or `None` to give up. `tried` counts from 1.
pub fn wait_before(tried: usize, retry_after: Option<Duration>) -> Option<Duration> {
  let base = WAITS_MS.get(tried - 1)?;
  match retry_after {
    Some(asked) if asked > RETRY_AFTER_MAX => None,
    Some(asked) => Some(asked),
    None => {
      let share = rand::random_range(0.75..1.25);
      Some(Duration::from_millis(*base).mul_f64(share))
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn three_times_and_no_more() {
    for (tried, base) in [(1, 200), (2, 600), (3, 1800)] {
      let wait = wait_before(tried, None).expect("another try").as_millis();
      assert!((base * 3 / 4..=base * 5 / 4).contains(&wait), "{wait}");
    }
    assert_eq!(wait_before(4, None), None);
    assert_eq!(wait_before(1, Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
    assert_eq!(wait_before(1, Some(Duration::from_secs(3600))), None);
  }
}
