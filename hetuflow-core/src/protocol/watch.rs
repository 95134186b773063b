//! Watches: parts of the picture that a terminal shows, kept up to date by the server.
//!
//! A watch is a question (scope, filter, order, window). The server answers with the whole window
//! first and then with what changed in it, merged to at most `max_hz` frames a second, so a flood
//! costs a reader no more than a quiet day. Several watches share one socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::feed::{Change, Subject};
use super::task::TaskMetrics;
use crate::types::{
  AgentId, AgentStatus, JobId, Labels, NamespaceId, ScheduleId, ServerId, ServerStatus, TaskId,
  TaskInstanceId, TaskInstanceStatus, TaskStatus, TriggerSource, Ts,
};
use crate::wire_enum;

/// Rows in one window at most.
pub const WATCH_WINDOW_MAX: u32 = 1000;
/// Frames that a watch may ask for in a second.
pub const WATCH_HZ_MAX: u8 = 20;
/// Watches on one socket.
pub const WATCHES_PER_SOCKET_MAX: usize = 16;
/// Width of one bucket of [`Rates`], in seconds.
pub const RATE_BUCKET_SECS: u32 = 5;

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

/// An agent in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentRow {
  /// Its id.
  pub id: AgentId,
  /// What it is doing.
  pub status: AgentStatus,
  /// Takes nothing new.
  pub cordoned: bool,
  /// Tasks on it now.
  pub running: u32,
  /// Tasks that it runs at once.
  pub slots: u32,
  /// Processor use, 0 to 100.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub cpu_percent: Option<f64>,
  /// Memory use, 0 to 100.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub memory_percent: Option<f64>,
  /// Last sign of life.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub last_heartbeat_at: Option<Ts>,
  /// Labels.
  pub labels: Labels,
  /// Its version.
  pub version: String,
  /// Its host.
  pub hostname: String,
  /// The host's system.
  pub os_info: String,
  /// What it can run.
  pub task_types: Vec<String>,
  /// The server's clock minus its own.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub clock_offset_ms: Option<f64>,
  /// The server that holds its connection.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub server_id: Option<ServerId>,
  /// Connections since it is known.
  pub connections: i64,
  /// What is wrong with it, in a few words.
  #[serde(default, skip_serializing_if = "String::is_empty")]
  pub why: String,
}

/// A server in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ServerRow {
  /// Its id.
  pub id: ServerId,
  /// Where it listens.
  pub address: String,
  /// What it is doing.
  pub status: ServerStatus,
  /// Its version.
  pub version: String,
  /// When its process started.
  pub started_at: Ts,
  /// Last sign of life.
  pub last_heartbeat_at: Ts,
  /// Agents connected to it.
  pub agents: u32,
  /// The one that answers: its own figures, as `name` → number; empty for the others.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub figures: BTreeMap<String, f64>,
}

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

/// The middle and the tail of some durations, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Quantiles {
  /// How many durations there were.
  pub n: u32,
  /// Half took no longer.
  pub p50: f64,
  /// 95 of 100 took no longer.
  pub p95: f64,
  /// 99 of 100 took no longer.
  pub p99: f64,
  /// The longest.
  pub max: f64,
}

/// What happened in each bucket of [`RATE_BUCKET_SECS`], oldest first; the last bucket is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Rates {
  /// When the last bucket ended.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub until: Option<Ts>,
  /// Attempts that started.
  pub started: Vec<u32>,
  /// Tasks that ended, however.
  pub done: Vec<u32>,
  /// Tasks that failed or were lost.
  pub failed: Vec<u32>,
  /// Attempts that will be tried again.
  pub retried: Vec<u32>,
}

wire_enum! {
  /// How bad something is.
  pub enum Severity {
    /// Somebody should look.
    Warning = 1 => "warning",
    /// Work is failing or will be lost.
    Error = 2 => "error",
  }
}

/// Something that needs a person; lists of them have the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Attention {
  /// The machine's word, as `job_failing`, `agent_lost`, `queue_stuck`, `schedule_invalid`,
  /// `fires_late`, `task_overdue`.
  pub code: String,
  /// How bad.
  pub severity: Severity,
  /// What it is about.
  pub subject: Subject,
  /// Its name for people.
  pub name: String,
  /// What is wrong and why, in one sentence.
  pub message: String,
  /// Since when.
  pub since: Ts,
  /// Tasks that suffer from it.
  pub at_risk: u64,
}

/// The first screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Overview {
  /// Living tasks by state.
  pub counts: BTreeMap<String, u64>,
  /// When the oldest due task that nobody claimed was due.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub oldest_pending_at: Option<Ts>,
  /// Tasks on connected agents.
  pub slots_used: u32,
  /// Tasks that connected agents can run at once.
  pub slots: u32,
  /// The last 15 minutes.
  pub rates: Rates,
  /// How late fires started.
  pub fire_late: Quantiles,
  /// How long tasks waited from due to started.
  pub wait: Quantiles,
  /// How long runs took.
  pub run: Quantiles,
  /// Tasks that ended today (UTC) by state.
  pub today: BTreeMap<String, u64>,
  /// What needs a person, the worst first.
  pub attention: Vec<Attention>,
  /// The longest running tasks.
  pub running: Vec<TaskRow>,
  /// Agents, those in trouble first.
  pub agents: Vec<AgentRow>,
  /// The next fires.
  pub fires: Vec<FireRow>,
  /// Failures and changes by people, newest first.
  pub events: Vec<EventRow>,
  /// Servers that live.
  pub servers_up: u32,
  /// Servers that are known.
  pub servers: u32,
  /// Jobs by state: `enabled`, `disabled`.
  pub jobs: BTreeMap<String, u64>,
}

impl WatchRow for TaskRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

impl WatchRow for JobRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

impl WatchRow for AgentRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

impl WatchRow for ServerRow {
  fn key(&self) -> String {
    self.id.to_string()
  }
}

impl WatchRow for FireRow {
  fn key(&self) -> String {
    format!("{}@{}", self.schedule_id, self.at)
  }
}

impl WatchRow for EventRow {
  fn key(&self) -> String {
    format!("{}.{}", self.seq, self.index)
  }
}
