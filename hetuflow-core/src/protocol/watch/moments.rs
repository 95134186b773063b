//! Fires that come and changes that were, as a watch shows them.

use serde::{Deserialize, Serialize};

use super::WatchRow;
use crate::protocol::feed::Change;
use crate::types::{NamespaceId, ScheduleId, Ts};

/// One due instant of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FireRow {
  /// When.
  pub at: Ts,
  /// The schedule.
  pub schedule_id: ScheduleId,
  /// The schedule's name.
  pub schedule: String,
  /// The job's name.
  pub job: String,
  /// The job's namespace.
  pub namespace_id: NamespaceId,
  /// What daylight saving does to it, where it does something.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub note: String,
}

impl WatchRow for FireRow {
  fn key(&self) -> String {
    format!("{}@{}", self.schedule_id, self.at)
  }
}

/// One change of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct EventRow {
  /// The journal row that it is in.
  pub seq: i64,
  /// Its place in that row.
  pub index: u32,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The thing's name for people, as `etl-daily/7qk2m9xa`.
  pub name: String,
  /// What it says, in a few words.
  pub detail: String,
  /// The change.
  #[serde(flatten)]
  pub change: Change,
}

impl WatchRow for EventRow {
  fn key(&self) -> String {
    format!("{}.{}", self.seq, self.index)
  }
}
