//! A clock that never steps: since boot, suspends included, counted from 1970.
//!
//! Read through the C library, not past it, so that a test can give one process clocks of its own
//! (decision 0030).

use nix::time::{ClockId, clock_gettime};

const NANOS_PER_MICRO: i64 = 1000;

/// Microseconds since 1970 as the wall clock said when the agent started, and from there on by
/// `CLOCK_BOOTTIME`: steps of the wall clock do not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SteadyClock {
  shift_us: i64,
}

impl SteadyClock {
  /// Ties the two clocks together.
  pub fn start() -> Self {
    Self { shift_us: Self::wall_us() - read(ClockId::CLOCK_BOOTTIME) / NANOS_PER_MICRO }
  }

  /// A clock that agrees with another process of the same boot, see [`Self::shift_us`].
  pub const fn with_shift(shift_us: i64) -> Self {
    Self { shift_us }
  }

  /// What makes this clock of `CLOCK_BOOTTIME`.
  pub const fn shift_us(self) -> i64 {
    self.shift_us
  }

  /// Now, in microseconds.
  pub fn now_us(self) -> i64 {
    read(ClockId::CLOCK_BOOTTIME) / NANOS_PER_MICRO + self.shift_us
  }

  /// The wall clock of this host, in microseconds since 1970.
  pub fn wall_us() -> i64 {
    read(ClockId::CLOCK_REALTIME) / NANOS_PER_MICRO
  }

  /// The wall clock minus this one; changes only when the wall clock steps.
  ///
  /// The smaller of two readings, since a preemption between the clocks only ever adds.
  pub fn wall_delta_us(self) -> i64 {
    let once = || {
      let steady = self.now_us();
      Self::wall_us() - steady
    };
    once().min(once())
  }

  /// The `CLOCK_BOOTTIME` nanoseconds of an instant of this clock.
  pub fn boot_nanos(self, steady_us: i64) -> i64 {
    steady_us.saturating_sub(self.shift_us).saturating_mul(NANOS_PER_MICRO)
  }
}

fn read(clock: ClockId) -> i64 {
  let now = clock_gettime(clock).expect("every Linux that runs us has both clocks");
  now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn it_starts_at_the_wall_clock_and_only_grows() {
    let clock = SteadyClock::start();
    let (a, b) = (clock.now_us(), clock.now_us());
    assert!(a <= b);
    assert!(clock.wall_delta_us().abs() < 50_000, "the two clocks are apart from the start");
  }
}
