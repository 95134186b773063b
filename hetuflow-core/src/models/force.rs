//! A start that somebody forces: past a wait, a retry, an earlier run, or a limit.

use serde::{Deserialize, Serialize};

use super::hold::check_reason;
use crate::types::FieldError;
use crate::wire_enum;

/// Why a task is to start at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ForceRequest {
  /// Why, for whoever looks at it later.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
}

impl ForceRequest {
  /// Checks the reason.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    check_reason(self.reason.as_deref(), errors);
  }
}

wire_enum! {
  /// What a forced start went past.
  pub enum ForcedPast {
    /// The instant that it is planned for, or until which it was put off.
    Time = 1 => "time",
    /// The wait before another attempt.
    Retry = 2 => "retry",
    /// An earlier run of its schedule.
    Overlap = 3 => "overlap",
    /// Limits that tasks share.
    Limit = 4 => "limit",
  }
}
