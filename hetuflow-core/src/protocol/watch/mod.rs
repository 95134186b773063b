//! Watches: parts of the picture that a terminal shows, kept up to date by the server.
//!
//! A watch is a question (scope, filter, order, window). The server answers with the whole window
//! first and then with what changed in it, merged to at most `max_hz` frames a second, so a flood
//! costs a reader no more than a quiet day. Several watches share one socket.

mod fleet_rows;
mod job_rows;
mod moments;
mod overview;
mod task_rows;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use fleet_rows::{AgentRow, ServerRow};
pub use job_rows::{DayCount, JobDetail, JobRow, ScheduleBrief};
pub use moments::{EventRow, FireRow};
pub use overview::{Attention, Overview, Quantiles, RATE_BUCKET_SECS, Rates, Severity};
pub use task_rows::{AttemptRow, Cause, TaskDetail, TaskRow};

use crate::types::{NamespaceId, Ts};
use crate::wire_enum;

/// Rows in one window at most.
pub const WATCH_WINDOW_MAX: u32 = 1000;
/// Frames that a watch may ask for in a second.
pub const WATCH_HZ_MAX: u8 = 20;
/// Watches on one socket.
pub const WATCHES_PER_SOCKET_MAX: usize = 16;

wire_enum! {
  /// What a watch shows.
  pub enum Scope {
    /// Counts, rates, latencies, what needs attention: one [`Overview`].
    Overview = 1 => "overview",
    /// Rows of [`TaskRow`].
    Tasks = 2 => "tasks",
    /// Rows of [`JobRow`].
    Jobs = 3 => "jobs",
    /// Rows of [`AgentRow`].
    Agents = 4 => "agents",
    /// Rows of [`EventRow`], newest first.
    Events = 5 => "events",
    /// Rows of [`ServerRow`].
    Servers = 6 => "servers",
    /// Rows of [`FireRow`], soonest first.
    Fires = 7 => "fires",
    /// One [`TaskDetail`]; `target` names the task.
    Task = 8 => "task",
    /// One [`JobDetail`]; `target` names the job.
    Job = 9 => "job",
  }
}

/// Asks for a watch; the same id again replaces the former question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
  /// The reader's name for it; frames carry it back.
  pub id: String,
  /// What it shows.
  pub scope: Scope,
  /// One namespace; none means all that the token may see.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub namespace_id: Option<NamespaceId>,
  /// The filter's text; empty lets everything through.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub filter: String,
  /// Fields to sort by, comma-separated, `-` before one turns it around; empty is the scope's own.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub sort: String,
  /// First row of the window, counted from zero.
  #[serde(default)]
  pub from: u64,
  /// Rows in the window; 0 means 100.
  #[serde(default)]
  pub len: u32,
  /// Frames a second at most; 0 means 4.
  #[serde(default)]
  pub max_hz: u8,
  /// The one thing that the scopes `task` and `job` are about: an id or a name.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub target: Option<String>,
}

/// One frame of a watch. It covers every journal number up to `seq`, also those that it leaves out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct WatchFrame {
  /// The watch.
  pub id: String,
  /// The journal's epoch.
  pub epoch: String,
  /// The number that the frame before covered; 0 in a full frame.
  pub prev_seq: i64,
  /// The number that this frame covers.
  pub seq: i64,
  /// The server's clock.
  pub at: Ts,
  /// The window from scratch: forget the former rows.
  pub full: bool,
  /// Journal rows folded into this frame.
  pub merged: u32,
  /// Rows that the filter lets through; absent when unchanged.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub matched: Option<u64>,
  /// Rows without the filter; absent when unchanged.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub total: Option<u64>,
  /// Rows that are new or changed, by key.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Vec<Object>))]
  pub put: Vec<Value>,
  /// All keys of the window in order; absent when unchanged. Keys that are not in it are gone.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub order: Option<Vec<String>>,
  /// Failures by cause, in the scope `tasks`; absent when unchanged.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub causes: Option<Vec<Cause>>,
  /// The one object of the scopes `overview`, `task` and `job`; absent when unchanged.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub object: Option<Value>,
  /// Why the watch shows nothing, as a filter that cannot be read; the watch stays open.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub error: Option<WatchError>,
}

/// What is wrong with a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct WatchError {
  /// The machine's word.
  pub code: String,
  /// The person's words.
  pub message: String,
  /// First bad character of the filter, counted from zero.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub column: Option<u32>,
  /// What to do.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub hint: String,
}

/// A row that a window holds; its key is the thing's id.
pub trait WatchRow: Serialize {
  /// The thing's id.
  fn key(&self) -> String;
}
