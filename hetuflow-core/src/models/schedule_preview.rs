//! What schedules would do next, as people see it.

use serde::{Deserialize, Serialize};

use crate::types::Ts;

/// A future fire, as a preview shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct NextFire {
  /// The instant.
  pub at: Ts,
  /// The same in the schedule's zone, with its offset.
  pub local: String,
  /// What is odd about it, as a clock change.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub note: Option<String>,
  /// Why it will not fire, as far as that is known now; it fires where nothing is said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub skipped: Option<String>,
  /// How many instants it stands for, where that is more than one: those that are skipped in a row
  /// for the same reason.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub count: Option<i64>,
  /// The last of these.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub to: Option<Ts>,
}

/// The next fires of a schedule or of an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SchedulePreview {
  /// The rule in words.
  pub description: String,
  /// The zone.
  pub timezone: String,
  /// Why nothing fires at all for now, where nobody knows the end of it; the instants are shown as if
  /// there were none.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub held: Option<String>,
  /// The fires, and between them what is skipped.
  pub next: Vec<NextFire>,
}
