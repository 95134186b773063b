//! `apply`, `diff`, `delete -f`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::value::read_pair;

/// Manifest files.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
  /// YAML files or folders; - is stdin
  #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
  pub files: Vec<PathBuf>,
  /// Folders inside folders too
  #[arg(short = 'R', long)]
  pub recursive: bool,
  /// Put V in place of ${{ K }}
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub var: Vec<(String, String)>,
}

/// Which manifests, and how.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
  /// The manifests.
  #[command(flatten)]
  pub manifests: ManifestArgs,
  /// Show old and new text of what changes
  #[arg(long)]
  pub diff: bool,
  /// Only say what would change; client: only check the files
  #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "server")]
  pub dry_run: Option<DryRun>,
  /// With --dry-run: exit 10 where something would change
  #[arg(long, requires = "dry_run")]
  pub exit_code: bool,
  /// Give every job this label, and look after the jobs that have it
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub scope: Vec<(String, String)>,
  /// Delete jobs of the scope that are in no file
  #[arg(long, requires = "scope")]
  pub prune: bool,
  /// Wait until the changes can be read and every schedule has its next fire
  #[arg(long)]
  pub wait: bool,
}

/// Who answers what would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
  /// Nobody is asked: the files are checked
  Client,
  /// The server checks, and says what would change
  Server,
}

/// What to compare.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
  /// The manifests.
  #[command(flatten)]
  pub manifests: ManifestArgs,
  /// As apply --scope
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub scope: Vec<(String, String)>,
  /// As apply --prune
  #[arg(long, requires = "scope")]
  pub prune: bool,
}
