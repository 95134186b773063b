//! The one socket to a server: dials out, registers, hands tasks in and reports out.
//!
//! Knows nothing of how tasks are run. What comes from the server is told through one function,
//! reports and grants come in through channels, so that the rooms can be taken apart.

mod answer;
mod clock_offset;
mod dial;
mod downloads;
mod drift;
mod file_cache;
mod frames;
mod inbox;
mod incoming_file;
mod life;
mod link;
mod names;
mod outbox;
mod register;
mod salvage;
mod session;
mod uploads;
mod window;

use std::time::Duration;

use hetuflow_core::{
  AckMessage, AcquireTaskRequest, AcquireTaskResponse, AgentCapabilities, AgentCommand,
  AgentConfig, AgentRegisterRequest, ContentHash, OutputFrame, Reconcile, RunningInstance,
  TaskControl, TaskId, TaskInstanceId, TaskInstanceUpdate,
};
use tokio::sync::oneshot;
use uuid::Uuid;

pub use file_cache::clear as clear_file_cache;
pub use link::{Connection, Parts, Superseded};

/// How the connection is made and kept.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
  /// Servers to dial, one after the other.
  pub servers: Vec<url::Url>,
  /// The credential; empty for none.
  pub token: String,
  /// Longest wait for a connection.
  pub connect_timeout: Duration,
  /// Time between heartbeats, unless the server says otherwise.
  pub heartbeat_interval: Duration,
  /// First wait before a new try.
  pub reconnect_base: Duration,
  /// No wait is longer.
  pub reconnect_max: Duration,
  /// Where files are that a server must still get.
  pub artifact_dir: std::path::PathBuf,
  /// Where files are that tasks find when they start.
  pub input_dir: std::path::PathBuf,
  /// Bytes of such files that are kept for the next task.
  pub input_cache_max: u64,
}

/// A file that an attempt is to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// The content.
  pub content_hash: ContentHash,
  /// Its bytes.
  pub file_size: u64,
}

/// What became of a file that an attempt is to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// The content.
  pub content_hash: ContentHash,
  /// It is here, whole, or why it does not come.
  pub outcome: Result<(), NotFetched>,
}

/// Why a file does not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFetched {
  /// In one word, for programs.
  pub reason: &'static str,
  /// For people.
  pub message: String,
}

/// The two clocks of this host, in microseconds since 1970.
pub trait Clock: Send + Sync + 'static {
  /// Never steps.
  fn steady_us(&self) -> i64;
  /// The wall clock minus the steady one.
  fn wall_delta_us(&self) -> i64;
}

/// What the server has said, for the rest of the agent.
#[derive(Debug)]
pub enum Told {
  /// Another process may have this one's attempts: nothing that waits is started before a server has
  /// said what is to become of it.
  Doubt,
  /// A connection is made; answered with every attempt in hand, for the registration.
  Connected {
    /// Counts connections.
    connection_epoch: i64,
    /// Where the attempts go.
    reply: oneshot::Sender<Vec<RunningInstance>>,
  },
  /// Tasks.
  Tasks {
    /// The message.
    message_id: Uuid,
    /// Over which connection.
    connection_epoch: i64,
    /// The tasks.
    answer: AcquireTaskResponse,
  },
  /// A task that is not readable, as the report that it was not started; its time is not set.
  Unreadable {
    /// Over which connection.
    connection_epoch: i64,
    /// The report.
    update: Box<TaskInstanceUpdate>,
  },
  /// Do something with an attempt.
  Control {
    /// The message.
    message_id: Uuid,
    /// What.
    control: TaskControl,
  },
  /// Verdicts on the attempts that were named at the registration.
  Reconcile(Vec<Reconcile>),
  /// The server's clock minus the steady clock; none: it is this host's wall clock.
  Clock(Option<i64>),
  /// By how many parts of a million this host's clock runs faster than the server's, where that is
  /// more than exclusive delivery can count on.
  Drift(Option<i64>),
  /// The server has answered a heartbeat that was sent at this instant of the steady clock.
  Contact(i64),
  /// Settings.
  Settings(AgentConfig),
  /// A file has come that an attempt is to find, or does not come.
  Fetched(Fetched),
  /// An order to the agent as a whole; false from [`Tell`] means that it is not known here.
  Command(AgentCommand),
}

/// Takes what the server has said; must not block. False where it cannot be followed.
pub type Tell = Box<dyn Fn(Told) -> bool + Send + Sync>;

/// Called when a server has stored a report; dropped uncalled when the agent ends before that.
pub struct OnStored(Option<Box<dyn FnOnce() + Send>>);

impl OnStored {
  /// Nobody waits for it.
  pub const fn nothing() -> Self {
    Self(None)
  }

  /// Does this.
  pub fn then(what: impl FnOnce() + Send + 'static) -> Self {
    Self(Some(Box::new(what)))
  }

  pub(super) fn call(self) {
    if let Some(what) = self.0 {
      what();
    }
  }
}

impl std::fmt::Debug for OnStored {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str("OnStored")
  }
}

/// What goes to the server, in order.
#[derive(Debug)]
pub enum Report {
  /// An attempt moved.
  Update(Box<TaskInstanceUpdate>, OnStored),
  /// Output of an attempt.
  Output(Box<OutputFrame>, OnStored),
  /// An answer to an order for the agent as a whole; not kept when there is no connection.
  Answered(AckMessage),
  /// What the agent can do has changed.
  Capabilities(Box<AgentCapabilities>),
  /// Files that an attempt is to find.
  Fetch(Vec<WantedFile>),
  /// An attempt has its files, or needs them no more.
  LetGo(TaskInstanceId),
  /// Register anew: say what is in hand and hear what is to become of it.
  Renew,
  /// A message that could not be followed; not kept when there is no connection.
  Refused {
    /// The message.
    message_id: Uuid,
    /// Why, in one word.
    code: &'static str,
    /// Why, for people.
    message: String,
  },
}

/// How much the agent can take now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grant {
  /// On which connection `received_tasks` counts; not sent on any other.
  pub connection_epoch: i64,
  /// The numbers.
  pub poll: AcquireTaskRequest,
}

/// Who this agent is, as far as it does not change from connection to connection.
pub type Introduction = AgentRegisterRequest;
