//! Schedules.

use std::time::Duration;

use clap::{Args, Subcommand};
use hetuflow_core::{
  DstGap, DstOverlap, IntervalFrom, MisfirePolicy, OverlapPolicy, ScheduleStatus, Ts,
};

use super::backfill::BackfillArgs;
use super::examples;
use super::list::Paging;
use super::object::{Many, Name, Names};
use super::value::{read_duration, read_instant, read_pair};

/// Verbs of schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
  /// List schedules
  #[command(visible_alias = "ls")]
  List(ScheduleList),
  /// Show schedules
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a schedule for a job
  Create(ScheduleCreate),
  /// Change a schedule
  Set(ScheduleSet),
  /// Delete schedules
  #[command(visible_alias = "rm")]
  Delete(Many),
  /// Let schedules fire
  Enable(Many),
  /// Switch schedules off
  Disable(Many),
  /// Hold schedules
  Pause(PauseArgs),
  /// Let held schedules fire again
  Resume(ResumeArgs),
  /// Leave the next instants of a schedule out
  SkipNext(SkipNextArgs),
  /// Fire schedules once, now, under their policy of overlap
  Trigger(TriggerArgs),
  /// The next fires of a schedule, a job or an expression
  #[command(after_help = examples::NEXT)]
  Next(NextArgs),
  /// An expression in words, field by field
  Explain(ExplainArgs),
  /// What never fires, unknown zones, changes of the clocks, too many at once
  Check(CheckArgs),
  /// What holds a schedule back, rule by rule, and when it fires
  Why(Name),
  /// What a schedule has fired and skipped
  Fires(FiresArgs),
  /// Run a schedule for instants of the past: counted first, then asked once
  #[command(after_help = examples::BACKFILL)]
  Backfill(BackfillArgs),
}

/// Which schedules.
#[derive(Debug, Clone, Args)]
pub struct ScheduleList {
  /// Of this job
  #[arg(long)]
  pub job: Option<String>,
  /// With this name
  #[arg(long)]
  pub name: Option<String>,
  /// enabled, paused, disabled, expired or created
  #[arg(long, value_parser = |text: &str| text.parse::<ScheduleStatus>().map_err(|error| error.to_string()))]
  pub status: Option<ScheduleStatus>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

/// When.
#[derive(Debug, Clone, Default, Args)]
pub struct Timing {
  /// Cron expression, with or without seconds
  #[arg(long, value_name = "EXPR")]
  pub cron: Option<String>,
  /// Time between fires
  #[arg(long, value_name = "DUR", value_parser = read_duration, conflicts_with = "cron")]
  pub every: Option<Duration>,
  /// Count --every from a fixed start, or from the end of the run before
  #[arg(long, value_name = "start|end", value_parser = |text: &str| text.parse::<IntervalFrom>().map_err(|error| error.to_string()))]
  pub from: Option<IntervalFrom>,
  /// Time zone, as Europe/Berlin
  #[arg(long, value_name = "ZONE")]
  pub tz: Option<String>,
  /// A time that the clocks leave out: auto, skip, next, shift
  #[arg(long, value_name = "RULE", value_parser = read_gap)]
  pub dst_gap: Option<DstGap>,
  /// A time that the clocks show twice: auto, first, both, last
  #[arg(long, value_name = "RULE", value_parser = read_overlap)]
  pub dst_overlap: Option<DstOverlap>,
  /// Fire up to so much later, always by the same time
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub jitter: Option<Duration>,
  /// Fire only then: a calendar's name or a rule (repeatable)
  #[arg(long, value_name = "CALENDAR|RULE")]
  pub include: Vec<String>,
  /// Do not fire then: a calendar's name, or 12-25, SAT-SUN, 22:00-06:00… (repeatable)
  #[arg(long, value_name = "CALENDAR|RULE")]
  pub exclude: Vec<String>,
  /// Do not fire on the days of this iCalendar file (repeatable)
  #[arg(long, value_name = "FILE")]
  pub exclude_ics: Vec<std::path::PathBuf>,
  /// While an earlier run lives: skip, buffer_one, allow_all…
  #[arg(long, value_name = "POLICY", value_parser = |text: &str| text.parse::<OverlapPolicy>().map_err(|error| error.to_string()))]
  pub overlap: Option<OverlapPolicy>,
  /// Most runs that wait for an earlier one (1000)
  #[arg(long, value_name = "N")]
  pub queue_max: Option<i64>,
  /// Missed instants: skip, fire_once, fire_last, fire_all
  #[arg(long, value_name = "POLICY", value_parser = |text: &str| text.parse::<MisfirePolicy>().map_err(|error| error.to_string()))]
  pub misfire: Option<MisfirePolicy>,
  /// Missed instants older than this are too late (1h)
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub grace: Option<Duration>,
  /// Most missed instants that fire_all makes up for (10)
  #[arg(long, value_name = "N")]
  pub catchup_max: Option<i64>,
  /// Fires in all
  #[arg(long, value_name = "N")]
  pub max_count: Option<i64>,
  /// Higher is claimed first
  #[arg(long, value_name = "N", allow_hyphen_values = true)]
  pub prio: Option<i64>,
}

/// A new schedule.
#[derive(Debug, Clone, Args)]
pub struct ScheduleCreate {
  /// The job
  #[arg(long)]
  pub job: String,
  /// Its name; the job's where none is given
  #[arg(long)]
  pub name: Option<String>,
  /// Once, at this instant
  #[arg(long, value_name = "TIME", value_parser = read_instant, conflicts_with_all = ["cron", "every"])]
  pub at: Option<Ts>,
  /// Once, so much later than now
  #[arg(long = "in", value_name = "DUR", value_parser = read_duration, conflicts_with_all = ["cron", "every", "at"])]
  pub after: Option<Duration>,
  /// When.
  #[command(flatten)]
  pub timing: Timing,
}

/// A change of a schedule.
#[derive(Debug, Clone, Args)]
pub struct ScheduleSet {
  /// The schedule
  pub name: String,
  /// Fire at any time again: forget what was included
  #[arg(long, conflicts_with = "include")]
  pub no_include: bool,
  /// Leave nothing out any more
  #[arg(long, conflicts_with_all = ["exclude", "exclude_ics"])]
  pub no_exclude: bool,
  /// When.
  #[command(flatten)]
  pub timing: Timing,
}

/// Why something is held, and how long.
#[derive(Debug, Clone, Args)]
pub struct HoldOptions {
  /// Why, for people
  #[arg(long, value_name = "TEXT")]
  pub reason: Option<String>,
  /// Go on by itself then: an instant, or +2h
  #[arg(long, value_name = "TIME", value_parser = read_instant)]
  pub until: Option<Ts>,
}

/// What becomes of what was held.
#[derive(Debug, Clone, Args)]
pub struct GoOnOptions {
  /// Instants that were held: skip, fire_last, fire_once, fire_all
  #[arg(long, value_name = "POLICY", value_parser = |text: &str| text.parse::<MisfirePolicy>().map_err(|error| error.to_string()))]
  pub missed: Option<MisfirePolicy>,
}

/// Which schedules are held.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
  /// Which.
  #[command(flatten)]
  pub many: Many,
  /// Why and how long.
  #[command(flatten)]
  pub hold: HoldOptions,
}

/// Which schedules go on.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
  /// Which.
  #[command(flatten)]
  pub many: Many,
  /// What becomes of what was held.
  #[command(flatten)]
  pub go_on: GoOnOptions,
}

/// Which instants are left out.
#[derive(Debug, Clone, Args)]
pub struct SkipNextArgs {
  /// The schedule
  pub name: String,
  /// How many; 0 takes the wish back
  #[arg(value_name = "N", default_value_t = 1)]
  pub count: i64,
  /// Why, for people
  #[arg(long, value_name = "TEXT")]
  pub reason: Option<String>,
}

/// Which schedules, and what is different this time.
#[derive(Debug, Clone, Args)]
pub struct TriggerArgs {
  /// Which.
  #[command(flatten)]
  pub names: Names,
  /// Parameter; K:=JSON for a value that is not text
  #[arg(short, long = "param", value_name = "K=V", value_parser = read_pair)]
  pub param: Vec<(String, String)>,
  /// Higher is claimed first
  #[arg(long, value_name = "N", allow_hyphen_values = true)]
  pub prio: Option<i64>,
  /// A second request with this key answers with the first one's task
  #[arg(long, value_name = "KEY")]
  pub key: Option<String>,
  /// Only say what would be decided
  #[arg(long)]
  pub dry_run: bool,
}

/// Which fires to come.
#[derive(Debug, Clone, Args)]
pub struct NextArgs {
  /// A schedule, a job, or an expression as "30 2 * * *"
  #[arg(value_name = "NAME|EXPR", required_unless_present = "stdin")]
  pub what: Option<String>,
  /// Time zone of an expression
  #[arg(long, value_name = "ZONE")]
  pub tz: Option<String>,
  /// A time that the clocks leave out: auto, skip, next, shift
  #[arg(long, value_name = "RULE", value_parser = read_gap)]
  pub dst_gap: Option<DstGap>,
  /// A time that the clocks show twice: auto, first, both, last
  #[arg(long, value_name = "RULE", value_parser = read_overlap)]
  pub dst_overlap: Option<DstOverlap>,
  /// How many
  #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
  pub count: u32,
  /// Strictly after this instant, or from the begin of this day
  #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
  pub from: Option<String>,
  /// Answer one JSON line for each {"expr","tz","from","count"} on stdin
  #[arg(long, conflicts_with = "what")]
  pub stdin: bool,
}

/// What to explain.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
  /// The expression
  #[arg(value_name = "EXPR", required_unless_present = "stdin")]
  pub expression: Option<String>,
  /// Answer one JSON line for each {"expr"} on stdin
  #[arg(long, conflicts_with = "expression")]
  pub stdin: bool,
}

/// What to check.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
  /// An expression; the schedules of the server where none is given
  #[arg(value_name = "EXPR")]
  pub expression: Option<String>,
  /// Time zone of expressions
  #[arg(long, value_name = "ZONE")]
  pub tz: Option<String>,
  /// YAML files, folders, or files of other endings with one expression per line
  #[arg(short, long = "file", value_name = "FILE|DIR|-", conflicts_with = "expression")]
  pub files: Vec<std::path::PathBuf>,
  /// So many schedules in one minute are too many
  #[arg(long, value_name = "N", default_value_t = 10)]
  pub herd: usize,
  /// Exit 1 for warnings too
  #[arg(long)]
  pub strict: bool,
  /// Answer one JSON line for each {"expr","tz"} on stdin
  #[arg(long, conflicts_with_all = ["expression", "files"])]
  pub stdin: bool,
}

/// Which fires.
#[derive(Debug, Clone, Args)]
pub struct FiresArgs {
  /// The schedule.
  #[command(flatten)]
  pub name: Name,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

fn read_gap(text: &str) -> Result<DstGap, String> {
  text.parse().map_err(|error: hetuflow_core::UnknownName| error.to_string())
}

fn read_overlap(text: &str) -> Result<DstOverlap, String> {
  text.parse().map_err(|error: hetuflow_core::UnknownName| error.to_string())
}

/// Reads the `--from` of `schedule next` in the zone that the fires are in.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_from(text: &str, zone: &jiff::tz::TimeZone) -> Result<Ts, String> {
  use jiff::civil::{DateTime, Time};
  // The first instant of a day counts, so the search begins just before it.
  let just_before = |at: DateTime| {
    let instant = zone.to_timestamp(at).map_err(|error| error.to_string())?;
    Ok(Ts::from(instant).minus(Duration::from_micros(1)))
  };
  if let Some(date) = day_alone(text) {
    return just_before(date.to_datetime(Time::midnight()));
  }
  if text.parse::<Ts>().is_err()
    && let Ok(at) = text.parse::<DateTime>()
  {
    return just_before(at);
  }
  read_instant(text)
}

/// A day without a time; a day with one reads as a day too, and its time would be lost.
pub(super) fn day_alone(text: &str) -> Option<jiff::civil::Date> {
  if text.contains(':') { None } else { text.parse().ok() }
}
