//! Worlds whose course is known.

use hetuflow_core::{Closings, JobId, NamespaceId, ScheduleForCreate, ScheduleId, Simulation, Ts};
use serde_json::{Value, json};

use super::{Durations, SimulatedActor, World, simulate};
use crate::service::schedule_change::row_of;

fn at(text: &str) -> Ts {
  text.parse().expect("an instant")
}

fn actor(number: u128, rule: Value, secs: f64) -> SimulatedActor {
  let new: ScheduleForCreate = serde_json::from_value(rule).expect("readable");
  let job = (JobId(uuid::Uuid::nil()), &NamespaceId::default());
  let name = format!("s{number}");
  let mut schedule = row_of(job, (&new, name), ("t", at("2026-01-01T00:00:00Z")));
  schedule.id = ScheduleId(uuid::Uuid::from_u128(number));
  SimulatedActor {
    schedule,
    job: "job".to_owned(),
    durations: Durations::constant(secs),
    closings: Closings::default(),
    held_until: None,
  }
}

fn world(actors: Vec<SimulatedActor>, slots: i64) -> World {
  let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z"));
  World { actors, slots, from, until, seed: 1 }
}

/// Every five minutes a run of seven: twelve instants from 00:05 to 01:00.
fn long(policy: &str) -> Simulation {
  let rule = json!({ "cron": "*/5 * * * *", "overlap": policy });
  simulate(&world(vec![actor(1, rule, 420.0)], 0))
}

#[test]
fn policies_decide_what_collides() {
  let counts = |policy: &str| {
    let report = long(policy);
    let one = &report.schedules[0];
    (one.fires, one.runs, one.skipped, one.queued, one.stopped)
  };
  assert_eq!(counts("skip"), (12, 6, 6, 0, 0));
  assert_eq!(counts("allow_all"), (12, 12, 0, 0, 0));
  let (fires, runs, skipped, queued, stopped) = counts("buffer_all");
  // One after the other: the ninth begins at 01:01, after the end.
  assert_eq!((fires, runs, skipped, queued, stopped), (12, 8, 0, 11, 0));
  let (fires, runs, skipped, _, stopped) = counts("buffer_one");
  assert_eq!((fires, runs, stopped), (12, 8, 0));
  assert!(skipped > 0, "{skipped}");
  let (fires, runs, _, _, stopped) = counts("cancel_other");
  assert_eq!((fires, runs, stopped), (12, 12, 11));
  assert_eq!(long("allow_all").peak_running.count, 2);
  assert_eq!(long("skip").peak_running.count, 1);
}

#[test]
fn an_interval_from_the_end_waits_for_its_run() {
  let rule = json!({ "interval_secs": 300, "interval_from": "end" });
  let report = simulate(&world(vec![actor(1, rule, 420.0)], 0));
  // Five minutes of rest after seven of work.
  let one = &report.schedules[0];
  assert_eq!((one.fires, one.runs, one.skipped, one.queued), (5, 5, 0, 0));
}

#[test]
fn slots_make_runs_late() {
  let every = || json!({ "cron": "0 * * * *", "start_time": "2026-01-01T00:30:00Z" });
  let minute = |number| actor(number, json!({ "cron": "30 0 * * *" }), 60.0);
  let report = simulate(&world((1..=10).map(minute).collect(), 4));
  assert_eq!((report.fires, report.runs, report.peak_running.count), (10, 10, 4));
  assert_eq!(report.peak_waiting.count, 10 - 4);
  assert_eq!(report.peak_running.at, Some(at("2026-01-01T00:30:00Z")));
  // Four at once, four a minute later, two after that.
  assert_eq!((report.late.p50, report.late.max), (60_000.0, 120_000.0));
  assert_eq!(&report.load.started[29..34], [0, 4, 4, 2, 0]);
  assert_eq!(&report.load.running[29..34], [0, 4, 4, 4, 2]);
  assert_eq!(report.in_use.map(|share| (share * 1000.0).round()), Some(42.0));
  assert_eq!(report.unfinished, 0);
  // Without a limit nobody waits; the one that begins at the end is not over.
  let report = simulate(&world(vec![actor(1, every(), 60.0)], 0));
  assert_eq!((report.late.max, report.in_use, report.unfinished), (0.0, None, 1));
}

#[test]
fn the_same_seed_is_the_same_world() {
  let learned = Durations { p50: 30e6, p95: 300e6, learned_from: 100 };
  let actors = |_| {
    let rule = |number: u128| json!({ "cron": format!("{}/7 * * * *", number % 7) });
    (0..50).map(|n| SimulatedActor { durations: learned, ..actor(n, rule(n), 1.0) }).collect()
  };
  let first = simulate(&world(actors(0), 3));
  assert_eq!(first, simulate(&world(actors(0), 3)));
  let other = World { seed: 2, ..world(actors(0), 3) };
  assert_ne!(first, simulate(&other));
  assert!(first.late.p95 > 0.0 && first.peak_running.count == 3);
}

#[test]
fn counts_windows_and_broken_rows() {
  let mut broken = actor(3, json!({ "cron": "* * * * *" }), 1.0);
  broken.schedule.timezone = "Mars/Base".to_owned();
  let counted = json!({ "cron": "* * * * *", "max_count": 5 });
  let window = json!({ "cron": "* * * * *", "end_time": "2026-01-01T00:10:30Z" });
  let all = vec![actor(1, counted, 1.0), actor(2, window, 1.0), broken];
  let report = simulate(&world(all, 1));
  let runs =
    |name: &str| report.schedules.iter().find(|one| one.schedule == name).map(|one| one.runs);
  assert_eq!((runs("s1"), runs("s2"), runs("s3")), (Some(5), Some(10), Some(0)));
  assert!(report.left_out[0].starts_with("s3: "), "{:?}", report.left_out);
}
