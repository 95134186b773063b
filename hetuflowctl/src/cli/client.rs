//! Contexts, login, status, events and the raw API.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hetuflow_core::{Topic, Ts};
use url::Url;

use super::object::Names;
use super::value::{read_past, read_server};

/// Where to log in.
#[derive(Debug, Clone, Args)]
pub struct LoginArgs {
  /// The server, or the name of a context
  #[arg(value_name = "URL|CONTEXT")]
  pub place: Option<String>,
  /// Read the token from stdin; --token-file F reads it from a file
  #[arg(long)]
  pub token_stdin: bool,
}

/// Verbs of contexts.
#[derive(Debug, Subcommand)]
pub enum ContextVerb {
  /// List contexts
  #[command(visible_alias = "ls")]
  List,
  /// Show contexts
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a context the current one
  Use {
    /// Its name
    name: String,
  },
  /// Make or change a context; --read-only refuses every change, --protected asks for its name
  Set(ContextSet),
  /// Give a context another name
  Rename {
    /// Its name
    from: String,
    /// The new name
    to: String,
  },
  /// Delete a context and its stored token
  #[command(visible_alias = "rm")]
  Delete {
    /// Its name
    name: String,
  },
  /// The current context
  Current,
}

/// A change of a context. `--read-only` and `--read-only=false` are kept too: the flag of every
/// command.
#[derive(Debug, Clone, Args)]
pub struct ContextSet {
  /// Its name
  pub name: String,
  /// The server's address
  #[arg(long, value_parser = read_server)]
  pub url: Option<Url>,
  /// The namespace to work in
  #[arg(long = "default-namespace", value_name = "NS")]
  pub default_namespace: Option<String>,
  /// File that holds the token
  #[arg(long = "token", value_name = "F")]
  pub token: Option<PathBuf>,
  /// Changes need the name of the context, by --confirm
  #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
  pub protected: Option<bool>,
  /// red, yellow, green, blue, magenta or cyan; none takes it back
  #[arg(long, alias = "color-name", value_name = "COLOUR", value_parser = ["red", "yellow", "green", "blue", "magenta", "cyan", "none"])]
  pub colour: Option<String>,
}

/// Health.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
  /// Wait until the server is ready and accepts the token
  #[arg(long)]
  pub wait_ready: bool,
  /// With --wait-ready: and until so many agents are connected
  #[arg(
    long,
    value_name = "N",
    default_value_t = 0,
    hide_default_value = true,
    requires = "wait_ready"
  )]
  pub agents: usize,
  /// Exit 1 where something is wrong
  #[arg(long)]
  pub exit_code: bool,
  /// Look again every 2 s: repaint on a terminal, print one JSON line each elsewhere
  #[arg(short, long, conflicts_with = "exit_code")]
  pub watch: bool,
}

/// Which events.
#[derive(Debug, Clone, Default, Args)]
pub struct EventsArgs {
  /// Go on with new events
  #[arg(short, long)]
  pub follow: bool,
  /// Only events since then: 10m is ten minutes ago
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true, conflicts_with = "from_seq")]
  pub since: Option<Ts>,
  /// After this number; exactly those that were not seen yet
  #[arg(long, value_name = "N", visible_alias = "since-seq")]
  pub from_seq: Option<i64>,
  /// About these: job, schedule, task, task_instance, agent, server, namespace
  #[arg(long, value_name = "T,…", value_delimiter = ',', value_parser = |text: &str| text.parse::<Topic>().map_err(|error| error.to_string()))]
  pub topic: Vec<Topic>,
  /// Of this type: task.failed, agent.*
  #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',')]
  pub types: Vec<String>,
  /// About this thing, and the tasks of a job: job/etl-daily, task/7qk2m9xa
  #[arg(long, value_name = "KIND/NAME")]
  pub object: Option<String>,
  /// Stop after so many
  #[arg(long, value_name = "N")]
  pub count: Option<u64>,
  /// Stop after the first event that matches, as 'type=task.succeeded'
  #[arg(long, value_name = "EXPR")]
  pub until: Option<String>,
  /// Exit 13 where events are gone
  #[arg(long)]
  pub strict: bool,
}

/// A raw call.
#[derive(Debug, Clone, Args)]
pub struct ApiArgs {
  /// GET, POST, PATCH, PUT or DELETE
  #[arg(value_parser = ["GET", "POST", "PATCH", "PUT", "DELETE"], ignore_case = true)]
  pub method: String,
  /// The path after /api/v1, as /jobs?limit=5
  pub path: String,
  /// The body: JSON; @FILE or - reads it
  #[arg(short, long, value_name = "JSON|@F|-")]
  pub data: Option<String>,
  /// Follow the pages of a list to its end
  #[arg(long)]
  pub paginate: bool,
}

/// Versions.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
  /// Ask the server for its version too
  #[arg(long)]
  pub check_server: bool,
}
