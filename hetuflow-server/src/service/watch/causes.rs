//! Failures that share a cause: the same end, and the same words but for numbers and ids.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hetuflow_core::{Cause, NamespaceId, TaskId, Ts};

use super::words::{clip, end_words};
use crate::infra::bmc::watch_attempts::{self, Failure};
use crate::infra::db::Conn;
use crate::service::SvcResult;

const HOUR: Duration = Duration::from_secs(3600);
/// An eighth of an hour.
const EIGHTH_MICROS: i64 = 450_000_000;
/// Failures that are looked at.
const FAILURES: u64 = 1000;
/// Causes that are told.
const CAUSES_MAX: usize = 20;
/// Jobs that are named for each.
const JOBS_MAX: usize = 5;

/// The causes of the failures of the last hour, the commonest first.
///
/// # Errors
/// Any database error.
pub(super) async fn of_last_hour(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  now: Ts,
) -> SvcResult<Vec<Cause>> {
  let failures =
    watch_attempts::failures_since(conn, namespace, (now.minus(HOUR), FAILURES)).await?;
  Ok(group(failures, now))
}

#[derive(Default)]
struct Group {
  tasks: HashSet<TaskId>,
  jobs: HashMap<String, usize>,
  first: Option<Ts>,
  last: Option<Ts>,
  spark: [u32; 8],
}

fn group(failures: Vec<Failure>, now: Ts) -> Vec<Cause> {
  let mut groups: HashMap<String, Group> = HashMap::new();
  let newest = now.micros().div_euclid(EIGHTH_MICROS);
  for failure in failures {
    let Some(at) = failure.completed_at else { continue };
    let group = groups.entry(cause_of(&failure)).or_default();
    group.tasks.insert(failure.task_id);
    *group.jobs.entry(failure.job_name).or_default() += 1;
    group.first = Some(group.first.map_or(at, |first| first.min(at)));
    group.last = Some(group.last.map_or(at, |last| last.max(at)));
    let ago = (newest - at.micros().div_euclid(EIGHTH_MICROS)).clamp(0, 7);
    group.spark[7 - usize::try_from(ago).unwrap_or(7)] += 1;
  }
  let causes = groups.into_iter().filter_map(|(text, group)| {
    let mut jobs: Vec<(String, usize)> = group.jobs.into_iter().collect();
    jobs.sort_by(|a, b| (std::cmp::Reverse(a.1), &a.0).cmp(&(std::cmp::Reverse(b.1), &b.0)));
    Some(Cause {
      text,
      tasks: group.tasks.len() as u64,
      jobs: jobs.into_iter().take(JOBS_MAX).map(|(name, _)| name).collect(),
      first_at: group.first?,
      last_at: group.last?,
      spark: group.spark.to_vec(),
    })
  });
  let mut causes: Vec<Cause> = causes.collect();
  causes.sort_by(|a, b| (b.tasks, &a.text).cmp(&(a.tasks, &b.text)));
  causes.truncate(CAUSES_MAX);
  causes
}

/// The end in words, with the agent's words behind it as far as they are the same each time.
fn cause_of(failure: &Failure) -> String {
  let end = end_words(failure.exit_code, failure.signal, failure.reason.as_deref(), None);
  let message = failure.error_message.as_deref().unwrap_or_default();
  let line = message.trim().lines().next_back().unwrap_or_default();
  let words = normalise(line);
  match (end.is_empty(), words.is_empty()) {
    (true, true) => "failed without a word".to_owned(),
    (true, false) => words,
    (false, true) => end,
    (false, false) => clip(&format!("{end}: {words}")),
  }
}

/// Takes numbers and ids out of a text: each word with a digit in it loses its digits, and what looks
/// like an id goes whole.
pub(super) fn normalise(text: &str) -> String {
  let (mut out, mut word) = (String::new(), String::new());
  for c in text.chars().chain([' ']) {
    if c.is_alphanumeric() || c == '-' || c == '_' {
      word.push(c);
      continue;
    }
    push_word(&mut out, &word);
    word.clear();
    out.push(c);
  }
  clip(out.trim())
}

fn push_word(out: &mut String, word: &str) {
  let hex = |c: char| c.is_ascii_hexdigit() || c == '-' || c == 'x';
  let digits = word.chars().any(|c| c.is_ascii_digit());
  if digits && word.len() >= 8 && word.chars().all(hex) {
    out.push('#');
    return;
  }
  let mut in_number = false;
  for c in word.chars() {
    if !c.is_ascii_digit() {
      out.push(c);
    } else if !in_number {
      out.push('#');
    }
    in_number = c.is_ascii_digit();
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::JobId;

  use super::*;

  #[test]
  fn numbers_and_ids_are_no_causes() {
    assert_eq!(normalise("timeout after 30 s on db-17:5432"), "timeout after # s on db-#:#");
    assert_eq!(
      normalise("no row 019aa3e4-7c11-7c52-9d0e-5f0e3d9c41b7 (0xdeadbeef)"),
      "no row # (#)"
    );
    assert_eq!(normalise("cannot open café"), "cannot open café");
  }

  #[test]
  fn failures_are_grouped_by_their_words() {
    let now = Ts::now();
    let failure = |job: &str, code: i64, message: &str| Failure {
      task_id: TaskId::generate(),
      job_id: JobId::generate(),
      job_name: job.to_owned(),
      completed_at: Some(now),
      exit_code: Some(code),
      signal: None,
      reason: Some(format!("exit_code({code})")),
      error_message: (!message.is_empty()).then(|| message.to_owned()),
    };
    let causes = group(
      vec![
        failure("a", 1, "row 5 is bad"),
        failure("b", 1, "row 77 is bad"),
        failure("b", 1, "row 8 is bad"),
        failure("c", 137, ""),
      ],
      now,
    );
    assert_eq!(causes.len(), 2);
    assert_eq!((causes[0].text.as_str(), causes[0].tasks), ("exit 1: row # is bad", 3));
    assert_eq!(causes[0].jobs, ["b", "a"]);
    assert_eq!(causes[0].spark, [0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(causes[1].text, "exit 137 (OOM)");
  }
}
