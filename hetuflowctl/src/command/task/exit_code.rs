//! The exit code that a task's end is handed back as (TERMINAL B3).

use hetuflow_core::{TaskEntity, TaskStatus};
use serde_json::{Value, json};

use crate::cli::ExitStatus;
use crate::client::Exit;
use crate::output::show_duration;

const CANCELLED: u8 = 121;
const LOST: u8 = 122;
const TIME_LIMIT: u8 = 123;
const NOT_STARTED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_THERE: u8 = 127;

/// How a task ended, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
  /// The exit code to hand back.
  pub exit: u8,
  /// Whether the process itself gave it.
  pub by_task: bool,
}

impl Ended {
  /// The facts that tell a task's own 121 to 127 from ours.
  pub fn facts(self) -> Value {
    json!({ "exit": self.exit, "source": if self.by_task { "task" } else { "hetuflow" } })
  }
}

/// The exit code of a task that has ended.
pub fn exit_code(task: &TaskEntity, which: ExitStatus) -> Ended {
  let told = own_code(task);
  match which {
    ExitStatus::Task => told,
    ExitStatus::Simple if task.status == TaskStatus::Succeeded => Ended { exit: 0, by_task: false },
    ExitStatus::Simple => Ended { exit: Exit::TaskFailed as u8, by_task: false },
  }
}

fn own_code(task: &TaskEntity) -> Ended {
  let ours = |exit| Ended { exit, by_task: false };
  let reason = task.reason.as_deref().unwrap_or_default();
  match task.status {
    TaskStatus::Succeeded => Ended { exit: 0, by_task: true },
    TaskStatus::Cancelled | TaskStatus::Skipped => ours(CANCELLED),
    TaskStatus::Lost => ours(LOST),
    TaskStatus::Expired => ours(TIME_LIMIT),
    _ if reason.starts_with("timeout") || reason.starts_with("timed_out") => ours(TIME_LIMIT),
    _ if reason.starts_with("agent_lost") || reason.starts_with("lost") => ours(LOST),
    _ if is_spawn_error(reason) => ours(spawn_error(task, reason)),
    _ => match (task.signal, task.exit_code) {
      (Some(signal), _) => Ended { exit: low_byte(128 + signal), by_task: true },
      (None, Some(code)) => Ended { exit: low_byte(code), by_task: true },
      (None, None) => ours(NOT_STARTED),
    },
  }
}

fn is_spawn_error(reason: &str) -> bool {
  ["spawn", "not_started"].iter().any(|begin| reason.starts_with(begin))
}

/// 127 and 126 as a shell gives them: the program is not there, or cannot be executed.
fn spawn_error(task: &TaskEntity, reason: &str) -> u8 {
  let facts =
    format!("{reason} {}", task.error_message.as_deref().unwrap_or_default()).to_lowercase();
  let says = |words: &[&str]| words.iter().any(|word| facts.contains(word));
  if says(&["enoent", "no such file", "not found", "(2,", "os error 2)"]) {
    NOT_THERE
  } else if says(&[
    "eacces",
    "permission denied",
    "enoexec",
    "exec format",
    "not executable",
    "(13,",
    "(8,",
  ]) {
    NOT_EXECUTABLE
  } else {
    NOT_STARTED
  }
}

fn low_byte(code: i64) -> u8 {
  u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}

/// The last line on stderr: `task 7qk2m9xa failed: exit 42 (0.1s)`.
pub fn sentence(task: &TaskEntity) -> String {
  let how = match (task.signal, task.exit_code) {
    (Some(signal), _) => format!(": signal {signal}"),
    (None, Some(code)) if code != 0 => format!(": exit {code}"),
    _ => String::new(),
  };
  let why = match task.reason.as_deref() {
    Some(reason) if !reason.starts_with("exit_code") && !reason.starts_with("signal") => {
      format!(", {reason}")
    }
    _ => String::new(),
  };
  let took = match (task.started_at, task.completed_at) {
    (Some(from), Some(to)) => format!(" ({})", show_duration(to.since(from))),
    _ => String::new(),
  };
  let tries =
    if task.attempt > 1 { format!(" after {} attempts", task.attempt) } else { String::new() };
  format!("task {} {}{how}{why}{tries}{took}", task.id.short(), task.status)
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::command::sample;

  /// TERMINAL B3, row by row.
  #[test]
  fn every_end_has_its_code() {
    use TaskStatus as S;
    type Row = (S, Option<i64>, Option<i64>, Option<&'static str>, u8, bool);
    let rows: &[Row] = &[
      (S::Succeeded, Some(0), None, None, 0, true),
      (S::Failed, Some(42), None, Some("exit_code(42)"), 42, true),
      (S::Failed, Some(255), None, Some("exit_code(255)"), 255, true),
      (S::Failed, Some(125), None, Some("exit_code(125)"), 125, true),
      (S::Failed, None, Some(9), Some("signal(9)"), 137, true),
      (S::Failed, None, Some(15), Some("signal(15)"), 143, true),
      (S::Failed, None, None, Some("spawn_error(ENOENT, /nope)"), 127, false),
      (S::Failed, None, None, Some("spawn_failed(2, /nope)"), 127, false),
      (S::Failed, None, None, Some("spawn_failed(13, /etc/passwd)"), 126, false),
      (S::Failed, None, None, Some("not_started(refused)"), 125, false),
      (S::Failed, None, Some(15), Some("timeout"), 123, false),
      (S::Failed, None, Some(9), Some("timed_out"), 123, false),
      (S::Lost, None, None, Some("agent_lost"), 122, false),
      (S::Failed, None, None, Some("lost(unreachable)"), 122, false),
      (S::Cancelled, None, Some(15), Some("cancelled(op1)"), 121, false),
      (S::Skipped, None, None, None, 121, false),
      (S::Expired, None, None, None, 123, false),
    ];
    for (status, code, signal, reason, exit, by_task) in rows {
      let mut task = sample::task();
      (task.status, task.exit_code, task.signal) = (*status, *code, *signal);
      task.reason = reason.map(str::to_owned);
      let told = exit_code(&task, ExitStatus::Task);
      assert_eq!((told.exit, told.by_task), (*exit, *by_task), "{status} {reason:?}");
      let simple = exit_code(&task, ExitStatus::Simple).exit;
      assert_eq!(simple, if *status == S::Succeeded { 0 } else { 12 });
    }
  }
}
