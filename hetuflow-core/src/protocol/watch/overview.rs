//! The whole in one object: counts, rates, latencies, what needs attention.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fleet_rows::AgentRow;
use super::moments::EventRow;
use super::moments::FireRow;
use super::task_rows::TaskRow;
use crate::protocol::feed::Subject;
use crate::types::Ts;
use crate::wire_enum;

/// Width of one bucket of [`Rates`], in seconds.
pub const RATE_BUCKET_SECS: u32 = 5;

wire_enum! {
  /// How bad something is.
  pub enum Severity {
    /// Somebody should look.
    Warning = 1 => "warning",
    /// Work is failing or will be lost.
    Error = 2 => "error",
  }
}

/// The middle and the tail of some durations, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Quantiles {
  /// How many durations there were.
  pub n: u32,
  /// Half took no longer.
  pub p50: f64,
  /// 95 of 100 took no longer.
  pub p95: f64,
  /// 99 of 100 took no longer.
  pub p99: f64,
  /// The longest.
  pub max: f64,
}

/// What happened in each bucket of [`RATE_BUCKET_SECS`], oldest first; the last bucket is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Rates {
  /// When the last bucket ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub until: Option<Ts>,
  /// Attempts that started.
  pub started: Vec<u32>,
  /// Tasks that ended, however.
  pub done: Vec<u32>,
  /// Tasks that failed or were lost.
  pub failed: Vec<u32>,
  /// Attempts that will be tried again.
  pub retried: Vec<u32>,
}

/// Something that needs a person; lists of them have the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Attention {
  /// The machine's word, as `job_failing`, `agent_lost`, `queue_stuck`, `schedule_invalid`,
  /// `fires_late`, `task_overdue`.
  pub code: String,
  /// How bad.
  pub severity: Severity,
  /// What it is about.
  pub subject: Subject,
  /// Its name for people.
  pub name: String,
  /// What is wrong and why, in one sentence.
  pub message: String,
  /// Since when.
  pub since: Ts,
  /// Tasks that suffer from it.
  pub at_risk: u64,
}

/// The first screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Overview {
  /// Living tasks by state.
  pub counts: BTreeMap<String, u64>,
  /// When the oldest due task that nobody claimed was due.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub oldest_pending_at: Option<Ts>,
  /// Tasks on connected agents.
  pub slots_used: u32,
  /// Tasks that connected agents can run at once.
  pub slots: u32,
  /// The last 15 minutes.
  pub rates: Rates,
  /// How late fires started.
  pub fire_late: Quantiles,
  /// How long tasks waited from due to started.
  pub wait: Quantiles,
  /// How long runs took.
  pub run: Quantiles,
  /// Tasks that ended today (UTC) by state.
  pub today: BTreeMap<String, u64>,
  /// What needs a person, the worst first.
  pub attention: Vec<Attention>,
  /// The longest running tasks.
  pub running: Vec<TaskRow>,
  /// Agents, those in trouble first.
  pub agents: Vec<AgentRow>,
  /// The next fires.
  pub fires: Vec<FireRow>,
  /// Failures and changes by people, newest first.
  pub events: Vec<EventRow>,
  /// Servers that live.
  pub servers_up: u32,
  /// Servers that are known.
  pub servers: u32,
  /// Jobs by state: `enabled`, `disabled`.
  pub jobs: BTreeMap<String, u64>,
}
