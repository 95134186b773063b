//! What waited with an agent before this one: that one may have been told to stop it, and have died
//! before it could say so. Nothing of it is started before a server has answered the registration. The
//! same holds after a pause of this process, and where another one has this one's attempts.

use std::time::Duration;

use hetuflow_core::TaskInstanceId;
use tokio::time::Instant;

/// Attempts that wait for a server's word, or for the time without one to be over.
#[derive(Debug, Default)]
pub struct Unsure {
  until: Option<Instant>,
  attempts: Vec<TaskInstanceId>,
}

impl Unsure {
  /// From now on nothing is sure, for so long at most.
  pub fn begin(&mut self, grace: Duration) {
    self.until = Instant::now().checked_add(grace);
  }

  /// Keeps an attempt back while nothing is sure; false where it need not wait.
  pub fn keeps(&mut self, id: TaskInstanceId) -> bool {
    if self.until.is_some() {
      self.attempts.push(id);
    }
    self.until.is_some()
  }

  /// Whether this one is kept back.
  pub fn has(&self, id: TaskInstanceId) -> bool {
    self.attempts.contains(&id)
  }

  /// Whether no server has said anything for long enough.
  pub fn is_over(&self) -> bool {
    self.until.is_some_and(|until| Instant::now() >= until)
  }

  /// Everything is sure; gives back what was kept.
  pub fn end(&mut self) -> Vec<TaskInstanceId> {
    self.until = None;
    std::mem::take(&mut self.attempts)
  }
}
