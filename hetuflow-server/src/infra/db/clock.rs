//! The clock that decides, where nobody can wait for the database to tell it.

use std::sync::atomic::{AtomicI64, Ordering};

use hetuflow_core::Ts;

/// A difference that somebody should hear of.
const TOLERATED_US: i64 = 500_000;

/// How far the database's clock is from this host's: learned from every question that is asked for
/// another reason. On SQLite they are one clock.
#[derive(Debug, Default)]
pub struct DbClock {
  /// The database's clock minus ours, in microseconds.
  ahead_us: AtomicI64,
  /// What a test adds to what the database says.
  shift_us: AtomicI64,
}

impl DbClock {
  /// Now, as the database would say, to within what its last answers have told.
  pub fn now(&self) -> Ts {
    Ts::from_micros(Ts::now().micros().saturating_add(self.ahead_us.load(Ordering::Relaxed)))
  }

  /// The database's clock minus ours, in microseconds.
  pub fn ahead_us(&self) -> i64 {
    self.ahead_us.load(Ordering::Relaxed)
  }

  /// The database said `told` some time between `asked` and `heard` of our clock. What was known is
  /// moved no further than this makes necessary: clocks that are one clock stay one, however slow
  /// the answers are.
  pub(super) fn note(&self, (asked, heard): (Ts, Ts), told: Ts) {
    let (least, most) = (told.micros() - heard.micros(), told.micros() - asked.micros());
    // Our clock went back in between: this answer says nothing.
    if least > most {
      return;
    }
    let known = self.ahead_us.load(Ordering::Relaxed);
    let ahead = known.clamp(least, most);
    if ahead == known {
      return;
    }
    self.ahead_us.store(ahead, Ordering::Relaxed);
    if (ahead - known).abs() >= TOLERATED_US {
      let secs = ahead as f64 / 1e6;
      tracing::warn!(secs, "the database's clock is this much ahead of this host's, and decides");
    }
  }

  pub(super) fn shift(&self, micros: i64) {
    self.shift_us.store(micros, Ordering::Release);
  }

  pub(super) fn shifted(&self, now: Ts) -> Ts {
    Ts::from_micros(now.micros().saturating_add(self.shift_us.load(Ordering::Acquire)))
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn told(clock: &DbClock, (asked, heard): (i64, i64), told: i64) -> i64 {
    clock.note((Ts::from_micros(asked), Ts::from_micros(heard)), Ts::from_micros(told));
    clock.ahead_us()
  }

  #[test]
  fn answers_narrow_it_and_slow_ones_move_nothing() {
    let clock = DbClock::default();
    assert_eq!(told(&clock, (1_000, 9_000), 5_000), 0, "one clock as far as can be told");
    assert_eq!(told(&clock, (10_000, 10_200), 70_000), 59_800);
    assert_eq!(told(&clock, (20_000, 20_010), 80_005), 59_995);
    assert_eq!(told(&clock, (30_000, 99_000), 95_000), 59_995, "a slow answer agrees");
    assert_eq!(told(&clock, (50_000, 40_000), 5), 59_995, "our own clock went back");
    assert_eq!(told(&clock, (60_000, 60_010), 20_000), -40_000, "a step is believed at once");
    let now = Ts::now().micros();
    assert!(clock.now().micros() - now < 0);
  }
}
