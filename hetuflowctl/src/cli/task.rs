//! Tasks and attempts.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hetuflow_core::TaskControlKind;

use super::object::Paging;
use super::run::ExitStatus;
use super::value::read_duration;

/// Verbs of tasks.
#[derive(Debug, Subcommand)]
pub enum TaskVerb {
  /// List tasks, newest first
  #[command(visible_alias = "ls")]
  List(TaskList),
  /// Show tasks
  #[command(visible_alias = "show")]
  Get(Targets),
  /// The attempts of a task
  Attempts(Target),
  /// Print the output
  Logs(LogsArgs),
  /// Wait until tasks end
  Wait(WaitArgs),
  /// Ask tasks to stop
  Cancel(CancelArgs),
  /// Run finished tasks once more
  Retry(RetryArgs),
}

/// Verbs of attempts.
#[derive(Debug, Subcommand)]
pub enum AttemptVerb {
  /// List attempts, newest first
  #[command(visible_alias = "ls")]
  List(AttemptList),
  /// Show an attempt: its id, or TASK#N
  #[command(visible_alias = "show")]
  Get(Target),
  /// Print the output of one attempt
  Logs(AttemptLogs),
  /// Stop, kill, pause, resume or signal a running attempt
  Control(ControlArgs),
}

/// One target.
#[derive(Debug, Clone, Args)]
pub struct Target {
  /// A task: id, short id, JOB@latest, JOB@failed, JOB@-2
  #[arg(value_name = "TARGET")]
  pub target: String,
}

/// Some targets.
#[derive(Debug, Clone, Args)]
pub struct Targets {
  /// Tasks: id, short id, JOB@latest, JOB@failed, JOB@running, JOB@-2; - reads them from stdin
  #[arg(value_name = "TARGET", required = true)]
  pub targets: Vec<String>,
}

/// Which tasks.
#[derive(Debug, Clone, Args)]
pub struct TaskList {
  /// Of this job
  #[arg(long)]
  pub job: Option<String>,
  /// Of this schedule, by id
  #[arg(long)]
  pub schedule: Option<String>,
  /// In these states: pending,running,failed…; doing is everything on an agent
  #[arg(long, value_delimiter = ',', value_parser = read_state)]
  pub state: Vec<String>,
  /// On this agent
  #[arg(long)]
  pub agent: Option<String>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

/// Which attempts.
#[derive(Debug, Clone, Args)]
pub struct AttemptList {
  /// Of this task
  #[arg(long)]
  pub task: Option<String>,
  /// Of this job, by id
  #[arg(long)]
  pub job_id: Option<String>,
  /// On this agent
  #[arg(long)]
  pub agent: Option<String>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

fn read_state(text: &str) -> Result<String, String> {
  if text == "doing" {
    return Ok(text.to_owned());
  }
  text
    .parse::<hetuflow_core::TaskStatus>()
    .map(|state| state.to_string())
    .map_err(|error| error.to_string())
}

/// What to print, and how.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
  /// Tasks: id, short id, JOB@latest
  #[arg(value_name = "TARGET", required = true)]
  pub targets: Vec<String>,
  /// Which attempt: a number, latest or all
  #[arg(long, value_name = "N", default_value = "latest", hide_default_value = true, value_parser = read_attempt)]
  pub attempt: Attempt,
  /// Exit code when the task has ended
  #[arg(long, value_enum, value_name = "WHICH")]
  pub exit_status: Option<ExitStatus>,
  /// How.
  #[command(flatten)]
  pub options: LogOptions,
}

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
  /// Begin at the last lines
  #[arg(long, value_name = "LINES")]
  pub tail: Option<u64>,
  /// Which stream
  #[arg(long, value_enum, value_name = "S", default_value_t, hide_default_value = true)]
  pub stream: StreamChoice,
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
  /// How.
  #[command(flatten)]
  pub options: LogOptions,
}

/// Wait for what.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// Until it is: done (any end), succeeded, failed, running
  #[arg(
    long = "for",
    value_enum,
    value_name = "STATE",
    default_value_t,
    hide_default_value = true
  )]
  pub until: Until,
  /// The first one is enough
  #[arg(long)]
  pub any: bool,
  /// Exit code: 0 and 12, or the task's own (one target)
  #[arg(long, value_enum, value_name = "WHICH")]
  pub exit_status: Option<ExitStatus>,
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
  /// Any end
  #[default]
  Done,
  /// Success
  Succeeded,
  /// An end without success
  Failed,
  /// A start
  Running,
}

/// Ask to stop.
#[derive(Debug, Clone, Args)]
pub struct CancelArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// Why
  #[arg(long)]
  pub reason: Option<String>,
  /// Kill at once
  #[arg(long)]
  pub force: bool,
  /// Time between the signal and the kill
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub grace: Option<Duration>,
}

/// Run once more.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
}

/// Control of a running attempt.
#[derive(Debug, Clone, Args)]
pub struct ControlArgs {
  /// The attempt: its id, or TASK#N
  #[arg(value_name = "ATTEMPT")]
  pub target: String,
  /// What to do: stop, kill, pause, resume, restart, skip, signal
  #[arg(value_name = "WHAT", value_parser = |text: &str| text.parse::<TaskControlKind>().map_err(|error| error.to_string()))]
  pub what: TaskControlKind,
  /// The signal, as HUP
  #[arg(long)]
  pub signal: Option<String>,
  /// Why
  #[arg(long)]
  pub reason: Option<String>,
  /// Without grace
  #[arg(long)]
  pub force: bool,
  /// Time between the signal and the kill
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub grace: Option<Duration>,
}
