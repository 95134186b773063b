//! The command line of the agent.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use hetuflow_agent::application::{
  ExecutorFailure, ExecutorHome, Left, RunError, agent_id, allow_open_files, become_anew,
  become_user, keep_inherited_back, keep_memory_back, lock_state, run, run_executor, settled,
  start_logging,
};
use hetuflow_agent::config::{Loaded, LogSection, Settings, Source, load};
use hetuflow_agent::executor::{DeskError, Launcher, PlaceError};
use hetuflow_core::config_text::Problem;

/// The config is wrong.
const EXIT_CONFIG: u8 = 78;
/// A newer copy of this agent is registered.
const EXIT_SUPERSEDED: u8 = 79;
/// The user of a task could not be become; the executor has been told why.
const EXIT_NOT_BECOME: u8 = 70;
/// Daily files of the executor's log that are kept.
const EXECUTOR_LOGS: usize = 7;

/// Runs tasks of a hetuflow server on this host.
#[derive(Debug, Parser)]
#[command(name = "hetuflow-agent", version = hetuflow_core::version_with_tz_database(env!("CARGO_PKG_VERSION")), args_conflicts_with_subcommands = true)]
struct Cli {
  #[command(subcommand)]
  verb: Option<Verb>,
  #[command(flatten)]
  source: SourceArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
  /// Run the agent (what happens without a command, too).
  Start(SourceArgs),
  /// Hold the tasks of an agent; the agent starts this by itself.
  #[command(hide = true)]
  Executor {
    /// The agent's state folder.
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
    /// Folder of its log; `log` in the state folder where not named.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// What is worth a line of its log.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
    /// Write its log as JSON.
    #[arg(long)]
    log_json: bool,
  },
  /// Become the user of a task and then its program; the executor starts this by itself.
  #[command(hide = true)]
  AsUser,
  /// Look at the settings.
  Config {
    #[command(subcommand)]
    verb: ConfigVerb,
  },
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
  /// Say everything that is wrong with the settings.
  Check(SourceArgs),
  /// Show every setting and where it comes from.
  Show(SourceArgs),
}

#[derive(Debug, Args)]
struct SourceArgs {
  /// The config file [default: $HETUFLOW_CONFIG, ~/.hetuflow/agent.toml, /etc/hetuflow/agent.toml]
  #[arg(long, value_name = "FILE")]
  config: Option<PathBuf>,
}

fn main() -> ExitCode {
  let cli = Cli::parse();
  match cli.verb.unwrap_or(Verb::Start(cli.source)) {
    Verb::Start(source) => match read(&source) {
      Ok(loaded) => start(&loaded),
      Err(problems) => refuse(&problems),
    },
    Verb::AsUser => {
      become_user();
      ExitCode::from(EXIT_NOT_BECOME)
    }
    Verb::Executor { state_dir, log_dir, log_level, log_json } => {
      let log = LogSection {
        level: log_level,
        json: log_json,
        dir: log_dir.unwrap_or_else(|| state_dir.join("log")),
        keep: EXECUTOR_LOGS,
        name: "hetuflow-executor",
        stderr: false,
      };
      hold(&state_dir, &log)
    }
    Verb::Config { verb: ConfigVerb::Check(source) } => match read(&source) {
      Ok(_) => {
        println!("the settings are fine");
        ExitCode::SUCCESS
      }
      Err(problems) => refuse(&problems),
    },
    Verb::Config { verb: ConfigVerb::Show(source) } => match read(&source) {
      Ok(loaded) => {
        for setting in loaded.origins {
          println!("{} = {}  # {}", setting.key, setting.value, setting.origin);
        }
        ExitCode::SUCCESS
      }
      Err(problems) => refuse(&problems),
    },
  }
}

fn read(source: &SourceArgs) -> Result<Loaded, Vec<Problem>> {
  let environment =
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
  Source::find(source.config.as_deref(), environment.collect()).and_then(load)
}

fn refuse(problems: &[Problem]) -> ExitCode {
  for problem in problems {
    eprintln!("error[config]: {problem}");
  }
  ExitCode::from(EXIT_CONFIG)
}

fn start(loaded: &Loaded) -> ExitCode {
  match try_start(loaded) {
    Ok(Left::Stopped) => ExitCode::SUCCESS,
    Ok(Left::Restart) => {
      // Its locks and its log are closed by now.
      let error = become_anew();
      eprintln!("error: the agent cannot be started anew: {error}");
      ExitCode::FAILURE
    }
    Err(error) => {
      tracing::error!("{error:#}");
      eprintln!("error: {error:#}");
      let superseded = matches!(error.downcast_ref(), Some(RunError::Superseded(_)));
      ExitCode::from(if superseded { EXIT_SUPERSEDED } else { EXIT_CONFIG })
    }
  }
}

fn try_start(loaded: &Loaded) -> anyhow::Result<Left> {
  let settings = &loaded.settings;
  let agent_id = agent_id(settings)?;
  let _own = lock_state(settings)?;
  let _log = start_logging(&settings.log);
  keep_memory_back();
  // For the executor, which inherits it.
  allow_open_files(settings.polling.max_concurrent_tasks)?;
  let servers: Vec<_> = settings.connection.servers.iter().map(url::Url::as_str).collect();
  println!(
    "hetuflow-agent {agent_id} · server {} · state {}",
    servers.join(", "),
    settings.agent.state_dir.display()
  );
  // One thread passes everything on without waking another; it starts no process itself.
  let threads = if settings.process.noop { 2 } else { 1 };
  let runtime = runtime("hf-agent", threads).context("the runtime does not start")?;
  let home = if settings.process.noop { ExecutorHome::Inside } else { apart(settings)? };
  let outcome = runtime.block_on(settled(run(settings, &agent_id, home)));
  // A thread that hangs in a system call must not keep a leaving agent.
  runtime.shutdown_timeout(Duration::from_millis(200));
  Ok(outcome?)
}

/// A runtime with so many threads; one is whoever waits for it.
fn runtime(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
  use tokio::runtime::Builder;
  let mut builder = match threads {
    1 => Builder::new_current_thread(),
    _ => Builder::new_multi_thread(),
  };
  builder.worker_threads(threads).thread_name(name).max_blocking_threads(64).enable_all().build()
}

/// The executor as a process of its own: this same program.
fn apart(settings: &Settings) -> anyhow::Result<ExecutorHome> {
  let words = ["executor".into(), "--state-dir".into(), settings.agent.state_dir.clone().into()];
  let log = &settings.log;
  let level = ["--log-level".into(), log.level.clone().into()];
  let folder = ["--log-dir".into(), log.dir.clone().into()];
  let json = log.json.then(|| "--log-json".into());
  let args = words.into_iter().chain(level).chain(folder).chain(json).collect();
  Ok(ExecutorHome::Apart(Launcher::this_program(args).context("which program is this?")?))
}

fn hold(state_dir: &Path, log: &LogSection) -> ExitCode {
  // Before anything is opened: tasks get nothing of what the agent's own parent has left open.
  if let Err(error) = keep_inherited_back() {
    eprintln!("error: inherited descriptors cannot be kept from tasks: {error}");
    return ExitCode::from(EXIT_CONFIG);
  }
  let _log = start_logging(log);
  keep_memory_back();
  // Two: while the disk keeps one waiting for the journal, time limits and stops go on.
  let runtime = runtime("hf-executor", 2);
  let outcome = runtime.context("the runtime does not start").and_then(|runtime| {
    let outcome = runtime.block_on(settled(run_executor(state_dir)));
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(outcome?)
  });
  match outcome {
    Ok(()) => ExitCode::SUCCESS,
    // An agent that was killed and one that came at once have both started one.
    Err(error) if is_taken(&error) => {
      tracing::info!("{error:#}");
      ExitCode::SUCCESS
    }
    Err(error) => {
      tracing::error!("{error:#}");
      ExitCode::from(EXIT_CONFIG)
    }
  }
}

fn is_taken(error: &anyhow::Error) -> bool {
  let taken = |failure: &ExecutorFailure| {
    matches!(failure, ExecutorFailure::Desk(DeskError::Place(PlaceError::Taken(_))))
  };
  error.downcast_ref().is_some_and(taken)
}
