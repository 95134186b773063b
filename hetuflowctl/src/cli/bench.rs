//! `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Verbs of `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
  /// Load the server with tasks, schedules and output, and measure; it asks first
  Run(BenchRun),
  /// Show a report, or two side by side
  Report(BenchReport),
}

/// How much load.
#[derive(Debug, Clone, Args)]
pub struct BenchRun {
  /// Tasks that end at once; 0 leaves this part out
  #[arg(long, value_name = "N", default_value_t = 1000)]
  pub tasks: u32,
  /// Schedules that fire every second; 0 leaves this part out
  #[arg(long, value_name = "N", default_value_t = 10)]
  pub schedules: u32,
  /// How often each of them fires
  #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
  pub fires: u32,
  /// MiB of output that one task writes; 0 leaves this part out
  #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=4096))]
  pub output_mib: u32,
  /// Also keep the report in this file
  #[arg(long, value_name = "F")]
  pub out: Option<PathBuf>,
}

/// Which reports.
#[derive(Debug, Clone, Args)]
pub struct BenchReport {
  /// A report that bench run kept
  #[arg(value_name = "FILE")]
  pub file: PathBuf,
  /// Another one, beside it
  #[arg(value_name = "OTHER")]
  pub other: Option<PathBuf>,
}
