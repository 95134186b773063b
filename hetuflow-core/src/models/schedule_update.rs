//! Changes of a schedule.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calendar::check_items;
use super::schedule::{ScheduleEntity, Timing, check_interval_from};
use super::task_config::{Environment, Seconds, check_environment, read_environment_option};
use crate::types::{
  DstGap, DstOverlap, FieldError, IntervalFrom, MisfirePolicy, OverlapPolicy, ScheduleStatus, Ts,
  check_name,
};

/// Changes of a schedule; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ScheduleForUpdate {
  /// A new name.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub name: Option<String>,
  /// What it is for.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub description: Option<String>,
  /// The expression.
  #[serde(alias = "cron", skip_serializing_if = "Option::is_none")]
  pub cron_expression: Option<String>,
  /// Time between fires.
  #[serde(alias = "interval_seconds", skip_serializing_if = "Option::is_none")]
  pub interval_secs: Option<Seconds>,
  /// Counted from a fixed start, or from the end of the run before.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub interval_from: Option<IntervalFrom>,
  /// The zone.
  #[serde(alias = "tz", skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
  /// What becomes of a time that the clocks leave out.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dst_gap: Option<DstGap>,
  /// What becomes of a time that the clocks show twice.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub dst_overlap: Option<DstOverlap>,
  /// It fires up to so much later, always by the same time.
  #[serde(alias = "jitter", skip_serializing_if = "Option::is_none")]
  pub jitter_secs: Option<Seconds>,
  /// Calendars and rules in which alone it fires; replaces all of them, none is always.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub include: Option<Vec<String>>,
  /// Calendars and rules in which it does not fire; replaces all of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub exclude: Option<Vec<String>>,
  /// Not after.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub end_time: Option<Ts>,
  /// Fires in all.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_count: Option<i64>,
  /// Whether it fires.
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
  #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "read_environment_option")]
  pub environment: Option<Environment>,
  /// Priority of its tasks.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub priority: Option<i64>,
  /// Only these of the given fields count; absent means all of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub update_mask: Option<Vec<String>>,
}

impl ScheduleForUpdate {
  /// Checks the change against the schedule that it is for, and names each broken rule.
  pub fn check(&mut self, current: &ScheduleEntity, errors: &mut Vec<FieldError>) {
    if let Some(name) = &self.name {
      match check_name(name, "/name") {
        Ok(name) => self.name = Some(name),
        Err(error) => errors.push(error),
      }
    }
    if let Some(environment) = &self.environment {
      check_environment(environment, "/environment", errors);
    }
    check_items(self.include.as_deref().unwrap_or_default(), "/include", errors);
    check_items(self.exclude.as_deref().unwrap_or_default(), "/exclude", errors);
    check_interval_from(self.interval_from, current.schedule_kind, errors);
    let interval = self.interval_secs.map(|s| s.0.as_secs_f64());
    let timing = Timing {
      kind: current.schedule_kind,
      cron_expression: self.cron_expression.as_deref().or(current.cron_expression.as_deref()),
      interval_secs: interval.or(current.interval_secs.map(|secs| secs as f64)),
      timezone: self.timezone.as_deref().unwrap_or(&current.timezone),
      start_time: current.start_time,
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

  /// Whether the change moves future instants, so that what is planned must be planned anew.
  pub fn changes_timing(&self) -> bool {
    self.cron_expression.is_some()
      || self.interval_secs.is_some()
      || self.interval_from.is_some()
      || self.timezone.is_some()
      || self.dst_gap.is_some()
      || self.dst_overlap.is_some()
      || self.jitter_secs.is_some()
      || self.include.is_some()
      || self.exclude.is_some()
      || self.end_time.is_some()
      || self.status.is_some()
      || self.max_count.is_some()
  }
}
