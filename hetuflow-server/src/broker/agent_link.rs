//! The border to the gateway: what the broker can ask of a connection.

use std::sync::Arc;

use hetuflow_core::{AgentCommand, InputNote, JobSpec, Secrets, TaskControl, Ts};

use crate::infra::bmc::hot::ClaimedTask;

/// A claimed task with what its job runs.
#[derive(Debug, Clone)]
pub struct Assignment {
  /// The claim.
  pub task: ClaimedTask,
  /// What the job runs.
  pub spec: Arc<JobSpec>,
  /// The zone of the schedule that made it.
  pub timezone: Option<Arc<str>>,
  /// The planned instant of its job's last success before it, for tasks of schedules.
  pub prev_success_at: Option<Ts>,
  /// The values of its secrets.
  pub secrets: Secrets,
  /// The files that it finds.
  pub inputs: Vec<InputNote>,
}

/// A connection to an agent. Nothing here waits: a link that cannot take more says no.
pub trait AgentLink: Send + Sync {
  /// Hands tasks over; `false` means that none of them left this server.
  fn dispatch(&self, tasks: Vec<Assignment>) -> bool;

  /// Asks for something to be done with an attempt; `false` means that it did not leave.
  fn control(&self, control: TaskControl) -> bool;

  /// Gives the agent as a whole an order; `false` means that it did not leave.
  fn command(&self, command: AgentCommand) -> bool;

  /// Ends the connection.
  fn close(&self, reason: &str);
}
