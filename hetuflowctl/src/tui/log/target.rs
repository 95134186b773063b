//! Whose output is shown.

use hetuflow_core::TaskInstanceId;

/// One attempt of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAttempt {
  /// Its id.
  pub instance_id: TaskInstanceId,
  /// Its number, from 1.
  pub number: i32,
  /// Where it runs or ran.
  pub agent: Option<String>,
  /// Read from this byte on.
  pub from: u64,
}

/// A task whose output is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
  /// A name that a file may have, such as `etl-daily-7qk2m9xa`.
  pub name: String,
  /// Its attempts, oldest first.
  pub attempts: Vec<LogAttempt>,
}

/// Which of the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
  /// The newest, also when a newer one begins.
  Latest,
  /// This one.
  One(usize),
  /// All of them, one after the other.
  All,
}

impl LogTarget {
  /// The attempts to read.
  pub fn chosen(&self, which: Which) -> &[LogAttempt] {
    let count = self.attempts.len();
    match which {
      Which::All => &self.attempts,
      Which::Latest => &self.attempts[count.saturating_sub(1)..],
      Which::One(nth) => self.attempts.get(nth..=nth).unwrap_or_default(),
    }
  }

  /// The choice one attempt earlier or later; none when there is none.
  pub fn beside(&self, which: Which, later: bool) -> Option<Which> {
    let last = self.attempts.len().checked_sub(1)?;
    let now = match which {
      Which::One(nth) => nth.min(last),
      Which::Latest | Which::All => last,
    };
    let next = if later { now.checked_add(1)? } else { now.checked_sub(1)? };
    match next {
      next if next == last => Some(Which::Latest),
      next if next < last => Some(Which::One(next)),
      _ => None,
    }
  }
}
