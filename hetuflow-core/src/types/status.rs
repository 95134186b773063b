//! The only tables of legal moves (WIRE §1a), pure; every stored move is also a guarded update.
//!
//! A task's state is what people ask about; an attempt's state is what an agent reports. Both are
//! here, so that server and agent cannot disagree.

use crate::wire_enum;

wire_enum! {
  /// Where a task stands.
  pub enum TaskStatus {
    /// Waits to be claimed. The broker moves it out.
    Pending = 1 => "pending",
    /// A node of a flow that waits for others.
    Blocked = 5 => "blocked",
    /// Claimed for an agent, not acknowledged yet.
    Locked = 10 => "locked",
    /// Acknowledged by the agent, not started yet.
    Dispatched = 20 => "dispatched",
    /// Waits for its next attempt.
    WaitingRetry = 30 => "waiting_retry",
    /// A process runs.
    Running = 40 => "running",
    /// Its process is frozen.
    Paused = 45 => "paused",
    /// It was asked to stop and still lives.
    Cancelling = 46 => "cancelling",
    /// Final: ended without success.
    Failed = 90 => "failed",
    /// Final: nobody knows how it ended.
    Lost = 92 => "lost",
    /// Final: skipped by a person or a flow.
    Skipped = 95 => "skipped",
    /// Final: its start deadline passed.
    Expired = 98 => "expired",
    /// Final: cancelled.
    Cancelled = 99 => "cancelled",
    /// Final: ended with success.
    Succeeded = 100 => "succeeded",
  }
}

wire_enum! {
  /// Where an attempt stands.
  pub enum TaskInstanceStatus {
    /// Handed to an agent.
    Dispatched = 5 => "dispatched" | "pending",
    /// A process runs.
    Running = 10 => "running",
    /// It was asked to stop and still lives.
    Cancelling = 15 => "cancelling",
    /// Final: ended by its time limit.
    Timeout = 20 => "timeout",
    /// The agent is silent; the process may be alive.
    Unreachable = 25 => "unreachable",
    /// Frozen.
    Paused = 30 => "paused",
    /// Final: stopped because it was skipped.
    Skipped = 40 => "skipped",
    /// Final: the agent did not come back.
    Lost = 80 => "lost",
    /// Final: no process was started.
    NotStarted = 85 => "not_started",
    /// Final: another exit code than 0, or a signal.
    Failed = 90 => "failed",
    /// Final: cancelled, and nothing of it lives.
    Cancelled = 99 => "cancelled",
    /// Final: exit code 0.
    Succeeded = 100 => "succeeded",
  }
}

impl TaskStatus {
  /// Nothing leaves a final state.
  pub const fn is_final(self) -> bool {
    self.number() >= 90
  }

  /// An attempt of it may be alive on an agent.
  pub const fn is_on_agent(self) -> bool {
    use TaskStatus::*;
    matches!(self, Locked | Dispatched | Running | Paused | Cancelling)
  }
}

impl TaskInstanceStatus {
  /// Nothing leaves a final state.
  pub const fn is_final(self) -> bool {
    use TaskInstanceStatus::*;
    matches!(self, Timeout | Skipped | Lost | NotStarted | Failed | Cancelled | Succeeded)
  }
}

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceEvent {
  /// The process was started.
  Started,
  /// Refused, expired or failed before exec.
  NotStarted,
  /// The process ended by itself with exit code 0.
  ExitedOk,
  /// The process ended by itself in another way.
  ExitedBad,
  /// The time limit ended it.
  TimedOut,
  /// Frozen.
  Paused,
  /// Thawed.
  Resumed,
  /// A stop was asked for.
  StopAsked,
  /// Stopped for a cancel: nothing of it lives.
  Cancelled,
  /// Stopped for a skip: nothing of it lives.
  Skipped,
  /// Its agent has been silent for `U`.
  AgentSilent,
  /// Its agent did not come back, rebooted, or lost its data.
  GivenUp,
}

impl InstanceEvent {
  /// Every event, for the tests that list the whole table.
  pub const ALL: &'static [Self] = {
    use InstanceEvent::*;
    &[
      Started,
      NotStarted,
      ExitedOk,
      ExitedBad,
      TimedOut,
      Paused,
      Resumed,
      StopAsked,
      Cancelled,
      Skipped,
      AgentSilent,
      GivenUp,
    ]
  };

  /// The event that a report of this status speaks of; `None` for what agents may not report.
  pub const fn of_report(status: TaskInstanceStatus) -> Option<Self> {
    use TaskInstanceStatus as S;
    Some(match status {
      S::Running => Self::Started,
      S::NotStarted => Self::NotStarted,
      S::Succeeded => Self::ExitedOk,
      S::Failed => Self::ExitedBad,
      S::Timeout => Self::TimedOut,
      S::Paused => Self::Paused,
      S::Cancelled => Self::Cancelled,
      S::Skipped => Self::Skipped,
      S::Dispatched | S::Cancelling | S::Unreachable | S::Lost => return None,
    })
  }
}

/// The legal moves of an attempt. `None` means a late or foreign report: keep it, change nothing.
///
/// An unreachable attempt whose agent is back takes whatever the agent reports.
pub const fn instance_transition(
  from: TaskInstanceStatus,
  event: InstanceEvent,
) -> Option<TaskInstanceStatus> {
  use InstanceEvent as E;
  use TaskInstanceStatus as S;
  Some(match (from, event) {
    (S::Dispatched | S::Unreachable, E::Started) => S::Running,
    (S::Dispatched | S::Cancelling | S::Unreachable, E::NotStarted) => S::NotStarted,
    (S::Running | S::Paused | S::Cancelling | S::Unreachable, E::ExitedOk) => S::Succeeded,
    (S::Running | S::Paused | S::Cancelling | S::Unreachable, E::ExitedBad) => S::Failed,
    (S::Running | S::Paused | S::Cancelling | S::Unreachable, E::TimedOut) => S::Timeout,
    (S::Running | S::Unreachable, E::Paused) => S::Paused,
    (S::Paused, E::Resumed) => S::Running,
    (S::Dispatched | S::Running | S::Paused, E::StopAsked) => S::Cancelling,
    (S::Cancelling | S::Unreachable, E::Cancelled) => S::Cancelled,
    (S::Cancelling | S::Unreachable, E::Skipped) => S::Skipped,
    (S::Dispatched | S::Running | S::Paused | S::Cancelling, E::AgentSilent) => S::Unreachable,
    (S::Unreachable, E::GivenUp) => S::Lost,
    _ => return None,
  })
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
  /// Its predecessors in a flow decided that it runs.
  Unblocked,
  /// A server claimed it for an agent.
  Claimed,
  /// The agent acknowledged it.
  Acknowledged,
  /// It never reached the agent: the claim is taken back.
  ClaimReturned,
  /// Its process was started.
  Started,
  /// Frozen.
  Paused,
  /// Thawed.
  Resumed,
  /// A cancel was asked for.
  CancelAsked,
  /// A skip was asked for.
  SkipAsked,
  /// Its start deadline passed.
  DeadlinePassed,
  /// Its attempt ended and another one is allowed.
  RetryAllowed,
  /// Its attempt was stopped so that another one takes its place.
  Restarted,
  /// Its attempt ended with success.
  AttemptSucceeded,
  /// Its attempt ended without success and no other is allowed.
  AttemptFailed,
  /// Its attempt was cancelled.
  AttemptCancelled,
  /// Its attempt was skipped.
  AttemptSkipped,
  /// Its attempt was lost and no other is allowed.
  AttemptLost,
}

impl TaskEvent {
  /// Every event, for the tests that list the whole table.
  pub const ALL: &'static [Self] = {
    use TaskEvent::*;
    &[
      Unblocked,
      Claimed,
      Acknowledged,
      ClaimReturned,
      Started,
      Paused,
      Resumed,
      CancelAsked,
      SkipAsked,
      DeadlinePassed,
      RetryAllowed,
      Restarted,
      AttemptSucceeded,
      AttemptFailed,
      AttemptCancelled,
      AttemptSkipped,
      AttemptLost,
    ]
  };
}

/// The legal moves of a task. `None` means: refuse, change nothing.
pub const fn task_transition(from: TaskStatus, event: TaskEvent) -> Option<TaskStatus> {
  use TaskEvent as E;
  use TaskStatus as S;
  Some(match (from, event) {
    (S::Blocked, E::Unblocked) => S::Pending,
    (S::Pending | S::WaitingRetry, E::Claimed) => S::Locked,
    (S::Locked, E::Acknowledged) => S::Dispatched,
    (S::Locked, E::ClaimReturned) => S::Pending,
    (S::Locked | S::Dispatched, E::Started) => S::Running,
    (S::Running, E::Paused) => S::Paused,
    (S::Paused, E::Resumed) => S::Running,
    (S::Locked | S::Dispatched | S::Running | S::Paused, E::CancelAsked | E::SkipAsked) => {
      S::Cancelling
    }
    (S::Pending | S::Blocked | S::WaitingRetry, E::CancelAsked) => S::Cancelled,
    (S::Pending | S::Blocked | S::WaitingRetry, E::SkipAsked) => S::Skipped,
    (S::Pending | S::Blocked | S::WaitingRetry, E::DeadlinePassed) => S::Expired,
    // A task that somebody asked to stop is not tried again.
    (S::Locked | S::Dispatched | S::Running | S::Paused, E::RetryAllowed) => S::WaitingRetry,
    (_, E::Restarted) if from.is_on_agent() => S::WaitingRetry,
    (_, E::AttemptSucceeded) if from.is_on_agent() => S::Succeeded,
    (_, E::AttemptFailed) if from.is_on_agent() => S::Failed,
    (_, E::AttemptCancelled) if from.is_on_agent() => S::Cancelled,
    (_, E::AttemptSkipped) if from.is_on_agent() => S::Skipped,
    (_, E::AttemptLost) if from.is_on_agent() => S::Lost,
    _ => return None,
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  /// One line per legal move, so that a change of the table is seen in review.
  fn moves<S: Copy + std::fmt::Display, E: Copy + std::fmt::Debug>(
    states: &[S],
    events: &[E],
    step: impl Fn(S, E) -> Option<S>,
  ) -> String {
    let mut lines = Vec::new();
    for from in states {
      for event in events {
        if let Some(to) = step(*from, *event) {
          lines.push(format!("{from} --{event:?}--> {to}"));
        }
      }
    }
    lines.join("\n")
  }

  #[test]
  fn the_table_of_attempts() {
    insta::assert_snapshot!(moves(
      TaskInstanceStatus::ALL,
      InstanceEvent::ALL,
      instance_transition
    ));
  }

  #[test]
  fn the_table_of_tasks() {
    insta::assert_snapshot!(moves(TaskStatus::ALL, TaskEvent::ALL, task_transition));
  }

  #[test]
  fn nothing_leaves_a_final_state() {
    for from in TaskInstanceStatus::ALL.iter().filter(|s| s.is_final()) {
      assert!(InstanceEvent::ALL.iter().all(|e| instance_transition(*from, *e).is_none()));
    }
    for from in TaskStatus::ALL.iter().filter(|s| s.is_final()) {
      assert!(TaskEvent::ALL.iter().all(|e| task_transition(*from, *e).is_none()));
    }
  }
}
