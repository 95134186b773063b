//! Runs attempts: commands in, events out, nothing else crosses the border.
//!
//! The room owns every task process and its output until it is handed over. It knows nothing of
//! servers, schedules or reports, so that it can become a process of its own.

mod capture;
mod command_line;
mod confine;
#[cfg(test)]
mod confine_tests;
mod effective;
mod environment;
#[cfg(feature = "bench")]
mod noop;
mod prepare;
mod room;
mod running;
mod stop;
mod supervise;
#[cfg(test)]
mod tests;
mod time_limit;

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{JobSpec, OutputFrame, ScheduledTask, TaskInstanceId, TaskMetrics};
use tokio::sync::OwnedSemaphorePermit;

pub use crate::process::{Exit, InForce, SteadyClock, in_force_here, watch};
pub use effective::effective;
pub use environment::BaseEnvironment;
pub use room::{Executor, ExecutorSettings, Parts};

/// What the executor can be told.
#[derive(Debug)]
pub enum Command {
  /// Start an attempt now.
  Start(Box<Start>),
  /// End an attempt: signal, grace, kill of the group.
  Stop(TaskInstanceId, StopOrder),
  /// Send one signal to the group.
  Signal(TaskInstanceId, i32),
  /// Freeze the group.
  Pause(TaskInstanceId),
  /// Thaw the group.
  Resume(TaskInstanceId),
  /// Kill every group at once: the agent dies.
  KillAll,
}

/// One attempt to start.
#[derive(Debug)]
pub struct Start {
  /// The attempt.
  pub task: ScheduledTask,
  /// Its job.
  pub spec: Arc<JobSpec>,
  /// The server's limits, for what the job does not say.
  pub limits: DefaultLimits,
}

/// Limits of attempts whose job names none.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultLimits {
  /// Longest run time; none where zero.
  pub time: Duration,
  /// Most output; unlimited where zero.
  pub output_bytes: u64,
}

/// How to end an attempt; what is absent is as the job says.
#[derive(Debug, Clone, Default)]
pub struct StopOrder {
  /// The first signal.
  pub signal: Option<i32>,
  /// Time between it and the kill.
  pub grace: Option<Duration>,
  /// No grace at all.
  pub force: bool,
}

/// What the executor says. Times are of the steady clock.
#[derive(Debug)]
pub enum Event {
  /// The process runs.
  Started {
    /// The attempt.
    instance_id: TaskInstanceId,
    /// The process; none for a task without one.
    pid: Option<u32>,
    /// When it was started.
    at_us: i64,
  },
  /// Output, in order; comes before the end.
  Output {
    /// The bytes, without their number among the reports.
    frame: Box<OutputFrame>,
    /// Their share of the memory for output; dropped when the server has them.
    hold: OwnedSemaphorePermit,
  },
  /// The process is frozen, or thawed.
  Frozen {
    /// The attempt.
    instance_id: TaskInstanceId,
    /// Frozen, else thawed.
    frozen: bool,
    /// When.
    at_us: i64,
  },
  /// Nothing of it lives any more, or it was never started.
  Ended(Box<Ended>),
}

/// The end of an attempt.
#[derive(Debug)]
pub struct Ended {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Who or what ended it.
  pub cause: Cause,
  /// How the process ended, where there was one.
  pub exit: Option<Exit>,
  /// When.
  pub at_us: i64,
  /// The whole log, where it is small and was not sent.
  pub output: Option<SmallOutput>,
  /// Bytes of output in all.
  pub log_bytes: u64,
  /// What it has used, where it was started; without its times.
  pub metrics: Option<TaskMetrics>,
}

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
  /// By itself.
  Itself,
  /// By our stop.
  Stopped,
  /// By its time limit.
  TimedOut,
  /// By another limit that it has hit.
  OverLimit {
    /// For programs: `oom_killed`, or `limit(name)`.
    reason: String,
    /// For people.
    message: String,
  },
  /// It was never started.
  NotStarted {
    /// For programs.
    reason: String,
    /// For people.
    message: String,
  },
}

/// A log that is small enough to ride in the final report.
#[derive(Debug, PartialEq, Eq)]
pub struct SmallOutput {
  /// The bytes of all streams in capture order.
  pub bytes: Vec<u8>,
  /// Which bytes came from which stream; none when all are standard output.
  pub index: Option<String>,
}
