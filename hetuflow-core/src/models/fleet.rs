//! What people do to agents: labels, drains, commands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::task_config::Seconds;
use crate::protocol::AgentCapabilities;
use crate::types::{AgentId, CommandKind, FieldError, Labels, Ts, check_labels, pointer_part};
use crate::wire_enum;

/// Labels to set, by name; `None` takes one back.
pub type LabelChanges = BTreeMap<String, Option<String>>;

/// Labels that begin so are measured by the agent; nobody gives them.
pub const MEASURED_LABELS: &str = "sys_";
/// The label with the agent's own id.
pub const AGENT_LABEL: &str = "agent";

/// Longest reason of a drain, in bytes.
const REASON_BYTES_MAX: usize = 1000;
/// Longest wait for the answer to a command, in seconds.
pub const COMMAND_WAIT_SECS_MAX: u64 = 300;

wire_enum! {
  /// What becomes of what still runs when a drain's time is over.
  pub enum DrainThen {
    /// It goes on.
    Leave = 0 => "leave",
    /// It is stopped, and follows its job's retries.
    Kill = 1 => "kill",
  }
}

/// An agent that is to be emptied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct DrainRequest {
  /// How long what runs may take; none waits for ever.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub timeout: Option<Seconds>,
  /// What becomes of what still runs then; it goes on where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub then: Option<DrainThen>,
  /// Why.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
}

impl DrainRequest {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    if self.then == Some(DrainThen::Kill) && self.timeout.is_none() {
      let message = "a drain that kills needs a timeout";
      errors.push(
        FieldError::new("drain.no_timeout", "/timeout", message).with_hint("0 kills at once"),
      );
    }
    let reason = self.reason.as_deref().unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
      let message = format!("printable text of at most {REASON_BYTES_MAX} bytes is allowed");
      errors.push(FieldError::new("text.too_long", "/reason", message));
    }
  }
}

/// An order to an agent as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentCommandRequest {
  /// What: shutdown, restart, update_config, clear_cache, fetch_metrics, reload_tasks or
  /// health_check.
  #[serde(alias = "command_type")]
  pub command: CommandKind,
  /// With what.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub parameters: BTreeMap<String, Value>,
  /// How long to wait for the answer; 10 seconds where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub timeout: Option<Seconds>,
}

impl AgentCommandRequest {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    use CommandKind as K;
    let known = matches!(
      self.command,
      K::Shutdown
        | K::Restart
        | K::UpdateConfig
        | K::ClearCache
        | K::FetchMetrics
        | K::ReloadTasks
        | K::HealthCheck
    );
    if !known {
      let message = format!("{} is no command for an agent as a whole", self.command);
      errors.push(FieldError::new("command.unknown", "/command", message).with_hint(
        "shutdown, restart, update_config, clear_cache, fetch_metrics, reload_tasks, health_check",
      ));
    }
    if self.command == K::UpdateConfig && self.parameters.is_empty() {
      let message = "names no setting";
      errors.push(
        FieldError::new("command.parameters", "/parameters", message)
          .with_hint("{\"agent.polling.max_concurrent_tasks\": 4}"),
      );
    }
    if known && self.command != K::UpdateConfig && !self.parameters.is_empty() {
      let message = format!("{} takes no parameters", self.command);
      errors.push(FieldError::new("command.parameters", "/parameters", message));
    }
    if self.timeout.is_some_and(|wait| wait.0.as_secs() > COMMAND_WAIT_SECS_MAX) {
      let message = format!("at most {COMMAND_WAIT_SECS_MAX}s are waited for an answer");
      errors.push(FieldError::new("duration.invalid", "/timeout", message));
    }
  }
}

wire_enum! {
  /// How far a command is.
  pub enum AgentCommandState {
    /// On its way to the server that holds the agent's connection.
    Waiting = 0 => "waiting",
    /// Sent to the agent.
    Sent = 1 => "sent",
    /// Done, with what the agent says.
    Done = 2 => "done",
    /// The agent does not do it, and says why.
    Refused = 3 => "refused",
    /// No answer came in time.
    Expired = 4 => "expired",
  }
}

/// A command and what became of it, in `sched_agent_command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct AgentCommandEntity {
  /// Its id.
  pub id: Uuid,
  /// The agent.
  pub agent_id: AgentId,
  /// What.
  pub command: CommandKind,
  /// With what.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub parameters: BTreeMap<String, Value>,
  /// How far it is.
  pub state: AgentCommandState,
  /// What the agent answered.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub result: Option<Value>,
  /// Why it was not done.
  pub message: Option<String>,
  /// Who asked.
  pub created_by: String,
  /// When.
  pub created_at: Ts,
  /// Not sent after this.
  pub expires_at: Ts,
  /// When it was answered.
  pub finished_at: Option<Ts>,
}

/// The labels that selectors match: what the agent brings, above that what people gave it here,
/// above that what it has measured, and its id.
pub fn effective_labels(id: &AgentId, own: &AgentCapabilities, given: &Labels) -> Labels {
  let mut labels = own.labels.clone();
  labels.extend(
    given.iter().filter(|(key, _)| !is_measured_label(key)).map(|(k, v)| (k.clone(), v.clone())),
  );
  labels.insert(AGENT_LABEL.to_owned(), id.to_string());
  labels
}

/// Whether a label was measured by the agent.
pub fn is_measured_label(key: &str) -> bool {
  key.starts_with(MEASURED_LABELS)
}

/// Whether nobody but the agent itself says this label.
pub fn is_reserved_label(key: &str) -> bool {
  is_measured_label(key) || key == AGENT_LABEL
}

/// Does the changes to the given labels, or names each rule that they break.
///
/// # Errors
/// The broken rules.
pub fn changed_labels(given: &Labels, changes: &LabelChanges) -> Result<Labels, Vec<FieldError>> {
  let (mut labels, mut errors) = (given.clone(), Vec::new());
  for (key, value) in changes {
    if is_reserved_label(key) {
      let message = format!("\"{}\" is told by the agent itself", key.escape_default());
      let field = format!("/labels/{}", pointer_part(key));
      errors.push(FieldError::new("labels.reserved", field, message));
      continue;
    }
    match value {
      Some(value) => labels.insert(key.clone(), value.clone()),
      None => labels.remove(key),
    };
  }
  check_labels(&labels, "/labels", &mut errors);
  if errors.is_empty() { Ok(labels) } else { Err(errors) }
}

/// Whether one version is `older` or `newer` than another; nothing where they are the same, or one
/// of them is no version.
pub fn version_skew(theirs: &str, ours: &str) -> Option<&'static str> {
  use std::cmp::Ordering;
  match version_numbers(theirs)?.cmp(&version_numbers(ours)?) {
    Ordering::Less => Some("older"),
    Ordering::Equal => None,
    Ordering::Greater => Some("newer"),
  }
}

/// The three numbers of a version; what follows them is not compared.
fn version_numbers(text: &str) -> Option<[u64; 3]> {
  let plain = text.split(['-', '+']).next().unwrap_or_default();
  let mut numbers = plain.split('.').map(|part| part.parse::<u64>().ok());
  Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
  use super::*;

  fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
  }

  #[test]
  fn given_labels_stand_above_own_ones_and_below_measured_ones() {
    let id = AgentId::new("a-1").expect("an id");
    let own = AgentCapabilities {
      labels: labels(&[("zone", "a"), ("disk", "ssd"), ("sys_os", "linux")]),
      ..AgentCapabilities::default()
    };
    let given = labels(&[("zone", "b"), ("team", "x"), ("sys_os", "minix"), ("agent", "z")]);
    let wanted =
      [("zone", "b"), ("disk", "ssd"), ("team", "x"), ("sys_os", "linux"), ("agent", "a-1")];
    assert_eq!(effective_labels(&id, &own, &given), labels(&wanted));
  }

  #[test]
  fn changes_add_replace_and_take_back() {
    let changes: LabelChanges =
      serde_json::from_str(r#"{"a":"2","b":null,"c":"3"}"#).expect("json");
    let given = labels(&[("a", "1"), ("b", "1"), ("d", "1")]);
    let wanted = labels(&[("a", "2"), ("c", "3"), ("d", "1")]);
    assert_eq!(changed_labels(&given, &changes), Ok(wanted));
    for reserved in ["sys_os", "agent", "not a name"] {
      let changes = LabelChanges::from([(reserved.to_owned(), Some("x".to_owned()))]);
      assert!(changed_labels(&given, &changes).is_err(), "{reserved}");
    }
  }

  #[test]
  fn versions_are_compared_by_number() {
    for (theirs, ours, skew) in [
      ("0.1.0", "0.1.0", None),
      ("0.9.0", "0.10.0", Some("older")),
      ("1.0.0-rc.1", "0.9.9", Some("newer")),
      ("", "0.1.0", None),
      ("0.1", "0.1.0", None),
    ] {
      assert_eq!(version_skew(theirs, ours), skew, "{theirs} {ours}");
    }
  }

  #[test]
  fn a_kill_needs_a_time_and_commands_are_for_agents() {
    let mut errors = Vec::new();
    DrainRequest { then: Some(DrainThen::Kill), ..DrainRequest::default() }.check(&mut errors);
    let read = |json| serde_json::from_str::<AgentCommandRequest>(json).expect("a command");
    for wrong in [
      r#"{"command":"task_dispatch"}"#,
      r#"{"command":"update_config"}"#,
      r#"{"command":"restart","parameters":{"a":1}}"#,
      r#"{"command_type":"restart","timeout":"1h"}"#,
    ] {
      read(wrong).check(&mut errors);
    }
    let codes: Vec<&str> = errors.iter().map(|error| error.code.as_str()).collect();
    assert_eq!(
      codes,
      [
        "drain.no_timeout",
        "command.unknown",
        "command.parameters",
        "command.parameters",
        "duration.invalid"
      ]
    );
    errors.clear();
    read(r#"{"command":"restart","timeout":5}"#).check(&mut errors);
    assert!(errors.is_empty(), "{errors:?}");
  }
}
