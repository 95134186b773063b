//! What a schedule would do next, with the same code that plans it.

use std::time::Duration;

use hetuflow_core::{
  ClockNote, FieldError, IntervalFrom, JobId, NamespaceId, NextFire, ScheduleEntity,
  ScheduleForCreate, ScheduleId, SchedulePreview, Ts, cron_field_error,
};
use jiff::tz::TimeZone;

use super::schedule_change::row_of;
use super::schedule_cursor::Rhythm;
use super::schedule_outlook::Outlook;
use super::{SvcError, SvcResult};

/// Most instants of one preview.
pub const PREVIEW_MAX: i64 = 1000;
const MICRO: Duration = Duration::from_micros(1);

/// Lines about what is skipped, beyond those about fires.
const SKIPPED_MAX: usize = 20;

/// The next fires of a schedule after `from`, no more than it has runs left, and between them what is
/// known to be skipped, each stretch as one line.
///
/// # Errors
/// 422 for a count out of range, or a stored rule that cannot be read.
pub(super) fn preview_of(
  (schedule, outlook): (&ScheduleEntity, &Outlook),
  (count, from): (i64, Ts),
) -> SvcResult<SchedulePreview> {
  if !(1..=PREVIEW_MAX).contains(&count) {
    let message = format!("count is 1 to {PREVIEW_MAX}");
    return Err(SvcError::invalid(vec![FieldError::new("number.range", "/count", message)]));
  }
  let rhythm = Rhythm::of(schedule)
    .map_err(|error| SvcError::invalid(vec![cron_field_error(error, "/cron_expression")]))?;
  let left = schedule.max_count.map_or(count, |most| most.saturating_sub(schedule.run_count));
  let mut walk = Walk::new(schedule, &rhythm, from);
  let (mut next, mut fires) = (Vec::new(), 0);
  let wanted = count.min(left);
  while fires < wanted
    && next.len() < wanted.unsigned_abs() as usize + SKIPPED_MAX
    && let Some(line) = walk.line(outlook)
  {
    fires += i64::from(line.skipped.is_none());
    next.push(line);
  }
  let held = outlook.endless().map(|hold| hold.reason.clone());
  let timezone = schedule.timezone.clone();
  Ok(SchedulePreview { description: rhythm.describe(), timezone, held, next })
}

/// The instant of its next run after `now`, as far as it is known.
pub(super) fn next_fire((schedule, outlook): (&ScheduleEntity, &Outlook), now: Ts) -> Option<Ts> {
  // A run that lives decides it, where it is counted from its end.
  let waits = schedule.interval_from == IntervalFrom::End && schedule.next_run_at.is_none();
  if waits || outlook.endless().is_some() {
    return None;
  }
  let preview = preview_of((schedule, outlook), (1, now)).ok()?;
  preview.next.into_iter().find(|fire| fire.skipped.is_none()).map(|fire| fire.at)
}

/// A look along the instants of a schedule.
struct Walk<'a> {
  schedule: &'a ScheduleEntity,
  rhythm: &'a Rhythm,
  zone: TimeZone,
  after: Ts,
  /// So many of the next ones are to be left out.
  skips: i64,
}

impl<'a> Walk<'a> {
  fn new(schedule: &'a ScheduleEntity, rhythm: &'a Rhythm, from: Ts) -> Self {
    // A wish is for the very next ones; a look from elsewhere does not know which they are.
    let first = schedule.next_run_at.is_some_and(|next| from <= next);
    let skips = if first { schedule.skip_next } else { 0 };
    Self { schedule, rhythm, zone: rhythm.zone(&schedule.timezone), after: from, skips }
  }

  /// The next fire, or the next stretch that is skipped.
  fn line(&mut self, outlook: &Outlook) -> Option<NextFire> {
    let (at, note) = self.rhythm.next(self.after)?;
    self.after = at;
    let mut line = shown((at, note), &self.zone);
    if let Some((reason, until)) = outlook.stretch(at) {
      let last = until.minus(MICRO);
      let to = self.rhythm.previous(until).filter(|to| *to > at);
      self.after = last.max(at);
      line.skipped = Some(reason);
      line.count = to.map(|to| i64::try_from(self.rhythm.count(at, to)).unwrap_or(i64::MAX));
      line.to = to;
    } else if self.skips > 0 && self.schedule.next_run_at.is_some_and(|next| at >= next) {
      self.skips -= 1;
      let reason = self.schedule.skip_reason.clone();
      line.skipped = Some(reason.unwrap_or_else(|| "it is to be left out".to_owned()));
    }
    Some(line)
  }
}

/// An instant as people see it.
pub(super) fn shown((at, note): (Ts, Option<ClockNote>), zone: &TimeZone) -> NextFire {
  let local = at.instant().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
  let note = note.map(|note| note.to_string());
  NextFire { at, local, note, skipped: None, count: None, to: None }
}

/// The row that a checked request would be in a namespace; `H` has one possible place.
pub(super) fn row_of_new(
  new: &ScheduleForCreate,
  (namespace, from): (&NamespaceId, Ts),
) -> ScheduleEntity {
  let job = (JobId(uuid::Uuid::nil()), namespace);
  let mut row = row_of(job, (new, "preview".to_owned()), ("preview", from));
  row.id = ScheduleId(uuid::Uuid::nil());
  row
}

#[cfg(test)]
mod tests {
  use super::*;

  fn preview_of_new(new: &ScheduleForCreate, span: (i64, Ts)) -> SvcResult<SchedulePreview> {
    let row = row_of_new(new, (&NamespaceId::default(), span.1));
    preview_of((&row, &Outlook::default()), span)
  }

  fn preview(json: serde_json::Value, count: i64, from: &str) -> Vec<String> {
    let new: ScheduleForCreate = serde_json::from_value(json).expect("readable");
    let from: Ts = from.parse().expect("an instant");
    let preview = preview_of_new(&new, (count, from)).expect("a preview");
    preview.next.into_iter().map(|fire| fire.local).collect()
  }

  #[test]
  fn cron_respects_zone_window_and_count() {
    let rule = serde_json::json!({
      "cron_expression": "30 2 * * *", "timezone": "Europe/Berlin",
      "start_time": "2026-03-29T01:00:00Z", "end_time": "2026-03-31T00:30:00Z",
    });
    let expected =
      ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"];
    assert_eq!(preview(rule, 10, "2026-03-01T00:00:00Z"), expected);
    let counted = serde_json::json!({ "cron_expression": "0 * * * *", "max_count": 2 });
    assert_eq!(preview(counted, 10, "2026-03-01T00:00:00Z").len(), 2);
  }

  #[test]
  fn intervals_start_at_their_start_time() {
    let rule = serde_json::json!({ "interval_secs": 90, "start_time": "2026-01-01T00:00:00Z" });
    let expected = ["2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30+00:00"];
    assert_eq!(preview(rule, 2, "2025-12-01T00:00:00Z"), expected);
  }

  #[test]
  fn once_is_one_fire() {
    let rule = serde_json::json!({ "at": "2099-05-01T08:00:00Z", "timezone": "Europe/Berlin" });
    let mut new: ScheduleForCreate = serde_json::from_value(rule).expect("readable");
    let mut errors = Vec::new();
    new.check(&mut errors);
    assert_eq!(errors, []);
    let rule = serde_json::to_value(new).expect("JSON");
    assert_eq!(preview(rule, 10, "2026-03-01T00:00:00Z"), ["2099-05-01T10:00:00+02:00"]);
  }

  #[test]
  fn counts_out_of_range_are_refused() {
    let new = ScheduleForCreate { cron_expression: Some("* * * * *".into()), ..Default::default() };
    for count in [0, -1, PREVIEW_MAX + 1] {
      assert!(preview_of_new(&new, (count, Ts::now())).is_err(), "{count}");
    }
  }
}
