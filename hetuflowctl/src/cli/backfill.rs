//! Backfills.

use clap::{Args, Subcommand};
use hetuflow_core::{BACKFILL_PARALLELISM_MAX, BackfillOnly, BackfillOrder, BackfillState};
use jiff::civil::Time;

use super::list::Paging;
use super::schedule::{day_alone, read_from};

/// Verbs of backfills.
#[derive(Debug, Subcommand)]
pub enum BackfillVerb {
  /// List backfills
  #[command(visible_alias = "ls")]
  List(BackfillList),
  /// Show a backfill and how far it is
  #[command(visible_alias = "show")]
  Get(BackfillName),
  /// Wait until a backfill is over; exit 12 where a task of it did not succeed
  Wait(BackfillName),
  /// End backfills, and their tasks
  Cancel(BackfillCancelArgs),
  /// Make no more tasks until they go on
  Pause(BackfillPause),
  /// Let backfills go on
  Resume(BackfillNames),
}

/// One backfill.
#[derive(Debug, Clone, Args)]
pub struct BackfillName {
  /// Its id, or the last eight characters of it
  #[arg(value_name = "ID")]
  pub id: String,
}

/// Some backfills.
#[derive(Debug, Clone, Args)]
pub struct BackfillNames {
  /// Ids, or the last eight characters of them
  #[arg(value_name = "ID", required = true)]
  pub ids: Vec<String>,
}

/// Which backfills.
#[derive(Debug, Clone, Args)]
pub struct BackfillList {
  /// Of this schedule
  #[arg(long)]
  pub schedule: Option<String>,
  /// running, paused, cancelled, failed or succeeded
  #[arg(long, value_parser = |text: &str| text.parse::<BackfillState>().map_err(|error| error.to_string()))]
  pub state: Option<BackfillState>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

/// How to end.
#[derive(Debug, Clone, Args)]
pub struct BackfillCancelArgs {
  /// Which.
  #[command(flatten)]
  pub which: BackfillNames,
  /// Why
  #[arg(long)]
  pub reason: Option<String>,
  /// Tasks that are alive go on
  #[arg(long)]
  pub keep_running: bool,
}

/// How to hold.
#[derive(Debug, Clone, Args)]
pub struct BackfillPause {
  /// Which.
  #[command(flatten)]
  pub which: BackfillNames,
  /// Why
  #[arg(long)]
  pub reason: Option<String>,
}

/// What to run of the past.
#[derive(Debug, Clone, Args)]
pub struct BackfillArgs {
  /// The schedule, or a job that has one
  pub name: String,
  /// From this instant on, in the zone of the schedule, as 2026-01-01 or 2026-01-01T06:00
  #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
  pub from: String,
  /// Up to this instant, or to the end of this day
  #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
  pub to: String,
  /// missing (never run), failed (the last run failed) or all
  #[arg(long, value_name = "WHICH", default_value = "missing", value_parser = |text: &str| text.parse::<BackfillOnly>().map_err(|error| error.to_string()))]
  pub only: BackfillOnly,
  /// forward (oldest first) or backward
  #[arg(long, value_name = "ORDER", default_value = "forward", value_parser = |text: &str| text.parse::<BackfillOrder>().map_err(|error| error.to_string()))]
  pub order: BackfillOrder,
  /// So many tasks at the same time
  #[arg(long, visible_alias = "max-parallel", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=BACKFILL_PARALLELISM_MAX))]
  pub parallelism: i64,
  /// Run instants that calendars leave out too
  #[arg(long)]
  pub with_excluded: bool,
  /// Only count
  #[arg(long)]
  pub dry_run: bool,
  /// Wait until it is over; exit 12 where a task of it did not succeed
  #[arg(long)]
  pub wait: bool,
}

/// Reads the end of a range in the zone of the schedule; a day counts to its last moment.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_end(text: &str, zone: &jiff::tz::TimeZone) -> Result<hetuflow_core::Ts, String> {
  let Some(date) = day_alone(text) else { return read_begin(text, zone) };
  let last = date.to_datetime(Time::constant(23, 59, 59, 999_999_000));
  zone.to_timestamp(last).map(hetuflow_core::Ts::from).map_err(|error| error.to_string())
}

/// Reads the begin of a range in the zone of the schedule.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_begin(text: &str, zone: &jiff::tz::TimeZone) -> Result<hetuflow_core::Ts, String> {
  // A text in the zone means just before it, for a search strictly after.
  let at = read_from(text, zone)?;
  let whole = at.plus(std::time::Duration::from_micros(1));
  Ok(if whole.micros() % 1_000_000 == 0 { whole } else { at })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn ends_of_ranges_are_read_in_the_zone_of_the_schedule() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let begin = |text: &str| read_begin(text, &zone).expect("an instant").to_string();
    let end = |text: &str| read_end(text, &zone).expect("an instant").to_string();
    assert_eq!(begin("2026-01-01"), "2025-12-31T23:00:00Z");
    assert_eq!(begin("2026-07-01T06:00"), "2026-07-01T04:00:00Z");
    assert_eq!(begin("2026-07-01T06:00:00Z"), "2026-07-01T06:00:00Z");
    assert_eq!(end("2026-01-01"), "2026-01-01T22:59:59.999999Z");
    assert_eq!(end("2026-07-01T06:00"), "2026-07-01T04:00:00Z");
    assert!(read_end("someday", &zone).is_err());
  }
}
