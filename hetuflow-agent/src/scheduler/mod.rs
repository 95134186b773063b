//! Decides when each attempt starts, and says what became of it.
//!
//! One task owns the state of every attempt in hand. Tasks and orders come in from the server,
//! commands go to the executor, its events become reports. No sockets and no processes here.

mod agenda;
mod attempt;
mod control;
mod counters;
mod events;
mod inputs;
mod intake;
mod rate;
mod reports;
mod room;
mod seen;
#[cfg(test)]
mod tests;
mod timer;
mod unsure;

use std::time::Duration;

use hetuflow_core::{
  AcquireTaskRequest, AcquireTaskResponse, ContentHash, OutputFrame, Reconcile, RunningInstance,
  TaskControl, TaskInstanceId, TaskInstanceUpdate,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::executor::Hold;

pub use counters::Counters;
pub use inputs::{InputLimits, NotFetched, WantedFile};
pub use room::{Parts, Scheduler, SchedulerSettings};

/// What the scheduler can be told.
#[derive(Debug)]
pub enum Order {
  /// A connection was made: counts of received tasks start anew; answers with all in hand.
  Connected {
    /// Which connection.
    connection_epoch: i64,
    /// Every attempt in hand.
    reply: oneshot::Sender<Vec<RunningInstance>>,
  },
  /// Tasks came.
  Tasks {
    /// The message, for answers.
    message_id: Uuid,
    /// Over which connection.
    connection_epoch: i64,
    /// The tasks and what they share.
    answer: AcquireTaskResponse,
  },
  /// A task came that is not readable: the report that it was not started, without its time.
  Unreadable {
    /// Over which connection.
    connection_epoch: i64,
    /// The report.
    update: Box<TaskInstanceUpdate>,
  },
  /// Do something with one attempt.
  Control {
    /// The message, for answers.
    message_id: Uuid,
    /// What.
    control: TaskControl,
  },
  /// What to do with the attempts that were in hand at a reconnect.
  Reconcile(Vec<Reconcile>),
  /// Nothing that waits is to be started before a server has said what is to become of it.
  Doubt,
  /// The server's clock minus the steady clock; none while it is this host's own wall clock.
  Clock(Option<i64>),
  /// By how many parts of a million this host's clock runs too fast to be counted on, if it does.
  Drift(Option<i64>),
  /// A server has answered a sign of life that was sent at this instant of the steady clock.
  Contact(i64),
  /// The server's limits for jobs that name none.
  Limits(crate::executor::DefaultLimits),
  /// A file has come that an attempt is to find, or does not come.
  Fetched {
    /// The attempt.
    instance_id: TaskInstanceId,
    /// The content.
    content_hash: ContentHash,
    /// Why it does not come.
    outcome: Result<(), NotFetched>,
  },
  /// Give back what waits; what runs goes on. The server sends nothing new.
  GiveBack,
  /// As many processes at the same time, and as many that wait, from now on.
  Slots(SchedulerSettings),
  /// Say what is in hand.
  InHand(oneshot::Sender<InHand>),
  /// Take nothing new and give back what waits.
  Leave {
    /// How long running attempts may go on; none leaves them to the executor.
    grace: Option<Duration>,
  },
}

/// What is in hand.
#[derive(Debug, Clone, Default)]
pub struct InHand {
  /// Every attempt.
  pub attempts: Vec<TaskInstanceId>,
  /// Of them, processes alive or being started.
  pub running: u32,
  /// Of them, those that wait.
  pub waiting: u32,
  /// Contents of files that they need which have not started yet.
  pub inputs: Vec<ContentHash>,
}

/// What the scheduler says, in order.
#[derive(Debug)]
pub enum Report {
  /// An attempt moved.
  Update(Box<TaskInstanceUpdate>),
  /// An attempt has ended; held until that is stored.
  End(Box<TaskInstanceUpdate>, Hold),
  /// Files that an attempt is to find.
  Fetch(Vec<WantedFile>),
  /// An attempt has its files, or needs them no more.
  LetGo(TaskInstanceId),
  /// Output of an attempt; held until it is stored.
  Output(Box<OutputFrame>, Hold),
  /// A server is to be told anew what is in hand.
  Renew,
  /// A message could not be followed.
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
  /// On which connection `received_tasks` counts.
  pub connection_epoch: i64,
  /// The numbers; the agent's id is filled in by whoever sends it.
  pub poll: AcquireTaskRequest,
}
