//! Remembers which attempts were taken, so that none is ever started twice.

use std::collections::HashMap;

use hetuflow_core::TaskId;

/// Tasks in one generation; two are kept, so at least this many are remembered.
const GENERATION: usize = 50_000;

/// What an attempt is to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
  /// Never seen.
  New,
  /// The very same attempt.
  Duplicate,
  /// A newer attempt of the task was seen.
  Stale,
}

/// The highest fence seen of each task: fences of one task only grow.
#[derive(Debug, Default)]
pub struct Seen {
  young: HashMap<TaskId, i64>,
  old: HashMap<TaskId, i64>,
}

impl Seen {
  /// Judges an attempt and remembers it.
  pub fn judge(&mut self, task_id: TaskId, fence: i64) -> Novelty {
    let known = self.young.get(&task_id).or_else(|| self.old.get(&task_id)).copied();
    match known {
      Some(known) if known == fence => Novelty::Duplicate,
      Some(known) if known > fence => Novelty::Stale,
      _ => {
        if self.young.len() >= GENERATION {
          self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(task_id, fence);
        Novelty::New
      }
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn an_attempt_is_new_once() {
    let mut seen = Seen::default();
    let (a, b) = (TaskId::generate(), TaskId::generate());
    assert_eq!(seen.judge(a, 5), Novelty::New);
    assert_eq!(seen.judge(a, 5), Novelty::Duplicate);
    assert_eq!(seen.judge(b, 1), Novelty::New, "fences of different tasks are not compared");
    assert_eq!(seen.judge(a, 4), Novelty::Stale);
    assert_eq!(seen.judge(a, 9), Novelty::New);
    for _ in 0..GENERATION {
      seen.judge(TaskId::generate(), 1);
    }
    assert_eq!(seen.judge(a, 9), Novelty::Duplicate, "remembered over one generation");
    assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
  }
}
