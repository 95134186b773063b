//! Schedules: when a job runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calendar::check_items;
use super::job::check_text;
use super::limit::check_count;
use super::task_config::{Environment, Seconds, check_environment, read_environment};
use crate::types::{
  CalendarItem, CronError, CronExpression, DstGap, DstOverlap, FieldError, IntervalFrom,
  JITTER_SECS_MAX, JobId, MisfirePolicy, NamespaceId, OverlapPolicy, ScheduleId, ScheduleKind,
  ScheduleStatus, Ts, check_interval, check_name, parse_time_zone,
};

/// Priorities lie between minus and plus this.
pub const PRIORITY_MAX: i64 = 1000;
/// Most missed instants that are made up for.
pub const CATCHUP_MAX: i64 = 100;
/// The interval of a schedule that fires once: its second fire lies outside of every window.
const LONGEST_INTERVAL: Duration = Duration::from_secs(366 * 86_400);
/// Most runs that wait for an earlier one, where a schedule does not say.
pub const QUEUE_MAX_DEFAULT: i64 = 1000;
/// The longest such queue that a schedule can ask for.
pub const QUEUE_MAX_MAX: i64 = 100_000;
/// Zone of schedules that name none.
pub const DEFAULT_TIMEZONE: &str = "UTC";

/// A schedule as it is stored, in `sched_schedule`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ScheduleEntity {
  /// Its id.
  pub id: ScheduleId,
  /// The job that it runs.
  pub job_id: JobId,
  /// The job's namespace.
  pub namespace_id: NamespaceId,
  /// Its name, unique in the namespace.
  pub name: String,
  /// What it is for.
  #[serde(default)]
  pub description: String,
  /// How it decides when.
  pub schedule_kind: ScheduleKind,
  /// The expression, for cron.
  pub cron_expression: Option<String>,
  /// Seconds between fires, for interval.
  pub interval_secs: Option<i64>,
  /// What an interval is counted from.
  #[serde(default)]
  pub interval_from: IntervalFrom,
  /// The zone that the expression is read in.
  pub timezone: String,
  /// What becomes of a time that the clocks leave out.
  pub dst_gap: DstGap,
  /// What becomes of a time that the clocks show twice.
  pub dst_overlap: DstOverlap,
  /// It fires up to so many seconds later, always by the same time.
  pub jitter_secs: i64,
  /// It fires only on these days and hours: calendars by name, and rules in its zone; always where
  /// nothing is said.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Vec<String>))]
  pub include: Vec<CalendarItem>,
  /// It does not fire on these days and hours: calendars by name, and rules in its zone.
  #[serde(default)]
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Vec<String>))]
  pub exclude: Vec<CalendarItem>,
  /// Not before.
  pub start_time: Option<Ts>,
  /// Not after.
  pub end_time: Option<Ts>,
  /// Fires in all.
  pub max_count: Option<i64>,
  /// Whether it fires.
  pub status: ScheduleStatus,
  /// Why it does not fire, where something is wrong with it.
  pub status_reason: Option<String>,
  /// Who holds it, while it is paused.
  #[serde(default)]
  pub paused_by: Option<String>,
  /// Why.
  #[serde(default)]
  pub paused_reason: Option<String>,
  /// It goes on by itself at this instant.
  #[serde(default)]
  pub paused_until: Option<Ts>,
  /// So many of its next instants are left out.
  #[serde(default)]
  pub skip_next: i64,
  /// Who wants them left out, and why.
  #[serde(default)]
  pub skip_reason: Option<String>,
  /// What to do while an earlier run lives.
  pub overlap_policy: OverlapPolicy,
  /// Most runs that wait for an earlier one.
  #[serde(default = "queue_max_default")]
  pub queue_max: i64,
  /// What to do with missed instants.
  pub misfire_policy: MisfirePolicy,
  /// How late is too late, in seconds.
  pub misfire_grace_secs: i64,
  /// Most missed instants made up for, with `fire_all`.
  pub catchup_max: i64,
  /// Most of its tasks at the same time.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub max_concurrent: Option<i64>,
  /// Parameters of its tasks.
  #[cfg_attr(feature = "with-db", sqlx(json(nullable)))]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub parameters: Option<Value>,
  /// Environment of its tasks, on top of the job's.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[serde(default, deserialize_with = "read_environment")]
  pub environment: Environment,
  /// Priority of its tasks.
  pub priority: i64,
  /// Anchor of intervals, fixed when the schedule is made.
  pub anchor_at: Ts,
  /// The next instant that is not planned yet.
  pub next_run_at: Option<Ts>,
  /// The instant of its next run, planned or not, as far as it is known: past what calendars, pauses
  /// and freezes leave out. Not stored; told by the routes of schedules.
  #[cfg_attr(feature = "with-db", sqlx(skip))]
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub next_fire_at: Option<Ts>,
  /// The newest instant that was planned.
  pub last_run_at: Option<Ts>,
  /// Tasks made so far.
  pub run_count: i64,
  /// Grows with every change of its meaning.
  pub rev: i64,
  /// Who made it.
  pub created_by: Option<String>,
  /// When.
  pub created_at: Ts,
  /// Who changed it last.
  pub updated_by: Option<String>,
  /// When.
  pub updated_at: Ts,
}

impl ScheduleEntity {
  /// The calendars that it names, those of `include` first.
  pub fn calendar_names(&self) -> impl Iterator<Item = &str> {
    self.include.iter().chain(&self.exclude).filter_map(CalendarItem::name)
  }
}

fn queue_max_default() -> i64 {
  QUEUE_MAX_DEFAULT
}

/// The short name of [`ScheduleEntity`].
pub type Schedule = ScheduleEntity;
/// The name of the table's row in the first design.
pub type SchedSchedule = ScheduleEntity;

/// A new schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ScheduleForCreate {
  /// The job, where it is not clear from the place.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub job_id: Option<JobId>,
  /// Its name; the job's where none is given.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub name: Option<String>,
  /// What it is for.
  pub description: String,
  /// How it decides when; clear from the expression or interval where not said.
  #[serde(alias = "kind", skip_serializing_if = "Option::is_none")]
  pub schedule_kind: Option<ScheduleKind>,
  /// The expression.
  #[serde(alias = "cron", skip_serializing_if = "Option::is_none")]
  pub cron_expression: Option<String>,
  /// Time between fires.
  #[serde(alias = "interval_seconds", skip_serializing_if = "Option::is_none")]
  pub interval_secs: Option<Seconds>,
  /// Counted from a fixed start, or from the end of the run before; `start` where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub interval_from: Option<IntervalFrom>,
  /// The zone.
  #[serde(alias = "tz", skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
  /// What becomes of a time that the clocks leave out; by the expression where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dst_gap: Option<DstGap>,
  /// What becomes of a time that the clocks show twice; by the expression where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dst_overlap: Option<DstOverlap>,
  /// It fires up to so much later, always by the same time.
  #[serde(alias = "jitter", skip_serializing_if = "Option::is_none")]
  pub jitter_secs: Option<Seconds>,
  /// It fires only then: calendars by name, and rules in its zone, as `MON-FRI 09:00-17:00`.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub include: Vec<String>,
  /// It does not fire then: calendars by name, and rules in its zone, as `12-25` or `SAT-SUN`.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub exclude: Vec<String>,
  /// Once, at this instant, in place of an expression or an interval.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub at: Option<Ts>,
  /// Not before.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub start_time: Option<Ts>,
  /// Not after.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub end_time: Option<Ts>,
  /// Fires in all.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_count: Option<i64>,
  /// Whether it fires; enabled where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub status: Option<ScheduleStatus>,
  /// What to do while an earlier run lives.
  #[serde(alias = "overlap", skip_serializing_if = "Option::is_none")]
  pub overlap_policy: Option<OverlapPolicy>,
  /// Most runs that wait for an earlier one.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub queue_max: Option<i64>,
  /// What to do with missed instants.
  #[serde(alias = "misfire", alias = "catch_up", skip_serializing_if = "Option::is_none")]
  pub misfire_policy: Option<MisfirePolicy>,
  /// How late is too late.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub misfire_grace_secs: Option<Seconds>,
  /// Most missed instants made up for.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub catchup_max: Option<i64>,
  /// Most of its tasks at the same time; 0 is any number.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_concurrent: Option<i64>,
  /// Parameters of its tasks.
  #[serde(skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub parameters: Option<Value>,
  /// Environment of its tasks.
  #[serde(deserialize_with = "read_environment")]
  pub environment: Environment,
  /// Priority of its tasks.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub priority: Option<i64>,
}

impl ScheduleForCreate {
  /// The kind that is meant.
  pub fn kind(&self) -> ScheduleKind {
    let natural =
      if self.interval_secs.is_some() { ScheduleKind::Interval } else { ScheduleKind::Cron };
    self.schedule_kind.unwrap_or(natural)
  }

  /// Checks every rule and names each that is broken.
  pub fn check(&mut self, errors: &mut Vec<FieldError>) {
    if let Some(name) = &self.name {
      match check_name(name, "/name") {
        Ok(name) => self.name = Some(name),
        Err(error) => errors.push(error),
      }
    }
    check_text(&self.description, "/description", errors);
    check_environment(&self.environment, "/environment", errors);
    self.expand_once(errors);
    check_items(&self.include, "/include", errors);
    check_items(&self.exclude, "/exclude", errors);
    check_interval_from(self.interval_from, self.kind(), errors);
    let timing = Timing {
      kind: self.kind(),
      cron_expression: self.cron_expression.as_deref(),
      interval_secs: self.interval_secs.map(|s| s.0.as_secs_f64()),
      timezone: self.timezone.as_deref().unwrap_or(DEFAULT_TIMEZONE),
      start_time: self.start_time,
      end_time: self.end_time,
      max_count: self.max_count,
      catchup_max: self.catchup_max,
      queue_max: self.queue_max,
      priority: self.priority,
      jitter: self.jitter_secs,
      max_concurrent: self.max_concurrent,
    };
    timing.check(errors);
  }

  /// `at` is short for an interval with room for one fire.
  fn expand_once(&mut self, errors: &mut Vec<FieldError>) {
    let Some(at) = self.at.take() else { return };
    let others = self.cron_expression.is_some()
      || self.interval_secs.is_some()
      || self.interval_from.is_some()
      || self.start_time.is_some()
      || self.end_time.is_some()
      || self.max_count.is_some();
    if others {
      errors.push(FieldError::new(
        "schedule.kind_conflict",
        "/at",
        "at stands alone, without an expression, an interval, a window or a count",
      ));
    } else if at <= Ts::now() {
      errors.push(FieldError::new("schedule.window_empty", "/at", "at is in the past"));
    }
    self.cron_expression = None;
    self.schedule_kind = Some(ScheduleKind::Interval);
    self.interval_secs = Some(Seconds(LONGEST_INTERVAL));
    (self.start_time, self.max_count) = (Some(at), Some(1));
    // After the window there is nothing to make up for. Errors about it would only repeat ours.
    self.end_time = Some(at.max(Ts::now()).plus(Duration::from_secs(1)));
  }
}

/// Only an interval can be counted from the end of a run.
pub(super) fn check_interval_from(
  from: Option<IntervalFrom>,
  kind: ScheduleKind,
  errors: &mut Vec<FieldError>,
) {
  if from == Some(IntervalFrom::End) && kind != ScheduleKind::Interval {
    let message = "only an interval can be counted from the end of the run before";
    errors.push(FieldError::new("schedule.kind_conflict", "/interval_from", message));
  }
}

/// The parts of a schedule that must fit together.
pub(super) struct Timing<'a> {
  pub(super) kind: ScheduleKind,
  pub(super) cron_expression: Option<&'a str>,
  pub(super) interval_secs: Option<f64>,
  pub(super) timezone: &'a str,
  pub(super) start_time: Option<Ts>,
  pub(super) end_time: Option<Ts>,
  pub(super) max_count: Option<i64>,
  pub(super) catchup_max: Option<i64>,
  pub(super) queue_max: Option<i64>,
  pub(super) priority: Option<i64>,
  pub(super) jitter: Option<Seconds>,
  pub(super) max_concurrent: Option<i64>,
}

impl Timing<'_> {
  pub(super) fn check(&self, errors: &mut Vec<FieldError>) {
    self.check_kind(errors);
    if let Err(error) = parse_time_zone(self.timezone) {
      errors.push(cron_field_error(error, "/timezone"));
    }
    if let (Some(start), Some(end)) = (self.start_time, self.end_time)
      && start >= end
    {
      errors.push(FieldError::new(
        "schedule.window_empty",
        "/end_time",
        "end_time is not after start_time",
      ));
    } else if self.end_time.is_some_and(|end| end <= Ts::now()) {
      errors.push(FieldError::new(
        "schedule.window_empty",
        "/end_time",
        "end_time is in the past: the schedule would never fire",
      ));
    }
    if self.max_count.is_some_and(|count| count < 1) {
      errors.push(FieldError::new("number.range", "/max_count", "max_count is at least 1"));
    }
    if self.catchup_max.is_some_and(|count| !(1..=CATCHUP_MAX).contains(&count)) {
      errors.push(FieldError::new(
        "catch_up.max",
        "/catchup_max",
        format!("catchup_max is 1 to {CATCHUP_MAX}"),
      ));
    }
    if self.queue_max.is_some_and(|count| !(1..=QUEUE_MAX_MAX).contains(&count)) {
      let message = format!("queue_max is 1 to {QUEUE_MAX_MAX}");
      errors.push(FieldError::new("number.range", "/queue_max", message));
    }
    let jitter_max = JITTER_SECS_MAX.unsigned_abs();
    if self.jitter.is_some_and(|jitter| jitter.0 > Duration::from_secs(jitter_max)) {
      let message = format!("jitter_secs is 0 to {jitter_max}, which is a day");
      errors.push(FieldError::new("number.range", "/jitter_secs", message));
    }
    if let Some(count) = self.max_concurrent {
      check_count(count, (0, "/max_concurrent"), errors);
    }
    check_priority(self.priority, errors);
  }

  fn check_kind(&self, errors: &mut Vec<FieldError>) {
    let conflict =
      |message: &str| FieldError::new("schedule.kind_conflict", "/schedule_kind", message);
    match self.kind {
      ScheduleKind::Cron => match (self.cron_expression, self.interval_secs) {
        (_, Some(_)) => errors.push(conflict("a cron schedule has no interval_secs")),
        (None, None) => errors.push(conflict("give cron_expression or interval_secs")),
        (Some(text), None) => {
          if let Err(error) = CronExpression::parse(text, 0) {
            errors.push(cron_field_error(error, "/cron_expression"));
          }
        }
      },
      ScheduleKind::Interval => match (self.cron_expression, self.interval_secs) {
        (Some(_), _) => errors.push(conflict("an interval schedule has no cron_expression")),
        (None, None) => errors.push(conflict("give interval_secs")),
        (None, Some(secs)) => {
          if secs.fract() != 0.0 {
            errors.push(FieldError::new(
              "interval.range",
              "/interval_secs",
              "interval_secs is a whole number of seconds",
            ));
          } else if let Err(error) = check_interval(secs as i64) {
            errors.push(cron_field_error(error, "/interval_secs"));
          }
        }
      },
      ScheduleKind::Daemon | ScheduleKind::Event | ScheduleKind::Flow => errors.push(
        FieldError::new(
          "schedule.unsupported",
          "/schedule_kind",
          format!("schedules of kind {} are not built yet", self.kind),
        )
        .with_hint("use cron or interval"),
      ),
    }
  }
}

/// A cron error as a broken rule of a field.
pub fn cron_field_error(error: CronError, field: &str) -> FieldError {
  FieldError {
    code: error.code.to_owned(),
    field: field.to_owned(),
    message: error.message,
    hint: error.hint,
    span: error.span.map(|span| (span.start, span.end)),
  }
}

pub(super) fn check_priority(priority: Option<i64>, errors: &mut Vec<FieldError>) {
  if priority.is_some_and(|priority| priority.abs() > PRIORITY_MAX) {
    errors.push(FieldError::new(
      "number.range",
      "/priority",
      format!("priority lies between -{PRIORITY_MAX} and {PRIORITY_MAX}"),
    ));
  }
}

/// Which schedules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct ScheduleFilter {
  /// In this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// Of this job.
  pub job_id: Option<JobId>,
  /// With this name.
  pub name: Option<String>,
  /// In this state.
  pub status: Option<ScheduleStatus>,
}
