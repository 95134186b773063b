//! `logs --verify`: whether what is stored is what was captured.

use hetuflow_core::{LogSpan, LogVerdict, LogVerification, TaskInstanceEntity, grouped};
use serde_json::{Value, json};

use super::{chosen, logs};
use crate::cli::LogsArgs;
use crate::client::{Call, CtlError, Exit, path_of};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Spans that an error names.
const SPANS_MAX: usize = 5;

/// Verifies the attempts of tasks.
///
/// # Errors
/// When a task or an attempt is not there.
pub async fn run(session: &Session, args: &LogsArgs) -> Result<Outcome, CtlError> {
  let tasks = chosen::tasks(session, &args.targets, logs::SOURCES_MAX).await?.tasks;
  let mut found = Vec::new();
  for task in &tasks {
    let label = logs::source(task).label;
    for attempt in logs::attempts(session, task, args.attempt).await? {
      found.push((format!("{label}#{}", attempt.attempt), look(session, &attempt).await?));
    }
  }
  Ok(match found.as_slice() {
    [] => Outcome::from(View::Nothing).note("no attempt has begun: there is nothing to verify"),
    [(_, one)] => single(one),
    many => several(many),
  })
}

/// Verifies one attempt.
///
/// # Errors
/// What the server says.
pub async fn of_attempt(
  session: &Session,
  attempt: &TaskInstanceEntity,
) -> Result<Outcome, CtlError> {
  Ok(single(&look(session, attempt).await?))
}

async fn look(
  session: &Session,
  attempt: &TaskInstanceEntity,
) -> Result<LogVerification, CtlError> {
  // Long output takes long to read.
  let path = path_of(&["task-instances", &attempt.id.to_string(), "verify"]);
  session.client()?.fetch(Call::get(path).stream("application/json")).await
}

fn single(found: &LogVerification) -> Outcome {
  let value = value_of(found);
  match fault(found) {
    None => {
      let outcome = Outcome::from(View::text(sentence(found), value));
      found.gaps.iter().fold(outcome, |outcome, gap| {
        outcome.note(format!("{} bytes were dropped: {}", grouped(gap.bytes), gap.reason))
      })
    }
    Some(error) => Outcome::from(View::text("", value)).partial(error.into()),
  }
}

/// One line for each, and one error for all that went wrong.
fn several(found: &[(String, LogVerification)]) -> Outcome {
  let mut text = String::new();
  let mut bad = 0;
  for (label, one) in found {
    let line = match fault(one) {
      None => sentence(one),
      Some(error) => {
        bad += 1;
        format!("{}: {}\n", one.verdict, error.message)
      }
    };
    text.push_str(&format!("{label}  {line}"));
  }
  let items: Vec<Value> = found.iter().map(|(_, one)| value_of(one)).collect();
  let outcome = Outcome::from(View::text(text, json!({ "items": items, "next": null })));
  if bad == 0 {
    return outcome;
  }
  let words = format!("{bad} of {} logs are not verified", found.len());
  outcome.partial(CtlError::new(Exit::SomeFailed, words).into())
}

fn value_of(found: &LogVerification) -> Value {
  serde_json::to_value(found).expect("our own types are JSON")
}

fn sentence(found: &LogVerification) -> String {
  let dropped = match found.dropped_bytes {
    0 => String::new(),
    dropped => format!(", {} dropped and declared", grouped(dropped)),
  };
  format!("verified: {} bytes{dropped}, sha256 {}\n", grouped(found.bytes), found.sha256)
}

/// Why it is not verified; the exit code tells the kinds apart.
fn fault(found: &LogVerification) -> Option<CtlError> {
  let exit = match found.verdict {
    LogVerdict::Verified => return None,
    LogVerdict::Differs => Exit::Differences,
    LogVerdict::Missing => Exit::Incomplete,
    LogVerdict::Running | LogVerdict::Unknown => Exit::Failure,
  };
  let short = found.task_id.short();
  let mut error = CtlError::new(exit, found.message.clone());
  error.code = format!("log_{}", found.verdict);
  error = error.fact(format!("stored: {} bytes, sha256 {}", grouped(found.bytes), found.sha256));
  if let (Some(bytes), Some(sha256)) = (found.captured_bytes, &found.captured_sha256) {
    error = error.fact(format!("captured: {} bytes, sha256 {sha256}", grouped(bytes)));
  }
  for (what, spans) in [("missing", &found.missing), ("cannot be read", &found.damaged)] {
    if !spans.is_empty() {
      error = error.fact(format!("{what}: {}", spans_text(spans)));
    }
  }
  Some(match found.verdict {
    LogVerdict::Running => error.help(format!("hetuflowctl wait {short}")),
    _ => error.help(format!("hetuflowctl logs {short} --attempt {}", found.attempt)),
  })
}

fn spans_text(spans: &[LogSpan]) -> String {
  let named: Vec<String> = spans
    .iter()
    .take(SPANS_MAX)
    .map(|span| format!("bytes {} to {}", grouped(span.from), grouped(span.to.saturating_sub(1))))
    .collect();
  let more = spans.len().saturating_sub(SPANS_MAX);
  if more == 0 { named.join(", ") } else { format!("{}, {more} more", named.join(", ")) }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{LogGap, TaskId, TaskInstanceId};

  use super::*;

  fn found(verdict: LogVerdict) -> LogVerification {
    LogVerification {
      instance_id: TaskInstanceId::generate(),
      task_id: TaskId::generate(),
      attempt: 2,
      verdict,
      message: "words of the server".to_owned(),
      bytes: 12_345,
      captured_bytes: Some(12_400),
      sha256: "ab".repeat(32),
      captured_sha256: Some("cd".repeat(32)),
      missing: vec![LogSpan { from: 5, to: 1_006 }; 7],
      damaged: Vec::new(),
      gaps: vec![LogGap { at: 3, bytes: 1_000, reason: "the buffer was full".to_owned() }],
      dropped_bytes: 1_000,
    }
  }

  #[test]
  fn a_verified_log_is_one_line() {
    let mut one = found(LogVerdict::Verified);
    let sha = "ab".repeat(32);
    let line = format!("verified: 12,345 bytes, 1,000 dropped and declared, sha256 {sha}\n");
    assert_eq!(sentence(&one), line);
    let outcome = single(&one);
    assert_eq!((outcome.exit, outcome.notes.len(), outcome.failure.is_none()), (0, 1, true));
    one.dropped_bytes = 0;
    assert_eq!(sentence(&one), format!("verified: 12,345 bytes, sha256 {sha}\n"));
  }

  #[test]
  fn each_verdict_has_its_exit_code() {
    let exits =
      [LogVerdict::Differs, LogVerdict::Missing, LogVerdict::Running, LogVerdict::Unknown]
        .map(|verdict| single(&found(verdict)).exit);
    assert_eq!(exits, [10, 13, 1, 1]);
    let error = fault(&found(LogVerdict::Missing)).expect("a fault");
    assert_eq!(error.code, "log_missing");
    assert!(error.facts[2].starts_with("missing: bytes 5 to 1,005, "), "{:?}", error.facts);
    assert!(error.facts[2].ends_with(", 2 more"), "{:?}", error.facts);
    let both =
      [("a".to_owned(), found(LogVerdict::Verified)), ("b".to_owned(), found(LogVerdict::Differs))];
    assert_eq!(several(&both).exit, 11);
  }
}
