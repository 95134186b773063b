//! Reading what the `stamp` payload wrote.

use std::path::Path;

use anyhow::{Context, Result};
use hetuflow_core::{JobForCreate, TaskConfig, Ts};

/// One start of a process, as the process itself saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
  /// Wall clock at its first instruction, in nanoseconds since 1970.
  pub at_ns: i128,
  /// `HETUFLOW_TASK_ID`, or `-`.
  pub task_id: String,
  /// `HETUFLOW_SCHEDULED_AT`, where given.
  pub planned: Option<Ts>,
}

impl Stamp {
  /// Start minus plan in milliseconds.
  pub fn late_ms(&self) -> Option<f64> {
    let planned_ns = i128::from(self.planned?.micros()) * 1000;
    Some((self.at_ns - planned_ns) as f64 / 1e6)
  }
}

/// A job whose command appends a stamp to `file`.
///
/// # Errors
/// When this program's own path is not known.
pub fn job(name: &str, file: &Path) -> Result<JobForCreate> {
  let program = std::env::current_exe().context("find the running executable")?;
  let args = [program.as_path(), Path::new("stamp"), file];
  let args = args.map(|word| word.to_string_lossy().into_owned()).to_vec();
  let cmd = Some(hetuflow_core::ExecuteCommand::Exec);
  let config = TaskConfig { cmd, args, ..TaskConfig::default() };
  Ok(JobForCreate { name: name.to_owned(), config, ..JobForCreate::default() })
}

/// All stamps so far, in the order written; no file is no stamp.
///
/// # Errors
/// When the file cannot be read or a line is malformed.
pub fn read(file: &Path) -> Result<Vec<Stamp>> {
  match std::fs::read_to_string(file) {
    Ok(text) => text.lines().map(parse).collect(),
    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
    Err(error) => Err(error).context(format!("read {}", file.display())),
  }
}

/// Reads one line.
fn parse(line: &str) -> Result<Stamp> {
  let malformed = || format!("not a stamp: {line:?}");
  let mut words = line.split(' ');
  let mut word = || words.next().with_context(malformed);
  let at_ns = word()?.parse().with_context(malformed)?;
  let task_id = word()?.to_owned();
  let planned = match word()? {
    "-" => None,
    text => Some(text.parse().with_context(malformed)?),
  };
  Ok(Stamp { at_ns, task_id, planned })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn lateness_is_start_minus_plan() {
    let stamp = parse("1767225601001500000 t 2026-01-01T00:00:01Z").unwrap();
    assert_eq!(stamp.late_ms(), Some(1.5));
    assert_eq!(parse("5 - -").unwrap().late_ms(), None);
    assert!(parse("5 t").is_err() && parse("x t -").is_err());
  }

  #[test]
  fn the_job_is_a_valid_one() {
    let mut job = job("stamp", Path::new("/tmp/x")).unwrap();
    let mut errors = Vec::new();
    job.check(&mut errors);
    assert_eq!(errors, Vec::new());
    assert_eq!(job.config.args[1..], ["stamp", "/tmp/x"]);
  }
}
