//! Lines of output that a search found.

use serde::{Deserialize, Serialize};

use crate::types::TaskInstanceId;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
  /// Its number, counted from 1 in the order in which lines ended.
  pub line_no: u64,
  /// Where it begins in the merged output.
  pub offset: u64,
  /// `stdout`, `stderr` or `system`.
  pub stream: String,
  /// The line without its end; base64 where `encoding` says so.
  pub text: String,
  /// `base64` where the line is not UTF-8.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub encoding: Option<String>,
  /// It is longer than what is shown.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub cut: bool,
}

/// A line that fits, with its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogMatch {
  /// The line.
  pub line: LogLine,
  /// Lines before it, the nearest last.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub before: Vec<LogLine>,
  /// Lines after it.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub after: Vec<LogLine>,
}

/// What one bounded search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LogMatches {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// The lines that fit, in the order in which they ended.
  pub matches: Vec<LogMatch>,
  /// Go on from here: with the same question and this `cursor`. None after the end of the output of
  /// an attempt that is over.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub cursor: Option<String>,
  /// All output that there is now was looked at; while the attempt lives more may come.
  pub at_end: bool,
  /// Bytes that were looked at.
  pub scanned_bytes: u64,
}
