//! The words people type: clap structs and their help. No behaviour lives here.

mod apply;
mod artifact;
mod backfill;
mod bench;
mod calendar;
mod client;
mod cluster;
mod completions;
mod config;
mod dev;
mod examples;
mod global;
mod help;
mod import;
mod job;
mod legacy;
mod list;
mod logs;
mod object;
mod operate;
mod place;
mod run;
mod schedule;
mod semaphore;
mod simulate;
mod task;
mod tui;
mod value;

pub use apply::*;
pub use artifact::*;
pub use backfill::*;
pub use bench::*;
pub use calendar::*;
pub use client::*;
pub use cluster::*;
pub use completions::{CompletionsArgs, write_completions};
pub use config::*;
pub use dev::*;
pub use global::*;
pub use help::{HelpArgs, help_text};
pub use import::*;
pub use job::*;
pub use legacy::*;
pub use list::*;
pub use logs::*;
pub use object::*;
pub use operate::*;
pub use place::*;
pub use run::*;
pub use schedule::*;
pub use semaphore::*;
pub use simulate::*;
pub use task::*;
pub use tui::*;
pub use value::*;

use clap::{Parser, Subcommand};

/// Runs, watches and repairs work on a hetuflow server.
#[derive(Debug, Parser)]
#[command(
  name = "hetuflowctl",
  version = hetuflow_core::version_with_tz_database(env!("CARGO_PKG_VERSION")),
  about = "The hetuflow terminal suite: start work, watch it, read its output",
  arg_required_else_help = true,
  disable_help_subcommand = true,
  max_term_width = 100,
  after_help = "More: hetuflowctl help exit-codes | filters | formats | environment | time"
)]
pub struct Cli {
  /// Flags of every command.
  #[command(flatten)]
  pub global: Global,
  /// What to do.
  #[command(subcommand)]
  pub command: Command,
}

/// The command tree.
#[derive(Debug, Subcommand)]
pub enum Command {
  /// One-screen health: server, agents, queue; --wait-ready waits for a server
  Status(StatusArgs),
  /// Start a task now: of a job, or a command without a job
  #[command(after_help = examples::RUN)]
  Run(Box<RunArgs>),
  /// Print the output of a task, or follow it
  #[command(after_help = examples::LOGS)]
  Logs(LogsArgs),
  /// Wait until tasks end
  #[command(after_help = examples::WAIT)]
  Wait(WaitArgs),
  /// Ask tasks to stop
  Cancel(CancelArgs),
  /// Run finished tasks once more
  Retry(RetryArgs),
  /// Show any object: get job NAME, get job/NAME
  Get(GetArgs),
  /// List any kind: ls jobs
  Ls(LsArgs),
  /// Everything about one object, for people
  Describe(GetArgs),
  /// Make the server match YAML manifests, all or nothing
  #[command(after_help = examples::APPLY)]
  Apply(ApplyArgs),
  /// What apply would change, in full; exit 10 where there is something
  Diff(DiffArgs),
  /// Delete the jobs that YAML manifests describe
  Delete(ManifestArgs),
  /// Take the work of another scheduler over, and prove that it fires at the same instants
  #[command(subcommand)]
  Import(ImportVerb),
  /// Read or follow the event log
  #[command(after_help = examples::EVENTS)]
  Events(EventsArgs),
  /// What is going on, live: tasks, jobs, agents, servers, fires, events
  Top(TopArgs),
  /// What waits to be started
  #[command(subcommand, visible_alias = "q")]
  Queue(QueueVerb),
  /// The full-screen dashboard
  #[command(visible_aliases = ["ui", "dash"])]
  Tui(TuiArgs),
  /// Jobs: what to run
  #[command(subcommand, visible_alias = "j", alias = "jobs")]
  Job(JobVerb),
  /// Schedules: when to run
  #[command(subcommand, visible_aliases = ["sched", "s"], alias = "schedules")]
  Schedule(ScheduleVerb),
  /// Backfills: schedules run for instants of the past
  #[command(subcommand, alias = "backfills")]
  Backfill(BackfillVerb),
  /// What would happen in virtual time: load, overlaps, lateness; nothing is changed
  #[command(after_help = examples::SIMULATE)]
  Simulate(SimulateArgs),
  /// Tasks: one planned piece of work each
  #[command(subcommand, visible_alias = "t", alias = "tasks")]
  Task(TaskVerb),
  /// Attempts to run a task
  #[command(subcommand, visible_aliases = ["instance", "ti"], aliases = ["attempts", "instances"])]
  Attempt(AttemptVerb),
  /// Agents: the machines that run tasks
  #[command(subcommand, visible_alias = "a", alias = "agents")]
  Agent(AgentVerb),
  /// Namespaces
  #[command(subcommand, visible_alias = "ns", alias = "namespaces")]
  Namespace(NamespaceVerb),
  /// Everything at once: pause and resume all schedules
  #[command(subcommand)]
  Cluster(ClusterVerb),
  /// Servers
  #[command(subcommand, visible_alias = "srv", alias = "servers")]
  Server(ServerVerb),
  /// Artifacts: files that tasks leave
  #[command(subcommand, alias = "artifacts")]
  Artifact(ArtifactVerb),
  /// Secrets: values that tasks get and nobody else
  #[command(subcommand, alias = "secrets")]
  Secret(SecretVerb),
  /// Calendars by name: windows in which no schedule fires
  #[command(subcommand, visible_alias = "cal", alias = "calendars")]
  Calendar(CalendarVerb),
  /// Semaphores: limits that tasks share
  #[command(subcommand, visible_alias = "sem", alias = "semaphores")]
  Semaphore(SemaphoreVerb),
  /// Tokens
  #[command(subcommand, alias = "tokens")]
  Token(TokenVerb),
  /// Check everything between here and a running task, and say how to fix it
  #[command(after_help = examples::DOCTOR)]
  Doctor(DoctorArgs),
  /// Find things that should not be, and put them right by a plan
  #[command(subcommand)]
  Repair(RepairVerb),
  /// Load a server and measure: tasks per second, lateness of fires, output
  #[command(subcommand)]
  Bench(BenchVerb),
  /// Write a systemd unit for a server or an agent
  InstallService(ServiceArgs),
  /// A whole hetuflow on this machine: server, agents, SQLite
  Dev(DevArgs),
  /// Keep a server and its token in a context
  Login(LoginArgs),
  /// Forget the token of the context
  Logout,
  /// Who the server thinks you are
  Whoami,
  /// Contexts: servers by name
  #[command(subcommand, visible_alias = "ctx", alias = "contexts")]
  Context(ContextVerb),
  /// Call the REST API
  Api(ApiArgs),
  /// The API of the server as an OpenAPI document
  Openapi,
  /// The JSON Schema of a kind, for editors
  Schema(SchemaArgs),
  /// A field of an object or a manifest, in words
  Explain(FieldArgs),
  /// The commands of the first version, for scripts that were written for it
  #[command(subcommand)]
  Legacy(LegacyVerb),
  /// The config file of this program
  #[command(subcommand)]
  Config(ConfigVerb),
  /// Names for words that you type often
  #[command(subcommand)]
  Alias(AliasVerb),
  /// Programs that add commands
  #[command(subcommand)]
  Plugin(PluginVerb),
  /// Manual pages
  Man(ManArgs),
  /// Print a completion script for a shell
  Completions(CompletionsArgs),
  /// The version of this program, and of the server
  Version(VersionArgs),
  /// Help on a command or a topic
  Help(HelpArgs),
  #[command(name = "__complete", hide = true)]
  Complete(CompleteArgs),
  #[command(name = "__child", hide = true)]
  Child(ChildArgs),
}

impl Command {
  /// Whether `--timeout` is something else for it than the bound of the whole command: how long to
  /// wait, or how long a drain may take.
  pub fn has_own_timeout(&self) -> bool {
    match self {
      Self::Status(args) => args.wait_ready,
      Self::Agent(verb) => matches!(verb, AgentVerb::Drain(_)),
      _ => false,
    }
  }

  /// Whether it prints text for people that may be long: not lists, output of tasks, or JSON.
  pub fn is_long_text(&self) -> bool {
    matches!(
      self,
      Self::Describe(_)
        | Self::Diff(_)
        | Self::Explain(_)
        | Self::Help(_)
        | Self::Job(JobVerb::History(_) | JobVerb::Diff(_))
    )
  }
}

#[cfg(test)]
mod tests {
  use clap::CommandFactory;

  use super::*;

  #[test]
  fn the_tree_is_consistent() {
    Cli::command().debug_assert();
  }

  fn pages(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
      pages(sub, &format!("{path} {}", sub.get_name()), found);
    }
  }

  #[test]
  fn every_help_page() {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut found = Vec::new();
    pages(&root, "hetuflowctl", &mut found);
    let mut text = String::new();
    for (path, mut command) in found {
      // The flags of every command are shown once, on the first page.
      if path != "hetuflowctl" {
        let names: Vec<String> = root.get_arguments().map(|arg| arg.get_id().to_string()).collect();
        for name in names {
          if command.get_arguments().any(|arg| arg.get_id() == name.as_str() && arg.is_global_set())
          {
            command = command.mut_arg(name, |arg| arg.hide(true));
          }
        }
      }
      text.push_str(&format!("===== {path}\n{}\n", command.render_long_help()));
    }
    insta::assert_snapshot!(text);
  }
}
