//! When schedules are due, over a real store: rows that cannot be read, clocks that change, jitter.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, event_bmc, fire_bmc, schedule_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{PlanSvc, PlanTurn, Store};

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::tables::schedule;

/// A schedule that was due a second ago.
async fn due(
  store: &TestStore,
  job: &JobEntity,
  (name, change): (&str, impl FnOnce(&mut ScheduleEntity)),
) -> ScheduleEntity {
  let now = Ts::from_millis(Ts::now().millis());
  let mut row = schedule(job, name, Some(now.minus(Duration::from_secs(1))));
  change(&mut row);
  let mut tx = store.db.begin().await.unwrap();
  schedule_bmc::create(&mut tx, &row).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  row
}

async fn plan(store: &TestStore) -> PlanTurn {
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  PlanSvc::new(service, Duration::ZERO).run_once().await.unwrap()
}

async fn read(store: &TestStore, row: &ScheduleEntity) -> ScheduleEntity {
  let mut conn = store.db.read().await.unwrap();
  schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap()
}

/// A zone that a newer program does not know any more, or an expression that an older one let in,
/// makes one schedule invalid, says so once, and harms no other.
pub async fn broken_rows_stop_nobody(store: &TestStore) {
  let job = stored_job(store).await;
  let zone = due(store, &job, ("zone", |row| row.timezone = "Mars/Phobos".into())).await;
  let never = |row: &mut ScheduleEntity| row.cron_expression = Some("0 0 30 2 *".into());
  let never = due(store, &job, ("never", never)).await;
  let text = |row: &mut ScheduleEntity| row.cron_expression = Some("\u{1}; drop table".into());
  let text = due(store, &job, ("text", text)).await;
  let good = due(store, &job, ("good", |_| {})).await;
  assert_eq!(plan(store).await.fired, 1);
  for (row, why) in [(&zone, "unknown time zone"), (&never, "never fires"), (&text, "character")] {
    let now = read(store, row).await;
    assert_eq!(now.status, ScheduleStatus::Disabled, "{}", row.name);
    assert_eq!(now.next_run_at, None, "{}", row.name);
    let reason = now.status_reason.unwrap_or_default();
    assert!(reason.starts_with("invalid: ") && reason.contains(why), "{}: {reason}", row.name);
  }
  assert_eq!(read(store, &good).await.status, ScheduleStatus::Enabled);
  plan(store).await;
  let mut conn = store.db.read().await.unwrap();
  let batches = event_bmc::list_after(&mut conn, 0, 1000).await.unwrap();
  let told = batches.iter().flat_map(|batch| &batch.changes);
  let mut told: Vec<_> = told
    .filter(|change| change.event_type == "schedule.invalid")
    .map(|change| change.data["name"].as_str().unwrap_or_default().to_owned())
    .collect();
  told.sort();
  assert_eq!(told, ["never", "text", "zone"], "each is told once");
}

/// What a row says about clocks and jitter is stored, read back, and decides its instants.
pub async fn clocks_and_jitter_decide(store: &TestStore) {
  let job = stored_job(store).await;
  let change = |row: &mut ScheduleEntity| {
    (row.dst_gap, row.dst_overlap) = (DstGap::Shift, DstOverlap::Last);
    row.jitter_secs = 50;
    row.exclude = vec!["12-24..12-26".parse().unwrap(), "2026-03-30".parse().unwrap()];
    row.cron_expression = Some("30 2 * * *".into());
    row.next_run_at = None;
  };
  let row = due(store, &job, ("night", change)).await;
  let stored = read(store, &row).await;
  assert_eq!(stored, row);
  let rhythm = Rhythm::of(&stored).unwrap();
  let late = jitter_of(cron_seed(row.id), 50);
  let next = |after: &str| rhythm.next(after.parse().unwrap()).unwrap().0;
  let nominal = |at: &str| at.parse::<Ts>().unwrap().plus(late);
  assert_eq!(next("2026-03-28T12:00:00Z"), nominal("2026-03-29T01:30:00Z"), "shifted to 03:30");
  assert_eq!(next("2026-10-24T12:00:00Z"), nominal("2026-10-25T01:30:00Z"), "the second 02:30");
  let first = next("2026-03-28T12:00:00Z");
  let second = next(&first.to_string());
  assert_eq!(second, nominal("2026-03-31T00:30:00Z"), "the 30th is left out");
  assert_eq!(rhythm.previous(second), Some(first));

  let every_minute = |row: &mut ScheduleEntity| row.jitter_secs = 59;
  let row = due(store, &job, ("spread", every_minute)).await;
  assert_eq!(plan(store).await.fired, 1);
  let mut conn = store.db.read().await.unwrap();
  let fired = fire_bmc::list(&mut conn, row.id, &PageArgs::first(10)).await.unwrap().data;
  drop(conn);
  let (at, rhythm) = (fired[0].fire_at, Rhythm::of(&row).unwrap());
  let expected = rhythm.next(at).map(|(at, _)| at);
  assert_eq!(read(store, &row).await.next_run_at, expected);
  let late = jitter_of(cron_seed(row.id), 59);
  let nominal = expected.unwrap().minus(late);
  assert_eq!(nominal.micros() % 60_000_000, 0, "each minute, later by {late:?}");
}

/// A change of the clocks in a zone: from when to when it is lived through, and when each expression
/// fires meanwhile. By hand, from the rule and the calendar.
struct Change {
  zone: &'static str,
  day: &'static str,
  from: &'static str,
  to: &'static str,
  fires: [(&'static str, &'static [&'static str]); 3],
}

const CHANGES: [Change; 4] = [
  // 02:00 becomes 03:00.
  Change {
    zone: "Europe/Berlin",
    day: "2027-03-28",
    from: "00:55",
    to: "02:05",
    fires: [
      ("30 2 * * *", &["01:00"]),
      ("*/15 2 * * *", &[]),
      ("*/20 3 * * *", &["01:00", "01:20", "01:40"]),
    ],
  },
  // 03:00 becomes 02:00.
  Change {
    zone: "Europe/Berlin",
    day: "2027-10-31",
    from: "00:00",
    to: "02:05",
    fires: [
      ("30 2 * * *", &["00:30"]),
      ("*/20 2 * * *", &["00:00", "00:20", "00:40", "01:00", "01:20", "01:40"]),
      ("5 3 * * *", &["02:05"]),
    ],
  },
  // 02:00 becomes 02:30.
  Change {
    zone: "Australia/Lord_Howe",
    day: "2027-10-02",
    from: "15:25",
    to: "16:05",
    fires: [
      ("15 2 * * *", &["15:30"]),
      ("*/10 2 * * *", &["15:30", "15:40", "15:50"]),
      ("45 2 * * *", &["15:45"]),
    ],
  },
  // 02:00 becomes 01:30.
  Change {
    zone: "Australia/Lord_Howe",
    day: "2027-04-03",
    from: "13:55",
    to: "15:35",
    fires: [
      ("45 1 * * *", &["14:45"]),
      (
        "*/10 1 * * *",
        &["14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:10", "15:20"],
      ),
      ("5 2 * * *", &["15:35"]),
    ],
  },
];

/// K11: the planner lives through changes of the clocks, looking every few seconds: what it decides is
/// what the rule says, each instant once and none besides.
pub async fn changes_of_the_clocks_are_lived_through(store: &TestStore) {
  let job = stored_job(store).await;
  for change in CHANGES {
    let at = |time: &str| format!("{}T{time}:00Z", change.day).parse::<Ts>().unwrap();
    let (from, to) = (at(change.from), at(change.to));
    let mut rows = Vec::new();
    for (expression, wanted) in change.fires {
      let mut row = schedule(&job, &format!("{} {}", change.day, rows.len()), None);
      row.cron_expression = Some(expression.to_owned());
      row.timezone = change.zone.to_owned();
      row.overlap_policy = OverlapPolicy::AllowAll;
      let before = from.minus(Duration::from_micros(1));
      row.next_run_at = Rhythm::of(&row).unwrap().next(before).map(|(at, _)| at);
      let mut tx = store.db.begin().await.unwrap();
      schedule_bmc::create(&mut tx, &row).await.unwrap();
      tx.end::<_, DbError>(Ok(())).await.unwrap();
      rows.push((row, wanted));
    }
    let mut now = from;
    for step in 0.. {
      store.db.shift_clock(now.micros() - Ts::now().micros());
      plan(store).await;
      if now > to.plus(Duration::from_secs(30)) {
        break;
      }
      now = now.plus(Duration::from_secs(5 + step * 7 % 23));
    }
    for (row, wanted) in &rows {
      let mut conn = store.db.read().await.unwrap();
      let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(100)).await.unwrap();
      let mut decided: Vec<_> =
        page.data.iter().map(|fire| (fire.fire_at, fire.decision, fire.count)).collect();
      decided.sort_unstable_by_key(|one| one.0);
      let wanted: Vec<_> = wanted.iter().map(|time| (at(time), FireDecision::Fired, 1)).collect();
      let expression = row.cron_expression.as_deref().unwrap_or_default();
      assert_eq!(decided, wanted, "{expression} in {} on {}", change.zone, change.day);
    }
  }
}
