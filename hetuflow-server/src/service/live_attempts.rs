//! Attempts that are alive on agents connected here: which agent may speak for which attempt.
//!
//! Output frames name an attempt and nothing else, so that this table is what keeps an agent from
//! writing into another one's log. It is filled by claims and by what agents say when they come
//! back, the latter only after the store agreed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hetuflow_core::{AgentId, TaskId, TaskInstanceId};

/// One live attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAttempt {
  /// Its task.
  pub task_id: TaskId,
  /// Its agent.
  pub agent_id: AgentId,
  /// Its fence.
  pub fence: i64,
}

/// All live attempts that this server knows.
#[derive(Debug, Default)]
pub struct LiveAttempts {
  table: Mutex<HashMap<TaskInstanceId, LiveAttempt>>,
}

impl LiveAttempts {
  fn table(&self) -> std::sync::MutexGuard<'_, HashMap<TaskInstanceId, LiveAttempt>> {
    self.table.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Notes attempts.
  pub fn insert(&self, attempts: impl IntoIterator<Item = (TaskInstanceId, LiveAttempt)>) {
    self.table().extend(attempts);
  }

  /// Forgets attempts that ended.
  pub fn remove(&self, attempts: impl IntoIterator<Item = TaskInstanceId>) {
    let mut table = self.table();
    for attempt in attempts {
      table.remove(&attempt);
    }
  }

  /// Whether this agent may speak for the attempt under this fence.
  pub fn belongs_to(&self, attempt: TaskInstanceId, agent: &AgentId, fence: i64) -> bool {
    self.table().get(&attempt).is_some_and(|one| one.agent_id == *agent && one.fence == fence)
  }

  /// Whether this server knows the attempt: it was handed out, or its agent named it.
  pub fn knows(&self, attempt: TaskInstanceId) -> bool {
    self.table().contains_key(&attempt)
  }

  /// How many there are.
  pub fn len(&self) -> usize {
    self.table().len()
  }

  /// Whether there is none.
  pub fn is_empty(&self) -> bool {
    self.table().is_empty()
  }
}
