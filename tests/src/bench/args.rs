//! The words on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// What `--help` says.
pub const USAGE: &str = "\
usage: hetuflow-bench BENCH [options]

  queue     no-op tasks through the whole path, submitted in bulk while they run
  latency   submit one task -> its process starts, on an idle agent
  spawn     /bin/true with captured output, two at a time
  fire      a task each second: how late
  logs      one task that writes much text, followed to its end
  idle      memory at rest, start-up time of hetuflowctl
  agent     one agent alone: processes, rest, precision, output, a server away, 200 deaths
  terminal  hetuflowctl on a terminal: first data, changes, rest, flood, a log of a million lines
  time      next fires of schedules, beside others; with --db postgres the planner under load
  held      claims beside 100,000 tasks that a semaphore holds
  limits    what the machine can do without server and agents

  --db postgres   a throw-away PostgreSQL with default durability (else SQLite)
  --db URL        this PostgreSQL, in a fresh database that is dropped at the end
  --tasks N       queue 100000 (SQLite 50000), latency 200, spawn 3000, held 100000
  --seconds S     fire 120, idle 10, terminal 60, time 20
  --agents N      queue 2
  --mb N          logs 200
  --part NAME     agent: processes, rest, precision, output, away or deaths alone
  -o FILE         writes JSON as well

exit code: 0; 1 when work was lost, done twice or wrong; 2 when the bench could not run";

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bench {
  /// Tasks per second through the whole path.
  Queue,
  /// Submit to process start.
  Latency,
  /// Real processes per second.
  Spawn,
  /// Lateness of scheduled tasks.
  Fire,
  /// Output per second, end to end.
  Logs,
  /// Memory at rest.
  Idle,
  /// One agent alone.
  Agent,
  /// The terminal's side.
  Terminal,
  /// The next fires of schedules.
  Time,
  /// Claims beside tasks that a limit holds.
  Held,
  /// Only the machine's own limits.
  Limits,
}

impl FromStr for Bench {
  type Err = anyhow::Error;
  fn from_str(word: &str) -> Result<Self> {
    Ok(match word {
      "queue" => Self::Queue,
      "latency" => Self::Latency,
      "spawn" => Self::Spawn,
      "fire" => Self::Fire,
      "logs" => Self::Logs,
      "idle" => Self::Idle,
      "agent" => Self::Agent,
      "terminal" => Self::Terminal,
      "time" => Self::Time,
      "held" => Self::Held,
      "limits" => Self::Limits,
      _ => bail!("there is no bench {word:?}"),
    })
  }
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Db {
  /// A file in a temporary folder.
  Sqlite,
  /// A throw-away cluster with default durability.
  Postgres,
  /// A server that is there already.
  Url(String),
}

/// A run as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
  /// What to measure.
  pub bench: Bench,
  /// Which database.
  pub db: Db,
  /// How many tasks.
  pub tasks: Option<usize>,
  /// How many seconds.
  pub seconds: Option<u64>,
  /// How many agents.
  pub agents: Option<usize>,
  /// How many megabytes (10^6 bytes).
  pub megabytes: Option<usize>,
  /// The only part of a bench that is wanted.
  pub part: Option<String>,
  /// Where JSON goes.
  pub output: Option<PathBuf>,
}

impl Options {
  /// Reads the words after the program's name.
  ///
  /// # Errors
  /// For words that mean nothing; the text names the word.
  pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
    let mut words = words.into_iter();
    let bench = words.next().context("which bench?")?.parse()?;
    let mut options = Self {
      bench,
      db: Db::Sqlite,
      tasks: None,
      seconds: None,
      agents: None,
      megabytes: None,
      part: None,
      output: None,
    };
    while let Some(flag) = words.next() {
      let value = words.next().with_context(|| format!("{flag} needs a value, or is unknown"))?;
      match flag.as_str() {
        "--db" => options.db = database(&value)?,
        "--tasks" => options.tasks = Some(number(&flag, &value)?),
        "--seconds" => options.seconds = Some(number(&flag, &value)? as u64),
        "--agents" => options.agents = Some(number(&flag, &value)?),
        "--mb" => options.megabytes = Some(number(&flag, &value)?),
        "--part" => options.part = Some(value),
        "-o" => options.output = Some(value.into()),
        _ => bail!("unknown option {flag}"),
      }
    }
    Ok(options)
  }
}

/// Reads a positive number, with or without `_` between digits.
fn number(flag: &str, value: &str) -> Result<usize> {
  match value.replace('_', "").parse() {
    Ok(number) if number > 0 => Ok(number),
    _ => bail!("{flag} {value}: a whole number above 0 is needed"),
  }
}

/// Reads the value of `--db`.
fn database(value: &str) -> Result<Db> {
  Ok(match value {
    "sqlite" => Db::Sqlite,
    "postgres" => Db::Postgres,
    url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
      Db::Url(url.to_owned())
    }
    _ => bail!("--db {value}: sqlite, postgres or a postgres:// URL is needed"),
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  /// Parses words that are separated by spaces.
  fn parse(words: &str) -> Result<Options> {
    Options::parse(words.split(' ').map(str::to_owned))
  }

  #[test]
  fn reads_all_options() {
    let options = parse("queue --db postgres://u@h/x --tasks 10_000 --agents 3 -o x.json").unwrap();
    assert_eq!(options.bench, Bench::Queue);
    assert_eq!(options.db, Db::Url("postgres://u@h/x".to_owned()));
    assert_eq!((options.tasks, options.agents), (Some(10_000), Some(3)));
    assert_eq!(options.output, Some("x.json".into()));
  }

  #[test]
  fn refuses_what_it_does_not_know() {
    for words in ["", "nap", "queue --db mysql://x", "queue --tasks 0", "queue --fast", "fire -x 1"]
    {
      assert!(parse(words).is_err(), "{words}");
    }
  }
}
