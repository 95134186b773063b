//! Why a task does not run yet.

use serde::{Deserialize, Serialize};

use super::limit::LimitUse;
use crate::types::{AgentId, TaskId, TaskStatus, Ts};
use crate::wire_enum;

wire_enum! {
  /// What a task waits for, or why it does not wait.
  pub enum WhyReason {
    /// Its instant has not come.
    NotDue = 1 => "not_due",
    /// The wait before its next attempt is not over.
    RetryWait = 2 => "retry_wait",
    /// It waits for other tasks of its flow.
    Blocked = 3 => "blocked",
    /// No agent is connected that may run it.
    NoAgentFits = 4 => "no_agent_fits",
    /// Every agent that may run it is full.
    NoFreeSlot = 5 => "no_free_slot",
    /// An agent with room may run it: it is about to be handed out.
    AboutToStart = 6 => "about_to_start",
    /// An agent has it, and has not started it.
    Handed = 7 => "handed",
    /// It runs, is held or is being stopped on its agent.
    OnAgent = 8 => "on_agent",
    /// Its agent is silent.
    AgentSilent = 9 => "agent_silent",
    /// It is over.
    Ended = 10 => "ended",
    /// Limits that it shares with other tasks hold it.
    Limit = 11 => "limit",
  }
}

wire_enum! {
  /// What decides between a task and one agent.
  pub enum WhyRule {
    /// It could start there.
    Free = 1 => "free",
    /// Every slot is taken.
    NoFreeSlot = 2 => "no_free_slot",
    /// The agent takes nothing new.
    Cordoned = 3 => "cordoned",
    /// The agent is not connected.
    Offline = 4 => "offline",
    /// The agent does not serve the namespace.
    Namespace = 5 => "namespace",
    /// A label condition is not met.
    Selector = 6 => "selector",
    /// The agent does not serve the task type.
    TaskType = 7 => "task_type",
  }
}

/// One agent, and what keeps the task from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentWhy {
  /// The agent.
  pub agent_id: AgentId,
  /// Whether it may run the task: now, or as soon as a slot is free.
  pub fits: bool,
  /// What decides.
  pub rule: WhyRule,
  /// The same for people.
  pub text: String,
}

/// Why a task does not run yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskWhy {
  /// The task.
  pub task_id: TaskId,
  /// Where it stands.
  pub status: TaskStatus,
  /// Whether it waits.
  pub waiting: bool,
  /// Since when it is as it is: since it was due, handed out, started or made.
  pub since: Ts,
  /// What it waits for.
  pub reason: WhyReason,
  /// The same for people, one sentence.
  pub text: String,
  /// The instant it may start, while it waits.
  pub eligible_at: Option<Ts>,
  /// It is given up when it has not started by then.
  pub start_deadline_at: Option<Ts>,
  /// Due tasks with the same demands that come first; counted up to 10,000.
  pub ahead: i64,
  /// The limits that it needs, and who has slots of them.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub limits: Vec<LimitUse>,
  /// Agents, those that fit first, at most 200; only for a task that is due and waits.
  pub agents: Vec<AgentWhy>,
  /// How many agents there are.
  pub agents_total: usize,
}
