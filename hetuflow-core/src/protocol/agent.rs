//! Who an agent is and what it can do: registration, heartbeat, grants (WIRE §2.3, §2.4).

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{MessageError, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, invalid};
use super::task::ScheduledTask;
use crate::models::MEASURED_LABELS;
use crate::types::{
  AgentStatus, Capacity, CommandKind, Cpus, Labels, ReconcileAction, TaskId, TaskInstanceId,
  TaskInstanceStatus, TaskTypes, Ts, check_labels,
};

/// What an agent can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentCapabilities {
  /// Processes at the same time.
  pub max_concurrent_tasks: u32,
  /// Labels that selectors match.
  pub labels: Labels,
  /// Task types it serves; none means any, unless `features` holds [`TASK_TYPES_FEATURE`].
  pub supported_task_types: Vec<String>,
  /// Resources by name, as `memory_mb`.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub resources: HashMap<String, Value>,
  /// Features by name.
  pub features: Vec<String>,
  /// Anything else.
  pub metadata: HashMap<String, String>,
}

/// The feature of an agent whose list of task types is whole: what is not in it, it cannot serve.
pub const TASK_TYPES_FEATURE: &str = "task_types";

impl AgentCapabilities {
  /// What it has in all, for tasks that ask for room: what it declares, else what it measured.
  pub fn capacity(&self, labels: &Labels) -> Capacity {
    let declared = |name: &str| self.resources.get(name).and_then(Value::as_f64);
    let measured = |name: &str| labels.get(name).and_then(|text| text.parse::<f64>().ok());
    let cpu = declared("cpu").or_else(|| measured("sys_cpus"));
    let memory = declared("memory_mb").or_else(|| measured("sys_memory_mb"));
    Capacity {
      cpu: cpu.and_then(Cpus::of),
      memory_mb: memory.filter(|mb| (0.0..1e15).contains(mb)).map(|mb| mb as i64),
      slots: i64::from(self.max_concurrent_tasks),
    }
  }

  /// The task types that it serves.
  pub fn task_types(&self) -> TaskTypes {
    let whole = self.features.iter().any(|feature| feature == TASK_TYPES_FEATURE);
    match self.supported_task_types.as_slice() {
      [] if !whole => TaskTypes::Any,
      types => TaskTypes::These(types.to_vec()),
    }
  }
}

/// What a server tells an agent about its own settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentConfig {
  /// Seconds between heartbeats; 0 leaves it to the agent.
  pub heartbeat_interval: f64,
  /// Time limit of tasks that name none, in seconds; 0 is none.
  pub task_timeout: u64,
  /// Most output bytes of one attempt; 0 is unlimited.
  pub max_output_size: u64,
  /// Seconds after which an idle agent repeats its grant; 0 leaves it to the agent.
  pub poll_interval: f64,
  /// Anything else.
  #[serde(skip_serializing_if = "HashMap::is_empty")]
  pub settings: HashMap<String, Value>,
}

/// One attempt that an agent has in hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningInstance {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Its number.
  pub attempt: i32,
  /// Its fence.
  pub fence: i64,
  /// Where it stands on the agent.
  #[serde(default = "running")]
  pub status: TaskInstanceStatus,
  /// The process.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub pid: Option<u32>,
  /// When it was started.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub started_at: Option<Ts>,
}

const fn running() -> TaskInstanceStatus {
  TaskInstanceStatus::Running
}

/// The first message of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRegisterRequest {
  /// Who it is.
  pub agent_id: String,
  /// The namespace it serves; empty means the default one.
  pub namespace_id: String,
  /// What it can do.
  pub capabilities: AgentCapabilities,
  /// Anything else.
  pub metadata: HashMap<String, String>,
  /// Its version.
  pub version: String,
  /// Its host.
  pub hostname: String,
  /// The host's system.
  pub os_info: String,
  /// Where it says it lives; for people only.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub address: Option<String>,
  /// Its token, where no header could carry it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub jwe_token: Option<String>,
  /// The protocol it speaks; 0 means the first one.
  pub protocol_version: u32,
  /// Changes when the host starts anew.
  pub boot_id: String,
  /// Changes when the agent has lost its memory of what it started; empty where it has none.
  pub journal_id: String,
  /// Changes when the agent process starts anew: microseconds since 1970 of that start.
  pub agent_epoch: i64,
  /// Counts the connections of this epoch.
  pub connection_epoch: i64,
  /// All namespaces it serves; none means `namespace_id` alone.
  pub namespaces: Vec<String>,
  /// Every attempt it has in hand.
  pub running: Vec<RunningInstance>,
}

impl AgentRegisterRequest {
  /// Checks what every server must be able to rely on.
  ///
  /// # Errors
  /// [`MessageError::Invalid`] names the first field that breaks a rule.
  pub fn validate(&self) -> Result<(), MessageError> {
    if crate::types::AgentId::new(self.agent_id.as_str()).is_err() {
      return Err(invalid("agent_id", "1 to 40 of A-Z a-z 0-9 . _ - are allowed"));
    }
    if let Some(words) = protocol_skew(self.protocol_version) {
      return Err(invalid("protocol_version", words));
    }
    for (field, text, limit) in [
      ("hostname", &self.hostname, 255),
      ("os_info", &self.os_info, 255),
      ("version", &self.version, 64),
      ("boot_id", &self.boot_id, 64),
      ("journal_id", &self.journal_id, 64),
    ] {
      if text.len() > limit || text.chars().any(char::is_control) {
        return Err(invalid(field, format!("printable text of at most {limit} bytes is allowed")));
      }
    }
    check_told_labels(&self.capabilities.labels)
  }
}

/// Checks the labels that an agent tells.
///
/// # Errors
/// [`MessageError::Invalid`] for the first that breaks a rule.
pub fn check_told_labels(labels: &Labels) -> Result<(), MessageError> {
  let mut errors = Vec::new();
  // What the agent has measured does not count against what its owner may say.
  let (measured, own): (Labels, Labels) =
    labels.clone().into_iter().partition(|(key, _)| key.starts_with(MEASURED_LABELS));
  for labels in [&measured, &own] {
    check_labels(labels, "labels", &mut errors);
  }
  match errors.first() {
    Some(error) => Err(invalid("capabilities.labels", error.message.clone())),
    None => Ok(()),
  }
}

/// Which side is too old for the other, in words, where they share no protocol; 0 is the first.
pub fn protocol_skew(agent: u32) -> Option<String> {
  let (agent, min, max) = (agent.max(1), PROTOCOL_VERSION_MIN, PROTOCOL_VERSION);
  if agent > max {
    return Some(format!(
      "the agent speaks {agent}, this server at most {max}: upgrade the server"
    ));
  }
  (agent < min)
    .then(|| format!("the agent speaks {agent}, this server at least {min}: upgrade the agent"))
}

/// The answer to a registration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRegisterResponse {
  /// Whether the agent is in.
  pub success: bool,
  /// Why not.
  pub message: String,
  /// Settings.
  pub config: AgentConfig,
  /// The server's clock, in milliseconds since 1970.
  pub server_time: i64,
  /// The connection's name.
  pub session_id: String,
  /// The server.
  pub server_id: String,
  /// What to do with each attempt that the agent named.
  pub reconcile: Vec<Reconcile>,
  /// Reports up to this one are committed; the agent sends the rest again.
  pub acked_seq: u64,
}

/// What to do with one attempt after a reconnect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reconcile {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// What to do.
  pub action: ReconcileAction,
}

/// Load and health of an agent's host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentMetrics {
  /// Share of all processors in use, 0 to 100.
  pub cpu_usage: f64,
  /// Share of memory in use, 0 to 100.
  pub memory_usage: f64,
  /// Share of the work folder's disk in use, 0 to 100.
  pub disk_usage: f64,
  /// Processes alive.
  pub active_tasks: u32,
  /// Attempts ended since the start.
  pub total_executed: u64,
  /// Share of them that succeeded, 0 to 1.
  pub success_rate: f64,
  /// Their mean run time, in milliseconds.
  pub avg_execution_time: f64,
  /// Seconds since the agent started.
  pub uptime: u64,
  /// Mean run queue of the last minute.
  pub load1: f64,
  /// The server's clock minus the agent's, in milliseconds.
  pub clock_offset_ms: f64,
}

/// One line of a heartbeat about a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatusInfo {
  /// The task.
  pub task_id: TaskId,
  /// Its attempt.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub instance_id: Option<TaskInstanceId>,
  /// Where the attempt stands.
  pub status: TaskInstanceStatus,
  /// The agent.
  pub agent_id: String,
  /// When it started.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub start_time: Option<i64>,
  /// How far it says it is, 0 to 1.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub progress: Option<f64>,
}

/// "I live."
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
  /// Who.
  pub agent_id: String,
  /// When it was sent, in milliseconds since 1970 on the agent's clock; judged by nobody.
  pub timestamp: i64,
  /// What it is doing.
  #[serde(default = "idle")]
  pub status: AgentStatus,
  /// What it runs; only where a server asked for it.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub running_tasks: Vec<TaskStatusInfo>,
  /// Load and health.
  #[serde(default)]
  pub metrics: AgentMetrics,
  /// Free slots.
  #[serde(default)]
  pub capacity: u32,
  /// Grows while the executor moves.
  #[serde(default)]
  pub executor_tick: u64,
  /// When it was sent, in microseconds since 1970: first of four stamps for the clock offset.
  #[serde(default)]
  pub sent_at_us: i64,
}

const fn idle() -> AgentStatus {
  AgentStatus::Idle
}

/// "I heard."
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatResponse {
  /// Whether the agent may go on.
  #[serde(alias = "ack")]
  pub success: bool,
  /// The server's clock, in milliseconds since 1970.
  #[serde(alias = "server_time")]
  pub server_timestamp: i64,
  /// A word.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub message: Option<String>,
  /// Orders.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub commands: Vec<AgentCommand>,
  /// Echo of the request: first stamp.
  pub sent_at_us: i64,
  /// When the server read the request: second stamp, microseconds since 1970.
  pub server_received_us: i64,
  /// When the server wrote the answer: third stamp.
  pub server_sent_us: i64,
}

/// An order to an agent as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentCommand {
  /// Its id.
  pub command_id: uuid::Uuid,
  /// What to do.
  pub command_type: CommandKind,
  /// With what.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub parameters: BTreeMap<String, Value>,
  /// By when, in seconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timeout: Option<u64>,
  /// How urgent.
  #[serde(default)]
  pub priority: i32,
}

/// A grant of credits: the agent can take this many more tasks now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AcquireTaskRequest {
  /// Who.
  pub agent_id: String,
  /// Most tasks in one answer; 0 leaves it to the server.
  pub max_tasks: u32,
  /// Tasks it can take now: absolute, replaces every grant before.
  #[serde(alias = "acquire_count")]
  pub available_capacity: u32,
  /// Tasks it has received on this connection, so that the server can count those on their way.
  pub received_tasks: u64,
  /// Processes it could start at once; the rest of the grant waits in its queue.
  pub free_slots: u32,
}

/// The name of later notes for [`AcquireTaskRequest`].
pub type PollTaskRequest = AcquireTaskRequest;

/// Tasks for a grant; an answer may come at any time until the grant is used up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AcquireTaskResponse {
  /// What the tasks share: sent once per answer.
  pub specs: Vec<super::task::JobSpec>,
  /// The tasks.
  pub tasks: Vec<ScheduledTask>,
  /// Whether more is waiting.
  pub has_more: bool,
  /// Seconds after which to repeat the grant.
  pub next_poll_interval: f64,
}

/// "I leave."
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentUnregister {
  /// Why.
  pub reason: String,
  /// Nothing of it runs any more.
  pub drain_done: bool,
}
