//! The environment of a task: the agent's own without what is private, the job's, the run's, and
//! the contract of WIRE §5 on top.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use hetuflow_core::{JobSpec, ScheduledTask, TriggerSource};
use serde_json::Value;

use super::run_as::may_be_seen;
use crate::process::Account;

/// What one attempt has that is not in its task.
#[derive(Debug, Default)]
pub struct Own<'a> {
  /// What a handler gets.
  pub payload: Option<&'a str>,
  /// Who it is, where that is not who we are.
  pub account: Option<&'a Account>,
  /// Where its secrets are.
  pub secrets_dir: Option<&'a Path>,
}

/// What the agent hands on of its own environment.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BaseEnvironment(Vec<(OsString, OsString)>);

/// Ours or the service manager's: nothing that a task should see or answer to.
const PRIVATE: [&str; 8] = [
  "SERVER_URL",
  "ULTIMATE_CONFIG_PATH",
  "NOTIFY_SOCKET",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
  "LISTEN_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
];

impl BaseEnvironment {
  /// Keeps what tasks may see; every `HETUFLOW` variable is ours.
  pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
    let public = |name: &OsStr| {
      let text = name.to_string_lossy();
      !text.starts_with("HETUFLOW") && !PRIVATE.contains(&text.as_ref())
    };
    Self(variables.into_iter().filter(|(name, _)| public(name)).collect())
  }

  /// The environment of one attempt; later entries stand in place of earlier ones.
  pub fn of_task(
    &self,
    task: &ScheduledTask,
    spec: &JobSpec,
    own: &Own<'_>,
  ) -> Vec<(OsString, OsString)> {
    let mut variables = match own.account {
      None => self.0.clone(),
      Some(account) => self.of_user(account),
    };
    let given = task.task.environment.iter().flatten();
    for (name, value) in spec.environment.iter().chain(given) {
      variables.push((name.into(), value.into()));
    }
    let mut set = |name: &str, value: String| variables.push((name.into(), value.into()));
    set("HETUFLOW_JOB_ID", spec.job_id.to_string());
    set("HETUFLOW_JOB_NAME", spec.job_name.clone());
    set("HETUFLOW_NAMESPACE", spec.namespace_id.to_string());
    set("HETUFLOW_TASK_ID", task.task.id.to_string());
    set("HETUFLOW_INSTANCE_ID", task.task_instance.id.to_string());
    set("HETUFLOW_ATTEMPT", task.attempt.to_string());
    set("HETUFLOW_FENCE", task.fence.to_string());
    set("HETUFLOW_SCHEDULED_AT", task.task.scheduled_at.to_string());
    set("HETUFLOW_TRIGGER", task.task.trigger_source.to_string());
    if let Some(zone) = &task.task.timezone {
      set("HETUFLOW_SCHEDULED_TZ", zone.clone());
    }
    if let Some(parameters) = &task.task.parameters {
      set("HETUFLOW_PARAMETERS", parameters.to_string());
      for (name, value) in parameters.as_object().into_iter().flatten() {
        set(&parameter_name(name), text_of(value));
      }
    }
    if task.task.trigger_source == TriggerSource::Backfill {
      set("HETUFLOW_BACKFILL", "true".to_owned());
    }
    set("TRACEPARENT", trace_parent(task));
    if let Some(at) = task.task.prev_success_at {
      set("HETUFLOW_PREV_SUCCESS_AT", at.to_string());
    }
    if let Some(dir) = own.secrets_dir {
      set("HETUFLOW_SECRETS_DIR", dir.display().to_string());
    }
    if let Some(payload) = own.payload {
      set("HETUFLOW_PAYLOAD", payload.to_owned());
    }
    variables
  }

  /// Where the agent itself finds programs.
  pub fn search_path(&self) -> &OsStr {
    search_path(&self.0)
  }

  /// What a login of that user would find, and the way to the programs.
  fn of_user(&self, account: &Account) -> Vec<(OsString, OsString)> {
    let kept = self.0.iter().filter(|(name, _)| may_be_seen(name)).cloned();
    let name = OsString::from(&account.name);
    let shell = match account.shell.as_os_str() {
      none if none.is_empty() => OsString::from("/bin/sh"),
      shell => shell.to_owned(),
    };
    let own = [
      ("HOME", account.home.clone().into_os_string()),
      ("USER", name.clone()),
      ("LOGNAME", name),
      ("SHELL", shell),
    ];
    kept.chain(own.map(|(name, value)| (OsString::from(name), value))).collect()
  }
}

/// The task is the trace and the attempt is the span, as W3C Trace Context writes them: what an
/// attempt calls can be found by either, and all attempts of a task are together.
fn trace_parent(task: &ScheduledTask) -> String {
  let span = u64::from_be_bytes(last_bytes(task.task_instance.id.0.as_bytes()));
  format!("00-{}-{span:016x}-01", task.task.id.0.simple())
}

/// Of a number of version 7 the first bytes are the time, so the last ones tell attempts apart.
fn last_bytes(bytes: &[u8; 16]) -> [u8; 8] {
  let (_, last) = bytes.split_at(8);
  last.try_into().expect("16 bytes less 8 are 8")
}

/// `max-age` becomes `HETUFLOW_PARAM_MAX_AGE`.
fn parameter_name(name: &str) -> String {
  let upper =
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
  std::iter::once("HETUFLOW_PARAM_").map(str::to_owned).chain(upper.map(String::from)).collect()
}

/// Text as it is, everything else as JSON.
fn text_of(value: &Value) -> String {
  match value {
    Value::String(text) => text.clone(),
    other => other.to_string(),
  }
}

/// The search path among a task's variables.
pub fn search_path(variables: &[(OsString, OsString)]) -> &OsStr {
  let found = variables.iter().rev().find(|(name, _)| name == "PATH");
  found.map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |(_, value)| value.as_os_str())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn parameters_get_plain_names() {
    assert_eq!(parameter_name("max-age é"), "HETUFLOW_PARAM_MAX_AGE__");
    assert_eq!(text_of(&Value::from("a b")), "a b");
    assert_eq!(text_of(&serde_json::json!([1, true])), "[1,true]");
  }

  #[test]
  fn what_is_ours_stays_ours() {
    let pair = |name: &str| (OsString::from(name), OsString::from("x"));
    let names = ["PATH", "HETUFLOW__AGENT__TOKEN", "HETUFLOW_CONFIG", "NOTIFY_SOCKET", "HOME"];
    let base = BaseEnvironment::new(names.map(pair));
    let kept: Vec<_> = base.0.iter().map(|(name, _)| name.to_str().expect("ascii")).collect();
    assert_eq!(kept, ["PATH", "HOME"]);
    assert_eq!(search_path(&base.0), "x");
  }
}
