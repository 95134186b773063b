//! Which output of tasks is printed, and how.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hetuflow_core::Ts;

use super::run::ExitStatus;
use super::value::{read_bytes, read_duration, read_past};

/// What to print, and how.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
  /// Tasks: id, short id, JOB@latest; or -F and -l; - reads them from stdin
  #[arg(value_name = "TARGET")]
  pub targets: Vec<String>,
  /// Which attempt: a number, latest or all
  #[arg(long, value_name = "N", default_value = "latest", hide_default_value = true, value_parser = read_attempt)]
  pub attempt: Attempt,
  /// Exit code when the task has ended
  #[arg(long, value_enum, value_name = "WHICH")]
  pub exit_status: Option<ExitStatus>,
  /// Print no output: compare what is stored with what was captured
  #[arg(long, conflicts_with_all = NOT_WITH_VERIFY)]
  pub verify: bool,
  /// How.
  #[command(flatten)]
  pub options: LogOptions,
}

/// What only has a meaning where output is printed.
const NOT_WITH_VERIFY: [&str; 19] = [
  "follow",
  "raw",
  "from_offset",
  "tail",
  "head",
  "since",
  "until",
  "grep",
  "ignore_case",
  "invert",
  "context_lines",
  "level",
  "stream",
  "timestamps",
  "prefix",
  "max_bytes",
  "strict",
  "start_timeout",
  "exit_status",
];
/// As [`NOT_WITH_VERIFY`], for one attempt.
const NOT_WITH_VERIFY_ONE: &[&str] = NOT_WITH_VERIFY.split_at(18).0;

/// How output is printed.
#[derive(Debug, Clone, Default, Args)]
pub struct LogOptions {
  /// Go on until the task ends
  #[arg(short, long)]
  pub follow: bool,
  /// Bytes as they are, on a terminal too
  #[arg(long)]
  pub raw: bool,
  /// Begin at this byte
  #[arg(long, value_name = "B", conflicts_with = "tail")]
  pub from_offset: Option<u64>,
  /// Begin at the last lines; all is the whole output
  #[arg(long, value_name = "N|all", value_parser = read_tail)]
  pub tail: Option<Tail>,
  /// Stop after so many lines
  #[arg(long, value_name = "N")]
  pub head: Option<u64>,
  /// Only lines written since then: 10m is ten minutes ago
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true)]
  pub since: Option<Ts>,
  /// Only lines written until then
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true)]
  pub until: Option<Ts>,
  /// Which lines.
  #[command(flatten)]
  pub pick: LinePick,
  /// Which stream
  #[arg(long, value_enum, value_name = "S", default_value_t, hide_default_value = true)]
  pub stream: StreamChoice,
  /// The time before each line
  #[arg(long, value_enum, value_name = "HOW", default_value_t, hide_default_value = true)]
  pub timestamps: Timestamps,
  /// The job and the task before each line; always so with several tasks
  #[arg(long)]
  pub prefix: bool,
  /// Stop after so many bytes, as 10M
  #[arg(long, value_name = "BYTES", value_parser = read_bytes)]
  pub max_bytes: Option<u64>,
  /// Exit 13 where bytes are no longer kept
  #[arg(long)]
  pub strict: bool,
  /// With --follow: exit 124 where the task has not started by then
  #[arg(long, value_name = "DUR", value_parser = read_duration, requires = "follow")]
  pub start_timeout: Option<Duration>,
}

/// Which lines of output.
#[derive(Debug, Clone, Default, Args)]
pub struct LinePick {
  /// Only lines that this regular expression finds
  #[arg(long, value_name = "RE")]
  pub grep: Option<String>,
  /// --grep without regard to case
  #[arg(short = 'i', long, requires = "grep")]
  pub ignore_case: bool,
  /// Only lines that --grep does not find
  #[arg(long, requires = "grep")]
  pub invert: bool,
  /// Lines around those that --grep finds
  #[arg(short = 'C', long = "context-lines", value_name = "N", requires = "grep")]
  pub context_lines: Option<usize>,
  /// Only lines of this level and above, where lines name one
  #[arg(long, value_enum, value_name = "LEVEL")]
  pub level: Option<Level>,
}

/// Where output begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
  /// At the begin.
  All,
  /// So many lines before the end.
  Lines(u64),
}

fn read_tail(text: &str) -> Result<Tail, String> {
  match text {
    "all" => Ok(Tail::All),
    _ => text.parse().map(Tail::Lines).map_err(|_| "a number of lines, or all".to_owned()),
  }
}

/// The time before each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Timestamps {
  /// None
  #[default]
  None,
  /// In the zone of this machine
  Local,
  /// In UTC
  Utc,
  /// RFC 3339
  Rfc3339,
  /// Since the first line
  Since,
  /// Since the line before
  Delta,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
  /// For the finest search
  Trace,
  /// For a search
  Debug,
  /// News
  Info,
  /// Somebody should look
  Warn,
  /// Something failed
  Error,
}

/// Which stream of output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StreamChoice {
  /// Standard output
  Out,
  /// Standard error
  Err,
  /// Both, in the order of capture
  #[default]
  Both,
}

/// Which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
  /// The newest; with --follow through retries.
  Latest,
  /// Every one.
  All,
  /// This one.
  Number(i64),
}

fn read_attempt(text: &str) -> Result<Attempt, String> {
  match text {
    "latest" => Ok(Attempt::Latest),
    "all" => Ok(Attempt::All),
    _ => match text.parse() {
      Ok(number) if number > 0 => Ok(Attempt::Number(number)),
      _ => Err("a number from 1, latest or all".to_owned()),
    },
  }
}

/// The output of one attempt.
#[derive(Debug, Clone, Args)]
pub struct AttemptLogs {
  /// The attempt: its id, or TASK#N
  #[arg(value_name = "ATTEMPT")]
  pub target: String,
  /// Print no output: compare what is stored with what was captured
  #[arg(long, conflicts_with_all = NOT_WITH_VERIFY_ONE.iter().copied())]
  pub verify: bool,
  /// How.
  #[command(flatten)]
  pub options: LogOptions,
}
