//! What a change of manifests does to the fires to come.

use serde::{Deserialize, Serialize};

use super::apply::ApplyChange;
use super::job::JobForCreate;
use super::schedule_preview::NextFire;
use crate::types::{FieldError, Labels, NamespaceId, Ts};
use crate::wire_enum;

/// Days that a plan looks ahead where nobody says otherwise.
pub const PLAN_DAYS_DEFAULT: i64 = 90;
/// Most days that a plan looks ahead.
pub const PLAN_DAYS_MAX: i64 = 366;
/// So many schedules that start in one minute are a herd, where nobody says otherwise.
pub const HERD_DEFAULT: i64 = 10;

/// Manifests whose fires are to be compared with what is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobPlanRequest {
  /// The jobs, each with all its schedules, as for an apply.
  pub jobs: Vec<JobForCreate>,
  /// As for an apply.
  #[serde(default, skip_serializing_if = "Labels::is_empty")]
  pub scope: Labels,
  /// As for an apply.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub prune: bool,
  /// How far, in days; 90 where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub days: Option<i64>,
  /// From when on; now where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub from: Option<Ts>,
  /// So many schedules that start in one minute are told as a herd; 10 where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub herd: Option<i64>,
}

impl JobPlanRequest {
  /// Checks what is not part of an apply.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    if self.days.is_some_and(|days| !(1..=PLAN_DAYS_MAX).contains(&days)) {
      let message = format!("days is 1 to {PLAN_DAYS_MAX}");
      errors.push(FieldError::new("number.range", "/days", message));
    }
    if self.herd.is_some_and(|herd| herd < 2) {
      errors.push(FieldError::new("number.range", "/herd", "herd is at least 2"));
    }
  }
}

wire_enum! {
  /// What becomes of one fire.
  pub enum FireChange {
    /// It was not there.
    Added = 0 => "added",
    /// It will not be there.
    Removed = 1 => "removed",
    /// It comes at another instant of the same day.
    Moved = 2 => "moved",
  }
}

/// A fire that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FireDifference {
  /// How.
  pub change: FireChange,
  /// As it is, unless it is added.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub before: Option<NextFire>,
  /// As it will be, unless it is removed.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub after: Option<NextFire>,
}

/// How many fires there are, and how many differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FireCounts {
  /// Fires as it is.
  pub before: i64,
  /// Fires as it will be.
  pub after: i64,
  /// Only afterwards.
  pub added: i64,
  /// Only before.
  pub removed: i64,
  /// At another instant of the same day.
  pub moved: i64,
}

/// What becomes of the fires of one schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FirePlan {
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The job.
  pub job: String,
  /// The schedule.
  pub schedule: String,
  /// `create`, `update` or `delete`.
  pub action: String,
  /// The rule in words, as it will be; as it was where it goes.
  pub description: String,
  /// Its zone.
  pub timezone: String,
  /// How many.
  #[serde(flatten)]
  pub counts: FireCounts,
  /// The first fires that differ.
  pub differences: Vec<FireDifference>,
  /// It is switched on and has no fire at all in that time.
  pub never_fires: bool,
  /// `H`, `~` or jitter: the instants depend on an id that does not exist yet.
  pub approximate: bool,
  /// Up to here fires were compared, where that is before the end of the plan.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub compared_until: Option<Ts>,
}

/// Many schedules that start in one minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Herd {
  /// The minute.
  pub at: Ts,
  /// The same in the zone of the first schedule of the plan that is in it.
  pub local: String,
  /// How many start.
  pub schedules: i64,
  /// How many of them the plan makes or changes.
  pub changed: i64,
  /// Some of them by name.
  pub names: Vec<String>,
}

/// The fires that a change of manifests adds, removes and moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobPlan {
  /// Nothing is ever applied by a plan.
  pub applied: bool,
  /// One line per job, as an apply would say.
  pub changes: Vec<ApplyChange>,
  /// Fires after this.
  pub from: Ts,
  /// Up to this.
  pub until: Ts,
  /// Schedules whose fires may differ.
  pub schedules: Vec<FirePlan>,
  /// Schedules of these jobs that fire as before.
  pub unchanged: i64,
  /// All of them together.
  pub totals: FireCounts,
  /// Minutes in which too many start afterwards, the fullest first.
  pub herds: Vec<Herd>,
  /// What holds everything back for now and is not counted, because nobody knows the end of it.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub notes: Vec<String>,
}
