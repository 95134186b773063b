//! Tasks: one planned piece of work each, read as one thing though it is stored in three tables.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dedup::{Dedup, DedupMode};
use super::limit::Gate;
#[cfg(feature = "with-openapi")]
use super::limit::LimitDemand;
use super::mark::TaskMark;
use super::schedule::check_priority;
use super::task_config::{Environment, TaskConfig, check_environment, read_environment_option};
use crate::protocol::TaskMetrics;
use crate::types::{
  AgentId, FieldError, FireDecision, FireId, JobId, NamespaceId, ScheduleId, TaskId,
  TaskInstanceId, TaskInstanceStatus, TaskStatus, TriggerSource, Ts,
};
use crate::wire_enum;

/// Bytes of a task's parameters as JSON.
pub const PARAMETERS_BYTES_MAX: usize = 64 << 10;
/// Most bytes of what one attempt hands on, as JSON; an agent may allow less.
pub const OUTPUTS_BYTES_MAX: usize = 256 << 10;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 200;
/// Most tasks in one bulk request.
pub const BULK_MAX: usize = 1000;

/// A task as people see it: the spec, its live state or its closing attempt (`sched_task_view`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskEntity {
  /// Its id.
  pub id: TaskId,
  /// Its job.
  pub job_id: JobId,
  /// The job's name.
  pub job_name: String,
  /// The version of the job that it runs.
  pub job_version: i64,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Where it stands.
  pub status: TaskStatus,
  /// Higher is claimed first.
  pub priority: i64,
  /// The schedule that made it.
  pub schedule_id: Option<ScheduleId>,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// The instant it may start, while it waits.
  pub eligible_at: Option<Ts>,
  /// The limits that it has not passed yet, while it waits.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Vec<LimitDemand>>))]
  pub held_by: Option<Gate>,
  /// What made it.
  pub trigger_source: TriggerSource,
  /// Its parameters.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub parameters: Option<Value>,
  /// Environment of this run alone.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  pub environment: Option<Environment>,
  /// Settings of this run alone, in place of the job's.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  pub config: Option<TaskConfig>,
  /// The key that makes a repeated request harmless.
  pub idempotency_key: Option<String>,
  /// Number of the newest attempt; 0 before the first.
  pub attempt: i64,
  /// The newest attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// Its fence.
  pub fence: Option<i64>,
  /// Its agent.
  pub agent_id: Option<AgentId>,
  /// When it started.
  pub started_at: Option<Ts>,
  /// When the task ended.
  pub completed_at: Option<Ts>,
  /// Exit code of the closing attempt.
  pub exit_code: Option<i64>,
  /// Signal that ended it.
  pub signal: Option<i64>,
  /// Machine-readable reason of an end that is not green, or of a wait.
  pub reason: Option<String>,
  /// The facts behind it.
  pub error_message: Option<String>,
  /// How far it says it is, 0 to 1.
  pub progress: Option<f64>,
  /// Its words for that.
  pub progress_note: Option<String>,
  /// What it has handed on.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub outputs: Option<Value>,
  /// What a person says about its end.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  pub mark: Option<TaskMark>,
  /// Since when its agent is silent.
  pub unreachable_since: Option<Ts>,
  /// The broadcast that it is a part of.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub parent_id: Option<TaskId>,
  /// Who made it.
  pub created_by: Option<String>,
  /// When.
  pub created_at: Ts,
}

/// The short name of [`TaskEntity`].
pub type Task = TaskEntity;
/// The name of the table's row in the first design.
pub type SchedTask = TaskEntity;

/// A new task: a run of a job, or of a command without a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskForCreate {
  /// The namespace; the default one where none is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub namespace_id: Option<NamespaceId>,
  /// The job, by id.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub job_id: Option<JobId>,
  /// The job, by name.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub job: Option<String>,
  /// When; now where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub scheduled_at: Option<Ts>,
  /// Higher is claimed first.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub priority: Option<i64>,
  /// Parameters.
  #[serde(skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub parameters: Option<Value>,
  /// Environment on top of the job's.
  #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "read_environment_option")]
  pub environment: Option<Environment>,
  /// Settings in place of the job's; the whole command where no job is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub config: Option<TaskConfig>,
  /// A second request with this key answers with the first one's task.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub idempotency_key: Option<String>,
  /// Which requests become one task, in place of the job's own word.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dedup: Option<Dedup>,
}

impl TaskForCreate {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    if self.job.is_some() && self.job_id.is_some() {
      errors.push(FieldError::new("task.job", "/job", "give job or job_id, not both"));
    }
    match &self.config {
      Some(config) => config.check("/config", errors),
      None if self.job.is_none() && self.job_id.is_none() => errors.push(
        FieldError::new("task.job", "/job", "nothing to run: give job, job_id or config")
          .with_hint("config holds the command of a task without a job"),
      ),
      None => {}
    }
    if let Some(environment) = &self.environment {
      check_environment(environment, "/environment", errors);
    }
    self.check_dedup(errors);
    check_priority(self.priority, errors);
    check_parameters(self.parameters.as_ref(), errors);
    if let Some(key) = &self.idempotency_key
      && (key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX || key.chars().any(char::is_control))
    {
      errors.push(FieldError::new(
        "idempotency.key",
        "/idempotency_key",
        format!("printable text of 1 to {IDEMPOTENCY_KEY_MAX} bytes is allowed"),
      ));
    }
  }
}

impl TaskForCreate {
  fn check_dedup(&self, errors: &mut Vec<FieldError>) {
    let own = self.dedup.as_ref().map(|dedup| (dedup, "/dedup"));
    let config = self.config.as_ref().and_then(|config| config.dedup.as_ref());
    let Some((dedup, field)) = own.or(config.map(|dedup| (dedup, "/config/dedup"))) else { return };
    if dedup.key.is_none() && self.job.is_none() && self.job_id.is_none() {
      let message = "commands without a job have nothing in common but a key";
      errors.push(FieldError::new("dedup.key", format!("{field}/key"), message));
    }
    if own.is_none() {
      return;
    }
    dedup.check("/dedup", errors);
    if self.idempotency_key.is_some() {
      let message = "a request with an idempotency key is a task of its own";
      errors.push(FieldError::new("dedup.conflict", "/dedup", message));
    }
    if dedup.mode == DedupMode::Debounce && self.scheduled_at.is_some() {
      let message = "the window decides when a debounced task starts";
      errors.push(FieldError::new("dedup.conflict", "/scheduled_at", message));
    }
  }
}

fn check_parameters(parameters: Option<&Value>, errors: &mut Vec<FieldError>) {
  let Some(parameters) = parameters else { return };
  if !parameters.is_object() {
    errors.push(FieldError::new("json.type", "/parameters", "parameters are an object"));
  }
  let text = parameters.to_string();
  if text.len() > PARAMETERS_BYTES_MAX {
    errors.push(FieldError::new(
      "parameters.too_large",
      "/parameters",
      format!("{} bytes as JSON, at most {PARAMETERS_BYTES_MAX} are allowed", text.len()),
    ));
  }
  if text.contains("\\u0000") {
    errors.push(FieldError::new("text.nul", "/parameters", "a NUL byte cannot be stored in text"));
  }
}

/// Many new tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskBulkCreate {
  /// The tasks, at most [`BULK_MAX`].
  pub items: Vec<TaskForCreate>,
}

/// What became of one item of a bulk request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct BulkResult {
  /// Its place in the request.
  pub index: usize,
  /// The task, where one was made or found.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub id: Option<TaskId>,
  /// The key was known: `id` is the earlier task.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub duplicate: bool,
  /// Why none was made.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub error: Option<crate::types::ErrorResponse>,
}

/// What became of a bulk request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct BulkResponse {
  /// How many tasks were made.
  pub created: usize,
  /// How many items were refused.
  pub failed: usize,
  /// One line per item, in the request's order.
  pub results: Vec<BulkResult>,
}

/// Changes of a task that has not started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskForUpdate {
  /// Higher is claimed first.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub priority: Option<i64>,
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct TaskFilter {
  /// In this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// Of this job, by id.
  pub job_id: Option<JobId>,
  /// Of this job, by name.
  pub job: Option<String>,
  /// Of this schedule.
  pub schedule_id: Option<ScheduleId>,
  /// In these states, separated by commas; `doing` is everything on an agent.
  pub status: Option<String>,
  /// On this agent.
  pub agent_id: Option<AgentId>,
  /// Tasks of this broadcast.
  pub parent_id: Option<TaskId>,
}

/// Why a task is asked to stop, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct CancelRequest {
  /// Why.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// Kill at once, without grace.
  pub force: bool,
  /// Grace before the kill, in seconds, in place of the job's.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub grace_secs: Option<f64>,
}

wire_enum! {
  /// What to do to many tasks.
  pub enum TaskAction {
    /// Stop with signal and grace.
    Cancel = 1 => "cancel",
    /// Stop at once.
    Kill = 2 => "kill",
    /// Run a finished one again, as a new task.
    Retry = 3 => "retry",
  }
}

/// One thing to do to many tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskActions {
  /// What to do.
  pub action: TaskAction,
  /// The tasks, at most [`BULK_MAX`]: ids, short ids, `JOB@latest`.
  pub ids: Vec<String>,
  /// Why.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// Grace before the kill, in seconds, in place of the job's.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub grace_secs: Option<f64>,
}

/// What became of one of many tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskActionResult {
  /// The task, as the request names it.
  pub id: String,
  /// Whether it was done.
  pub ok: bool,
  /// The task; after a retry the new one.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub task_id: Option<TaskId>,
  /// Where it stands now.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub status: Option<TaskStatus>,
  /// Why it was not done, for a program.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub code: Option<String>,
  /// Why it was not done, for a person.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub message: Option<String>,
}

/// What became of many tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskActionsResponse {
  /// How many it was done to.
  pub done: usize,
  /// How many it was not done to.
  pub failed: usize,
  /// One line per id, in the request's order.
  pub results: Vec<TaskActionResult>,
}

/// An attempt as people see it: its row, or the live state while it has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskInstanceEntity {
  /// Its id.
  pub id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// The task's job.
  pub job_id: JobId,
  /// The task's namespace.
  pub namespace_id: NamespaceId,
  /// Its number, from 1; 0 where the task ended without one.
  pub attempt: i64,
  /// Its fence.
  pub fence: i64,
  /// Its agent.
  pub agent_id: Option<AgentId>,
  /// Where it stands.
  pub status: TaskInstanceStatus,
  /// The state that it closed the task with.
  pub task_status: Option<TaskStatus>,
  /// When it was handed to the agent.
  pub dispatched_at: Option<Ts>,
  /// When the process started.
  pub started_at: Option<Ts>,
  /// When it ended.
  pub completed_at: Option<Ts>,
  /// Start minus planned start, in microseconds.
  pub start_skew_us: Option<i64>,
  /// The process.
  pub pid: Option<i64>,
  /// Exit code.
  pub exit_code: Option<i64>,
  /// Signal that ended it.
  pub signal: Option<i64>,
  /// Machine-readable reason of an end that is not green.
  pub reason: Option<String>,
  /// The facts behind it.
  pub error_message: Option<String>,
  /// Bytes of output.
  pub log_bytes: i64,
  /// What these bytes come to; the first half is their SHA-256.
  pub log_hash: Option<String>,
  /// Bytes of output that were dropped on purpose; the log says where.
  #[serde(default)]
  pub log_dropped: i64,
  /// How far it says it is, 0 to 1.
  pub progress: Option<f64>,
  /// Its words for that.
  pub progress_note: Option<String>,
  /// What it has handed on.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub outputs: Option<Value>,
  /// What it used, once it has ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  pub metrics: Option<TaskMetrics>,
}

/// The short name of [`TaskInstanceEntity`].
pub type TaskInstance = TaskInstanceEntity;
/// The name of the table's row in the first design.
pub type SchedTaskInstance = TaskInstanceEntity;

/// What an attempt has handed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskInstanceOutput {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Its number.
  pub attempt: i64,
  /// Where it stands; nothing is handed on before the end.
  pub status: TaskInstanceStatus,
  /// Names and values; none where it has left nothing.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub outputs: Option<Value>,
}

/// A finished attempt, as it is inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInstanceForCreate {
  /// The row.
  pub entity: TaskInstanceEntity,
  /// The whole log, where it is small.
  pub output_tail: Option<Vec<u8>>,
  /// Which of its bytes came from which stream.
  pub output_index: Option<String>,
}

/// Changes of an attempt that agents report while it lives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskInstanceForUpdate {
  /// How far it says it is, 0 to 1.
  pub progress: Option<f64>,
}

/// Which attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct TaskInstanceFilter {
  /// In this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// Of this task.
  pub task_id: Option<TaskId>,
  /// Of this job.
  pub job_id: Option<JobId>,
  /// On this agent.
  pub agent_id: Option<AgentId>,
}

/// One due instant and what was decided about it, in `sched_fire`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FireEntity {
  /// Its id.
  pub id: FireId,
  /// Its schedule.
  pub schedule_id: ScheduleId,
  /// The schedule's revision that made it.
  pub schedule_rev: i64,
  /// The instant.
  pub fire_at: Ts,
  /// What was decided.
  pub decision: FireDecision,
  /// Why.
  pub reason: Option<String>,
  /// The task, where one was made.
  pub task_id: Option<TaskId>,
  /// How many instants the row stands for.
  pub count: i64,
  /// The first of them.
  pub from_at: Option<Ts>,
  /// The last of them.
  pub to_at: Option<Ts>,
}

/// What became of a run that somebody asked a schedule for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TriggerAnswer {
  /// What was decided, by the schedule's policy of overlap.
  pub decision: FireDecision,
  /// Why.
  #[serde(default)]
  pub reason: Option<String>,
  /// Earlier runs that give way to this one.
  #[serde(default)]
  pub stopped: i64,
  /// The task was made by an earlier request with the same key.
  #[serde(default)]
  pub duplicate: bool,
  /// The run; `blocked` while it waits for an earlier one.
  #[serde(default)]
  pub task: Option<TaskEntity>,
}
