//! Why a task does not run yet, or ended as it did.

use serde::{Deserialize, Serialize};

use super::limit::LimitUse;
use super::schedule_why::HoldWhy;
use crate::types::{AgentId, TaskId, TaskStatus, Ts};
use crate::wire_enum;

wire_enum! {
  /// What a task waits for, or why it does not wait.
  pub enum WhyReason {
    /// Its instant has not come.
    NotDue = 1 => "not_due",
    /// The wait before its next attempt is not over.
    RetryWait = 2 => "retry_wait",
    /// It waits for other tasks.
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
    /// An agent has room, and it waits a moment for one that it likes more.
    Held = 12 => "held",
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
    /// The agent is too small for what it asks for, even empty.
    Needs = 8 => "needs",
    /// It is pinned to another agent.
    Pin = 9 => "pin",
    /// It ran on another agent last, and must go there.
    Sticky = 10 => "sticky",
    /// The agent carries too much already for what it asks for.
    NoRoom = 11 => "no_room",
    /// Another agent is liked more, and is waited for.
    Held = 12 => "held",
  }
}

/// One rule between a task and one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct RuleWhy {
  /// Which.
  pub rule: WhyRule,
  /// Whether it lets the task in.
  pub fits: bool,
  /// The facts.
  pub text: String,
}

/// One agent, and what keeps the task from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentWhy {
  /// The agent.
  pub agent_id: AgentId,
  /// Whether it may run the task: now, or as soon as others end.
  pub fits: bool,
  /// What decides.
  pub rule: WhyRule,
  /// The same for people.
  pub text: String,
  /// Each rule that has a say.
  #[serde(default)]
  pub rules: Vec<RuleWhy>,
}

/// One thing that somebody could do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct WhyStep {
  /// What.
  pub text: String,
  /// The command that does it, where one does.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub command: Option<String>,
}

/// What would let the task start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct WhyChange {
  /// On which agent.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agent_id: Option<AgentId>,
  /// All of these.
  pub steps: Vec<WhyStep>,
}

/// Why a task does not run yet, or ended as it did.
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
  /// Not before this instant, as far as can be known while it waits; none where nobody can say.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub earliest_at: Option<Ts>,
  /// It is given up when it has not started by then.
  pub start_deadline_at: Option<Ts>,
  /// Its priority now, while it waits.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub priority: Option<i64>,
  /// How much of that came by waiting.
  #[serde(default)]
  pub aged: i64,
  /// Due tasks with the same demands that come first; counted up to 10,000.
  pub ahead: i64,
  /// The smallest changes that would let it start, the smallest first; any one of them will do.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub changes: Vec<WhyChange>,
  /// What led to its end.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub facts: Vec<String>,
  /// The setting that decides about such an end.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub knob: Option<String>,
  /// The limits that it needs, and who has slots of them.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub limits: Vec<LimitUse>,
  /// Pauses, freezes and calendars that are in force beside it while it waits.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub beside: Vec<HoldWhy>,
  /// Agents, those that fit first, at most 200; only for a task that is due and waits.
  pub agents: Vec<AgentWhy>,
  /// How many agents there are.
  pub agents_total: usize,
}
