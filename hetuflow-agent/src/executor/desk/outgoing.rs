//! In which order kept events go to the agent: what became of attempts before output, and the end
//! of an attempt behind all of its own output.

use std::collections::{HashMap, VecDeque};

use hetuflow_core::TaskInstanceId;

/// Events that were not told yet, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
  ends: VecDeque<u64>,
  /// Output, and the ends that follow output of their own attempt.
  slow: VecDeque<(u64, TaskInstanceId)>,
  /// How many of `slow` are of each attempt.
  waiting: HashMap<TaskInstanceId, usize>,
}

impl Outgoing {
  /// An event comes last.
  pub(super) fn push(&mut self, number: u64, instance_id: TaskInstanceId, is_output: bool) {
    if !is_output && !self.waiting.contains_key(&instance_id) {
      return self.ends.push_back(number);
    }
    *self.waiting.entry(instance_id).or_default() += 1;
    self.slow.push_back((number, instance_id));
  }

  /// The next one; `may_go` says whether an event behind the ends may go now.
  pub(super) fn pop(&mut self, may_go: impl FnOnce(u64) -> bool) -> Option<u64> {
    if let Some(number) = self.ends.pop_front() {
      return Some(number);
    }
    let (number, instance_id) = self.slow.pop_front_if(|(number, _)| may_go(*number))?;
    if let Some(waiting) = self.waiting.get_mut(&instance_id) {
      *waiting -= 1;
      if *waiting == 0 {
        self.waiting.remove(&instance_id);
      }
    }
    Some(number)
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn ends_overtake_output_of_others_and_not_their_own() {
    let (loud, other) = (TaskInstanceId::generate(), TaskInstanceId::generate());
    let mut outgoing = Outgoing::default();
    outgoing.push(1, loud, true);
    outgoing.push(2, loud, true);
    outgoing.push(3, loud, false);
    outgoing.push(4, other, false);
    let mut order = Vec::new();
    while let Some(number) = outgoing.pop(|number| number < 2) {
      order.push(number);
    }
    assert_eq!(order, [4, 1], "the window is full then");
    outgoing.push(5, other, false);
    while let Some(number) = outgoing.pop(|_| true) {
      order.push(number);
    }
    assert_eq!(order, [4, 1, 5, 2, 3]);
    assert!(outgoing.waiting.is_empty());
  }
}
