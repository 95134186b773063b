//! What a schedule would do next, with the same code that plans it.

use hetuflow_core::{
  ClockNote, FieldError, JobId, NamespaceId, NextFire, ScheduleEntity, ScheduleForCreate,
  ScheduleId, SchedulePreview, Ts, cron_field_error,
};
use jiff::tz::TimeZone;

use super::schedule_change::row_of;
use super::schedule_cursor::Rhythm;
use super::{SvcError, SvcResult};

/// Most instants of one preview.
pub const PREVIEW_MAX: i64 = 1000;

/// The next instants of a schedule after `from`, no more than it has runs left.
///
/// # Errors
/// 422 for a count out of range, or a stored rule that cannot be read.
pub(super) fn preview_of(
  schedule: &ScheduleEntity,
  (count, from): (i64, Ts),
) -> SvcResult<SchedulePreview> {
  if !(1..=PREVIEW_MAX).contains(&count) {
    let message = format!("count is 1 to {PREVIEW_MAX}");
    return Err(SvcError::invalid(vec![FieldError::new("number.range", "/count", message)]));
  }
  let rhythm = Rhythm::of(schedule)
    .map_err(|error| SvcError::invalid(vec![cron_field_error(error, "/cron_expression")]))?;
  let left = schedule.max_count.map_or(count, |most| most.saturating_sub(schedule.run_count));
  let zone = rhythm.zone(&schedule.timezone);
  let (mut next, mut after) = (Vec::new(), from);
  // A wish is for the very next ones; a look from elsewhere does not know which they are.
  let first = schedule.next_run_at.is_some_and(|next| from <= next);
  let mut skips = if first { schedule.skip_next } else { 0 };
  for _ in 0..count.min(left) {
    let Some((at, note)) = rhythm.next(after) else { break };
    let left_out = skips > 0 && schedule.next_run_at.is_some_and(|next| at >= next);
    skips -= i64::from(left_out);
    let wish = schedule.skip_reason.as_deref().filter(|_| left_out);
    let mut fire = shown((at, note), &zone);
    fire.note = wish.map(str::to_owned).or(fire.note);
    next.push(fire);
    after = at;
  }
  let timezone = schedule.timezone.clone();
  Ok(SchedulePreview { description: rhythm.describe(), timezone, next })
}

/// An instant as people see it.
pub(super) fn shown((at, note): (Ts, Option<ClockNote>), zone: &TimeZone) -> NextFire {
  let local = at.instant().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
  NextFire { at, local, note: note.map(|note| note.to_string()) }
}

/// The same for a checked request; nothing is stored, and `H` shows one possible place.
///
/// # Errors
/// As [`preview_of`].
pub(super) fn preview_of_new(
  new: &ScheduleForCreate,
  (count, from): (i64, Ts),
) -> SvcResult<SchedulePreview> {
  let job = (JobId(uuid::Uuid::nil()), &NamespaceId::default());
  let mut row = row_of(job, (new, "preview".to_owned()), ("preview", from));
  row.id = ScheduleId(uuid::Uuid::nil());
  preview_of(&row, (count, from))
}

#[cfg(test)]
mod tests {
  use super::*;

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
