//! Requests for schedules: what is short for what, and what does not go together.

use serde_json::json;

use super::schedule::ScheduleForCreate;
use super::schedule_update::ScheduleForUpdate;
use crate::types::{DstGap, DstOverlap, ScheduleKind, Ts};

fn checked(body: serde_json::Value) -> (ScheduleForCreate, Vec<(String, String)>) {
  let mut new: ScheduleForCreate = serde_json::from_value(body).unwrap();
  let mut errors = Vec::new();
  new.check(&mut errors);
  (new, errors.into_iter().map(|error| (error.code, error.field)).collect())
}

#[test]
fn once_is_an_interval_with_room_for_one_fire() {
  let (new, errors) = checked(json!({ "at": "2099-05-01T10:00:00+02:00" }));
  assert_eq!(errors, []);
  let at: Ts = "2099-05-01T08:00:00Z".parse().unwrap();
  assert_eq!(
    (new.kind(), new.start_time, new.max_count),
    (ScheduleKind::Interval, Some(at), Some(1))
  );
  assert!(new.end_time.unwrap() > at && new.at.is_none());
  // A second look, by the server after the client, finds nothing to do.
  let mut again = new.clone();
  again.check(&mut Vec::new());
  assert_eq!(again, new);
}

#[test]
fn once_stands_alone_and_in_the_future() {
  let kind = |field: &str| ("schedule.kind_conflict".to_owned(), field.to_owned());
  for other in [
    json!({ "cron_expression": "@daily" }),
    json!({ "interval_secs": 60 }),
    json!({ "max_count": 3 }),
    json!({ "start_time": "2099-01-01T00:00:00Z" }),
  ] {
    let mut body = other.clone();
    body["at"] = json!("2099-05-01T10:00:00Z");
    assert_eq!(checked(body).1, [kind("/at")], "{other}");
  }
  let (_, errors) = checked(json!({ "at": "2020-01-01T00:00:00Z" }));
  assert_eq!(errors, [("schedule.window_empty".to_owned(), "/at".to_owned())]);
}

#[test]
fn clocks_and_jitter_are_read_and_bounded() {
  let body = json!({
    "cron": "30 2 * * *", "tz": "Europe/Berlin", "dst_gap": "shift", "dst_overlap": "last",
    "jitter": "90s",
  });
  let (new, errors) = checked(body);
  assert_eq!(errors, []);
  assert_eq!((new.dst_gap, new.dst_overlap), (Some(DstGap::Shift), Some(DstOverlap::Last)));
  assert_eq!(new.jitter_secs.unwrap().0.as_secs(), 90);
  let (_, errors) = checked(json!({ "cron": "@daily", "jitter_secs": 86_401 }));
  assert_eq!(errors, [("number.range".to_owned(), "/jitter_secs".to_owned())]);
  for bad in [json!({ "dst_gap": "later" }), json!({ "dst_overlap": 9 }), json!({ "jitter": -1 })] {
    assert!(serde_json::from_value::<ScheduleForCreate>(bad.clone()).is_err(), "{bad}");
  }
  for timing in
    [json!({ "dst_gap": "skip" }), json!({ "dst_overlap": "both" }), json!({ "jitter": 5 })]
  {
    let change: ScheduleForUpdate = serde_json::from_value(timing.clone()).unwrap();
    assert!(change.changes_timing(), "{timing}");
  }
}
