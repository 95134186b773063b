//! The fires of one schedule as it is beside those as it will be. Pure, and by the rule that the
//! planner uses.

use std::iter::Peekable;

use hetuflow_core::{
  ClockNote, CronError, FireChange, FireCounts, FireDifference, JobStatus, ScheduleEntity,
  ScheduleStatus, Ts,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::schedule_cursor::Rhythm;
use super::schedule_outlook::Outlook;
use super::schedule_preview::shown;

/// Fires of one schedule that are compared on either side.
pub(super) const FIRES_MAX: usize = 200_000;
/// Differences of one schedule that are told.
const TOLD_MAX: usize = 20;

type Fire = (Ts, Option<ClockNote>);

/// One side of a comparison: a schedule and whether its job may run.
#[derive(Debug, Clone)]
pub(super) struct Side {
  pub(super) schedule: ScheduleEntity,
  pub(super) job_status: JobStatus,
  /// What is known to hold it back.
  pub(super) outlook: Outlook,
}

impl Side {
  /// Whether it fires at all, now or after a pause with an end.
  pub(super) fn is_on(&self) -> bool {
    let row = &self.schedule;
    let goes_on = row.status == ScheduleStatus::Paused && row.paused_until.is_some();
    (row.status == ScheduleStatus::Enabled || goes_on) && self.job_status == JobStatus::Enabled
  }

  /// Its fires from one instant to another.
  fn fires(&self, rhythm: &Rhythm, (from, until): (Ts, Ts)) -> Vec<Fire> {
    let left = match self.schedule.max_count {
      _ if !self.is_on() => 0,
      Some(most) => usize::try_from(most.saturating_sub(self.schedule.run_count)).unwrap_or(0),
      None => usize::MAX,
    };
    let from = self.outlook.held_until().map_or(from, |until| until.max(from));
    let open = |after: Ts| self.outlook.closings.next_open(rhythm, after);
    let fires = std::iter::successors(open(from), |(at, _)| open(*at));
    fires.take_while(|(at, _)| *at <= until).take(left.min(FIRES_MAX)).collect()
  }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct FireDiff {
  pub(super) counts: FireCounts,
  pub(super) differences: Vec<FireDifference>,
  /// Where the comparison ended, if that is before its time.
  pub(super) compared_until: Option<Ts>,
}

/// Compares.
///
/// # Errors
/// When a stored rule cannot be read.
pub(super) fn compare(
  before: Option<&Side>,
  after: Option<&Side>,
  (from, until): (Ts, Ts),
) -> Result<FireDiff, CronError> {
  let mut zone = TimeZone::UTC;
  let mut fires = [Vec::new(), Vec::new()];
  for (side, fires) in [before, after].into_iter().zip(&mut fires) {
    let Some(side) = side else { continue };
    let rhythm = Rhythm::of(&side.schedule)?;
    zone = rhythm.zone(&side.schedule.timezone);
    *fires = side.fires(&rhythm, (from, until));
  }
  let mut diff = FireDiff::default();
  // Both end where the one that was cut ends, so that nothing is told that was not looked at.
  let cut = fires.iter().filter(|all| all.len() == FIRES_MAX).filter_map(|all| all.last());
  if let Some(end) = cut.map(|(at, _)| *at).min().filter(|end| *end < until) {
    fires.iter_mut().for_each(|all| all.retain(|(at, _)| *at <= end));
    diff.compared_until = Some(end);
  }
  let [old, new] = fires;
  diff.counts.before = old.len() as i64;
  diff.counts.after = new.len() as i64;
  diff.merge(old, new, &zone);
  Ok(diff)
}

impl FireDiff {
  /// Walks along both; what differs is paired within each day of the zone.
  fn merge(&mut self, old: Vec<Fire>, new: Vec<Fire>, zone: &TimeZone) {
    let mut old = old.into_iter().peekable();
    let mut new = new.into_iter().peekable();
    let mut day = Day::default();
    while let Some((fire, is_old, is_new)) = step(&mut old, &mut new) {
      if is_old && is_new {
        continue;
      }
      let date = fire.0.instant().to_zoned(zone.clone()).date();
      if day.date != Some(date) {
        self.close(std::mem::take(&mut day), zone);
        day.date = Some(date);
      }
      if is_old { day.removed.push(fire) } else { day.added.push(fire) }
    }
    self.close(day, zone);
  }

  /// The first of a day that goes and the first that comes are one that moves, and so on.
  fn close(&mut self, day: Day, zone: &TimeZone) {
    let moved = day.removed.len().min(day.added.len());
    let tell = |fire: &Fire| shown(*fire, zone);
    for index in 0..day.removed.len().max(day.added.len()) {
      let (before, after) = (day.removed.get(index).map(tell), day.added.get(index).map(tell));
      let change = match (&before, &after) {
        (Some(_), Some(_)) => FireChange::Moved,
        (Some(_), None) => FireChange::Removed,
        _ => FireChange::Added,
      };
      if self.differences.len() == TOLD_MAX {
        break;
      }
      self.differences.push(FireDifference { change, before, after });
    }
    self.counts.moved += moved as i64;
    self.counts.removed += (day.removed.len() - moved) as i64;
    self.counts.added += (day.added.len() - moved) as i64;
  }
}

/// What differs on one day.
#[derive(Debug, Default)]
struct Day {
  date: Option<Date>,
  removed: Vec<Fire>,
  added: Vec<Fire>,
}

/// The next instant of either side, and which has it.
fn step<I: Iterator<Item = Fire>>(
  old: &mut Peekable<I>,
  new: &mut Peekable<I>,
) -> Option<(Fire, bool, bool)> {
  let at = match (old.peek(), new.peek()) {
    (Some((a, _)), Some((b, _))) => *a.min(b),
    (Some((at, _)), None) | (None, Some((at, _))) => *at,
    (None, None) => return None,
  };
  let a = old.next_if(|(next, _)| *next == at);
  let b = new.next_if(|(next, _)| *next == at);
  let (is_old, is_new) = (a.is_some(), b.is_some());
  b.or(a).map(|fire| (fire, is_old, is_new))
}

/// Whether two rows fire at the same instants by their fields alone.
pub(super) fn same_rule(a: &Side, b: &Side) -> bool {
  let rule = |side: &Side| {
    let row = side.schedule.clone();
    ScheduleEntity {
      // What has no say in when it fires.
      description: String::new(),
      status_reason: None,
      overlap_policy: hetuflow_core::OverlapPolicy::Skip,
      misfire_policy: hetuflow_core::MisfirePolicy::Skip,
      misfire_grace_secs: 0,
      catchup_max: 0,
      max_concurrent: None,
      queue_max: 0,
      skip_next: 0,
      skip_reason: None,
      paused_by: None,
      paused_reason: None,
      paused_until: None,
      parameters: None,
      environment: Default::default(),
      priority: 0,
      next_run_at: None,
      next_fire_at: None,
      last_run_at: None,
      run_count: 0,
      rev: 0,
      created_by: None,
      created_at: row.anchor_at,
      updated_by: None,
      updated_at: row.anchor_at,
      ..row
    }
  };
  a.is_on() == b.is_on() && rule(a) == rule(b)
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{JobId, NamespaceId, ScheduleForCreate};
  use serde_json::{Value, json};

  use super::super::schedule_change::row_of;
  use super::*;

  fn at(text: &str) -> Ts {
    text.parse().expect("an instant")
  }

  fn side(rule: Value) -> Side {
    let new: ScheduleForCreate = serde_json::from_value(rule).expect("readable");
    let job = (JobId(uuid::Uuid::nil()), &NamespaceId::default());
    let mut schedule = row_of(job, (&new, "s".to_owned()), ("t", at("2026-01-01T00:00:00Z")));
    schedule.id = hetuflow_core::ScheduleId(uuid::Uuid::nil());
    Side { schedule, job_status: JobStatus::Enabled, outlook: Outlook::default() }
  }

  fn told(
    before: Option<Value>,
    after: Option<Value>,
    span: (&str, &str),
  ) -> (FireCounts, Vec<String>) {
    let (before, after) = (before.map(side), after.map(side));
    let diff =
      compare(before.as_ref(), after.as_ref(), (at(span.0), at(span.1))).expect("readable");
    let line = |one: &FireDifference| {
      let local = |fire: &Option<hetuflow_core::NextFire>| {
        fire.as_ref().map_or("-".to_owned(), |fire| fire.local.clone())
      };
      format!("{} {} {}", one.change, local(&one.before), local(&one.after))
    };
    (diff.counts, diff.differences.iter().map(line).collect())
  }

  const SPRING: (&str, &str) = ("2026-02-28T12:00:00Z", "2026-05-29T12:00:00Z");

  #[test]
  fn another_zone_moves_only_what_it_moves() {
    // Winter time all year, and a zone with summer time: the same until the clocks change.
    let fixed = json!({ "cron": "0 2 * * *", "timezone": "Etc/GMT-1" });
    let berlin = json!({ "cron": "0 2 * * *", "timezone": "Europe/Berlin" });
    let (counts, lines) = told(Some(fixed), Some(berlin.clone()), SPRING);
    // 02:00 does not exist on the 29th: it fires at 03:00, which is the same instant.
    let expected = FireCounts { before: 90, after: 90, added: 0, removed: 0, moved: 61 };
    assert_eq!(counts, expected);
    assert_eq!(lines[0], "moved 2026-03-30T03:00:00+02:00 2026-03-30T02:00:00+02:00");
    assert_eq!(lines.len(), TOLD_MAX);
    // One wall time, and what becomes of it in the gap.
    let skip = json!({ "cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst_gap": "skip" });
    let next = json!({ "cron": "30 2 * * *", "timezone": "Europe/Berlin" });
    let (counts, lines) = told(Some(next), Some(skip), SPRING);
    assert_eq!((counts.removed, counts.added, counts.moved), (1, 0, 0));
    assert_eq!(lines, ["removed 2026-03-29T03:00:00+02:00 -"]);
    assert_eq!(told(Some(berlin.clone()), Some(berlin), SPRING).1, Vec::<String>::new());
  }

  #[test]
  fn additions_removals_and_holidays() {
    let day = ("2026-12-24T00:00:00Z", "2026-12-28T00:00:00Z");
    let all = json!({ "cron": "0 6,18 * * *" });
    let less = json!({ "cron": "0 6,18 * * *", "exclude": ["12-25", "12-26"] });
    let (counts, lines) = told(Some(all.clone()), Some(less), day);
    assert_eq!(counts, FireCounts { before: 8, after: 4, added: 0, removed: 4, moved: 0 });
    assert_eq!(lines[0], "removed 2026-12-25T06:00:00+00:00 -");
    assert_eq!(told(None, Some(all.clone()), day).0.added, 8);
    assert_eq!(told(Some(all.clone()), None, day).0.removed, 8);
    let jitter = json!({ "cron": "0 6,18 * * *", "jitter_secs": 600 });
    assert_eq!(told(Some(all.clone()), Some(jitter), day).0.moved, 8);
    let off = json!({ "cron": "0 6,18 * * *", "status": "disabled" });
    assert_eq!(told(Some(all.clone()), Some(off), day).0.removed, 8);
    let counted = json!({ "cron": "0 6,18 * * *", "max_count": 3 });
    assert_eq!(
      told(Some(all), Some(counted), day).0,
      FireCounts { before: 8, after: 3, added: 0, removed: 5, moved: 0 }
    );
  }

  #[test]
  fn what_is_too_much_is_cut_on_both_sides() {
    let span = (at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
    let (fast, slow) = (side(json!({ "interval_secs": 1 })), side(json!({ "interval_secs": 2 })));
    let diff = compare(Some(&fast), Some(&slow), span).expect("readable");
    let end = diff.compared_until.expect("cut");
    assert!(end < span.1);
    assert_eq!(diff.counts.before, FIRES_MAX as i64);
    assert_eq!(diff.counts.removed, diff.counts.before - diff.counts.after);
    assert!(same_rule(&fast, &fast.clone()) && !same_rule(&fast, &slow));
  }
}
