//! What an executor has in hand, as an agent that has just come is told.

use hetuflow_core::{TaskId, TaskInstanceId, TaskInstanceStatus};
use serde::{Deserialize, Serialize};

use super::{Start, Terms, effective};

/// Why an attempt was asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopWhy {
  /// What the end is called: cancelled or skipped.
  pub status: TaskInstanceStatus,
  /// The reason as it is reported.
  pub reason: String,
}

/// Which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Its number.
  pub number: i32,
  /// Its fence.
  pub fence: i64,
  /// When it might start, on the server's clock.
  pub due_us: i64,
  /// It is to be stopped after this long without a server.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub stop_after_us: Option<i64>,
  /// What else of its job counts while it lives.
  #[serde(default, skip_serializing_if = "Terms::are_none")]
  pub terms: Terms,
}

impl Identity {
  /// The identity of an attempt as it came from the server.
  pub fn of(start: &Start) -> Self {
    let task = &start.task;
    let config = effective(&start.spec.config, task.task.config.as_ref());
    let stop_after = config.disconnect.as_ref().and_then(|policy| policy.stop_after);
    Self {
      stop_after_us: stop_after.and_then(|secs| i64::try_from(secs.0.as_micros()).ok()),
      terms: Terms::of(start, config),
      instance_id: task.task_instance.id,
      task_id: task.task.id,
      number: task.attempt,
      fence: task.fence,
      due_us: task.task.eligible_at.unwrap_or(task.task.scheduled_at).micros(),
    }
  }
}

/// One attempt in hand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Held {
  /// Which.
  pub identity: Identity,
  /// Where it stands.
  pub phase: HeldPhase,
  /// It was asked to end.
  pub stop: Option<StopWhy>,
}

impl Held {
  /// Another one, to be told.
  pub(super) fn copy(&self) -> Self {
    let phase = match &self.phase {
      HeldPhase::Waiting(start) => HeldPhase::Waiting(Box::new(start.copy())),
      HeldPhase::Starting => HeldPhase::Starting,
      HeldPhase::Running { pid, at_us, paused } => {
        HeldPhase::Running { pid: *pid, at_us: *at_us, paused: *paused }
      }
      HeldPhase::Ended { pid, started_us } => {
        HeldPhase::Ended { pid: *pid, started_us: *started_us }
      }
    };
    Self { identity: self.identity, phase, stop: self.stop.clone() }
  }
}

/// Where an attempt stands in the executor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldPhase {
  /// Remembered, not to be started yet.
  Waiting(Box<Start>),
  /// About to be started.
  Starting,
  /// Its process lives.
  Running {
    /// The process.
    pid: Option<u32>,
    /// When it was started, on the steady clock.
    at_us: i64,
    /// Frozen.
    paused: bool,
  },
  /// It has ended; nobody has stored that yet.
  Ended {
    /// The process, where there was one.
    pid: Option<u32>,
    /// When it was started, where it was.
    started_us: Option<i64>,
  },
}
