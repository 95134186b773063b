//! What a look at a stored log found: whether it is what was captured.

use serde::{Deserialize, Serialize};

use crate::types::{TaskId, TaskInstanceId};
use crate::wire_enum;

wire_enum! {
  /// What is known of a stored log.
  pub enum LogVerdict {
    /// It is what was captured, byte by byte.
    Verified = 1 => "verified",
    /// It is not what was captured.
    Differs = 2 => "differs",
    /// Bytes that were captured are not there.
    Missing = 3 => "missing",
    /// The attempt still runs: there is nothing to compare with yet.
    Running = 4 => "running",
    /// Nobody has told what was captured: the agent was lost, or its executor was killed.
    Unknown = 5 => "unknown",
  }
}

/// Bytes of the merged log, from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogSpan {
  /// The first byte.
  pub from: u64,
  /// The first byte after it.
  pub to: u64,
}

/// Output that was dropped on its way, as the log itself says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogGap {
  /// Where in the stored log.
  pub at: u64,
  /// How many bytes.
  pub bytes: u64,
  /// Why.
  pub reason: String,
}

/// What a look at a stored log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogVerification {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Its number.
  pub attempt: i64,
  /// What is known.
  pub verdict: LogVerdict,
  /// The same for people.
  pub message: String,
  /// Bytes that are stored.
  pub bytes: u64,
  /// Bytes that were captured, where that was told.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub captured_bytes: Option<u64>,
  /// SHA-256 of the stored bytes.
  pub sha256: String,
  /// SHA-256 of the captured bytes, where that was told.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub captured_sha256: Option<String>,
  /// What is not there, at most 100 spans.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub missing: Vec<LogSpan>,
  /// What is there and cannot be read, at most 100 spans.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub damaged: Vec<LogSpan>,
  /// What was dropped before it was stored, as the log says; that is no fault of the storage. At
  /// most 100.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub gaps: Vec<LogGap>,
  /// Bytes of all gaps.
  #[serde(default)]
  pub dropped_bytes: u64,
}
