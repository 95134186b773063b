//! Things of any kind: names, many at once, manifests.

use std::path::PathBuf;

use clap::Args;

use super::list::{Paging, Watching};

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
