//! Tasks and attempts.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hetuflow_core::{TaskControlKind, Ts};

use super::examples;
use super::list::{Paging, Watching};
use super::logs::{AttemptLogs, LogsArgs};
use super::object::BulkOptions;
use super::run::ExitStatus;
use super::value::{read_duration, read_past};

/// Verbs of tasks.
#[derive(Debug, Subcommand)]
pub enum TaskVerb {
  /// List tasks, newest first
  #[command(visible_alias = "ls", after_help = examples::TASKS)]
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
  /// End tasks as skipped
  Skip(SkipArgs),
  /// Say how the end of tasks is to count; their own states stay
  Mark(MarkArgs),
  /// Start tasks now that wait for their time, a retry, an earlier run or a limit
  #[command(alias = "run-now")]
  Force(ForceArgs),
  /// Kill the process groups of tasks at once
  Kill(KillArgs),
  /// Send a signal to the process groups of tasks
  Signal(SignalArgs),
  /// Give waiting tasks another priority
  Reprioritise(ReprioritiseArgs),
  /// Why a task does not start, where it could, and what would let it; or why it ended as it did
  Why(Target),
  /// A task with its job, its schedule and its attempts
  Tree(Target),
  /// How a task ended: exit code or signal, reason, times, and what it has handed on
  Result(Target),
  /// What happened to a task, step by step
  Timeline(Target),
  /// Count tasks
  Count(CountArgs),
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
  /// What an attempt has handed on: names and values
  Result(Target),
  /// What an attempt used: processor time, memory, disk
  Metrics(Target),
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
  /// Tasks: id, short id, JOB@latest, JOB@failed, JOB@running, JOB@-2; or -F and -l; - reads them from stdin
  #[arg(value_name = "TARGET")]
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
  /// Tasks of this broadcast, by id
  #[arg(long, value_name = "TASK", conflicts_with_all = ["job", "schedule", "state", "agent"])]
  pub parent: Option<String>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
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

/// Wait for what.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// Until it is: done (any end), succeeded, failed, running, state=X, or an expression
  #[arg(long = "for", value_name = "STATE|EXPR", value_parser = read_until, default_value = "done", hide_default_value = true)]
  pub until: Until,
  /// The first one is enough
  #[arg(long)]
  pub any: bool,
  /// Exit code: 0 and 12 (simple), or the task's own (task; what happens for one task)
  #[arg(long, value_enum, value_name = "WHICH")]
  pub exit_status: Option<ExitStatus>,
}

/// What a wait is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
  /// Something else about the task
  Matches(String),
}

fn read_until(text: &str) -> Result<Until, String> {
  Ok(match text {
    "done" => Until::Done,
    "succeeded" => Until::Succeeded,
    "failed" => Until::Failed,
    "running" => Until::Running,
    _ if text.contains(['=', '~', '<', '>']) => Until::Matches(text.to_owned()),
    _ => return Err("done, succeeded, failed, running, state=X, or an expression".to_owned()),
  })
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
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// Run once more.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// How an end is to count.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("as").required(true).args(["succeeded", "failed"]))]
pub struct MarkArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// As if they had succeeded
  #[arg(long)]
  pub succeeded: bool,
  /// As if they had failed
  #[arg(long)]
  pub failed: bool,
  /// Why; it is kept with your name
  #[arg(long, value_name = "TEXT")]
  pub reason: String,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// What is to start at once.
#[derive(Debug, Clone, Args)]
pub struct ForceArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// Why; it is kept with your name
  #[arg(long, value_name = "TEXT")]
  pub reason: Option<String>,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// What is not to run.
#[derive(Debug, Clone, Args)]
pub struct SkipArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// Why
  #[arg(long, value_name = "TEXT")]
  pub reason: Option<String>,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// Another priority.
#[derive(Debug, Clone, Args)]
pub struct ReprioritiseArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// The priority; higher is claimed first
  #[arg(long, value_name = "N", allow_hyphen_values = true)]
  pub prio: i64,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// Kill at once.
#[derive(Debug, Clone, Args)]
pub struct KillArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// A signal.
#[derive(Debug, Clone, Args)]
pub struct SignalArgs {
  /// Which.
  #[command(flatten)]
  pub targets: Targets,
  /// The signal, as HUP
  #[arg(long)]
  pub signal: String,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// Count by what.
#[derive(Debug, Clone, Args)]
pub struct CountArgs {
  /// What is counted apart: job, state, agent or exit
  #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
  pub by: CountBy,
  /// Of this job
  #[arg(long)]
  pub job: Option<String>,
  /// Made since then: 10m is ten minutes ago
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true)]
  pub since: Option<Ts>,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CountBy {
  /// Jobs
  Job,
  /// States
  #[default]
  State,
  /// Agents
  Agent,
  /// Exit codes and signals
  Exit,
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
