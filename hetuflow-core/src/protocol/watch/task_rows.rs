//! Tasks and their attempts, as a watch shows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WatchRow;
use crate::protocol::task::TaskMetrics;
use crate::types::{
  AgentId, JobId, Labels, NamespaceId, ScheduleId, TaskId, TaskInstanceId, TaskInstanceStatus,
  TaskStatus, TriggerSource, Ts,
};

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskRow {
  /// Its id.
  pub id: TaskId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its job.
  pub job_id: JobId,
  /// The job's name.
  pub job: String,
  /// What it is doing.
  pub status: TaskStatus,
  /// The newest attempt, from 1; 0 before the first.
  pub attempt: i32,
  /// Attempts that it may have.
  pub attempts_max: i32,
  /// The newest attempt's row.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub instance_id: Option<TaskInstanceId>,
  /// Where the newest attempt runs or ran.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agent_id: Option<AgentId>,
  /// Who asked for it.
  pub trigger_source: TriggerSource,
  /// Higher goes first.
  pub priority: i32,
  /// When it was to start.
  pub scheduled_at: Ts,
  /// When it may be claimed next; the end of a retry's wait.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub eligible_at: Option<Ts>,
  /// When the newest attempt started.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub started_at: Option<Ts>,
  /// When it ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub completed_at: Option<Ts>,
  /// How long the newest attempt waited for its start, in milliseconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub wait_ms: Option<i64>,
  /// How long the newest attempt ran, once it has ended, in milliseconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub run_ms: Option<i64>,
  /// The newest attempt's exit code.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub exit_code: Option<i32>,
  /// The signal that ended the newest attempt.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub signal: Option<i32>,
  /// Why the newest attempt ended as it did.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// Why it is where it is, in a few words for people.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub why: String,
  /// Labels.
  #[serde(default, skip_serializing_if = "Labels::is_empty")]
  pub labels: Labels,
}

impl WatchRow for TaskRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

/// Failures that share a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Cause {
  /// The cause, with numbers and ids taken out.
  pub text: String,
  /// Tasks that share it.
  pub tasks: u64,
  /// Jobs that they belong to, the commonest first.
  pub jobs: Vec<String>,
  /// The first of them.
  pub first_at: Ts,
  /// The newest of them.
  pub last_at: Ts,
  /// How many in each eighth of the hour before now, oldest first.
  pub spark: Vec<u32>,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AttemptRow {
  /// Its id.
  pub id: TaskInstanceId,
  /// Its number, from 1.
  pub attempt: i32,
  /// What it is doing.
  pub status: TaskInstanceStatus,
  /// Where.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agent_id: Option<AgentId>,
  /// When an agent took it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub dispatched_at: Option<Ts>,
  /// When its process started.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub started_at: Option<Ts>,
  /// When it ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub completed_at: Option<Ts>,
  /// Its exit code.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub exit_code: Option<i32>,
  /// The signal that ended it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub signal: Option<i32>,
  /// Why it ended as it did.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// The agent's words about it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub error_message: Option<String>,
  /// Bytes of output so far.
  #[serde(default)]
  pub log_bytes: i64,
  /// What it used, once it has ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub metrics: Option<TaskMetrics>,
}

/// A task with all that its screen shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskDetail {
  /// Its row.
  pub task: TaskRow,
  /// The job's version that it was made from.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub job_version: Option<i32>,
  /// Its schedule.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub schedule_id: Option<ScheduleId>,
  /// What it runs.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub config: Value,
  /// Its attempts, oldest first, the living one included.
  pub attempts: Vec<AttemptRow>,
  /// When it was made.
  pub created_at: Ts,
}
