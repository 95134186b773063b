//! Jobs, agents, namespaces, tokens, servers, and verbs for any kind.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hetuflow_core::{AgentStatus, JobStatus, Role, TokenKind};

use super::run::RunArgs;
use super::value::read_duration;

/// How many rows.
#[derive(Debug, Clone, Copy, Args)]
pub struct Paging {
  /// At most so many rows; 0 is all
  #[arg(long, value_name = "N", default_value_t = 100)]
  pub limit: u32,
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
  #[arg(required = true, value_name = "NAME")]
  pub names: Vec<String>,
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
  #[command(visible_alias = "ls")]
  List(JobList),
  /// Show jobs
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a job from a manifest; it must not exist yet
  Create(FileArgs),
  /// Delete jobs with their schedules
  #[command(visible_alias = "rm")]
  Delete(Names),
  /// Start a task of a job now
  Run(Box<RunArgs>),
  /// Let jobs run
  #[command(alias = "resume")]
  Enable(Names),
  /// Keep jobs from running
  #[command(alias = "pause")]
  Disable(Names),
  /// The versions of a job
  Versions(Name),
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
  Cordon(Names),
  /// Give agents work again
  Uncordon(Names),
  /// Write a note on an agent
  Note(NoteArgs),
  /// What an agent has
  Tasks(Name),
  /// Forget agents that are gone
  #[command(visible_aliases = ["remove", "rm"])]
  Delete(Names),
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
  Delete(Names),
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
  Delete(Names),
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
  List(Paging),
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
  Stats,
}
