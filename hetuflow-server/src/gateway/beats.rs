//! Signs of life between the sockets and the store: the newest of each agent waits for the next
//! turn that stores them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hetuflow_core::AgentId;

use crate::service::HeartbeatNote;

/// Signs of life that wait to be stored.
#[derive(Debug, Default)]
pub struct PendingBeats(Mutex<HashMap<AgentId, HeartbeatNote>>);

impl PendingBeats {
  fn notes(&self) -> MutexGuard<'_, HashMap<AgentId, HeartbeatNote>> {
    self.0.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Notes one in place of the agent's earlier one.
  pub fn note(&self, mut note: HeartbeatNote) {
    let mut notes = self.notes();
    if let Some(known) = notes.get(&note.id) {
      // An old connection that is still read speaks for nobody any more.
      if known.connection_epoch > note.connection_epoch {
        return;
      }
      // What is told once must outlive the next heartbeat.
      note.clock_invalid |= known.clock_invalid;
    }
    notes.insert(note.id.clone(), note);
  }

  /// Drops what waits of a connection that has ended: stored behind its end, it would say that the
  /// agent is still there.
  pub fn forget(&self, agent: &AgentId, connection_epoch: i64) {
    let mut notes = self.notes();
    if notes.get(agent).is_some_and(|note| note.connection_epoch == connection_epoch) {
      notes.remove(agent);
    }
  }

  /// Takes all that waits.
  pub fn take(&self) -> Vec<HeartbeatNote> {
    self.notes().drain().map(|(_, note)| note).collect()
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::AgentStatus;

  use super::*;

  fn beat(connection_epoch: i64, clock_invalid: bool) -> HeartbeatNote {
    HeartbeatNote {
      id: AgentId::new("a").unwrap(),
      agent_epoch: 1,
      connection_epoch,
      status: AgentStatus::Idle,
      statistics: serde_json::Value::Null,
      clock_offset_ms: None,
      clock_invalid,
    }
  }

  #[test]
  fn the_end_of_a_connection_takes_its_own_sign_of_life_along() {
    let (beats, id) = (PendingBeats::default(), AgentId::new("a").unwrap());
    beats.note(beat(1, false));
    beats.forget(&id, 1);
    assert!(beats.take().is_empty());
    beats.note(beat(1, false));
    beats.note(beat(2, false));
    beats.note(beat(1, false));
    beats.forget(&id, 1);
    assert_eq!(beats.take(), [beat(2, false)], "the next connection goes on");
  }

  #[test]
  fn what_is_told_once_outlives_the_next_one() {
    let beats = PendingBeats::default();
    beats.note(beat(1, true));
    beats.note(beat(1, false));
    assert_eq!(beats.take(), [beat(1, true)]);
    beats.note(beat(1, false));
    assert_eq!(beats.take(), [beat(1, false)]);
  }
}
