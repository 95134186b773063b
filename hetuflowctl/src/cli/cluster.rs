//! The cluster as a whole.

use clap::{Args, Subcommand};

use super::schedule::{GoOnOptions, HoldOptions};

/// Verbs of the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterVerb {
  /// No schedule fires any more; what runs goes on
  Pause(HoldOptions),
  /// Schedules fire again; what was missed is decided by their own rules
  Resume(GoOnOptions),
  /// What is paused, by whom and why
  Paused,
}

/// A namespace that is held.
#[derive(Debug, Clone, Args)]
pub struct NamespacePause {
  /// The namespace
  pub name: String,
  /// Why and how long.
  #[command(flatten)]
  pub hold: HoldOptions,
}

/// A namespace that goes on.
#[derive(Debug, Clone, Args)]
pub struct NamespaceResume {
  /// The namespace
  pub name: String,
  /// What becomes of what was held.
  #[command(flatten)]
  pub go_on: GoOnOptions,
}
