//! The agent's settings: defaults, file, environment, flags, in this order; every problem at once.

mod confine;
mod lookup;
mod read;
mod sample;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hetuflow_core::config_text::{Problem, Setting};
use hetuflow_core::{Labels, LogPolicy};
use url::Url;

pub use confine::{CgroupChoice, ConfineSection, HostLimits};
pub use lookup::Source;
pub use sample::{is_setting, sample};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
  /// Who this agent is.
  pub agent: AgentSettings,
  /// Its servers.
  pub connection: ConnectionSection,
  /// How much it takes.
  pub polling: PollingSection,
  /// What it has for tasks that ask for room.
  pub resources: ResourcesSection,
  /// How it runs tasks.
  pub process: ProcessSection,
  /// Programs of task types, by name.
  pub task_types: BTreeMap<String, TaskType>,
  /// Its own log.
  pub log: LogSection,
}

impl Settings {
  /// Where files of attempts are kept until a server has them.
  pub fn artifact_dir(&self) -> PathBuf {
    self.agent.state_dir.join("artifacts")
  }

  /// Where files are that tasks find when they start.
  pub fn input_dir(&self) -> PathBuf {
    self.agent.state_dir.join("inputs")
  }
}

/// `[agent]`
#[derive(Clone, PartialEq)]
pub struct AgentSettings {
  /// Its id; made at the first start where none is given.
  pub agent_id: Option<String>,
  /// Its name for people; the host's name where none is given.
  pub name: String,
  /// The namespaces it serves; the default one where none is given.
  pub namespaces: Vec<String>,
  /// What selectors match.
  pub labels: Labels,
  /// Anything else about it.
  pub metadata: BTreeMap<String, String>,
  /// Folder of commands that name none.
  pub work_dir: PathBuf,
  /// What it must not forget.
  pub state_dir: PathBuf,
  /// Its credential; empty for none.
  pub token: String,
  /// Whether tasks may run as root.
  pub allow_root_tasks: bool,
  /// As whom else tasks may run, if the agent itself is root.
  pub run_as_allow: Vec<String>,
  /// Programs that jobs may name; all where there is none.
  pub commands_allow: Vec<String>,
  /// What becomes of running tasks when it is asked to stop.
  pub tasks_on_stop: TasksOnStop,
  /// How long running tasks may go on then, if they are stopped.
  pub shutdown_grace: Duration,
}

/// What becomes of running tasks when the agent is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TasksOnStop {
  /// They go on; the next agent finds them.
  Keep,
  /// They are stopped.
  Stop,
}

impl std::fmt::Debug for AgentSettings {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let token = if self.token.is_empty() { "" } else { "***" };
    f.debug_struct("AgentSettings")
      .field("agent_id", &self.agent_id)
      .field("state_dir", &self.state_dir)
      .field("token", &token)
      .finish_non_exhaustive()
  }
}

/// `[agent.connection]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSection {
  /// Servers to dial, one after the other.
  pub servers: Vec<Url>,
  /// Longest wait for a connection.
  pub connect_timeout: Duration,
  /// Time between heartbeats, unless the server says otherwise.
  pub heartbeat_interval: Duration,
  /// First wait before a new try.
  pub reconnect_base: Duration,
  /// No wait is longer.
  pub reconnect_max: Duration,
  /// What waited with an agent before this one starts without a server's word only after this.
  pub takeover_grace: Duration,
}

/// `[agent.polling]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollingSection {
  /// Processes at the same time.
  pub max_concurrent_tasks: u32,
  /// Most tasks that wait here for a slot.
  pub queue_depth_max: u32,
}

/// `[agent.resources]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourcesSection {
  /// Processors; 0 is what is measured.
  pub cpu: i64,
  /// Memory, in MiB; 0 is what is measured.
  pub memory_mb: i64,
}

/// `[agent.process]`
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessSection {
  /// Below it each attempt with a script gets a folder.
  pub run_base_dir: PathBuf,
  /// Folders of attempts that hold secrets or belong to other users; below it, one for this agent.
  pub runtime_dir: PathBuf,
  /// Bytes of output that may wait for the server.
  pub output_buffer: u64,
  /// What becomes of output for which no room is left, where the job does not say.
  pub log_policy: LogPolicy,
  /// Most bytes of a task's results, as JSON.
  pub result_size_max: u64,
  /// Whether values of secrets are masked in the output of their task.
  pub mask_secrets: bool,
  /// Most bytes of one file that a task leaves.
  pub artifact_size_max: u64,
  /// Most bytes of all files that an attempt leaves.
  pub artifact_total_max: u64,
  /// Most bytes of one file that a task finds when it starts.
  pub input_size_max: u64,
  /// Most bytes of all files that an attempt finds.
  pub input_total_max: u64,
  /// Bytes of such files that are kept for the next task.
  pub input_cache_max: u64,
  /// Longest time that an attempt waits for them.
  pub input_fetch_timeout: Duration,
  /// Longest time that output waits to be sent.
  pub output_flush_interval: Duration,
  /// How tasks are held together, measured and limited.
  pub confine: ConfineSection,
  /// Whether each start is on the disk before it is made.
  pub journal_sync: bool,
  /// End every task at once, without a process; for benchmarks.
  pub noop: bool,
}

/// `[agent.task_types."NAME"]`
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskType {
  /// The program.
  pub cmd: String,
  /// Its first arguments.
  pub args: Vec<String>,
  /// Where it runs.
  pub cwd: Option<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
  /// What is worth a line, as `info` or `info,hetuflow_agent=debug`.
  pub level: String,
  /// One JSON object per line, else text.
  pub json: bool,
  /// Folder of daily files.
  pub dir: PathBuf,
  /// Files that are kept.
  pub keep: usize,
  /// How the files are called.
  pub name: &'static str,
  /// Whether stderr is written as well.
  pub stderr: bool,
}

/// Settings, and where each came from.
#[derive(Debug)]
pub struct Loaded {
  /// What counts.
  pub settings: Settings,
  /// Each key with its value and its origin.
  pub origins: Vec<Setting>,
}

/// Reads the settings of a source.
///
/// # Errors
/// Every problem, each with its place.
pub fn load(source: Source) -> Result<Loaded, Vec<Problem>> {
  read::read(source)
}
