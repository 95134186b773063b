//! Contact with a store that several servers share: one that cannot store signs of life must not
//! keep its agents, since the others would call them silent and give their attempts up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Agents are kept for one part in so many of their longest silence while nothing is stored; the
/// rest is their time to find another server.
const SILENCE_PART: u32 = 2;

/// How long agents that were sent away may take to come back: the longest wait between two of their
/// tries, as it is by default.
pub(super) const RETURN_LIMIT: Duration = Duration::from_secs(15);

struct State {
  stored_at: Instant,
  lost: bool,
}

/// What is known of the contact.
pub struct Contact {
  longest: Duration,
  state: Mutex<State>,
  keep_agents: Box<dyn Fn(bool) + Send + Sync>,
}

impl Contact {
  /// Contact that is there. `keep_agents` sends agents away, with `false`, and lets them in again.
  pub fn new(unreachable_after: Duration, keep_agents: Box<dyn Fn(bool) + Send + Sync>) -> Self {
    let state = State { stored_at: Instant::now(), lost: false };
    Self { longest: unreachable_after / SILENCE_PART, state: Mutex::new(state), keep_agents }
  }

  fn state(&self) -> std::sync::MutexGuard<'_, State> {
    self.state.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Looks again and again until stopped, also while whoever stores is stuck.
  pub async fn run(self: Arc<Self>, every: Duration, stop: CancellationToken) {
    let mut last = Instant::now();
    let mut stood_still = false;
    loop {
      tokio::select! {
        () = tokio::time::sleep(every) => {}
        () = stop.cancelled() => return,
      }
      // A process that stood still has not tried to store anything: one more turn comes first.
      stood_still = !stood_still && last.elapsed() > every * 3;
      last = Instant::now();
      if !stood_still {
        self.look(last);
      }
    }
  }

  /// Sends the agents away where nothing was stored for too long.
  fn look(&self, now: Instant) {
    // Told under the lock, so that the last word is the right one.
    let mut state = self.state();
    let silent = now.saturating_duration_since(state.stored_at);
    if state.lost || silent <= self.longest {
      return;
    }
    state.lost = true;
    tracing::warn!(
      seconds = silent.as_secs_f64(),
      "signs of life cannot be stored: agents are sent to other servers"
    );
    (self.keep_agents)(false);
  }

  /// What was heard until `heard` is stored. Returns whether agents had been sent away before.
  pub(super) fn stored(&self, heard: Instant, now: Instant) -> bool {
    let mut state = self.state();
    state.stored_at = heard;
    let were_away = state.lost;
    // A turn that took too long itself proves nothing for those that come.
    if were_away && now.saturating_duration_since(heard) <= self.longest {
      state.lost = false;
      tracing::info!("signs of life are stored again: agents are let in");
      (self.keep_agents)(true);
    }
    were_away
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  const SECOND: Duration = Duration::from_secs(1);

  /// Contact for agents that may be silent for eight seconds, and what it has told.
  fn contact() -> (Contact, Arc<Mutex<Vec<bool>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let keep_agents = move |keep: bool| tell.lock().unwrap().push(keep);
    (Contact::new(SECOND * 8, Box::new(keep_agents)), told)
  }

  #[test]
  fn agents_are_sent_away_once_and_let_in_when_something_is_stored() {
    let (contact, told) = contact();
    let start = Instant::now();
    assert!(!contact.stored(start, start));
    contact.look(start + SECOND * 4);
    assert!(told.lock().unwrap().is_empty(), "half of the silence is not over");
    contact.look(start + SECOND * 5);
    contact.look(start + SECOND * 6);
    assert_eq!(*told.lock().unwrap(), [false], "told once");
    let later = start + SECOND * 60;
    assert!(contact.stored(later, later + SECOND), "they have to come back first");
    assert!(!contact.stored(later, later + SECOND));
    contact.look(later + SECOND * 2);
    assert_eq!(*told.lock().unwrap(), [false, true]);
    contact.look(later + SECOND * 5);
    assert_eq!(*told.lock().unwrap(), [false, true, false]);
  }

  #[test]
  fn a_turn_that_hung_lets_nobody_in() {
    let (contact, told) = contact();
    let start = Instant::now();
    assert!(!contact.stored(start, start));
    let healed = start + SECOND * 30;
    contact.look(healed);
    assert!(contact.stored(start + SECOND, healed));
    assert_eq!(*told.lock().unwrap(), [false]);
    assert!(contact.stored(healed, healed), "nobody is back yet");
    assert_eq!(*told.lock().unwrap(), [false, true]);
  }
}
