//! Whether agents may be here: behind a closed door those who are here go to other servers, and
//! nobody comes in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The door for agents; closed for good when the server stops.
#[derive(Debug)]
pub struct AgentDoor {
  stop: CancellationToken,
  /// Cancelled when the door closes; another one when it opens again.
  stay: Mutex<CancellationToken>,
}

impl AgentDoor {
  /// An open one, until the server stops.
  pub fn new(stop: CancellationToken) -> Self {
    let stay = Mutex::new(stop.child_token());
    Self { stop, stay }
  }

  fn current(&self) -> MutexGuard<'_, CancellationToken> {
    self.stay.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Cancelled when whoever comes in now must go.
  pub fn stay(&self) -> CancellationToken {
    self.current().clone()
  }

  /// Whether nobody is let in.
  pub fn is_closed(&self) -> bool {
    self.current().is_cancelled()
  }

  /// Why nobody is let in, as agents are told.
  pub fn reason(&self) -> &'static str {
    if self.stop.is_cancelled() {
      "the server stops"
    } else {
      "the server cannot reach its database"
    }
  }

  /// Sends everybody away.
  pub fn close(&self) {
    self.current().cancel();
  }

  /// Lets agents in again.
  pub fn open(&self) {
    let mut stay = self.current();
    if stay.is_cancelled() {
      *stay = self.stop.child_token();
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn whoever_was_sent_away_stays_away_and_others_come_in() {
    let door = AgentDoor::new(CancellationToken::new());
    let early = door.stay();
    door.open();
    assert!(!early.is_cancelled() && !door.is_closed());
    door.close();
    assert!(early.is_cancelled() && door.is_closed() && door.stay().is_cancelled());
    door.open();
    assert!(early.is_cancelled() && !door.is_closed() && !door.stay().is_cancelled());
  }

  #[test]
  fn a_server_that_stops_lets_nobody_in() {
    let stop = CancellationToken::new();
    let door = AgentDoor::new(stop.clone());
    let early = door.stay();
    stop.cancel();
    door.open();
    assert!(early.is_cancelled() && door.is_closed());
    assert_eq!(door.reason(), "the server stops");
  }
}
