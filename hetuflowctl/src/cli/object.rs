//! Jobs, agents, namespaces, tokens, servers, and verbs for any kind.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hetuflow_core::{AgentStatus, JobStatus, Role, TokenKind, Ts};

use super::examples;
use super::run::RunArgs;
use super::value::{read_duration, read_past};

/// How many rows.
#[derive(Debug, Clone, Copy, Args)]
pub struct Paging {
  /// At most so many rows; 0 is all
  #[arg(long, value_name = "N", default_value_t = 100)]
  pub limit: u32,
}

/// Whether a list goes on.
#[derive(Debug, Clone, Default, Args)]
pub struct Watching {
  /// Go on: repaint the list on a terminal, print one change per line elsewhere
  #[arg(short, long)]
  pub watch: bool,
  /// As --watch, without what is there already
  #[arg(long)]
  pub watch_only: bool,
  /// With --watch: end when a row matches, as 'state=failed'; or empty: when no row is left
  #[arg(long, value_name = "EXPR|empty")]
  pub until: Option<String>,
}

impl Watching {
  /// Whether the list goes on.
  pub fn goes_on(&self) -> bool {
    self.watch || self.watch_only || self.until.is_some()
  }
}

/// Live lists.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
  /// What to show
  #[arg(value_enum, value_name = "WHAT", default_value_t)]
  pub what: TopWhat,
  /// Only as it is now
  #[arg(long)]
  pub once: bool,
  /// At most so many rows
  #[arg(long, value_name = "N", default_value_t = 100)]
  pub limit: u32,
  /// How long.
  #[command(flatten)]
  pub until: TopUntil,
}

/// How long a live list goes on.
#[derive(Debug, Clone, Default, Args)]
pub struct TopUntil {
  /// End when a row matches, as 'state=failed'; or empty: when no row is left
  #[arg(long, value_name = "EXPR|empty")]
  pub until: Option<String>,
}

/// What a live list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TopWhat {
  /// Tasks that have not ended
  #[default]
  Tasks,
  /// Jobs
  Jobs,
  /// Agents
  Agents,
  /// Servers
  Servers,
  /// The next fires
  Fires,
  /// The newest events
  Events,
}

/// Verbs of the queue.
#[derive(Debug, Subcommand)]
pub enum QueueVerb {
  /// How much waits, and for how long
  Status,
  /// Tasks that wait, newest first
  Pending(Paging),
  /// Tasks that have been due for long
  Stuck(QueueStuck),
  /// Tasks that are due, the longest waiting first
  Oldest(Paging),
}

/// How long is long.
#[derive(Debug, Clone, Args)]
pub struct QueueStuck {
  /// Due for longer than this
  #[arg(long, value_name = "DUR", value_parser = read_duration, default_value = "5m")]
  pub after: Duration,
  /// Exit 1 where there are some
  #[arg(long)]
  pub exit_code: bool,
}

/// Which servers.
#[derive(Debug, Clone, Args)]
pub struct ServerList {
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
}

/// One name.
#[derive(Debug, Clone, Args)]
pub struct Name {
  /// Name or id
  pub name: String,
}

/// Some names.
#[derive(Debug, Clone, Args)]
pub struct Names {
  /// Names or ids; - reads them from stdin
  #[arg(value_name = "NAME")]
  pub names: Vec<String>,
}

/// How many things a verb may take, and whether for real.
#[derive(Debug, Clone, Copy, Args)]
pub struct BulkOptions {
  /// At most so many that a filter finds; 0 is all
  #[arg(long, value_name = "N", default_value_t = 500)]
  pub limit: u32,
  /// Only say what it would be done to
  #[arg(long)]
  pub dry_run: bool,
}

/// Many things.
#[derive(Debug, Clone, Args)]
pub struct Many {
  /// Which.
  #[command(flatten)]
  pub names: Names,
  /// How many.
  #[command(flatten)]
  pub bulk: BulkOptions,
}

/// Many jobs.
#[derive(Debug, Clone, Args)]
pub struct ManyJobs {
  /// Which.
  #[command(flatten)]
  pub many: Many,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
}

/// Any object.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
  /// KIND NAME…, or KIND/NAME…
  #[arg(required = true, value_name = "KIND/NAME")]
  pub words: Vec<String>,
}

/// Any kind.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
  /// jobs, schedules, tasks, attempts, agents, namespaces, tokens, servers
  pub kind: String,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
}

/// A manifest.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
  /// YAML file; - is stdin
  #[arg(short, long, value_name = "F")]
  pub file: PathBuf,
}

/// Verbs of jobs.
#[derive(Debug, Subcommand)]
pub enum JobVerb {
  /// List jobs
  #[command(visible_alias = "ls", after_help = examples::JOBS)]
  List(JobList),
  /// Show jobs
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a job from a manifest; it must not exist yet
  Create(FileArgs),
  /// Delete jobs with their schedules
  #[command(visible_alias = "rm")]
  Delete(Many),
  /// Start a task of a job now
  Run(Box<RunArgs>),
  /// Let jobs run
  #[command(visible_alias = "resume")]
  Enable(ManyJobs),
  /// Keep jobs from running
  #[command(visible_alias = "pause")]
  Disable(ManyJobs),
  /// The newest runs of a job
  History(JobHistory),
  /// The versions of a job
  Versions(Name),
  /// What differs between two versions of a job
  Diff(JobDiff),
  /// Make an earlier version of a job the newest
  Rollback(JobRollback),
  /// How the runs of a job went: counts, success rate, durations
  Stats(JobStats),
  /// Make a job like another one, without its schedules
  Clone(JobClone),
  /// Give a job another name
  Rename(JobRename),
  /// Jobs with their schedules as manifests for apply
  Export(JobExport),
}

/// Which runs.
#[derive(Debug, Clone, Args)]
pub struct JobHistory {
  /// The job
  pub name: String,
  /// In these states: failed,lost…
  #[arg(long, value_name = "STATES")]
  pub state: Option<String>,
  /// At most so many rows; 0 is all
  #[arg(short = 'N', long, value_name = "N", default_value_t = 20)]
  pub limit: u32,
}

/// Which versions.
#[derive(Debug, Clone, Args)]
pub struct JobDiff {
  /// The job
  pub name: String,
  /// The older version
  #[arg(value_name = "V1")]
  pub from: i64,
  /// The newer version; the newest where not said
  #[arg(value_name = "V2")]
  pub to: Option<i64>,
}

/// Back to which version.
#[derive(Debug, Clone, Args)]
pub struct JobRollback {
  /// The job
  pub name: String,
  /// The version
  #[arg(value_name = "V")]
  pub version: i64,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
  /// Only show what would change
  #[arg(long)]
  pub dry_run: bool,
}

/// Figures of which time.
#[derive(Debug, Clone, Args)]
pub struct JobStats {
  /// The job
  pub name: String,
  /// Runs made since then: 7d is seven days ago
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true)]
  pub since: Option<Ts>,
}

/// A copy.
#[derive(Debug, Clone, Args)]
pub struct JobClone {
  /// The job
  pub from: String,
  /// The name of the copy
  pub to: String,
}

/// Another name.
#[derive(Debug, Clone, Args)]
pub struct JobRename {
  /// The job
  pub from: String,
  /// The new name
  pub to: String,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
}

/// Which jobs to write.
#[derive(Debug, Clone, Args)]
pub struct JobExport {
  /// Jobs; all of the namespace where none is named
  pub names: Vec<String>,
}

/// Which jobs.
#[derive(Debug, Clone, Args)]
pub struct JobList {
  /// With this name
  #[arg(long)]
  pub name: Option<String>,
  /// enabled, disabled or created
  #[arg(long, value_parser = |text: &str| text.parse::<JobStatus>().map_err(|error| error.to_string()))]
  pub status: Option<JobStatus>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
}

/// Verbs of agents.
#[derive(Debug, Subcommand)]
pub enum AgentVerb {
  /// List agents
  #[command(visible_alias = "ls")]
  List(AgentList),
  /// Show agents
  #[command(visible_alias = "show")]
  Get(Names),
  /// Give agents nothing new
  Cordon(Many),
  /// Give agents work again
  Uncordon(Many),
  /// Write a note on an agent
  Note(NoteArgs),
  /// What an agent has
  Tasks(Name),
  /// Forget agents that are gone
  #[command(visible_aliases = ["remove", "rm"])]
  Delete(Many),
}

/// Which agents.
#[derive(Debug, Clone, Args)]
pub struct AgentList {
  /// idle, busy, offline…
  #[arg(long, value_parser = |text: &str| text.parse::<AgentStatus>().map_err(|error| error.to_string()))]
  pub status: Option<AgentStatus>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
}

/// A note.
#[derive(Debug, Clone, Args)]
pub struct NoteArgs {
  /// The agent
  pub name: String,
  /// The note
  pub text: String,
}

/// Verbs of namespaces.
#[derive(Debug, Subcommand)]
pub enum NamespaceVerb {
  /// List namespaces
  #[command(visible_alias = "ls")]
  List(Paging),
  /// Show namespaces
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a namespace
  Create(NamespaceCreate),
  /// Change a namespace
  Update(NamespaceUpdate),
  /// Delete namespaces
  #[command(visible_alias = "rm")]
  Delete(Many),
  /// Work in this namespace from now on
  Use(Name),
}

/// A new namespace.
#[derive(Debug, Clone, Args)]
pub struct NamespaceCreate {
  /// Its name
  pub name: String,
  /// What it is for
  #[arg(long, default_value = "", hide_default_value = true)]
  pub description: String,
}

/// A change of a namespace.
#[derive(Debug, Clone, Args)]
pub struct NamespaceUpdate {
  /// Its name
  pub name: String,
  /// What it is for
  #[arg(long)]
  pub description: Option<String>,
  /// Its share of planning work
  #[arg(long)]
  pub weight: Option<i64>,
}

/// Verbs of tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
  /// List tokens, without their secrets
  #[command(visible_alias = "ls")]
  List(Paging),
  /// Make a token; its secret is shown this once
  Create(TokenCreate),
  /// Revoke tokens
  #[command(visible_aliases = ["revoke", "rm"])]
  Delete(Many),
}

/// A new token.
#[derive(Debug, Clone, Args)]
pub struct TokenCreate {
  /// What it is called
  pub name: String,
  /// user, agent or ci
  #[arg(long, default_value = "user", value_parser = |text: &str| text.parse::<TokenKind>().map_err(|error| error.to_string()))]
  pub kind: TokenKind,
  /// viewer, operator, editor or admin
  #[arg(long, default_value = "operator", value_parser = |text: &str| text.parse::<Role>().map_err(|error| error.to_string()))]
  pub role: Role,
  /// Only in the namespace of -n, not in all
  #[arg(long)]
  pub this_namespace: bool,
  /// How long it is valid; for ever where not said
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub ttl: Option<Duration>,
}

/// Verbs of servers.
#[derive(Debug, Subcommand)]
pub enum ServerVerb {
  /// List servers
  #[command(visible_alias = "ls")]
  List(ServerList),
  /// Show a server
  #[command(visible_alias = "show")]
  Get(Names),
  /// What the server says about its health
  Health,
  /// What the server says about itself
  Info,
  /// The connections of agents to this server
  Connections,
  /// Counts of messages and connections
  #[command(visible_alias = "metrics")]
  Stats,
}
