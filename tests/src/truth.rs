//! The truth log: what the tasks themselves saw, written by them and by nobody in between.
//!
//! A payload appends one line when it starts and one when it ends, each with a single `write` to a
//! file opened with `O_APPEND`, so lines of many tasks never mix. The file is the witness against
//! which stories compare what the server believes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a line of the log says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
  /// The payload's first command ran.
  Start,
  /// The payload's last command ran.
  End,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthEvent {
  /// Start or end.
  pub moment: Moment,
  /// `HETUFLOW_TASK_ID` as the payload saw it.
  pub task_id: String,
  /// `HETUFLOW_ATTEMPT` as the payload saw it.
  pub attempt: String,
  /// Process id of the payload's shell.
  pub pid: u32,
  /// Wall clock in nanoseconds since 1970 (microsecond steps).
  pub at_ns: u128,
}

/// A file that payloads append to.
#[derive(Debug, Clone)]
pub struct TruthLog {
  path: PathBuf,
}

impl TruthLog {
  /// A log at `path`; the file comes into being with the first line.
  pub fn new(path: impl Into<PathBuf>) -> Self {
    Self { path: path.into() }
  }

  /// The file.
  pub fn path(&self) -> &Path {
    &self.path
  }

  /// A bash payload that logs its start, runs `body`, logs its end and exits with `body`'s code.
  ///
  /// `body` may not call `exit`; a payload that is killed leaves a start without an end.
  pub fn payload(&self, body: &str) -> String {
    let file = quote(&self.path.to_string_lossy());
    format!(
      r#"truth() {{ printf '%s %s %s %s %s000\n' "$1" "$HETUFLOW_TASK_ID" "$HETUFLOW_ATTEMPT" "$$" "${{EPOCHREALTIME//[!0-9]/}}" >>{file}; }}
truth start
{body}
code=$?
truth end
exit "$code"
"#
    )
  }

  /// Every line so far, in the order written; an absent file is an empty log.
  ///
  /// # Errors
  /// When the file cannot be read or a line is malformed.
  pub fn read(&self) -> Result<Vec<TruthEvent>> {
    let text = match std::fs::read_to_string(&self.path) {
      Ok(text) => text,
      Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
      Err(error) => return Err(error).context(format!("read {}", self.path.display())),
    };
    text.lines().map(parse).collect()
  }

  /// How often each attempt started, by (task id, attempt).
  ///
  /// # Errors
  /// As [`TruthLog::read`].
  pub fn starts(&self) -> Result<BTreeMap<(String, String), usize>> {
    self.count(Moment::Start)
  }

  /// How often each attempt ended, by (task id, attempt).
  ///
  /// # Errors
  /// As [`TruthLog::read`].
  pub fn ends(&self) -> Result<BTreeMap<(String, String), usize>> {
    self.count(Moment::End)
  }

  /// The attempts that started more than once: always a defect of hetuflow.
  ///
  /// # Errors
  /// As [`TruthLog::read`].
  pub fn started_twice(&self) -> Result<Vec<(String, String)>> {
    Ok(self.starts()?.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key).collect())
  }

  /// The most payloads of these tasks that were alive at one instant.
  ///
  /// # Errors
  /// As [`TruthLog::read`].
  pub fn most_alive(&self, of: impl Fn(&str) -> bool) -> Result<i64> {
    let mut moments: Vec<(u128, i64)> = self
      .read()?
      .into_iter()
      .filter(|event| of(&event.task_id))
      .map(|event| (event.at_ns, if event.moment == Moment::Start { 1 } else { -1 }))
      .collect();
    moments.sort_unstable();
    let alive = moments.iter().scan(0, |alive, (_, step)| {
      *alive += step;
      Some(*alive)
    });
    Ok(alive.max().unwrap_or(0))
  }

  /// Counts the lines of one moment by attempt.
  fn count(&self, moment: Moment) -> Result<BTreeMap<(String, String), usize>> {
    let mut counts = BTreeMap::new();
    for event in self.read()?.into_iter().filter(|event| event.moment == moment) {
      *counts.entry((event.task_id, event.attempt)).or_default() += 1;
    }
    Ok(counts)
  }
}

/// Reads one line.
fn parse(line: &str) -> Result<TruthEvent> {
  let fields: Vec<&str> = line.split(' ').collect();
  let [moment, task_id, attempt, pid, at_ns] = fields[..] else {
    bail!("truth log: not five fields in {line:?}");
  };
  Ok(TruthEvent {
    moment: match moment {
      "start" => Moment::Start,
      "end" => Moment::End,
      _ => bail!("truth log: unknown moment in {line:?}"),
    },
    task_id: task_id.to_owned(),
    attempt: attempt.to_owned(),
    pid: pid.parse().with_context(|| format!("truth log: pid in {line:?}"))?,
    at_ns: at_ns.parse().with_context(|| format!("truth log: time in {line:?}"))?,
  })
}

/// Quotes one word for a POSIX shell.
fn quote(word: &str) -> String {
  format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
  use std::process::Command;

  use super::*;

  /// Runs a payload in bash the way an agent would.
  fn run(script: &str, task_id: &str, attempt: &str) -> std::process::Child {
    Command::new("bash")
      .args(["-c", script])
      .env("HETUFLOW_TASK_ID", task_id)
      .env("HETUFLOW_ATTEMPT", attempt)
      .spawn()
      .unwrap()
  }

  #[test]
  fn many_writers_never_mix_lines() {
    let dir = tempfile::tempdir().unwrap();
    let log = TruthLog::new(dir.path().join("it's here.log"));
    let script = log.payload("true");
    let children: Vec<_> = (0..20).map(|i| run(&script, &format!("t{i}"), "1")).collect();
    for mut child in children {
      assert!(child.wait().unwrap().success());
    }
    assert_eq!(log.starts().unwrap().len(), 20);
    assert_eq!(log.ends().unwrap().len(), 20);
    assert_eq!(log.started_twice().unwrap(), Vec::new());
  }

  #[test]
  fn the_payload_keeps_the_exit_code_and_sees_double_starts() {
    let dir = tempfile::tempdir().unwrap();
    let log = TruthLog::new(dir.path().join("truth.log"));
    let script = log.payload("(exit 7)");
    for _ in 0..2 {
      assert_eq!(run(&script, "t", "3").wait().unwrap().code(), Some(7));
    }
    assert_eq!(log.started_twice().unwrap(), vec![("t".to_owned(), "3".to_owned())]);
    let events = log.read().unwrap();
    assert!(events.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
  }

  #[test]
  fn an_absent_file_is_empty_and_a_torn_line_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let log = TruthLog::new(dir.path().join("truth.log"));
    assert!(log.read().unwrap().is_empty());
    std::fs::write(log.path(), "start t 1").unwrap();
    assert!(log.read().is_err());
  }
}
