//! `simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hetuflow_core::Ts;

use super::value::{read_duration, read_instant, read_pair};

/// What to simulate.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
  /// YAML files or folders that are taken as if they were applied; - is stdin
  #[arg(short, long = "file", value_name = "FILE|DIR|-")]
  pub files: Vec<PathBuf>,
  /// Folders inside folders too
  #[arg(short = 'R', long, requires = "files")]
  pub recursive: bool,
  /// Put V in place of ${{ K }}
  #[arg(long, value_name = "K=V", value_parser = read_pair, requires = "files")]
  pub var: Vec<(String, String)>,
  /// From this instant on; now where not given
  #[arg(long, value_name = "TIME", value_parser = read_instant, allow_hyphen_values = true)]
  pub from: Option<Ts>,
  /// How long, up to 31d
  #[arg(long = "for", value_name = "DUR", value_parser = read_duration, default_value = "7d")]
  pub span: Duration,
  /// Runs at the same time; the slots of the agents that are there where not given, 0 is no limit
  #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
  pub slots: Option<i64>,
  /// How long a run takes whose job has no history
  #[arg(long, value_name = "DUR", value_parser = read_duration, default_value = "60s")]
  pub run: Duration,
  /// Another seed draws other durations
  #[arg(long, value_name = "N", default_value_t = 1)]
  pub seed: u64,
  /// Schedules that are shown
  #[arg(long, value_name = "N", default_value_t = 20)]
  pub limit: usize,
}
