//! Wakes at an instant: never before it, and a fraction of a millisecond after it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
  Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
  timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::executor::{SteadyClock, watch};

/// A kernel timer on `CLOCK_BOOTTIME`: it counts while the host sleeps, and no step of the wall
/// clock moves it. Timers of the runtime tick in whole milliseconds; this one does not.
#[derive(Debug)]
pub struct Timer {
  fd: AsyncFd<OwnedFd>,
  clock: SteadyClock,
  armed_us: Option<i64>,
}

impl Timer {
  /// A timer that is not armed; only inside a runtime.
  ///
  /// # Errors
  /// When the kernel has no timer left.
  pub fn new(clock: SteadyClock) -> io::Result<Self> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let fd = timerfd_create(TimerfdClockId::Boottime, flags)?;
    Ok(Self { fd: watch(fd)?, clock, armed_us: None })
  }

  /// Wakes at this instant of the steady clock in place of any other.
  pub fn arm(&mut self, at_us: Option<i64>) {
    if self.armed_us == at_us {
      return;
    }
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let it_value = at_us.map_or(zero, |at_us| {
      // Zero would disarm; an instant before the boot is simply over.
      let nanos = self.clock.boot_nanos(at_us).max(1);
      Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 }
    });
    let setting = Itimerspec { it_interval: zero, it_value };
    match timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &setting) {
      Ok(_) => self.armed_us = at_us,
      Err(error) => tracing::error!(%error, "the timer cannot be set; the 1 s tick stands in"),
    }
  }

  /// Waits for the instant. Cancelling loses nothing.
  pub async fn fired(&mut self) {
    loop {
      let Ok(mut guard) = self.fd.readable().await else { return std::future::pending().await };
      let mut count = [0_u8; 8];
      let read = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?));
      if let Ok(_fired_or_cancelled) = read {
        self.armed_us = None;
        return;
      }
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn it_is_never_early_and_can_be_moved() {
    let clock = SteadyClock::start();
    let mut timer = Timer::new(clock).expect("timer");
    timer.arm(Some(clock.now_us() + 60_000_000));
    for step in [0, 1, 700, 3_300, 12_345] {
      let at = clock.now_us() + step;
      timer.arm(Some(at));
      timer.fired().await;
      assert!(clock.now_us() >= at, "woke before its instant");
    }
    timer.arm(Some(i64::MIN));
    timer.fired().await;
  }
}
