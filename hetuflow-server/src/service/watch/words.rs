//! Ends and waits in a few words for people.

use hetuflow_core::{TaskStatus, Ts};

use crate::infra::bmc::watch_tasks::ListedTask;

/// Longest words, in characters.
const WORDS_MAX: usize = 160;

/// How an attempt ended, as `exit 137 (killed, often out of memory)`.
pub(super) fn end_words(
  exit_code: Option<i64>,
  signal: Option<i64>,
  reason: Option<&str>,
  message: Option<&str>,
) -> String {
  let reason = reason.unwrap_or_default();
  let own = reason.starts_with("exit_code(") || reason.starts_with("signal(");
  let end = match (exit_code, signal) {
    (_, Some(signal)) => format!("{}{}", signal_name(signal), memory(reason, signal == 9)),
    (Some(code), _) if code != 0 => format!("exit {code}{}", exit_hint(code, reason)),
    _ => String::new(),
  };
  let mut words = if own || reason.is_empty() { end } else { join(&end, reason) };
  if let Some(message) = message.filter(|message| !message.trim().is_empty()) {
    let line = message.trim().lines().next_back().unwrap_or_default();
    words = join(&words, line.trim());
  }
  clip(&words)
}

fn join(first: &str, second: &str) -> String {
  if first.is_empty() { second.to_owned() } else { format!("{first}: {second}") }
}

fn exit_hint(code: i64, reason: &str) -> String {
  match code {
    126 => " (not executable)".to_owned(),
    127 => " (command not found)".to_owned(),
    129..=192 => match code - 128 {
      9 => memory(reason, true),
      signal => format!(" ({})", signal_name(signal)),
    },
    _ => String::new(),
  }
}

/// A kill that nobody here asked for is most often the system's, for want of memory.
fn memory(reason: &str, killed: bool) -> String {
  let asked = reason.contains("timeout") || reason.contains("cancel") || reason.contains("kill");
  if killed && !asked { " (OOM)".to_owned() } else { String::new() }
}

fn signal_name(signal: i64) -> String {
  let name = match signal {
    1 => "SIGHUP",
    2 => "SIGINT",
    3 => "SIGQUIT",
    4 => "SIGILL",
    6 => "SIGABRT",
    7 => "SIGBUS",
    8 => "SIGFPE",
    9 => "SIGKILL",
    11 => "SIGSEGV",
    13 => "SIGPIPE",
    14 => "SIGALRM",
    15 => "SIGTERM",
    other => return format!("signal {other}"),
  };
  name.to_owned()
}

/// No longer than a line of a table can show, and without control characters.
pub(super) fn clip(text: &str) -> String {
  text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

/// Why a task is where it is.
pub(super) fn why(task: &ListedTask, now: Option<Ts>) -> String {
  if task.unreachable_since.is_some() {
    return "its agent is silent; the process may be alive".to_owned();
  }
  match task.status {
    TaskStatus::Succeeded => String::new(),
    TaskStatus::Running => progress_words(task.progress, task.progress_note.as_deref()),
    TaskStatus::Pending => match now {
      Some(now) if task.scheduled_at > now => "waits for its time".to_owned(),
      _ => held(task),
    },
    TaskStatus::WaitingRetry if task.held_by.is_some() => {
      format!("attempt {} failed; {}", task.attempt, held(task))
    }
    TaskStatus::WaitingRetry => format!("attempt {} failed; waits for the next", task.attempt),
    TaskStatus::Blocked => "waits for an earlier run".to_owned(),
    TaskStatus::Locked => "on its way to the agent".to_owned(),
    TaskStatus::Dispatched => "on the agent, not started yet".to_owned(),
    _ => {
      end_words(task.exit_code, task.signal, task.reason.as_deref(), task.error_message.as_deref())
    }
  }
}

/// The limits that it waits behind.
fn held(task: &ListedTask) -> String {
  let words = task.held_by.as_ref().map(|gate| format!("held by {}", gate.words()));
  clip(&words.unwrap_or_default())
}

/// How far it says it is: `40%`, or `40% loading`.
pub(super) fn progress_words(progress: Option<f64>, note: Option<&str>) -> String {
  let Some(share) = progress else { return String::new() };
  let note: String = note.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
  let words = format!("{:.0}% {note}", (share * 100.0).clamp(0.0, 100.0));
  words.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn progress_reads_as_a_share() {
    assert_eq!(progress_words(None, Some("x")), "");
    assert_eq!(progress_words(Some(0.4), None), "40%");
    assert_eq!(progress_words(Some(7.0), Some("all\u{1b}[31m rows")), "100% all[31m rows");
  }

  #[test]
  fn ends_read_as_people_say_them() {
    let words = |exit, signal, reason, message| end_words(exit, signal, reason, message);
    assert_eq!(words(Some(4), None, Some("exit_code(4)"), None), "exit 4");
    assert_eq!(words(Some(137), None, Some("exit_code(137)"), None), "exit 137 (OOM)");
    assert_eq!(words(None, Some(9), Some("signal(9)"), None), "SIGKILL (OOM)");
    assert_eq!(words(None, Some(9), Some("timeout(5s)"), None), "SIGKILL: timeout(5s)");
    assert_eq!(words(Some(143), None, Some("exit_code(143)"), None), "exit 143 (SIGTERM)");
    assert_eq!(
      words(Some(1), None, Some("exit_code(1)"), Some("Traceback:\nValueError: x\u{1b}[31m")),
      "exit 1: ValueError: x[31m"
    );
    assert_eq!(words(None, None, Some("spawn_failed(ENOENT, x)"), None), "spawn_failed(ENOENT, x)");
    assert_eq!(words(None, None, None, None), "");
  }
}
