//! Semaphores: limits that tasks share.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::list::Paging;
use super::object::{Many, Name, Names};
use super::value::read_duration;

/// Verbs of semaphores.
#[derive(Debug, Subcommand)]
pub enum SemaphoreVerb {
  /// List semaphores
  #[command(visible_alias = "ls")]
  List(Paging),
  /// Show semaphores
  #[command(visible_alias = "show")]
  Get(Names),
  /// Show who has slots of a semaphore, and for how long
  #[command(visible_alias = "holders")]
  Usage(Name),
  /// Make a semaphore, or set its slots and its rate; what runs is never stopped
  #[command(visible_alias = "put")]
  Set(SemaphoreSet),
  /// Delete semaphores that nothing needs
  #[command(visible_alias = "rm")]
  Delete(Many),
}

/// What a semaphore is to be.
#[derive(Debug, Clone, Args)]
pub struct SemaphoreSet {
  /// Its name, as jobs write it in config.semaphores
  pub name: String,
  /// Slots that tasks may hold at the same time; 0 lets nothing start
  #[arg(long, value_name = "N")]
  pub slots: Option<i64>,
  /// Starts within the time of --per
  #[arg(long, value_name = "N", requires = "per")]
  pub rate: Option<i64>,
  /// The time that the rate is for, as 1m
  #[arg(long, value_name = "DUR", value_parser = read_duration, requires = "rate")]
  pub per: Option<Duration>,
  /// Without its rate from now on
  #[arg(long, conflicts_with_all = ["rate", "per"])]
  pub no_rate: bool,
  /// What it protects
  #[arg(long, value_name = "TEXT")]
  pub description: Option<String>,
}
