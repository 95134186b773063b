//! Ending a process group: a signal, time to obey, then the kill that cannot be refused.

use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::{Cause, StopOrder};
use crate::process::{group_is_alive, signal_group};

/// Grace where nobody names one.
const GRACE: Duration = Duration::from_secs(10);
/// How often a group whose leader is gone is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// The kill that cannot be refused.
pub const SIGKILL: i32 = 9;
/// Thaws.
pub const SIGCONT: i32 = 18;
/// Freezes.
pub const SIGSTOP: i32 = 19;
const SIGTERM: i32 = 15;

/// A stop that is under way.
#[derive(Debug)]
pub struct Stopping {
  group: Pid,
  /// What the end will be called.
  pub cause: Cause,
  kill_at: Instant,
  killed: bool,
  look_at: Option<Instant>,
}

impl Stopping {
  /// Sends the first signal. A frozen group is thawed, or it could not obey.
  pub fn begin(group: Pid, cause: Cause, order: &StopOrder) -> Self {
    let now = Instant::now();
    let grace = if order.force { Duration::ZERO } else { order.grace.unwrap_or(GRACE) };
    let mut stopping = Self { group, cause, kill_at: now + grace, killed: false, look_at: None };
    if grace.is_zero() {
      stopping.kill();
    } else {
      signal_group(group, order.signal.unwrap_or(SIGTERM));
      signal_group(group, SIGCONT);
    }
    stopping
  }

  /// A second order can only make it quicker.
  pub fn hurry(&mut self, order: &StopOrder) {
    let grace = if order.force { Duration::ZERO } else { order.grace.unwrap_or(GRACE) };
    self.kill_at = self.kill_at.min(Instant::now() + grace);
    self.tick();
  }

  /// When to call [`Self::tick`] next.
  pub fn next_wake(&self) -> Option<Instant> {
    let kill_at = (!self.killed).then_some(self.kill_at);
    [kill_at, self.look_at].into_iter().flatten().min()
  }

  /// Kills when the grace is over.
  pub fn tick(&mut self) {
    if !self.killed && Instant::now() >= self.kill_at {
      self.kill();
    }
  }

  /// After the leader has ended: whether the rest of the group is gone, too.
  pub fn group_is_gone(&mut self) -> bool {
    let now = Instant::now();
    if self.look_at.is_some_and(|at| now < at) {
      return false;
    }
    if !group_is_alive(self.group) {
      return true;
    }
    self.look_at = Some(now + LOOK_INTERVAL);
    if self.killed {
      // A member that was being made while we killed: kill again until nothing is left.
      signal_group(self.group, SIGKILL);
    }
    false
  }

  fn kill(&mut self) {
    self.killed = true;
    signal_group(self.group, SIGKILL);
  }
}
