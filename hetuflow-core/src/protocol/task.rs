//! Tasks on their way to an agent, and their reports on the way back (WIRE §2.3, §2.4, §2.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{MessageError, invalid};
use super::secret::Secrets;
use super::{ArtifactNote, InputNote, LogDigest};
use crate::models::{Environment, TaskConfig};
use crate::types::{
  JobId, NamespaceId, ResourceViolationType, TaskControlKind, TaskId, TaskInstanceId,
  TaskInstanceStatus, TriggerSource, Ts,
};

/// What all tasks of one version of a job share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
  /// The job.
  pub job_id: JobId,
  /// Its version.
  pub job_version: i64,
  /// Its name.
  pub job_name: String,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// What to run.
  pub config: TaskConfig,
  /// With which environment.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub environment: Environment,
}

/// One attempt, ready to run at its instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledTask {
  /// The attempt.
  pub task_instance: InstanceHead,
  /// Its task.
  pub task: TaskHead,
  /// Proof of the right to report on it.
  pub fence: i64,
  /// Its number, from 1.
  pub attempt: i32,
  /// Not to be started after this instant.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub deadline_at: Option<Ts>,
  /// The values of the secrets that its config names, as far as they exist.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub secrets: Secrets,
  /// The files that it finds when it starts, in the order of its config.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub inputs: Vec<InputNote>,
}

/// The attempt's part of a [`ScheduledTask`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceHead {
  /// The attempt.
  pub id: TaskInstanceId,
}

/// The task's part of a [`ScheduledTask`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskHead {
  /// The task.
  pub id: TaskId,
  /// Index into the answer's `specs`.
  #[serde(default)]
  pub spec: usize,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// The instant it may start, where a retry moved it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub eligible_at: Option<Ts>,
  /// What made it.
  #[serde(default = "manual")]
  pub trigger_source: TriggerSource,
  /// The schedule's zone.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
  /// The planned instant of its job's last task that has succeeded before, for tasks of schedules,
  /// as it was known when this one was handed out.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub prev_success_at: Option<Ts>,
  /// Parameters of this run.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub parameters: Option<Value>,
  /// Settings of this run alone, in place of the job's.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub config: Option<TaskConfig>,
  /// Environment of this run alone, on top of the job's.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub environment: Option<Environment>,
}

const fn manual() -> TriggerSource {
  TriggerSource::Manual
}

/// The push form for older agents: a task and its job in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DispatchTaskRequest {
  /// The task.
  #[serde(flatten)]
  pub scheduled: ScheduledTask,
  /// Its job.
  pub job: JobSpec,
}

/// The answer to a dispatch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DispatchTaskResponse {
  /// Whether the agent has it.
  pub success: bool,
  /// Why not.
  #[serde(default)]
  pub message: String,
  /// The task.
  pub task_id: TaskId,
  /// Its attempt.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub instance_id: Option<TaskInstanceId>,
}

/// What one attempt used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskMetrics {
  /// When it started, in milliseconds since 1970.
  pub start_time: i64,
  /// When it ended.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub end_time: Option<i64>,
  /// Processor time, in seconds.
  #[serde(skip_serializing_if = "no_time")]
  pub cpu_time: f64,
  /// Most memory at once, in bytes; 0 where it was not measured.
  #[serde(skip_serializing_if = "none")]
  pub memory_peak: u64,
  /// Bytes read from disk.
  #[serde(skip_serializing_if = "none")]
  pub disk_read: u64,
  /// Bytes written to disk.
  #[serde(skip_serializing_if = "none")]
  pub disk_write: u64,
  /// Bytes received.
  #[serde(skip_serializing_if = "none")]
  pub network_in: u64,
  /// Bytes sent.
  #[serde(skip_serializing_if = "none")]
  pub network_out: u64,
  /// Figures that the task itself has told, by name.
  #[serde(skip_serializing_if = "BTreeMap::is_empty")]
  pub custom: BTreeMap<String, f64>,
}

fn none(count: &u64) -> bool {
  *count == 0
}

fn no_time(secs: &f64) -> bool {
  *secs == 0.0
}

/// One move of one attempt, as its agent saw it.
///
/// A final update whose start was not reported apart carries `started_at_us`; the server then
/// makes both events from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInstanceUpdate {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Who says so.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub agent_id: String,
  /// Where it stands now.
  pub status: TaskInstanceStatus,
  /// When, in milliseconds since 1970, corrected to the server's clock.
  #[serde(alias = "epoch_millis")]
  pub timestamp: i64,
  /// The same in microseconds, where the agent can.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timestamp_us: Option<i64>,
  /// When the process was started, in microseconds since 1970.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub started_at_us: Option<i64>,
  /// Start minus planned start, in microseconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub start_skew_us: Option<i64>,
  /// Its number.
  #[serde(default)]
  pub attempt: i32,
  /// Its fence.
  #[serde(default)]
  pub fence: i64,
  /// The process.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub pid: Option<u32>,
  /// Exit code, where the process exited.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub exit_code: Option<i32>,
  /// Signal, where one ended it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub signal: Option<i32>,
  /// Machine-readable reason of an end that is not green, as `exit_code(3)`.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// The facts behind it, for people.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub error_message: Option<String>,
  /// The whole output, where it is small and no chunk was sent.
  #[serde(default, alias = "data", skip_serializing_if = "Option::is_none")]
  pub output: Option<String>,
  /// `base64` where `output` is not UTF-8.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub encoding: Option<String>,
  /// Which bytes of `output` came from which stream, as `o12e5o3`; absent means all stdout.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub output_index: Option<String>,
  /// Bytes of output in all.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub log_bytes: Option<u64>,
  /// What these bytes come to.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub log_hash: Option<LogDigest>,
  /// Bytes that were dropped on purpose; the log says where.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub log_dropped: Option<u64>,
  /// How far it says it is, 0 to 1.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub progress: Option<f64>,
  /// Its words for that.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub progress_note: Option<String>,
  /// What it hands on: the content of its result file.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub outputs: Option<Value>,
  /// The files that it has left.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub artifacts: Vec<ArtifactNote>,
  /// How long its job wants them to be kept, in seconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub artifacts_keep_secs: Option<u64>,
  /// What it used.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub metrics: Option<TaskMetrics>,
}

/// Most bytes of a log that ride in the final update.
pub const INLINE_OUTPUT_MAX: usize = 4 << 10;

impl TaskInstanceUpdate {
  /// An update with nothing but its identity, state and time.
  pub fn new(
    instance_id: TaskInstanceId,
    task_id: TaskId,
    status: TaskInstanceStatus,
    at: Ts,
  ) -> Self {
    Self {
      instance_id,
      task_id,
      agent_id: String::new(),
      status,
      timestamp: at.millis(),
      timestamp_us: Some(at.micros()),
      started_at_us: None,
      start_skew_us: None,
      attempt: 0,
      fence: 0,
      pid: None,
      exit_code: None,
      signal: None,
      reason: None,
      error_message: None,
      output: None,
      encoding: None,
      output_index: None,
      log_bytes: None,
      log_hash: None,
      log_dropped: None,
      progress: None,
      progress_note: None,
      outputs: None,
      artifacts: Vec::new(),
      artifacts_keep_secs: None,
      metrics: None,
    }
  }

  /// When it happened.
  pub fn at(&self) -> Ts {
    self.timestamp_us.map_or_else(|| Ts::from_millis(self.timestamp), Ts::from_micros)
  }

  /// Puts a small log into the update: as text where it is UTF-8 without NUL, else as base64.
  pub fn set_output(&mut self, bytes: Vec<u8>) {
    use base64::Engine;
    match String::from_utf8(bytes) {
      Ok(text) if !text.contains('\0') => self.output = Some(text),
      Ok(text) => self.set_base64(base64::engine::general_purpose::STANDARD.encode(text)),
      Err(error) => {
        self.set_base64(base64::engine::general_purpose::STANDARD.encode(error.as_bytes()));
      }
    }
  }

  fn set_base64(&mut self, text: String) {
    self.output = Some(text);
    self.encoding = Some("base64".to_owned());
  }

  /// The bytes of the small log.
  ///
  /// # Errors
  /// [`MessageError::Invalid`] for an unknown encoding or broken base64.
  pub fn output_bytes(&self) -> Result<Option<Vec<u8>>, MessageError> {
    use base64::Engine;
    let Some(text) = &self.output else { return Ok(None) };
    match self.encoding.as_deref() {
      None | Some("utf8") => Ok(Some(text.clone().into_bytes())),
      Some("base64") => base64::engine::general_purpose::STANDARD
        .decode(text)
        .map(Some)
        .map_err(|_| invalid("output", "is not base64")),
      Some(_) => Err(invalid("encoding", "utf8 and base64 are known")),
    }
  }
}

/// One report in its place among the agent's reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportItem {
  /// An attempt moved.
  Update(Box<TaskInstanceUpdate>),
  /// Output of a foreign agent; ours sends binary frames.
  Chunk(TaskLog),
}

/// Reports of one agent epoch, numbered without holes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReportBatch {
  /// The start of the agent process that made them.
  pub agent_epoch: i64,
  /// The number of the first item.
  pub seq_from: u64,
  /// The reports.
  pub items: Vec<ReportItem>,
}

/// Output as text, for foreign agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLog {
  /// The attempt.
  pub task_instance_id: TaskInstanceId,
  /// Its place among the attempt's output, over both streams.
  pub sequence: u64,
  /// Which stream.
  pub kind: crate::types::LogKind,
  /// The bytes, or their base64.
  pub content: String,
  /// When, in milliseconds since 1970.
  #[serde(default)]
  pub ts: i64,
  /// `base64` where the bytes are not UTF-8.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub encoding: Option<String>,
}

/// Do something with an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskControl {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// What to do.
  pub control_type: TaskControlKind,
  /// Why.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// At once, without grace.
  #[serde(default)]
  pub force: bool,
  /// Which signal, by name or number.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub signal: Option<String>,
  /// Grace before the kill, in place of the job's.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub grace_secs: Option<f64>,
  /// The fence of the attempt that is meant.
  #[serde(default)]
  pub fence: i64,
}

/// A limit that was broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceViolation {
  /// Which.
  pub violation_type: ResourceViolationType,
  /// What it came to.
  pub current_value: f64,
  /// What was allowed.
  pub limit_value: f64,
  /// When, in milliseconds since 1970.
  pub timestamp: i64,
}
