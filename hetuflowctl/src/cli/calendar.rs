//! Calendars by name.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::list::Paging;
use super::object::{Many, Names};

/// Verbs of calendars.
#[derive(Debug, Subcommand)]
pub enum CalendarVerb {
  /// List calendars
  #[command(visible_alias = "ls")]
  List(Paging),
  /// Show calendars
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a calendar, or set its rules; what is planned ahead is decided anew
  #[command(visible_alias = "put")]
  Set(CalendarSet),
  /// Delete calendars; what they held back fires from now on
  #[command(visible_alias = "rm")]
  Delete(Many),
}

/// What a calendar is to be.
#[derive(Debug, Clone, Args)]
pub struct CalendarSet {
  /// Its name
  pub name: String,
  /// A rule: 12-25, 2026-12-24..2027-01-02, SAT-SUN, 22:00-06:00; replaces all there were
  #[arg(long = "rule", value_name = "RULE")]
  pub rules: Vec<String>,
  /// An iCalendar file whose events become rules; replaces all there were
  #[arg(long, value_name = "FILE")]
  pub ics: Option<PathBuf>,
  /// The zone of its rules (UTC)
  #[arg(long, value_name = "ZONE")]
  pub tz: Option<String>,
  /// Nothing of the namespace fires while it covers
  #[arg(long, conflicts_with = "no_blackout")]
  pub blackout: bool,
  /// It holds nobody from now on
  #[arg(long)]
  pub no_blackout: bool,
  /// What it is for
  #[arg(long, value_name = "TEXT")]
  pub description: Option<String>,
  /// Only show the fires that would change, of 90 days
  #[arg(long)]
  pub dry_run: bool,
}
