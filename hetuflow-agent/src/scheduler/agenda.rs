//! What waits: for its instant, or for a free slot.

use std::collections::{BTreeMap, VecDeque};

use hetuflow_core::TaskInstanceId;

/// Attempts by due instant, and those that are due, in the order in which the server sent them
/// (which is the order of priority). Instants are of the server's clock, in microseconds.
#[derive(Debug, Default)]
pub struct Agenda {
  future: BTreeMap<(i64, u64), TaskInstanceId>,
  ready: VecDeque<TaskInstanceId>,
  arrivals: u64,
}

impl Agenda {
  /// Adds an attempt.
  pub fn add(&mut self, instance_id: TaskInstanceId, due_us: i64, now_us: i64) {
    if due_us <= now_us {
      self.ready.push_back(instance_id);
      return;
    }
    self.arrivals += 1;
    self.future.insert((due_us, self.arrivals), instance_id);
  }

  /// Moves what is due to the end of the ready ones.
  pub fn advance(&mut self, now_us: i64) {
    while let Some(entry) = self.future.first_entry() {
      if entry.key().0 > now_us {
        return;
      }
      self.ready.push_back(entry.remove());
    }
  }

  /// The next one that is ready.
  pub fn pop(&mut self) -> Option<TaskInstanceId> {
    self.ready.pop_front()
  }

  /// The one that was just taken is the next one again.
  pub fn put_back(&mut self, instance_id: TaskInstanceId) {
    self.ready.push_front(instance_id);
  }

  /// When the next one is due.
  pub fn next_due(&self) -> Option<i64> {
    self.future.first_key_value().map(|((due_us, _), _)| *due_us)
  }

  /// Forgets everything; the attempts themselves are the caller's.
  pub fn clear(&mut self) {
    self.future.clear();
    self.ready.clear();
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn due_ones_keep_the_servers_order() {
    let ids: Vec<_> = (0..4).map(|_| TaskInstanceId::generate()).collect();
    let mut agenda = Agenda::default();
    agenda.add(ids[0], 300, 100);
    agenda.add(ids[1], 200, 100);
    agenda.add(ids[2], 90, 100);
    agenda.add(ids[3], 10, 100);
    assert_eq!(agenda.next_due(), Some(200));
    agenda.advance(250);
    let popped: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
    assert_eq!(popped, [ids[2], ids[3], ids[1]]);
    assert_eq!(agenda.next_due(), Some(300));
  }
}
