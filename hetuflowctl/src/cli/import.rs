//! `import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which scheduler the work comes from.
#[derive(Debug, Subcommand)]
pub enum ImportVerb {
  /// A crontab: files, or the one of a user
  Crontab(CrontabArgs),
  /// systemd timers with their services: .timer files or folders
  Systemd(ImportFiles),
  /// Kubernetes CronJobs: YAML or JSON files
  #[command(visible_alias = "kubernetes")]
  Cronjob(ImportFiles),
  /// Cronicle: a file of its export command, or of its get_schedule call
  Cronicle(ImportFiles),
}

/// A crontab.
#[derive(Debug, Clone, Args)]
pub struct CrontabArgs {
  /// Crontab files; - is stdin; none asks crontab -l
  #[arg(value_name = "FILE|-")]
  pub files: Vec<PathBuf>,
  /// The crontab of this user, by crontab -l -u
  #[arg(long, value_name = "NAME", conflicts_with = "files")]
  pub user: Option<String>,
  /// The sixth field is a user, as in /etc/crontab and /etc/cron.d
  #[arg(long)]
  pub system: bool,
  /// What to do with it.
  #[command(flatten)]
  pub how: ImportHow,
}

/// Files of another scheduler.
#[derive(Debug, Clone, Args)]
pub struct ImportFiles {
  /// Files or folders
  #[arg(value_name = "FILE|DIR", required = true)]
  pub files: Vec<PathBuf>,
  /// What to do with it.
  #[command(flatten)]
  pub how: ImportHow,
}

/// What to do with what was found.
#[derive(Debug, Clone, Args)]
pub struct ImportHow {
  /// Write one manifest per job into this folder
  #[arg(long, value_name = "DIR")]
  pub write: Option<PathBuf>,
  /// Apply the manifests
  #[arg(long)]
  pub apply: bool,
  /// Make the jobs disabled, so that nothing runs twice
  #[arg(long)]
  pub disabled: bool,
  /// Time zone of the other scheduler, where it does not say; this machine's by default
  #[arg(long, value_name = "ZONE")]
  pub tz: Option<String>,
  /// Fires to compare per schedule
  #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
  pub count: u32,
  /// Compare from this instant on
  #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
  pub from: Option<String>,
}
