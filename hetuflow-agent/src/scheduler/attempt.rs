//! One attempt in hand.

use hetuflow_core::{
  Delivery, RunningInstance, TaskId, TaskInstanceId, TaskInstanceStatus, TaskInstanceUpdate, Ts,
};

use super::inputs::Inputs;
use crate::executor::{Held, HeldPhase, Identity, Start, StopWhy, effective};

/// Where an attempt stands here.
#[derive(Debug)]
pub enum Phase {
  /// Waits for its instant or for a slot.
  Queued(Box<Start>),
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
  /// Slots that it takes while it runs.
  pub slots: u32,
  /// When it may start, on the server's clock.
  pub due_us: i64,
  /// Not to be started after this.
  pub deadline: Option<Ts>,
  /// Where it stands.
  pub phase: Phase,
  /// It was asked to end.
  pub stop: Option<StopWhy>,
  /// The files that it finds when it starts, while it has not started.
  pub inputs: Option<Box<Inputs>>,
  /// The server does not want to hear of it any more.
  pub forgotten: bool,
  /// The server knows that it waits here, and the executor remembers it.
  pub acknowledged: bool,
}

/// Slots that it takes while it runs; one where its job does not say.
fn slots_of(start: &Start) -> u32 {
  let config = effective(&start.spec.config, start.task.task.config.as_ref());
  let slots = config.requests.map_or(1, |requests| requests.slots);
  u32::try_from(slots).unwrap_or(1).max(1)
}

impl Attempt {
  /// An attempt that has just come.
  pub fn new(start: Start) -> Self {
    let Identity { task_id, number, fence, due_us, .. } = Identity::of(&start);
    Self {
      task_id,
      number,
      fence,
      slots: slots_of(&start),
      due_us,
      deadline: start.task.deadline_at,
      phase: Phase::Queued(Box::new(start)),
      stop: None,
      inputs: None,
      forgotten: false,
      acknowledged: false,
    }
  }

  /// Whether it may run only while nothing else of its task lives anywhere.
  pub fn is_exclusive(&self) -> bool {
    let Phase::Queued(start) = &self.phase else { return false };
    let config = effective(&start.spec.config, start.task.task.config.as_ref());
    config.delivery() == Delivery::Exclusive
  }

  /// An attempt that the executor has had in hand before this agent came; `server_us` turns its
  /// times into the server's.
  pub fn of_held(held: Held, server_us: impl Fn(i64) -> i64) -> Self {
    let Identity { task_id, number, fence, due_us, .. } = held.identity;
    let running = |pid, at_us, paused| Phase::Running { started_us: server_us(at_us), pid, paused };
    let (mut deadline, mut slots) = (None, 1);
    let phase = match held.phase {
      HeldPhase::Waiting(start) => {
        slots = slots_of(&start);
        deadline = start.task.deadline_at;
        Phase::Queued(start)
      }
      HeldPhase::Running { pid, at_us, paused } => running(pid, at_us, paused),
      HeldPhase::Ended { pid, started_us: Some(at_us) } => running(pid, at_us, false),
      HeldPhase::Starting | HeldPhase::Ended { .. } => Phase::Starting,
    };
    Self {
      task_id,
      number,
      fence,
      slots,
      due_us,
      deadline,
      phase,
      stop: held.stop,
      inputs: None,
      forgotten: false,
      acknowledged: true,
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
