//! Ending an attempt: a signal to its group, time to obey, then the kill of the whole tree that
//! cannot be refused.

use std::time::Duration;

use tokio::time::Instant;

use super::{Cause, StopOrder};
use crate::process::Confined;

/// Grace where nobody names one.
const GRACE: Duration = Duration::from_secs(10);
/// How often a tree whose leader is gone is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// The kill that cannot be refused.
pub const SIGKILL: i32 = 9;
/// Thaws.
const SIGCONT: i32 = 18;
const SIGTERM: i32 = 15;

/// A stop that is under way.
#[derive(Debug)]
pub struct Stopping {
  /// What the end will be called.
  pub cause: Cause,
  kill_at: Instant,
  killed: bool,
  look_at: Option<Instant>,
}

impl Stopping {
  /// Sends the first signal. A frozen attempt is thawed, or it could not obey.
  pub fn begin(confined: &mut Confined, cause: Cause, order: &StopOrder, frozen: bool) -> Self {
    let now = Instant::now();
    let grace = if order.force { Duration::ZERO } else { order.grace.unwrap_or(GRACE) };
    let mut stopping = Self { cause, kill_at: now + grace, killed: false, look_at: None };
    if grace.is_zero() {
      stopping.kill(confined);
    } else {
      confined.signal(order.signal.unwrap_or(SIGTERM));
      confined.signal(SIGCONT);
      if frozen {
        confined.freeze(false);
      }
    }
    stopping
  }

  /// A second order can only make it quicker.
  pub fn hurry(&mut self, confined: &mut Confined, order: &StopOrder) {
    let grace = if order.force { Duration::ZERO } else { order.grace.unwrap_or(GRACE) };
    self.kill_at = self.kill_at.min(Instant::now() + grace);
    self.tick(confined);
  }

  /// When to call [`Self::tick`] next.
  pub fn next_wake(&self) -> Option<Instant> {
    let kill_at = (!self.killed).then_some(self.kill_at);
    [kill_at, self.look_at].into_iter().flatten().min()
  }

  /// Kills when the grace is over.
  pub fn tick(&mut self, confined: &mut Confined) {
    if !self.killed && Instant::now() >= self.kill_at {
      self.kill(confined);
    }
  }

  /// After the leader has ended: whether all the rest is gone, too.
  pub fn all_is_gone(&mut self, confined: &mut Confined) -> bool {
    let now = Instant::now();
    if self.look_at.is_some_and(|at| now < at) {
      return false;
    }
    if confined.is_gone() {
      return true;
    }
    if self.killed {
      // What was being made while we killed, or has got away: kill again until nothing is left.
      confined.kill();
    }
    self.look_at = Some(Instant::now() + LOOK_INTERVAL);
    false
  }

  fn kill(&mut self, confined: &mut Confined) {
    self.killed = true;
    confined.kill();
  }
}
