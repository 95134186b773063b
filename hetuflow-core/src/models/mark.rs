//! What a person says about a task beside what happened: a mark.

use serde::{Deserialize, Serialize};

use crate::types::{FieldError, Ts};
use crate::wire_enum;

/// Longest reason, in characters.
pub const MARK_REASON_CHARS_MAX: usize = 500;

wire_enum! {
  /// How a task is to count.
  pub enum MarkedAs {
    /// As if it had succeeded.
    Succeeded = 100 => "succeeded" | "success",
    /// As if it had failed.
    Failed = 90 => "failed" | "failure",
  }
}

/// A mark, as it stands beside a task's own end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskMark {
  /// How it is to count.
  pub status: MarkedAs,
  /// Why.
  pub reason: String,
  /// Who says so.
  pub by: String,
  /// When.
  pub at: Ts,
}

/// What somebody says about a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct MarkRequest {
  /// How it is to count.
  pub status: MarkedAs,
  /// Why; it is kept.
  pub reason: String,
}

impl MarkRequest {
  /// Checks the reason.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    let chars = self.reason.chars().count();
    if self.reason.trim().is_empty() || chars > MARK_REASON_CHARS_MAX {
      let message = format!("{chars} characters; 1 to {MARK_REASON_CHARS_MAX} are allowed");
      let rule = FieldError::new("mark.reason", "/reason", message);
      errors.push(rule.with_hint("say why, for whoever looks at it later"));
    }
  }
}
