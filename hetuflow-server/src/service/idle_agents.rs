//! The border to the broker: whether a new task can begin its life on an idle agent.

use std::sync::Arc;

use hetuflow_core::JobSpec;

use crate::infra::bmc::hot::{Birth, ClaimedTask, NewTask};

/// A free place that is held for one new task.
#[derive(Debug)]
pub struct IdlePlace {
  /// The place.
  pub birth: Birth,
  /// What the task's job runs.
  pub spec: Arc<JobSpec>,
}

/// Agents with room. Nothing here waits or asks the store.
///
/// A new task for which an agent is idle is written as claimed at once: one statement and one
/// commit less before it starts. It never overtakes a task that waits.
pub trait IdleAgents: Send + Sync {
  /// Holds a place for a task that is due; `None` when anything else waits, or no agent is idle.
  fn reserve(&self, task: &NewTask) -> Option<IdlePlace>;

  /// The task was written as claimed: it goes to its agent.
  fn hand_out(&self, task: ClaimedTask, place: IdlePlace);

  /// The task was not written: the place is free again.
  fn release(&self, place: IdlePlace);
}
