//! Lists: how many rows, whether they go on, live lists, the queue.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::value::read_duration;

/// How many rows.
#[derive(Debug, Clone, Copy, Args)]
pub struct Paging {
  /// At most so many rows; 0 is all
  #[arg(long, value_name = "N", default_value_t = 100)]
  pub limit: u32,
}

/// Whether a list goes on.
#[derive(Debug, Clone, Default, Args)]
pub struct Watching {
  /// Go on: repaint the list on a terminal, print one change per line elsewhere
  #[arg(short, long)]
  pub watch: bool,
  /// As --watch, without what is there already
  #[arg(long)]
  pub watch_only: bool,
  /// With --watch: end when a row matches, as 'state=failed'; or empty: when no row is left
  #[arg(long, value_name = "EXPR|empty")]
  pub until: Option<String>,
}

impl Watching {
  /// Whether the list goes on.
  pub fn goes_on(&self) -> bool {
    self.watch || self.watch_only || self.until.is_some()
  }
}

/// Live lists.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
  /// What to show
  #[arg(value_enum, value_name = "WHAT", default_value_t)]
  pub what: TopWhat,
  /// Only as it is now
  #[arg(long)]
  pub once: bool,
  /// At most so many rows
  #[arg(long, value_name = "N", default_value_t = 100)]
  pub limit: u32,
  /// How long.
  #[command(flatten)]
  pub until: TopUntil,
}

/// How long a live list goes on.
#[derive(Debug, Clone, Default, Args)]
pub struct TopUntil {
  /// End when a row matches, as 'state=failed'; or empty: when no row is left
  #[arg(long, value_name = "EXPR|empty")]
  pub until: Option<String>,
}

/// What a live list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TopWhat {
  /// Tasks that have not ended
  #[default]
  Tasks,
  /// Jobs
  Jobs,
  /// Agents
  Agents,
  /// Servers
  Servers,
  /// The next fires
  Fires,
  /// The newest events
  Events,
}

/// Verbs of the queue.
#[derive(Debug, Subcommand)]
pub enum QueueVerb {
  /// How much waits, and for how long
  Status,
  /// Tasks that wait, newest first
  Pending(Paging),
  /// Tasks that have been due for long
  Stuck(QueueStuck),
  /// Tasks that are due, the longest waiting first
  Oldest(Paging),
}

/// How long is long.
#[derive(Debug, Clone, Args)]
pub struct QueueStuck {
  /// Due for longer than this
  #[arg(long, value_name = "DUR", value_parser = read_duration, default_value = "5m")]
  pub after: Duration,
  /// Exit 1 where there are some
  #[arg(long)]
  pub exit_code: bool,
}
