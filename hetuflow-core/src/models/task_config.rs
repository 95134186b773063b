//! What to run and how: the part of a job that an agent needs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::artifact::ArtifactConfig;
use super::dedup::Dedup;
use super::identity_check::{check_secrets, check_user};
use super::input_file::InputFile;
use super::limit::{RateLimit, SemaphoreUse, check_limits};
use super::resource_limits::{ResourceLimits, shorter, tighter};
use crate::types::{
  AgentChoice, AgentId, Backoff, BackoffStrategy, Broadcast, Delivery, DisconnectReconcile,
  ExecuteCommand, FieldError, LogPolicy, Preference, Requests, RetryCondition, Selector, Sticky,
  TaskInstanceStatus, check_conditions, parse_duration, pointer_part,
};

/// Longest inline script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Most arguments of a command.
pub const ARGS_MAX: usize = 1024;
/// Bytes of all arguments together.
pub const ARGS_BYTES_MAX: usize = 128 << 10;
/// Most variables of an environment.
pub const ENVIRONMENT_MAX: usize = 512;
/// Bytes of an environment.
pub const ENVIRONMENT_BYTES_MAX: usize = 128 << 10;
/// Most failures in a row that may pause a schedule.
pub const FAILURES_MAX: i64 = 1000;
/// Most retries of a task.
pub const RETRIES_MAX: i64 = 1000;
/// Longest time limit, in seconds: 366 days.
pub const TIMEOUT_SECS_MAX: u64 = 366 * 86_400;

/// A time in a config: seconds as a number, or text with a unit; written as seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "with-openapi", schema(value_type = f64))]
pub struct Seconds(pub Duration);

impl Serialize for Seconds {
  fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    if self.0.subsec_nanos() == 0 {
      return serializer.serialize_u64(self.0.as_secs());
    }
    serializer.serialize_f64(self.0.as_secs_f64())
  }
}

impl<'de> Deserialize<'de> for Seconds {
  fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    struct Time;
    impl serde::de::Visitor<'_> for Time {
      type Value = Seconds;
      fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("seconds, or a time with a unit as 30s or 5m")
      }
      fn visit_u64<E: serde::de::Error>(self, secs: u64) -> Result<Seconds, E> {
        Ok(Seconds(Duration::from_secs(secs)))
      }
      fn visit_i64<E: serde::de::Error>(self, secs: i64) -> Result<Seconds, E> {
        u64::try_from(secs)
          .map_or_else(|_| Err(E::custom("a time is not negative")), |s| self.visit_u64(s))
      }
      fn visit_f64<E: serde::de::Error>(self, secs: f64) -> Result<Seconds, E> {
        Duration::try_from_secs_f64(secs)
          .map(Seconds)
          .map_err(|_| E::custom("not a time in seconds"))
      }
      fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Seconds, E> {
        parse_duration(text).map(Seconds).map_err(E::custom)
      }
    }
    deserializer.deserialize_any(Time)
  }
}

/// Environment variables; numbers and booleans are taken as their text.
pub type Environment = BTreeMap<String, String>;

/// Reads an environment whose values may be text, numbers or booleans.
///
/// # Errors
/// When a value is anything else.
pub fn read_environment<'de, D: serde::Deserializer<'de>>(
  deserializer: D,
) -> Result<Environment, D::Error> {
  let loose = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
  loose.into_iter().map(|(key, value)| text_of(value).map(|text| (key, text))).collect()
}

/// As [`read_environment`], and tells absent from empty.
///
/// # Errors
/// When a value is neither text, number nor boolean.
pub fn read_environment_option<'de, D: serde::Deserializer<'de>>(
  deserializer: D,
) -> Result<Option<Environment>, D::Error> {
  read_environment(deserializer).map(Some)
}

fn text_of<E: serde::de::Error>(value: Value) -> Result<String, E> {
  match value {
    Value::String(text) => Ok(text),
    Value::Number(number) => Ok(number.to_string()),
    Value::Bool(flag) => Ok(flag.to_string()),
    _ => Err(E::custom("environment values are text, numbers or booleans")),
  }
}

/// How often and when to try again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct RetryPolicy {
  /// How the wait grows.
  pub strategy: BackoffStrategy,
  /// The first wait.
  pub base_secs: Seconds,
  /// No wait is longer.
  pub max_delay_secs: Seconds,
  /// Only these ends are tried again; none means all: `exit_code(n)`, `exit_code(n-m)`, `signal(n)`,
  /// `timeout`, `oom`, `resource_exhausted`, `agent_lost`, `network_error`, `spawn_error`, …
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub retry_on: Vec<String>,
  /// These ends are never tried again.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub no_retry_on: Vec<String>,
}

impl Default for RetryPolicy {
  fn default() -> Self {
    Self {
      strategy: BackoffStrategy::ExponentialWithJitter,
      base_secs: Seconds(Duration::from_secs(60)),
      max_delay_secs: Seconds(Duration::from_secs(600)),
      retry_on: Vec::new(),
      no_retry_on: Vec::new(),
    }
  }
}

/// What happens when an agent goes silent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct DisconnectPolicy {
  /// Unreachable for this long means lost.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub lost_after: Option<Seconds>,
  /// The agent stops the attempt itself after this long without a server; never where not said,
  /// except for exclusive delivery.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub stop_after: Option<Seconds>,
  /// Whether an attempt may be called lost, and be followed by another, while its agent is silent;
  /// yes where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub replace: Option<bool>,
  /// What becomes of both attempts when its agent comes back after it was replaced: the later one
  /// goes on. There is no other choice in this build.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reconcile: Option<DisconnectReconcile>,
}

/// Time between a stop and the kill where a job names none.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// What to run and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskConfig {
  /// The program; `bash` where none is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub cmd: Option<ExecuteCommand>,
  /// Its arguments.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub args: Vec<String>,
  /// One line for `bash -c`, in place of `cmd` and `args`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub command: Option<String>,
  /// Source text for bash, python or node, in place of a file.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub script: Option<String>,
  /// What the process reads on standard input.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub stdin: Option<String>,
  /// Where it runs: an absolute path; the agent's run folder where none is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub working_directory: Option<String>,
  /// Longest run time of one attempt.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub timeout: Option<Seconds>,
  /// Longest time from the start of the first attempt to the end of the last, waits between them
  /// included.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub total_timeout_secs: Option<Seconds>,
  /// Attempts after the first.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_retries: Option<i64>,
  /// First wait before a retry, in place of `retry.base_secs`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub retry_interval: Option<Seconds>,
  /// How retries wait and which ends they follow.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub retry: Option<RetryPolicy>,
  /// Whether output is kept; yes where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub capture_output: Option<bool>,
  /// Most bytes of output; 0 is unlimited. What is over is dropped and declared.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_output_size: Option<u64>,
  /// What becomes of output for which no room is left; as the agent says where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub log_policy: Option<LogPolicy>,
  /// Not started later than this after its instant.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub start_deadline_secs: Option<Seconds>,
  /// Running for longer is told: an event, and an entry on the first screen.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub warn_after_secs: Option<Seconds>,
  /// So many failures in a row of a schedule's tasks pause the schedule.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub pause_after_failures: Option<i64>,
  /// Signal of a stop, by name; TERM where none is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub stop_signal: Option<String>,
  /// Time between that signal and the kill.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub stop_grace_secs: Option<Seconds>,
  /// What it may use on its host.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub resource_limits: Option<ResourceLimits>,
  /// Whether processes that it leaves in the background may live on; yes where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub allow_background: Option<bool>,
  /// Which agents may run it.
  #[serde(skip_serializing_if = "selector_is_empty")]
  pub selector: Selector,
  /// What it takes of its agent while it is there.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub requests: Option<Requests>,
  /// The one agent that may run it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub pin: Option<AgentId>,
  /// Agents that are liked more, or less, than others.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub prefer: Vec<Preference>,
  /// It goes where it ran last: `job`, or `key:NAME` for all tasks with that word.
  #[serde(skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub sticky: Option<Sticky>,
  /// In which order agents that fit are given its tasks; as the server says where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub agent_choice: Option<AgentChoice>,
  /// It runs on many agents at once: `all` that fit, or a number; `{agents, success}` with the
  /// rule `all`, `any` or `quorum`.
  #[serde(skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub broadcast: Option<Broadcast>,
  /// Time between the starts on two agents of a broadcast.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub stagger_secs: Option<Seconds>,
  /// What is promised about starts.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub delivery: Option<Delivery>,
  /// What happens when the agent goes silent.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub disconnect: Option<DisconnectPolicy>,
  /// The user of the agent's host as whom it runs; the agent's own user where none is named. The
  /// agent must be root, and must allow it in its own settings.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub run_as: Option<String>,
  /// Most tasks of its job at the same time.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_concurrent: Option<i64>,
  /// Most starts of its job within a span.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub rate_limit: Option<RateLimit>,
  /// Which requests for the job become one task.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dedup: Option<Dedup>,
  /// Semaphores of its namespace that it needs while it is alive, all of them or none.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub semaphores: Vec<SemaphoreUse>,
  /// Names of secrets of its namespace; it finds their values as files in `$HETUFLOW_SECRETS_DIR`.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub secrets: Vec<String>,
  /// Files that it finds, and files that it leaves beside what it puts into `$HETUFLOW_ARTIFACTS`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub artifacts: Option<ArtifactConfig>,
  /// The task type, for `cmd: handler`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub task_type: Option<String>,
}

fn selector_is_empty(selector: &Selector) -> bool {
  selector.is_empty()
}

impl TaskConfig {
  /// The program that runs.
  pub fn program(&self) -> ExecuteCommand {
    self.cmd.unwrap_or(ExecuteCommand::Bash)
  }

  /// Attempts after the first.
  pub fn retries(&self) -> i64 {
    self.max_retries.unwrap_or(0)
  }

  /// The files that it finds when it starts.
  pub fn inputs(&self) -> &[InputFile] {
    self.artifacts.as_ref().map_or(&[], |artifacts| &artifacts.inputs)
  }

  /// What is promised about starts: at most once where nothing may be tried again.
  pub fn delivery(&self) -> Delivery {
    let natural = if self.retries() > 0 { Delivery::AtLeastOnce } else { Delivery::AtMostOnce };
    self.delivery.unwrap_or(natural)
  }

  /// Longest run time of one attempt.
  pub fn time_limit(&self) -> Option<Duration> {
    let limits = self.resource_limits.as_ref();
    let one = shorter(self.timeout, limits.and_then(|limits| limits.max_execution_time_secs));
    match (one, self.total_timeout_secs) {
      (Some(one), Some(total)) => Some(one.min(total.0)),
      (one, total) => one.or(total.map(|total| total.0)),
    }
  }

  /// Most bytes of output; 0 is unlimited on purpose.
  pub fn output_limit(&self) -> Option<u64> {
    let limits = self.resource_limits.as_ref();
    let limited = |bytes: &u64| *bytes > 0;
    let other = limits.and_then(|limits| limits.max_output_size_bytes);
    tighter(self.max_output_size.filter(limited), other.filter(limited)).or(self.max_output_size)
  }

  /// How long its agent must be silent before it is called lost, where the server waits for
  /// `default`. An exclusive attempt must have been stopped by its agent by then, whatever the job
  /// asks for.
  pub fn lost_after(&self, default: Duration) -> Duration {
    let policy = self.disconnect.clone().unwrap_or_default();
    let asked = policy.lost_after.map_or(default, |secs| secs.0);
    if self.delivery() != Delivery::Exclusive {
      return asked;
    }
    let stop = policy.stop_after.map_or(Duration::ZERO, |secs| secs.0);
    let grace = self.stop_grace_secs.map_or(GRACE_DEFAULT, |secs| secs.0);
    // Clocks of two hosts may run apart by 500 ppm.
    let apart = (stop + grace) / 2000;
    asked.max(stop + grace + apart + Duration::from_secs(1))
  }

  /// Whether it may be called lost while its agent is only silent.
  pub fn may_be_replaced(&self) -> bool {
    self.disconnect.as_ref().and_then(|policy| policy.replace) != Some(false)
  }

  /// How long the retry with this number waits.
  pub fn retry_delay(&self, retry: u32, random: f64) -> Duration {
    let policy = self.retry.clone().unwrap_or_default();
    let base = self.retry_interval.unwrap_or(policy.base_secs).0;
    let max = policy.max_delay_secs.0.max(base);
    Backoff { strategy: policy.strategy, base, max }.delay(retry, random)
  }

  /// Whether an attempt that ended so may be followed by another, given the budget is not used up.
  pub fn retries_on(&self, status: TaskInstanceStatus, reason: Option<&str>) -> bool {
    let bad = matches!(
      status,
      TaskInstanceStatus::Timeout
        | TaskInstanceStatus::Lost
        | TaskInstanceStatus::NotStarted
        | TaskInstanceStatus::Failed
    );
    if !bad {
      return false;
    }
    let meant = |text: &String| {
      RetryCondition::parse(text).is_some_and(|condition| condition.matches(status, reason))
    };
    let named = |list: &[String]| list.iter().any(meant);
    match &self.retry {
      None => true,
      Some(policy) => {
        !named(&policy.no_retry_on) && (policy.retry_on.is_empty() || named(&policy.retry_on))
      }
    }
  }

  /// Checks every rule and names each that is broken; `field` is where the config stands.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    self.check_command(field, errors);
    self.check_times(field, errors);
    self.check_placement(field, errors);
    if let Some(limits) = &self.resource_limits {
      limits.check(&format!("{field}/resource_limits"), errors);
    }
    if let Some(dir) = &self.working_directory {
      check_directory(dir, &format!("{field}/working_directory"), errors);
    }
    if let Some(user) = &self.run_as {
      check_user(user, &format!("{field}/run_as"), errors);
    }
    check_secrets(&self.secrets, &format!("{field}/secrets"), errors);
    if let Some(artifacts) = &self.artifacts {
      artifacts.check(&format!("{field}/artifacts"), errors);
    }
    check_limits(self, field, errors);
    if let Some(failures) = self.pause_after_failures
      && !(1..=FAILURES_MAX).contains(&failures)
    {
      errors.push(FieldError::new(
        "number.range",
        format!("{field}/pause_after_failures"),
        format!("pause_after_failures is {failures}, 1 to {FAILURES_MAX} is allowed"),
      ));
    }
    if let Some(dedup) = &self.dedup {
      dedup.check(&format!("{field}/dedup"), errors);
    }
    if let Some(retry) = &self.retry {
      check_conditions(&retry.retry_on, &format!("{field}/retry/retry_on"), errors);
      check_conditions(&retry.no_retry_on, &format!("{field}/retry/no_retry_on"), errors);
    }
    if let Some(signal) = &self.stop_signal
      && signal_number(signal).is_none()
    {
      errors.push(
        FieldError::new(
          "signal.unknown",
          format!("{field}/stop_signal"),
          format!("\"{}\" is not a signal", shorten(signal)),
        )
        .with_hint("TERM, INT, QUIT, HUP, USR1, USR2 or KILL"),
      );
    }
    let reconcile = self.disconnect.as_ref().and_then(|policy| policy.reconcile);
    if let Some(other) = reconcile.filter(|one| *one != DisconnectReconcile::KeepReplacement) {
      errors.push(
        FieldError::new(
          "policy.unsupported",
          format!("{field}/disconnect/reconcile"),
          format!(
            "{other}: an attempt that was called lost is over, and another one has its place"
          ),
        )
        .with_hint("keep_replacement; or replace: false, which waits for a silent agent"),
      );
    }
    let stop_after = self.disconnect.as_ref().and_then(|policy| policy.stop_after);
    if self.delivery == Some(Delivery::Exclusive) && stop_after.is_none() {
      errors.push(
        FieldError::new(
          "policy.incomplete",
          format!("{field}/disconnect/stop_after"),
          "exclusive delivery needs the time after which an agent without a server stops it",
        )
        .with_hint("disconnect: {stop_after: 45}"),
      );
    }
    if let Some(retries) = self.max_retries
      && !(0..=RETRIES_MAX).contains(&retries)
    {
      errors.push(FieldError::new(
        "number.range",
        format!("{field}/max_retries"),
        format!("max_retries is {retries}, 0 to {RETRIES_MAX} is allowed"),
      ));
    }
  }

  fn check_command(&self, field: &str, errors: &mut Vec<FieldError>) {
    let forms = usize::from(self.command.is_some())
      + usize::from(self.script.is_some())
      + usize::from(!self.args.is_empty() && self.script.is_none());
    if forms == 0 && self.program() != ExecuteCommand::Handler {
      errors.push(
        FieldError::new("command.empty", field, "nothing to run")
          .with_hint("give args, script or command"),
      );
    }
    if self.command.is_some() && (self.script.is_some() || !self.args.is_empty()) {
      errors.push(FieldError::new(
        "command.conflict",
        format!("{field}/command"),
        "command stands in place of args and script; give one of them",
      ));
    }
    if self.args.first().is_some_and(String::is_empty) && self.script.is_none() {
      errors.push(FieldError::new(
        "command.empty",
        format!("{field}/args/0"),
        "the first argument is empty",
      ));
    }
    let script_fits = matches!(
      self.program(),
      ExecuteCommand::Bash | ExecuteCommand::Python | ExecuteCommand::Node | ExecuteCommand::Uv
    );
    if self.script.is_some() && !script_fits {
      errors.push(FieldError::new(
        "command.conflict",
        format!("{field}/script"),
        format!("inline scripts run with bash, python, uv or node, not {}", self.program()),
      ));
    }
    if self.program() == ExecuteCommand::Handler && self.task_type.is_none() {
      errors.push(FieldError::new(
        "command.empty",
        format!("{field}/task_type"),
        "cmd handler needs a task_type",
      ));
    }
    let bytes: usize = self.args.iter().map(|arg| arg.len() + 1).sum();
    if self.args.len() > ARGS_MAX || bytes > ARGS_BYTES_MAX {
      errors.push(FieldError::new(
        "command.too_long",
        format!("{field}/args"),
        format!(
          "{} arguments of {bytes} bytes; {ARGS_MAX} of {ARGS_BYTES_MAX} bytes are allowed",
          self.args.len()
        ),
      ));
    }
    let script = [("script", &self.script), ("command", &self.command), ("stdin", &self.stdin)];
    for (name, text) in script {
      let Some(text) = text else { continue };
      let here = format!("{field}/{name}");
      if text.len() > SCRIPT_BYTES_MAX {
        errors.push(FieldError::new(
          "command.too_long",
          here,
          format!("{} bytes, at most {SCRIPT_BYTES_MAX} are allowed", text.len()),
        ));
      } else if text.contains('\0') {
        errors.push(FieldError::new("command.nul", here, "a NUL byte cannot be passed on"));
      } else if text.trim().is_empty() && name != "stdin" {
        errors.push(FieldError::new("command.empty", here, format!("{name} is empty")));
      }
    }
    for (index, arg) in self.args.iter().enumerate().filter(|(_, arg)| arg.contains('\0')) {
      let shown = shorten(arg);
      errors.push(FieldError::new(
        "command.nul",
        format!("{field}/args/{index}"),
        format!("a NUL byte cannot be passed on: \"{shown}\""),
      ));
    }
  }

  fn check_times(&self, field: &str, errors: &mut Vec<FieldError>) {
    let retry = self.retry.as_ref();
    let times = [
      ("timeout", self.timeout, false),
      ("total_timeout_secs", self.total_timeout_secs, false),
      ("warn_after_secs", self.warn_after_secs, false),
      ("retry_interval", self.retry_interval, true),
      ("start_deadline_secs", self.start_deadline_secs, false),
      ("stop_grace_secs", self.stop_grace_secs, true),
      ("retry/base_secs", retry.map(|r| r.base_secs), true),
      ("retry/max_delay_secs", retry.map(|r| r.max_delay_secs), true),
      ("disconnect/lost_after", self.disconnect.as_ref().and_then(|d| d.lost_after), false),
    ];
    let limits = self.resource_limits.as_ref().map(ResourceLimits::times);
    for (name, time, zero_allowed) in times.into_iter().chain(limits.into_iter().flatten()) {
      let Some(Seconds(time)) = time else { continue };
      if (time.is_zero() && !zero_allowed) || time.as_secs() > TIMEOUT_SECS_MAX {
        errors.push(
          FieldError::new(
            "duration.invalid",
            format!("{field}/{name}"),
            format!("{} s is out of range", time.as_secs_f64()),
          )
          .with_hint("write a time over 0, at most 366 days"),
        );
      }
    }
  }
}

fn check_directory(dir: &str, field: &str, errors: &mut Vec<FieldError>) {
  let normal = dir.starts_with('/')
    && !dir.contains('\0')
    && dir.len() <= 4096
    && !dir.split('/').any(|part| matches!(part, "." | ".."))
    && !dir.starts_with("/proc/self");
  if !normal {
    errors.push(
      FieldError::new(
        "path.invalid",
        field,
        format!("\"{}\" is not an absolute, normal path", shorten(dir)),
      )
      .with_hint("write a path from / without . and .. parts"),
    );
  }
}

/// Names that a task's environment may not set: ours, and those that change what is loaded.
const RESERVED_ENVIRONMENT: [&str; 4] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV"];

/// Checks names, values and size of an environment.
pub fn check_environment(environment: &Environment, field: &str, errors: &mut Vec<FieldError>) {
  let bytes: usize = environment.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
  if environment.len() > ENVIRONMENT_MAX || bytes > ENVIRONMENT_BYTES_MAX {
    errors.push(FieldError::new(
      "env.too_many",
      field,
      format!(
        "{} variables of {bytes} bytes; {ENVIRONMENT_MAX} of {ENVIRONMENT_BYTES_MAX} bytes are allowed",
        environment.len()
      ),
    ));
    return;
  }
  for (key, value) in environment {
    let here = format!("{field}/{}", pointer_part(key));
    let mut bytes = key.bytes();
    let fine = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
      && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fine {
      errors.push(
        FieldError::new("env.name", here, format!("\"{}\" is not a variable name", shorten(key)))
          .with_hint("letters, digits and _, not starting with a digit"),
      );
    } else if key.starts_with("HETUFLOW_") || RESERVED_ENVIRONMENT.contains(&key.as_str()) {
      errors.push(FieldError::new("env.reserved", here, format!("{key} is reserved")));
    } else if value.contains('\0') {
      errors.push(FieldError::new("env.nul", here, format!("the value of {key} holds a NUL byte")));
    }
  }
}

/// The number of a signal that a stop may use, by its name with or without `SIG`.
pub fn signal_number(name: &str) -> Option<i32> {
  Some(match name.strip_prefix("SIG").unwrap_or(name) {
    "HUP" => 1,
    "INT" => 2,
    "QUIT" => 3,
    "KILL" => 9,
    "USR1" => 10,
    "USR2" => 12,
    "TERM" => 15,
    "CONT" => 18,
    "STOP" => 19,
    "WINCH" => 28,
    _ => return None,
  })
}

fn shorten(text: &str) -> String {
  text.chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
  use super::*;

  fn codes(json: &str) -> Vec<String> {
    let config: TaskConfig = serde_json::from_str(json).expect("readable");
    let mut errors = Vec::new();
    config.check("/config", &mut errors);
    errors.into_iter().map(|error| error.code).collect()
  }

  #[test]
  fn broken_configs_are_named() {
    for (json, code) in [
      ("{}", "command.empty"),
      (r#"{"args":[]}"#, "command.empty"),
      (r#"{"args":[""]}"#, "command.empty"),
      (r#"{"args":["a\u0000b"]}"#, "command.nul"),
      (r#"{"command":"x","script":"y"}"#, "command.conflict"),
      (r#"{"cmd":"java","script":"y"}"#, "command.conflict"),
      (r#"{"command":"x","timeout":0}"#, "duration.invalid"),
      (r#"{"command":"x","max_retries":-1}"#, "number.range"),
      (r#"{"command":"x","working_directory":"relative"}"#, "path.invalid"),
      (r#"{"command":"x","working_directory":"/etc/../root"}"#, "path.invalid"),
      (r#"{"command":"x","stop_signal":"NOPE"}"#, "signal.unknown"),
      (r#"{"command":"x","disconnect":{"reconcile":"keep_original"}}"#, "policy.unsupported"),
      (r#"{"command":"x","selector":{"a b":"x"}}"#, "selector.syntax"),
    ] {
      assert_eq!(codes(json), [code], "{json}");
    }
    assert!(codes(r#"{"cmd":"python","script":"print(1)","timeout":"5m"}"#).is_empty());
  }

  #[test]
  fn environment_rules() {
    for (key, value, code) in [
      ("A=B", "x", "env.name"),
      ("", "x", "env.name"),
      ("1X", "x", "env.name"),
      ("LD_PRELOAD", "x", "env.reserved"),
      ("HETUFLOW_TOKEN", "x", "env.reserved"),
      ("A", "x\0", "env.nul"),
    ] {
      let mut errors = Vec::new();
      let environment = Environment::from([(key.to_owned(), value.to_owned())]);
      check_environment(&environment, "/environment", &mut errors);
      assert_eq!(errors.first().map(|e| e.code.as_str()), Some(code), "{key}");
    }
  }

  #[test]
  fn retry_conditions_follow_the_lists() {
    let config: TaskConfig = serde_json::from_str(
      r#"{"max_retries":3,"retry":{"no_retry_on":["exit_code(2)"],"base_secs":"1s"}}"#,
    )
    .expect("readable");
    assert!(config.retries_on(TaskInstanceStatus::Failed, Some("exit_code(1)")));
    assert!(!config.retries_on(TaskInstanceStatus::Failed, Some("exit_code(2)")));
    assert!(!config.retries_on(TaskInstanceStatus::Cancelled, None));
    assert_eq!(config.delivery(), Delivery::AtLeastOnce);
  }
}
