//! `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hetuflow_core::{Broadcast, BroadcastSuccess, ExecuteCommand, Selector, Ts};

use super::value::{read_duration, read_instant, read_pair, read_selector};

/// What to start.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["job", "cmd"]))]
pub struct RunArgs {
  /// The job to run
  pub job: Option<String>,
  /// A command without a job: one line for bash, or source text for python, node and uv
  #[arg(long, value_name = "TEXT")]
  pub cmd: Option<String>,
  /// How to run it.
  #[command(flatten)]
  pub options: RunOptions,
  /// Arguments after --cmd
  #[arg(last = true, value_name = "ARGS", requires = "cmd")]
  pub args: Vec<String>,
}

/// How to run it.
#[derive(Debug, Clone, Default, Args)]
pub struct RunOptions {
  /// Wait for the end and hand back the task's exit code
  #[arg(long)]
  pub wait: bool,
  /// Do not wait; that is what run does where neither --wait nor --logs is given
  #[arg(long, conflicts_with_all = ["wait", "logs"])]
  pub detach: bool,
  /// Print its output; implies --wait
  #[arg(long)]
  pub logs: bool,
  /// Exit code after the wait: the task's own, or 0 and 12
  #[arg(long, value_enum, value_name = "WHICH")]
  pub exit_status: Option<ExitStatus>,
  /// Parameter; K:=JSON for a value that is not text
  #[arg(short, long = "param", value_name = "K=V", value_parser = read_pair)]
  pub param: Vec<(String, String)>,
  /// Parameters: a JSON or YAML object; -p goes before it; - is stdin
  #[arg(long, value_name = "F|-")]
  pub param_file: Option<PathBuf>,
  /// Environment variable
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub env: Vec<(String, String)>,
  /// Environment variables, one K=V per line; --env goes before it
  #[arg(long, value_name = "F")]
  pub env_file: Option<PathBuf>,
  /// Run this version of the job
  #[arg(long = "version", value_name = "N", conflicts_with = "cmd")]
  pub job_version: Option<i64>,
  /// Only on this agent
  #[arg(long, value_name = "A", conflicts_with = "require")]
  pub agent: Option<String>,
  /// Only on agents that meet this: k=v, k!=v, 'k in (a,b)', k, '!k', 'k>=1.2'
  #[arg(long, value_name = "COND", value_parser = read_selector)]
  pub require: Vec<Selector>,
  /// On many agents at once: all that fit, or so many
  #[arg(long, value_name = "all|N", conflicts_with = "agent")]
  pub broadcast: Option<Broadcast>,
  /// Time between the starts on two agents of --broadcast
  #[arg(long, value_name = "DUR", value_parser = read_duration, requires = "broadcast")]
  pub stagger: Option<Duration>,
  /// When --broadcast is a success: all, any or quorum of its tasks
  #[arg(long, value_name = "RULE", requires = "broadcast")]
  pub success: Option<BroadcastSuccess>,
  /// While we wait: Ctrl-C asks the task to stop
  #[arg(long)]
  pub cancel_on_interrupt: bool,
  /// Only show what would be asked for
  #[arg(long)]
  pub dry_run: bool,
  /// Not before this instant
  #[arg(long, value_name = "TIME", value_parser = read_instant, conflicts_with = "in_", allow_hyphen_values = true)]
  pub at: Option<Ts>,
  /// Not before this much time has passed
  #[arg(long = "in", value_name = "DUR", value_parser = read_duration)]
  pub in_: Option<Duration>,
  /// Higher is claimed first
  #[arg(long, value_name = "N", allow_hyphen_values = true)]
  pub prio: Option<i64>,
  /// Attempts after the first
  #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
  pub retries: Option<u32>,
  /// The task's own time limit
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub timeout_task: Option<Duration>,
  /// A second run with this key answers with the first one's task
  #[arg(long, value_name = "K")]
  pub idempotency_key: Option<String>,
  /// With others like it one task, which waits until none has come for so long
  #[arg(long, value_name = "DUR", value_parser = read_duration, conflicts_with_all = ["idempotency_key", "at", "in_"])]
  pub debounce: Option<Duration>,
  /// With others like it within so long one task: the first one's
  #[arg(long, value_name = "DUR", value_parser = read_duration, conflicts_with_all = ["idempotency_key", "debounce"])]
  pub throttle: Option<Duration>,
  /// What --debounce and --throttle take for the same: text with {{ params.NAME }}; without it every run of the job
  #[arg(long, value_name = "TEXT")]
  pub dedup_key: Option<String>,
  /// The longest that --debounce puts off; ten times its own time where not said
  #[arg(long, value_name = "DUR", value_parser = read_duration, requires = "debounce")]
  pub max_wait: Option<Duration>,
  /// Program for --cmd
  #[arg(long, value_name = "R", value_parser = read_runtime, requires = "cmd")]
  pub runtime: Option<ExecuteCommand>,
  /// Folder to run in: an absolute path on the agent
  #[arg(long, value_name = "DIR")]
  pub dir: Option<String>,
  /// As this user of the agent's host, where the agent's own config allows it
  #[arg(long, value_name = "USER")]
  pub run_as: Option<String>,
  /// Give it this secret of the namespace, as a file in $HETUFLOW_SECRETS_DIR
  #[arg(long = "secret", value_name = "NAME")]
  pub secrets: Vec<String>,
  /// Give it this file, as NAME below the folder that it runs in; its own name where not said
  #[arg(long = "file", value_name = "LOCAL[:NAME]")]
  pub files: Vec<String>,
  /// So many tasks
  #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
  pub count: u32,
}

/// Which exit code a wait hands back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExitStatus {
  /// The task's own
  Task,
  /// 0 for success, 12 for anything else
  Simple,
}

fn read_runtime(text: &str) -> Result<ExecuteCommand, String> {
  match text.parse() {
    Ok(ExecuteCommand::Handler) | Err(_) => {
      Err("one of bash, python, uv, node, npx, cargo, java, exec".to_owned())
    }
    Ok(runtime) => Ok(runtime),
  }
}
