//! `dev`, and the helper that starts its children.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// A whole hetuflow on this machine.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
  /// Print log lines only; else a terminal gets the full-screen face, and leaving it stops all
  #[arg(long)]
  pub headless: bool,
  /// Port of the server; the next free one where it is taken
  #[arg(long, value_name = "P", default_value_t = 8080)]
  pub port: u16,
  /// Folder for everything
  #[arg(long, value_name = "DIR")]
  pub data: Option<PathBuf>,
  /// How many agents
  #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=64))]
  pub agents: u32,
  /// Database in place of SQLite, as postgres://user@host/name
  #[arg(long, value_name = "URL")]
  pub db: Option<String>,
  /// Apply the examples
  #[arg(long)]
  pub demo: bool,
  /// Delete the folder's content first
  #[arg(long)]
  pub reset: bool,
}

/// A child that dies with us.
#[derive(Debug, Clone, Args)]
pub struct ChildArgs {
  /// The process that must be alive
  pub parent: i32,
  /// The program and its arguments
  #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
  pub program: Vec<OsString>,
}
