//! Where work is done and who may do it: agents, servers, namespaces, tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hetuflow_core::{AgentStatus, CommandKind, DrainThen, Role, TokenKind};

use super::cluster::{NamespacePause, NamespaceResume};
use super::list::{Paging, Watching};
use super::object::{Many, Name, Names};
use super::value::{read_duration, read_pair};

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
  /// Give agents work again; ends a drain, too
  #[command(visible_alias = "undrain")]
  Uncordon(Many),
  /// Empty agents: nothing new, and a time for what runs
  Drain(DrainArgs),
  /// Give labels to an agent, or take them back
  Label(LabelArgs),
  /// Give an agent an order and show its answer
  Command(AgentCommandArgs),
  /// Start agents anew; what they run goes on
  Restart(AgentRestartArgs),
  /// Ask agents how they are
  #[command(visible_alias = "health")]
  Ping(Names),
  /// Load and health of an agent's host
  Metrics(Name),
  /// Write a note on an agent
  Note(NoteArgs),
  /// What an agent has
  Tasks(Name),
  /// Forget agents that are gone
  #[command(visible_aliases = ["remove", "rm"])]
  Delete(Many),
}

/// Agents to empty.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
  /// Which.
  #[command(flatten)]
  pub many: Many,
  /// How long what runs may take; for ever where not said
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub timeout: Option<Duration>,
  /// What becomes of what still runs then: leave it alone, or kill it
  #[arg(long, default_value = "leave", value_parser = |text: &str| text.parse::<DrainThen>().map_err(|error| error.to_string()))]
  pub then: DrainThen,
  /// Why
  #[arg(long, value_name = "TEXT")]
  pub reason: Option<String>,
  /// Wait until they are empty, or their time is over
  #[arg(long)]
  pub wait: bool,
}

/// Labels of an agent.
#[derive(Debug, Clone, Args)]
pub struct LabelArgs {
  /// The agent
  pub name: String,
  /// KEY=VALUE gives one, KEY- takes one back
  #[arg(required = true, value_name = "LABEL")]
  pub labels: Vec<String>,
}

/// An order to an agent.
#[derive(Debug, Clone, Args)]
pub struct AgentCommandArgs {
  /// The agent
  pub name: String,
  /// shutdown, restart, update_config, clear_cache, fetch_metrics, reload_tasks or health_check
  #[arg(value_parser = |text: &str| text.replace('-', "_").parse::<CommandKind>().map_err(|error| error.to_string()))]
  pub command: CommandKind,
  /// With what, as agent.polling.max_concurrent_tasks=4; JSON where it is JSON
  #[arg(short, long = "param", value_name = "KEY=VAL", value_parser = read_pair)]
  pub params: Vec<(String, String)>,
  /// How long to wait for the answer
  #[arg(long, value_name = "DUR", default_value = "10s", value_parser = read_duration)]
  pub wait: Duration,
}

/// Agents to start anew.
#[derive(Debug, Clone, Args)]
pub struct AgentRestartArgs {
  /// Which.
  #[command(flatten)]
  pub names: Names,
  /// How long each may take to come back
  #[arg(long, value_name = "DUR", default_value = "60s", value_parser = read_duration)]
  pub wait: Duration,
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
  /// No schedule of a namespace fires any more; what runs goes on
  Pause(NamespacePause),
  /// The schedules of a namespace fire again
  Resume(NamespaceResume),
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
  /// Show tokens, without their secrets
  #[command(visible_alias = "show")]
  Get(Names),
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

/// Verbs of secrets.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
  /// List secrets, without their values
  #[command(visible_alias = "ls")]
  List(Paging),
  /// Show secrets, without their values: nothing gives those back
  #[command(visible_alias = "show")]
  Get(Names),
  /// Set the value of a secret, from stdin or a file; makes it where it is new
  #[command(visible_alias = "put")]
  Set(SecretSet),
  /// Forget secrets; jobs that name them do not start any more
  #[command(visible_alias = "rm")]
  Delete(Many),
}

/// A value to keep. There is no flag for the value itself: the command line of a process can be
/// read by everybody on its host.
#[derive(Debug, Clone, Args)]
pub struct SecretSet {
  /// Its name; a task finds the value in $HETUFLOW_SECRETS_DIR/NAME
  pub name: String,
  /// Take the bytes of this file as they are; else stdin is read, without the line end
  #[arg(long, value_name = "F")]
  pub from_file: Option<PathBuf>,
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
