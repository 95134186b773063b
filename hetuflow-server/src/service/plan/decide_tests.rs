use std::sync::Arc;

use hetuflow_core::{Calendar, CronZone, NamedCalendar, OverlapPolicy};

use super::*;

/// Every minute, first at midnight.
fn every_minute() -> ScheduleEntity {
  serde_json::from_value(serde_json::json!({
    "id": uuid::Uuid::nil(), "job_id": uuid::Uuid::nil(), "namespace_id": "default",
    "name": "a", "schedule_kind": "cron", "cron_expression": "* * * * *", "timezone": "UTC",
    "dst_gap": "auto", "dst_overlap": "auto", "jitter_secs": 0, "status": "enabled",
    "overlap_policy": "allow_all", "misfire_policy": "fire_all", "misfire_grace_secs": 86_400,
    "catchup_max": 100, "parameters": null, "environment": {}, "priority": 0,
    "anchor_at": "2026-01-01T00:00:00Z", "next_run_at": "2026-01-01T00:00:00Z",
    "run_count": 0, "rev": 1, "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
  }))
  .expect("a schedule")
}

fn plan_at(schedule: &ScheduleEntity, now: &str, closings: &Closings) -> Plan {
  let now: Ts = now.parse().expect("an instant");
  decide(&Question {
    schedule,
    rhythm: &Rhythm::of(schedule).expect("a rhythm"),
    job_off: None,
    closings,
    live: Live::default(),
    now,
    horizon: now.plus(Duration::from_secs(90)),
    held: None,
  })
}

fn decided(plan: &Plan) -> Vec<(FireDecision, i64, bool)> {
  plan.decisions.iter().map(|one| (one.what, one.count, one.run.is_some())).collect()
}

#[test]
fn windows_are_recorded_and_never_decided_ahead() {
  let rule = "00:00-00:03".parse().expect("a rule");
  let zone = CronZone::named("UTC").expect("a zone");
  let calendar = Calendar::new(vec![rule], zone);
  let night = NamedCalendar { name: "night".to_owned(), blackout: true, calendar };
  let night = Closings::blackouts(vec![Arc::new(night)]);
  let schedule = every_minute();
  let plan = plan_at(&schedule, "2026-01-01T00:00:00Z", &night);
  assert_eq!(decided(&plan), [(FireDecision::SkippedWindow, 1, false)]);
  assert_eq!(plan.decisions[0].reason.as_deref(), Some("nothing fires during night"));
  // After an outage: inside of the window nothing is made up for, after it what lies outside.
  let plan = plan_at(&schedule, "2026-01-01T00:02:30Z", &night);
  assert_eq!(decided(&plan)[0], (FireDecision::SkippedWindow, 3, false));
  let plan = plan_at(&schedule, "2026-01-01T00:05:30Z", &night);
  let runs = plan.decisions.iter().filter(|one| one.run.is_some()).map(|one| one.at.to_string());
  let expected = ["2026-01-01T00:03:00Z", "2026-01-01T00:04:00Z", "2026-01-01T00:05:00Z"];
  assert_eq!(runs.take(3).collect::<Vec<_>>(), expected);
  assert_eq!(decided(&plan)[0], (FireDecision::SkippedWindow, 3, false));
}

#[test]
fn only_what_nothing_can_hold_back_is_decided_ahead() {
  let mut schedule = every_minute();
  assert_eq!(plan_at(&schedule, "2025-12-31T23:59:00Z", &Closings::default()).runs(), 1);
  assert_eq!(plan_at(&schedule, "2026-01-01T00:00:00Z", &Closings::default()).runs(), 2);
  schedule.overlap_policy = OverlapPolicy::BufferAll;
  let plan = plan_at(&schedule, "2026-01-01T00:00:00Z", &Closings::default());
  assert_eq!((plan.runs(), plan.run_count), (1, 1));
  assert_eq!(plan.next.expect("the next").to_string(), "2026-01-01T00:01:00Z");
  (schedule.skip_next, schedule.overlap_policy) = (1, OverlapPolicy::AllowAll);
  assert_eq!(plan_at(&schedule, "2025-12-31T23:59:00Z", &Closings::default()).decisions, []);
  let plan = plan_at(&schedule, "2026-01-01T00:00:00Z", &Closings::default());
  assert_eq!(decided(&plan)[0], (FireDecision::SkippedPaused, 1, false));
  assert_eq!((plan.skip_next, plan.runs()), (0, 1));
  (schedule.skip_next, schedule.max_count) = (0, Some(1));
  assert_eq!(plan_at(&schedule, "2026-01-01T00:00:00Z", &Closings::default()).runs(), 1);
}
