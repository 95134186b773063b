//! What the routes without a version read and answer (`/api/tasks`, `/api/agents`,
//! `/api/cron-jobs`): the words of the first programs, over the same tasks, agents and schedules.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schedule::check_priority;
use super::task_config::{Seconds, TaskConfig};
use crate::types::{
  AgentId, ExecuteCommand, FieldError, JobId, ScheduleId, Selector, TaskId, TaskStatus, Ts,
  check_name,
};

/// Hidden jobs of tasks that name a type only: `legacy/TYPE`. No person can take such a name,
/// since `/` is not allowed in names.
pub const V0_JOB_PREFIX: &str = "legacy/";
/// The variable in which a task finds the name that it was made with.
pub const V0_NAME_VARIABLE: &str = "HETUFLOW_TASK_NAME";
/// Labels of agents that stand for capabilities begin so.
pub const V0_CAPABILITY_PREFIX: &str = "cap.";
/// Longest name of a task, in characters.
const NAME_CHARS_MAX: usize = 200;

/// The names of priorities, and their numbers.
const PRIORITIES: [(&str, i64); 5] =
  [("low", -10), ("normal", 0), ("high", 10), ("critical", 20), ("urgent", 20)];

/// A priority: one of the names low, normal, high, critical, or a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "with-openapi", schema(value_type = String))]
pub struct V0Priority(pub i64);

impl std::str::FromStr for V0Priority {
  type Err = String;

  fn from_str(text: &str) -> Result<Self, String> {
    let named = PRIORITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    match named {
      Some((_, number)) => Ok(Self(*number)),
      None => text.parse().map(Self).map_err(|_| {
        let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
        format!("\"{shown}\" is no priority: low, normal, high, critical or a number")
      }),
    }
  }
}

impl Serialize for V0Priority {
  fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    match PRIORITIES.iter().find(|(_, number)| *number == self.0) {
      Some((name, _)) => serializer.serialize_str(name),
      None => serializer.serialize_i64(self.0),
    }
  }
}

impl<'de> Deserialize<'de> for V0Priority {
  fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    struct Read;
    impl serde::de::Visitor<'_> for Read {
      type Value = V0Priority;
      fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("low, normal, high, critical or a number")
      }
      fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<V0Priority, E> {
        Ok(V0Priority(number))
      }
      fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<V0Priority, E> {
        i64::try_from(number).map(V0Priority).map_err(|_| E::custom("number out of range"))
      }
      fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<V0Priority, E> {
        text.parse().map_err(E::custom)
      }
    }
    deserializer.deserialize_any(Read)
  }
}

/// A new task by its type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0TaskForCreate {
  /// What people call it.
  pub name: String,
  /// Which handler of an agent runs it.
  pub task_type: String,
  /// Its priority; normal where not said.
  #[serde(default)]
  pub priority: V0Priority,
  /// What the handler reads: any JSON.
  #[serde(default)]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub payload: Value,
  /// When; now where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub scheduled_at: Option<Ts>,
  /// What an agent must be capable of, all of it.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub capabilities: Vec<String>,
  /// Longest run time, in seconds.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timeout: Option<Seconds>,
  /// Attempts after the first.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub max_retries: Option<i64>,
}

impl V0TaskForCreate {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    let chars = self.name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || self.name.chars().any(char::is_control) {
      let message = format!("printable text of 1 to {NAME_CHARS_MAX} characters is allowed");
      errors.push(FieldError::new("name.invalid", "/name", message));
    }
    check_type(&self.task_type, errors);
    check_priority(Some(self.priority.0), errors);
    capabilities_selector(&self.capabilities).check("/capabilities", errors);
  }

  /// The settings of this task alone, over those of its hidden job; none where nothing differs.
  pub fn config_over(&self, job: &TaskConfig) -> Option<TaskConfig> {
    let plain = self.capabilities.is_empty() && self.timeout.is_none();
    if plain && self.max_retries.is_none() {
      return None;
    }
    let mut config = job.clone();
    config.selector.replace(capabilities_selector(&self.capabilities));
    config.timeout = self.timeout.or(config.timeout);
    config.max_retries = self.max_retries.or(config.max_retries);
    Some(config)
  }
}

/// What a handler of this type runs with where nothing else is said.
pub fn v0_config(task_type: &str) -> TaskConfig {
  TaskConfig {
    cmd: Some(ExecuteCommand::Handler),
    task_type: Some(task_type.to_owned()),
    ..TaskConfig::default()
  }
}

/// The condition that an agent is capable of all these.
pub fn capabilities_selector(capabilities: &[String]) -> Selector {
  let label = |name: &String| (format!("{V0_CAPABILITY_PREFIX}{name}"), "true");
  Selector::from_iter(capabilities.iter().map(label))
}

fn check_type(task_type: &str, errors: &mut Vec<FieldError>) {
  errors.extend(check_name(task_type, "/task_type").err());
}

/// A task in the older words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0Task {
  /// Its id.
  pub id: TaskId,
  /// The same id.
  pub task_id: TaskId,
  /// What people call it.
  pub name: String,
  /// Its type.
  pub task_type: String,
  /// Its priority.
  pub priority: V0Priority,
  /// What the handler reads.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub payload: Value,
  /// Where it stands.
  pub status: TaskStatus,
  /// When it was made.
  pub created_at: Ts,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// The agent of its newest attempt.
  pub agent_id: Option<AgentId>,
  /// When it started.
  pub started_at: Option<Ts>,
  /// When it ended.
  pub completed_at: Option<Ts>,
  /// What it gave: the last line of its standard output, as JSON where it is JSON.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub result: Option<Value>,
  /// Why it did not succeed.
  pub error: Option<String>,
}

/// An agent in the older words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0Agent {
  /// Its id.
  pub id: AgentId,
  /// What people call it.
  pub name: String,
  /// `active` or `inactive`.
  pub status: String,
  /// What it is capable of.
  pub capabilities: Vec<String>,
  /// Last sign of life.
  pub last_heartbeat: Option<Ts>,
}

/// An agent that is made known before it connects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0AgentForCreate {
  /// Its name, which becomes its id.
  pub name: String,
  /// What it is capable of.
  #[serde(default)]
  pub capabilities: Vec<String>,
  /// `active` or `inactive`; it is active once it connects, whatever is said here.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub status: Option<String>,
}

impl V0AgentForCreate {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    if let Err(error) = AgentId::new(self.name.as_str()) {
      errors.push(FieldError::new("name.invalid", "/name", error.to_string()));
    }
    capabilities_selector(&self.capabilities).check("/capabilities", errors);
    if let Some(status) = &self.status
      && !matches!(status.as_str(), "active" | "inactive")
    {
      let shown: String = status.chars().take(40).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" is neither active nor inactive");
      errors.push(FieldError::new("enum.unknown", "/status", message));
    }
  }
}

/// A new job with one cron schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0CronJobForCreate {
  /// What people call it; what cannot stand in a job's name becomes `-` there.
  pub name: String,
  /// When.
  pub cron_expression: String,
  /// Which handler of an agent runs it.
  pub task_type: String,
  /// What the handler reads: an object.
  #[serde(default)]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub payload: Value,
  /// Whether it fires; yes where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub enabled: Option<bool>,
  /// The zone of the expression; UTC where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
}

impl V0CronJobForCreate {
  /// Checks what no other model checks.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    check_type(&self.task_type, errors);
    if self.name.trim().is_empty() {
      errors.push(FieldError::new("name.invalid", "/name", "a name is needed"));
    }
    check_payload(&self.payload, errors);
  }
}

/// A schedule's parameters are an object, so that it can also be run by hand.
fn check_payload(payload: &Value, errors: &mut Vec<FieldError>) {
  if !payload.is_object() && !payload.is_null() {
    errors.push(FieldError::new("json.type", "/payload", "the payload is an object"));
  }
}

/// Changes of a cron job; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0CronJobForUpdate {
  /// When.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub cron_expression: Option<String>,
  /// Which handler of an agent runs it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub task_type: Option<String>,
  /// What people call it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub name: Option<String>,
  /// What the handler reads: an object.
  #[serde(skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub payload: Option<Value>,
  /// Whether it fires.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub enabled: Option<bool>,
  /// The zone of the expression.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
}

impl V0CronJobForUpdate {
  /// Checks what no other model checks.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    if let Some(task_type) = &self.task_type {
      check_type(task_type, errors);
    }
    check_payload(self.payload.as_ref().unwrap_or(&Value::Null), errors);
    if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
      errors.push(FieldError::new("name.invalid", "/name", "a name is needed"));
    }
  }
}

/// A cron schedule with its job, in the older words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct V0CronJob {
  /// The id of the schedule.
  pub id: ScheduleId,
  /// The job.
  pub job_id: JobId,
  /// The schedule.
  pub schedule_id: ScheduleId,
  /// What people call it.
  pub name: String,
  /// When.
  pub cron_expression: String,
  /// The zone of the expression.
  pub timezone: String,
  /// Which handler of an agent runs it; empty for a job that runs a command.
  pub task_type: String,
  /// What the handler reads.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub payload: Value,
  /// Whether it fires.
  pub enabled: bool,
  /// Its next instant.
  pub next_run_at: Option<Ts>,
  /// Its newest instant.
  pub last_run_at: Option<Ts>,
  /// When it was made.
  pub created_at: Ts,
}

/// The name of a job that stands for what somebody calls it.
pub fn v0_job_name(name: &str) -> String {
  if let Ok(name) = check_name(name, "/name") {
    return name;
  }
  let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
  let plain: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(128).collect();
  let plain = plain.trim_start_matches(['.', '_', '-']).trim_end_matches('-');
  check_name(plain, "/name").unwrap_or_else(|_| "cron-job".to_owned())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn priorities_are_names_or_numbers() {
    for (text, number, shown) in [
      ("\"low\"", -10, "\"low\""),
      ("\"HIGH\"", 10, "\"high\""),
      ("\"urgent\"", 20, "\"critical\""),
      ("7", 7, "7"),
      ("\"7\"", 7, "7"),
      ("0", 0, "\"normal\""),
    ] {
      let priority: V0Priority = serde_json::from_str(text).expect("a priority");
      assert_eq!(priority.0, number, "{text}");
      assert_eq!(serde_json::to_string(&priority).expect("text"), shown);
    }
    assert!(serde_json::from_str::<V0Priority>("\"soon\"").is_err());
    assert!(serde_json::from_str::<V0Priority>("1.5").is_err());
  }

  #[test]
  fn any_name_makes_a_job_name() {
    for (name, job) in [
      ("daily_report", "daily_report"),
      ("Daily Cleanup (EU)", "Daily-Cleanup--EU"),
      ("../etc", "etc"),
      ("🚀", "cron-job"),
    ] {
      assert_eq!(v0_job_name(name), job);
    }
  }

  #[test]
  fn a_task_has_settings_of_its_own_only_where_it_asks_for_some() {
    let job = v0_config("mail");
    let mut task =
      V0TaskForCreate { name: "n".into(), task_type: "mail".into(), ..Default::default() };
    assert_eq!(task.config_over(&job), None);
    task.capabilities = vec!["gpu".to_owned(), "cuda".to_owned()];
    let config = task.config_over(&job).expect("its own");
    assert_eq!(config.selector.to_string(), "cap.gpu=true, cap.cuda=true");
    assert_eq!(config.task_type.as_deref(), Some("mail"));
    let mut errors = Vec::new();
    task.capabilities = vec!["a b".to_owned()];
    task.task_type = "a/b".to_owned();
    task.check(&mut errors);
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["/task_type", "/capabilities/cap.a b"]);
  }
}
