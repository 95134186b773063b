//! One attempt in hand.

use std::sync::Arc;

use hetuflow_core::{
  JobSpec, RunningInstance, ScheduledTask, TaskId, TaskInstanceId, TaskInstanceStatus,
  TaskInstanceUpdate, Ts,
};

/// Why an attempt was asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopWhy {
  /// What the end is called: cancelled or skipped.
  pub status: TaskInstanceStatus,
  /// The reason as it is reported.
  pub reason: String,
}

/// Where an attempt stands here.
#[derive(Debug)]
pub enum Phase {
  /// Waits for its instant or for a slot.
  Queued(Box<ScheduledTask>),
  /// With the executor, which has not said anything yet.
  Starting,
  /// Its process lives.
  Running {
    /// When it was started, on the server's clock.
    started_us: i64,
    /// The process.
    pid: Option<u32>,
    /// Frozen.
    paused: bool,
  },
}

/// One attempt in hand.
#[derive(Debug)]
pub struct Attempt {
  /// Its task.
  pub task_id: TaskId,
  /// Its number.
  pub number: i32,
  /// Its fence.
  pub fence: i64,
  /// When it may start, on the server's clock.
  pub due_us: i64,
  /// Not to be started after this.
  pub deadline: Option<Ts>,
  /// Its job.
  pub spec: Arc<JobSpec>,
  /// Where it stands.
  pub phase: Phase,
  /// It was asked to end.
  pub stop: Option<StopWhy>,
  /// The server does not want to hear of it any more.
  pub forgotten: bool,
  /// The server knows that it waits here.
  pub acknowledged: bool,
}

impl Attempt {
  /// An attempt that has just come.
  pub fn new(task: ScheduledTask, spec: Arc<JobSpec>) -> Self {
    Self {
      task_id: task.task.id,
      number: task.attempt,
      fence: task.fence,
      due_us: task.task.eligible_at.unwrap_or(task.task.scheduled_at).micros(),
      deadline: task.deadline_at,
      spec,
      phase: Phase::Queued(Box::new(task)),
      stop: None,
      forgotten: false,
      acknowledged: false,
    }
  }

  /// Waits for its instant or for a slot.
  pub fn is_queued(&self) -> bool {
    matches!(self.phase, Phase::Queued(_))
  }

  /// Whether its start deadline has passed.
  pub fn is_expired(&self, server_now: Ts) -> bool {
    self.deadline.is_some_and(|deadline| deadline < server_now)
  }

  /// An update about it.
  pub fn update(
    &self,
    instance_id: TaskInstanceId,
    status: TaskInstanceStatus,
    at: Ts,
  ) -> Box<TaskInstanceUpdate> {
    let mut update = TaskInstanceUpdate::new(instance_id, self.task_id, status, at);
    update.attempt = self.number;
    update.fence = self.fence;
    Box::new(update)
  }

  /// How it is named to a server after a reconnect.
  pub fn as_running(&self, instance_id: TaskInstanceId) -> RunningInstance {
    let (status, pid, started_us) = match self.phase {
      Phase::Queued(_) | Phase::Starting => (TaskInstanceStatus::Dispatched, None, None),
      Phase::Running { started_us, pid, paused: true } => {
        (TaskInstanceStatus::Paused, pid, Some(started_us))
      }
      Phase::Running { started_us, pid, paused: false } => {
        (TaskInstanceStatus::Running, pid, Some(started_us))
      }
    };
    RunningInstance {
      instance_id,
      task_id: self.task_id,
      attempt: self.number,
      fence: self.fence,
      status,
      pid,
      started_at: started_us.map(Ts::from_micros),
    }
  }
}
