//! `apply`.

use std::path::PathBuf;

use clap::Args;

/// Which manifests.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
  /// YAML files or folders; - is stdin
  #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
  pub files: Vec<PathBuf>,
  /// Only say what would change
  #[arg(long)]
  pub dry_run: bool,
  /// With --dry-run: exit 10 where something would change
  #[arg(long, requires = "dry_run")]
  pub exit_code: bool,
}
