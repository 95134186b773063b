//! Runs attempts: commands in, events out, nothing else crosses the border.
//!
//! The room owns every task process and its output until it is handed over. It knows nothing of
//! servers, schedules or reports. It runs as a process of its own, which outlives the agent's:
//! `desk` is that process, `remote` is what the agent sees of it.

mod allowed;
mod artifacts;
mod capture;
mod command_line;
mod confine;
#[cfg(test)]
mod confine_tests;
mod desk;
mod effective;
mod environment;
mod folder;
mod frames;
mod held;
mod hold;
mod housekeeping;
mod inputs;
mod journal;
mod lanes;
mod launch;
mod mask;
#[cfg(feature = "bench")]
mod noop;
mod orphan;
#[cfg(test)]
mod output_room_tests;
mod overflow;
mod pieces;
mod place;
mod prepare;
mod remote;
mod result_file;
mod room;
mod run_as;
mod running;
#[cfg(test)]
mod said_tests;
mod specs;
mod spoken;
mod stop;
mod supervise;
mod terms;
#[cfg(test)]
mod tests;
mod time_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  ArtifactNote, JobSpec, LogDigest, OutputFrame, ScheduledTask, TaskInstanceId, TaskInstanceStatus,
  TaskMetrics,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::process::{Exit, InForce, SteadyClock, boot_id, in_force_here, watch};
pub use desk::{DeskError, serve};
pub use effective::effective;
pub use environment::BaseEnvironment;
pub use held::{Held, HeldPhase, Identity, StopWhy};
pub use hold::Hold;
#[cfg(test)]
pub use journal::a_start;
pub use launch::Launcher;
pub use place::{Place, PlaceError};
pub use remote::{Attached, Remote, RemoteError};
pub use room::{Executor, ExecutorSettings, Inside, Surroundings};
pub use spoken::Progress;
pub use terms::Terms;
pub use time_limit::Pauses;

/// What the executor can be told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
  /// Remember an attempt that waits for its instant or for a slot.
  Keep(Box<Start>),
  /// An attempt that was only remembered has ended without having been started.
  Forget(TaskInstanceId),
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
  /// A server has answered a sign of life that was sent at this instant of the steady clock.
  Contact(i64),
  /// Nobody will ever store what is kept, nor what is still to come: end everything and forget it.
  Abandon,
  /// Kill every group at once: the agent dies.
  KillAll,
}

/// One attempt to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
  /// The attempt.
  pub task: ScheduledTask,
  /// Its job.
  #[serde(serialize_with = "spec_out", deserialize_with = "spec_in")]
  pub spec: Arc<JobSpec>,
  /// The server's limits, for what the job does not say.
  pub limits: DefaultLimits,
  /// Which executor of this agent it was meant for: one that came later must not have it, since
  /// its agent has told by then that it was not started.
  #[serde(skip)]
  pub executor: u64,
}

impl Start {
  /// Another one, to be kept.
  pub fn copy(&self) -> Self {
    let (task, spec) = (self.task.clone(), Arc::clone(&self.spec));
    Self { task, spec, limits: self.limits, executor: self.executor }
  }

  /// Whether it names secrets whose values are not here.
  pub fn lacks_secrets(&self) -> bool {
    let config = effective(&self.spec.config, self.task.task.config.as_ref());
    config.secrets.iter().any(|name| !self.task.secrets.contains_key(name))
  }
}

fn spec_out<S: serde::Serializer>(spec: &Arc<JobSpec>, out: S) -> Result<S::Ok, S::Error> {
  spec.as_ref().serialize(out)
}

fn spec_in<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Arc<JobSpec>, D::Error> {
  JobSpec::deserialize(input).map(Arc::new)
}

/// Limits of attempts whose job names none.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct DefaultLimits {
  /// Longest run time; none where zero.
  pub time: Duration,
  /// Most output; unlimited where zero.
  pub output_bytes: u64,
}

/// How to end an attempt; what is absent is as the job says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StopOrder {
  /// The first signal.
  pub signal: Option<i32>,
  /// Time between it and the kill.
  pub grace: Option<Duration>,
  /// No grace at all.
  pub force: bool,
  /// What the end will be called.
  pub why: Option<StopWhy>,
}

impl StopOrder {
  /// What another order says, and as this one where it says nothing.
  pub fn with(self, order: Self) -> Self {
    Self {
      signal: order.signal.or(self.signal),
      grace: order.grace.or(self.grace),
      force: order.force,
      why: order.why,
    }
  }
}

/// What the executor says. Times are of the steady clock.
#[derive(Debug)]
pub enum Event {
  /// An executor was attached: all that it has in hand. What was started and is not among it is
  /// gone; what it has to tell of the others follows.
  Attached {
    /// Counts the executors of this agent; starts name the one that they are meant for.
    executor: u64,
    /// What it has.
    held: Vec<Held>,
  },
  /// The process runs, and has outlived its first moments.
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
    /// Kept until it is stored.
    hold: Hold,
  },
  /// How far a task says it is; only the last one counts.
  Progress {
    /// The attempt.
    instance_id: TaskInstanceId,
    /// What it says.
    progress: Progress,
    /// When.
    at_us: i64,
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
  /// Nothing of it lives any more, or it was never started; kept until it is stored.
  Ended(Box<Ended>, Hold),
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Who or what ended it.
  pub cause: Cause,
  /// The process and when it was started, where that was not told before.
  pub started: Option<(Option<u32>, i64)>,
  /// How the process ended, where there was one.
  pub exit: Option<Exit>,
  /// When.
  pub at_us: i64,
  /// The whole log, where it is small and was not sent.
  pub output: Option<SmallOutput>,
  /// Bytes of output in all.
  pub log_bytes: u64,
  /// What else is to be told of them.
  #[serde(default)]
  pub log: LogEnd,
  /// What it has said of itself.
  #[serde(default)]
  pub said: Said,
  /// What it has used, where it was started; without its times.
  #[serde(default)]
  pub metrics: Option<TaskMetrics>,
}

impl Ended {
  /// The end of an attempt of which no more is known.
  pub fn new(instance_id: TaskInstanceId, cause: Cause, at_us: i64) -> Self {
    Self {
      instance_id,
      cause,
      started: None,
      exit: None,
      at_us,
      output: None,
      log_bytes: 0,
      log: LogEnd::default(),
      said: Said::default(),
      metrics: None,
    }
  }
}

/// What a task has said of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
  /// What it hands on.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub outputs: Option<Map<String, Value>>,
  /// How far it was.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub progress: Option<Progress>,
  /// Figures by name.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub metrics: BTreeMap<String, f64>,
  /// The files that it has left.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub artifacts: Vec<ArtifactNote>,
  /// How long its job wants them to be kept, in seconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub artifacts_keep_secs: Option<u64>,
}

/// What is told of a log at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
  /// What its bytes come to; none without a byte, or where nobody has seen all of them.
  pub digest: Option<LogDigest>,
  /// Bytes that were dropped; the log says where.
  pub dropped: u64,
}

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
  /// Nobody saw how: the executor that watched it was killed.
  Unseen,
  /// It was never started.
  NotStarted {
    /// For programs.
    reason: String,
    /// For people.
    message: String,
  },
}

/// A log that is small enough to ride in the final report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmallOutput {
  /// The bytes of all streams in capture order.
  #[serde(with = "frames::bytes_as_text")]
  pub bytes: Vec<u8>,
  /// Which bytes came from which stream; none when all are standard output.
  pub index: Option<String>,
}

/// What a stop that nobody explained is called.
pub(crate) fn cancelled(by: &str) -> StopWhy {
  StopWhy { status: TaskInstanceStatus::Cancelled, reason: format!("cancelled({by})") }
}
