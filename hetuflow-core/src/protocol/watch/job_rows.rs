//! Jobs and their schedules, as a watch shows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WatchRow;
use super::moments::FireRow;
use super::overview::Quantiles;
use super::task_rows::TaskRow;
use crate::types::{JobId, NamespaceId, ScheduleId, TaskStatus, Ts};

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobRow {
  /// Its id.
  pub id: JobId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its name.
  pub name: String,
  /// Whether it may run.
  pub enabled: bool,
  /// Its version.
  pub version: i32,
  /// Last change.
  pub updated_at: Ts,
  /// Who made the last change.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub updated_by: Option<String>,
  /// Its schedules.
  pub schedules: Vec<ScheduleBrief>,
  /// Its next fire.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub next_fire_at: Option<Ts>,
  /// States of its newest tasks, newest last, 16 at most.
  pub last_runs: Vec<TaskStatus>,
  /// How long its newest runs took.
  pub duration: Quantiles,
  /// Its tasks that are not final.
  pub live: u64,
}

impl WatchRow for JobRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

/// A schedule beside its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ScheduleBrief {
  /// Its id.
  pub id: ScheduleId,
  /// Its name.
  pub name: String,
  /// `cron`, `interval` …
  pub kind: String,
  /// The expression or the interval, as people write it.
  pub text: String,
  /// Its zone.
  pub timezone: String,
  /// `enabled`, `paused` …
  pub status: String,
  /// Its next fire.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub next_fire_at: Option<Ts>,
  /// Why it does not fire, where it does not.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub problem: String,
}

/// A job with all that its screen shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobDetail {
  /// Its row.
  pub job: JobRow,
  /// What it is for.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub description: String,
  /// What it runs.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub config: Value,
  /// Its next fires, soonest first.
  pub fires: Vec<FireRow>,
  /// Its newest tasks, newest first.
  pub tasks: Vec<TaskRow>,
  /// Runs and failures of each of the last 30 days, oldest first.
  pub days: Vec<DayCount>,
}

/// Runs of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct DayCount {
  /// Runs that ended.
  pub done: u64,
  /// Those that failed.
  pub failed: u64,
}
