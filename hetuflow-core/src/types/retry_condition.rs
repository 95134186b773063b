//! Which ends of attempts are meant by `retry_on` and `no_retry_on`.

use super::{FieldError, TaskInstanceStatus};

/// Most conditions of one list.
pub const RETRY_CONDITIONS_MAX: usize = 64;
/// What is accepted, for hints.
pub const RETRY_CONDITION_HINT: &str = "exit_code, exit_code(N), exit_code(N-M), signal, signal(N), \
  process_killed, timeout, oom, resource_exhausted, limit(NAME), agent_lost, network_error, \
  spawn_error, exit_unknown, custom(REASON)";

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum RetryCondition {
  /// An exit code between these, both included.
  ExitCode(i64, i64),
  /// A signal; any where none is named.
  Signal(Option<i32>),
  /// The time limit of the attempt.
  Timeout,
  /// The kernel killed it for its memory.
  Oom,
  /// Memory, or any limit of its resources.
  ResourceExhausted,
  /// This limit of its resources.
  Limit(String),
  /// Its agent did not come back.
  AgentLost,
  /// Its agent did not come back, or stopped it for want of a server.
  NetworkError,
  /// It was not started.
  SpawnError,
  /// Exactly this reason.
  Reason(String),
}

impl RetryCondition {
  /// Reads one; `None` for what is no condition.
  pub fn parse(text: &str) -> Option<Self> {
    let (word, inner) = match text.split_once('(') {
      Some((word, rest)) => (word, Some(rest.strip_suffix(')')?)),
      None => (text, None),
    };
    Some(match (word, inner) {
      ("exit_code", None) => Self::ExitCode(i64::MIN, i64::MAX),
      ("exit_code", Some(codes)) => {
        let (first, last) = codes.split_once('-').unwrap_or((codes, codes));
        let (first, last) = (code(first)?, code(last)?);
        (first <= last).then_some(Self::ExitCode(first, last))?
      }
      ("signal" | "process_killed", None) => Self::Signal(None),
      ("signal", Some(name)) => Self::Signal(Some(signal(name)?)),
      ("timeout" | "timed_out", None) => Self::Timeout,
      ("oom" | "oom_killed", None) => Self::Oom,
      ("resource_exhausted", None) => Self::ResourceExhausted,
      ("limit", Some(name)) if plain(name) => Self::Limit(name.to_owned()),
      ("agent_lost", None) => Self::AgentLost,
      ("network_error", None) => Self::NetworkError,
      ("spawn_error", None) => Self::SpawnError,
      ("exit_unknown", None) => Self::Reason("exit_unknown".to_owned()),
      ("custom", Some(reason)) if !reason.trim().is_empty() => Self::Reason(reason.to_owned()),
      ("stopped" | "cancelled" | "lost" | "not_started", Some(why)) if plain(why) => {
        Self::Reason(text.to_owned())
      }
      _ => return None,
    })
  }

  /// Whether an attempt that ended so is meant.
  pub fn matches(&self, status: TaskInstanceStatus, reason: Option<&str>) -> bool {
    use TaskInstanceStatus as S;
    let reason = reason.unwrap_or_default();
    let inner = |word: &str| reason.strip_prefix(word)?.strip_prefix('(')?.strip_suffix(')');
    match self {
      Self::ExitCode(first, last) => {
        let code = inner("exit_code").and_then(|code| code.parse::<i64>().ok());
        status == S::Failed && code.is_some_and(|code| (*first..=*last).contains(&code))
      }
      Self::Signal(wanted) => {
        let number = inner("signal").and_then(|number| number.parse::<i32>().ok());
        status == S::Failed && number.is_some_and(|n| wanted.is_none_or(|wanted| wanted == n))
      }
      Self::Timeout => status == S::Timeout,
      Self::Oom => reason == "oom_killed" || reason == "limit(memory)",
      Self::ResourceExhausted => reason == "oom_killed" || inner("limit").is_some(),
      Self::Limit(name) => inner("limit") == Some(name),
      Self::AgentLost => status == S::Lost,
      Self::NetworkError => status == S::Lost || reason == "stopped(disconnected)",
      Self::SpawnError => status == S::NotStarted,
      Self::Reason(wanted) => reason == wanted,
    }
  }
}

fn code(text: &str) -> Option<i64> {
  let fine = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
  text.parse().ok().filter(|code| fine && (0..=255).contains(code))
}

fn signal(text: &str) -> Option<i32> {
  match text.parse::<i32>() {
    Ok(number) => (1..=64).contains(&number).then_some(number),
    Err(_) => named(text.strip_prefix("SIG").unwrap_or(text)),
  }
}

fn named(name: &str) -> Option<i32> {
  Some(match name {
    "HUP" => 1,
    "INT" => 2,
    "QUIT" => 3,
    "ILL" => 4,
    "ABRT" => 6,
    "BUS" => 7,
    "FPE" => 8,
    "KILL" => 9,
    "USR1" => 10,
    "SEGV" => 11,
    "USR2" => 12,
    "PIPE" => 13,
    "ALRM" => 14,
    "TERM" => 15,
    "XCPU" => 24,
    "XFSZ" => 25,
    "SYS" => 31,
    _ => return None,
  })
}

fn plain(text: &str) -> bool {
  !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Names each text that is no condition.
pub fn check_conditions(conditions: &[String], field: &str, errors: &mut Vec<FieldError>) {
  if conditions.len() > RETRY_CONDITIONS_MAX {
    let message = format!("{} conditions, {RETRY_CONDITIONS_MAX} are allowed", conditions.len());
    errors.push(FieldError::new("retry.condition", field, message));
    return;
  }
  for (index, text) in conditions.iter().enumerate() {
    if RetryCondition::parse(text).is_none() {
      let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" is not an end that can be named");
      let rule = FieldError::new("retry.condition", format!("{field}/{index}"), message);
      errors.push(rule.with_hint(RETRY_CONDITION_HINT));
    }
  }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  #[test]
  fn conditions_mean_what_they_say() {
    use TaskInstanceStatus::*;
    for (text, status, reason, meant) in [
      ("exit_code(3)", Failed, "exit_code(3)", true),
      ("exit_code(3)", Failed, "exit_code(33)", false),
      ("exit_code(10-20)", Failed, "exit_code(15)", true),
      ("exit_code", Failed, "exit_code(255)", true),
      ("exit_code", Failed, "signal(9)", false),
      ("signal(KILL)", Failed, "signal(9)", true),
      ("signal(SIGTERM)", Failed, "signal(15)", true),
      ("process_killed", Failed, "signal(11)", true),
      ("timeout", Timeout, "timed_out", true),
      ("timeout", Failed, "exit_code(1)", false),
      ("oom", Failed, "oom_killed", true),
      ("oom_killed", Failed, "limit(memory)", true),
      ("resource_exhausted", Failed, "limit(pids)", true),
      ("limit(cpu)", Failed, "limit(cpu)", true),
      ("limit(cpu)", Failed, "limit(pids)", false),
      ("agent_lost", Lost, "lost(unreachable)", true),
      ("network_error", Failed, "stopped(disconnected)", true),
      ("spawn_error", NotStarted, "spawn_failed(ENOENT, /x)", true),
      ("custom(cancelled(agent_shutdown))", Failed, "cancelled(agent_shutdown)", true),
      ("exit_unknown", Failed, "exit_unknown", true),
    ] {
      let condition = RetryCondition::parse(text).expect(text);
      assert_eq!(condition.matches(status, Some(reason)), meant, "{text} {status} {reason}");
    }
  }

  #[test]
  fn slips_of_the_pen_are_told() {
    for bad in [
      "",
      "exit",
      "exit_code()",
      "exit_code(256)",
      "exit_code(-1)",
      "exit_code(5-3)",
      "signal(0)",
      "signal(NOPE)",
      "oom(1)",
      "limit()",
      "agent lost",
      "exit_code(1",
      "Timeout",
    ] {
      let mut errors = Vec::new();
      check_conditions(&[bad.to_owned()], "/retry_on", &mut errors);
      assert_eq!(errors.first().map(|error| error.code.as_str()), Some("retry.condition"), "{bad}");
    }
  }

  proptest! {
    #[test]
    fn every_code_is_met_by_its_own_condition(code in 0_i64..256, other in 0_i64..256) {
      let condition = RetryCondition::parse(&format!("exit_code({code})")).expect("a condition");
      let reason = format!("exit_code({other})");
      prop_assert_eq!(condition.matches(TaskInstanceStatus::Failed, Some(&reason)), code == other);
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,40}") {
      if let Some(condition) = RetryCondition::parse(&text) {
        condition.matches(TaskInstanceStatus::Failed, Some(&text));
      }
    }
  }
}
