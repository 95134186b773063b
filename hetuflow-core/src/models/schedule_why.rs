//! What holds the instants of a schedule back, and when it fires next.

use serde::{Deserialize, Serialize};

use super::task::FireEntity;
use crate::types::{ScheduleId, ScheduleStatus, Ts};
use crate::wire_enum;

wire_enum! {
  /// What has a say about whether an instant fires.
  pub enum HoldRule {
    /// The job is on or off.
    Job = 1 => "job",
    /// The schedule is on, off or paused.
    Schedule = 2 => "schedule",
    /// The namespace, or everything, is paused.
    Freeze = 3 => "freeze",
    /// A calendar in which nothing of the namespace fires.
    Blackout = 4 => "blackout",
    /// A calendar that the schedule names.
    Calendar = 5 => "calendar",
    /// Somebody wants the next instants left out.
    SkipNext = 6 => "skip_next",
    /// An earlier run is alive.
    Overlap = 7 => "overlap",
  }
}

/// One rule, and whether it holds the next instant back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct HoldWhy {
  /// Which.
  pub rule: HoldRule,
  /// Whether it holds.
  pub holds: bool,
  /// The facts.
  pub text: String,
  /// It ends by itself at this instant, as far as that is known.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub until: Option<Ts>,
  /// The command that ends it, or says more.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub command: Option<String>,
}

/// Why a schedule does not fire now, and when it will.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ScheduleWhy {
  /// The schedule.
  pub schedule_id: ScheduleId,
  /// Its name.
  pub name: String,
  /// Whether it is on.
  pub status: ScheduleStatus,
  /// The answer in one sentence.
  pub text: String,
  /// Its next instant that is not decided.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub next_at: Option<Ts>,
  /// The first instant that nothing which is known will hold back; none where nobody can say.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub earliest_at: Option<Ts>,
  /// A change of the clocks or anything else that is odd about it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub note: Option<String>,
  /// Each rule that has a say.
  pub rules: Vec<HoldWhy>,
  /// What was decided about the newest instants, the newest first.
  pub newest: Vec<FireEntity>,
}
