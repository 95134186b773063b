//! `doctor`, `repair` and `install-service`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
  /// Only this machine: config, programs, terminal
  #[arg(long)]
  pub local: bool,
  /// Only one agent
  #[arg(long, value_name = "NAME", conflicts_with = "local")]
  pub agent: Option<String>,
  /// Exit 1 for warnings too
  #[arg(long)]
  pub strict: bool,
  /// Also write a file for whoever helps: checks, versions, settings and events, without secrets
  #[arg(long, value_name = "F.tar|F.tar.zst")]
  pub bundle: Option<PathBuf>,
}

/// Verbs of `repair`.
#[derive(Debug, Subcommand)]
pub enum RepairVerb {
  /// Look for things that should not be; exit 1 where there are some
  Check,
  /// Say what would be done about them
  Plan {
    /// Keep the plan in this file
    #[arg(long, value_name = "F")]
    out: Option<PathBuf>,
  },
  /// Do what a plan says, if nothing has changed since
  Apply {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
  },
  /// What a code means, what its repair risks and changes
  Explain {
    /// The code, as R006
    #[arg(value_name = "CODE")]
    code: String,
  },
}

/// Which service.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
  /// server or agent
  pub role: ServiceRole,
  /// For this user: no root, under ~/.config/systemd/user
  #[arg(long)]
  pub user: bool,
  /// Only print the unit
  #[arg(long)]
  pub dry_run: bool,
  /// The config file of the service
  #[arg(long = "service-config", value_name = "F")]
  pub service_config: Option<PathBuf>,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceRole {
  /// hetuflow-server
  Server,
  /// hetuflow-agent
  Agent,
}
