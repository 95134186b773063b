//! The planner among clocks that step, rows that nobody should have written, and people who change
//! schedules at the very instant.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::schedule_bmc;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{Actor, PlanSvc, ScheduleSvc};

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::planner::{end, every, fires, live, plan, put, service, stand_at};
use crate::tables::schedule;

use FireDecision::{Fired, SkippedMisfire};

/// K04 and K05: the clock that decides steps forwards by hours and back again. What lies in the gap is
/// decided by the rule for missed instants, and nothing fires twice or early.
pub async fn steps_of_the_clock_repeat_nothing(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| row.misfire_grace_secs = 86_400).await;
  stand_at(store, &row, 0);
  assert_eq!(plan(store).await.fired, 1);
  end(store, &row).await;
  // Two hours forwards: 72 instants are missed, one runs.
  stand_at(store, &row, 7250);
  assert_eq!(plan(store).await.fired, 1);
  let decided = [(0, Fired, 1), (1, SkippedMisfire, 71), (72, Fired, 1)];
  assert_eq!(fires(store, &row).await, decided);
  end(store, &row).await;
  // And back: the instants come again, and are decided already.
  for secs in (50..7250).step_by(450) {
    stand_at(store, &row, secs);
    assert_eq!(plan(store).await.fired, 0, "{secs}");
  }
  assert_eq!(fires(store, &row).await, decided);
  stand_at(store, &row, 7300);
  assert_eq!(plan(store).await.fired, 1);
}

/// Servers are away over many instants: what each policy makes of it, at each length of the outage.
pub async fn outages_leave_no_instant_without_a_row(store: &TestStore) {
  let job = stored_job(store).await;
  for policy in MisfirePolicy::ALL.iter().copied() {
    let row = every(store, &job, |row| {
      (row.misfire_policy, row.overlap_policy) = (policy, OverlapPolicy::AllowAll);
      row.name = policy.to_string();
    })
    .await;
    let mut at = 0;
    for outage in [1, 2, 7, 30, 100, 1000] {
      at += outage;
      stand_at(store, &row, at * 100 + 50);
      plan(store).await;
    }
    let decided = fires(store, &row).await;
    let counted: i64 = decided.iter().map(|fire| fire.2).sum();
    assert_eq!(counted, at + 1, "{policy}: {decided:?}");
    // No two rows tell of one instant.
    let mut next = 0;
    for (nth, _, count) in &decided {
      assert_eq!(*nth, next, "{policy}: {decided:?}");
      next = nth + count;
    }
  }
}

/// Rows that no door lets in: each is switched off or decided, none stops the others or the planner.
pub async fn poisoned_rows_stop_nobody(store: &TestStore) {
  let job = stored_job(store).await;
  let now = Ts::from_millis(Ts::now().millis() - 500);
  let texts: [(&str, &str); 9] = [
    ("expression", "cron_expression = '* * *'"),
    ("no-expression", "cron_expression = null"),
    ("zone", "timezone = 'Mars/Phobos'"),
    ("exclude", "exclude = '[\"never\"]'"),
    ("grace", "misfire_grace_secs = -9223372036854775808"),
    ("catchup", "catchup_max = -5, misfire_policy = 'fire_all'"),
    ("count", "run_count = 9223372036854775807"),
    ("jobless", "job_id = (select id from sched_job limit 1), priority = 9223372036854775807"),
    ("kind", "schedule_kind = 'daemon'"),
  ];
  let pg: [(&str, &str); 3] = [
    ("infinity", "next_run_at = '-infinity'"),
    ("anchor", "anchor_at = 'infinity', schedule_kind = 'interval', interval_secs = 5"),
    ("long-ago", "next_run_at = '4000-01-01 00:00:00 BC'"),
  ];
  let sqlite: [(&str, &str); 3] = [
    ("infinity", "next_run_at = -9223372036854775808"),
    ("anchor", "anchor_at = 9223372036854775807, schedule_kind = 'interval', interval_secs = 5"),
    ("long-ago", "next_run_at = -188400000000000000"),
  ];
  let own = if store.db.is_sqlite() { sqlite } else { pg };
  for (name, set) in texts.into_iter().chain(own) {
    let row = schedule(&job, name, Some(now));
    put(store, &row).await;
    let mut tx = store.db.begin().await.unwrap();
    let sql: &'static str = format!("update sched_schedule set {set} where name = '{name}'").leak();
    let done = tx.execute_sql(sql, Vec::new()).await;
    assert_eq!(tx.end(done).await.unwrap(), 1, "{name}");
  }
  let good = schedule(&job, "good", Some(now));
  put(store, &good).await;
  for _ in 0..3 {
    plan(store).await;
  }
  assert_eq!(live(store, &good).await.len(), 1, "the good one fires");
  // None is due any more: decided, used up, or switched off with a reason.
  let mut conn = store.db.read().await.unwrap();
  let sql = "select name, status, status_reason from sched_schedule \
    where status = 'disabled' order by name";
  let off: Vec<(String, String, Option<String>)> = conn.fetch_sql(sql, Vec::new()).await.unwrap();
  for (name, _, reason) in &off {
    let reason = reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("invalid: "), "{name}: {reason}");
  }
  let off: Vec<&str> = off.iter().map(|row| row.0.as_str()).collect();
  for name in ["exclude", "expression", "zone"] {
    assert!(off.contains(&name), "{name} is not in {off:?}");
  }
  assert!(!off.contains(&"good"));
  let sql = "select name from sched_schedule where status = 'enabled' and next_run_at <= $1";
  let value = sea_query::Value::JiffTimestamp(Some(Box::new(now.instant())));
  let due: Vec<(String,)> = conn.fetch_sql(sql, vec![value]).await.unwrap();
  assert_eq!(due, []);
}

/// K10: edits, pauses, resumes and deletes around the instant, against a planner that never rests. Each
/// fire belongs to one revision, none is for the past of its revision, no instant is in two rows.
pub async fn edits_at_the_instant_lose_and_repeat_nothing(store: &TestStore) {
  const EDITS: usize = 1000;
  let job = stored_job(store).await;
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  let row = every(store, &job, |row| {
    (row.interval_secs, row.overlap_policy) = (Some(1), OverlapPolicy::AllowAll);
  })
  .await;
  let id = row.id.to_string();
  let stop = tokio_util::sync::CancellationToken::new();
  let planners: Vec<_> = [0, 3]
    .into_iter()
    .map(|ahead| {
      let planner = PlanSvc::new(service(store), Duration::from_secs(ahead));
      let stop = stop.clone();
      tokio::spawn(async move {
        while !stop.is_cancelled() {
          planner.run_once().await.unwrap();
          tokio::task::yield_now().await;
        }
      })
    })
    .collect();
  // The instant of each edit, by the revision that it made.
  let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
  for edit in 0..EDITS {
    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    // Around one instant after the other, up to 50 ms before and after.
    let off = i64::try_from(seed >> 33).unwrap() % 100 - 50;
    let at = row.next_run_at.unwrap().micros() + (edit as i64 * 500 + off) * 1000;
    store.db.shift_clock(at - Ts::now().micros());
    let outcome = match seed >> 60 {
      0..=3 => schedules.pause(&actor, (None, &id), &PauseRequest::default()).await.map(drop),
      4..=9 => schedules.resume(&actor, (None, &id), &ResumeRequest::default()).await.map(drop),
      10 => schedules.set_enabled(&actor, (None, &id), false).await.map(drop),
      11 => schedules.set_enabled(&actor, (None, &id), true).await.map(drop),
      other => {
        let change = ScheduleForUpdate {
          interval_secs: Some(Seconds(Duration::from_secs(other - 11))),
          ..ScheduleForUpdate::default()
        };
        schedules.update(&actor, (None, &id), change, None).await.map(drop)
      }
    };
    // What does not fit the state is refused, and nothing else fails.
    if let Err(error) = outcome {
      assert_eq!(error.response().code, ErrorCode::Conflict, "{error}");
    }
  }
  schedules.delete(&actor, (None, &id), None).await.unwrap();
  stop.cancel();
  for planner in planners {
    planner.await.unwrap();
  }
  check_fires(store, &row).await;
}

async fn check_fires(store: &TestStore, row: &ScheduleEntity) {
  let mut conn = store.db.read().await.unwrap();
  let sql = "select fire_at, schedule_rev, decision, count, from_at, to_at, task_id from sched_fire \
    where schedule_id = $1 order by fire_at";
  let id = || vec![sea_query::Value::Uuid(Some(row.id.0))];
  type Row = (Ts, i64, FireDecision, i64, Option<Ts>, Option<Ts>, Option<uuid::Uuid>);
  let rows: Vec<Row> = conn.fetch_sql(sql, id()).await.unwrap();
  assert!(rows.len() > 50, "{} rows", rows.len());
  let mut last = Ts::from_micros(0);
  let mut revision = 0;
  let mut tasks = BTreeMap::new();
  for (at, rev, decision, _, from, to, task) in &rows {
    assert!(*at > last, "{at} is in two rows");
    assert!(*rev >= revision, "{at} is for the past of revision {rev}");
    assert_eq!(from.unwrap_or(*at), *at);
    (last, revision) = (to.unwrap_or(*at), *rev);
    if *decision == Fired {
      assert!(tasks.insert(task.unwrap(), *at).is_none());
    }
  }
  // Each fire has its task and each task its fire.
  let sql = "select id, scheduled_at from sched_task where schedule_id = $1";
  let stored: Vec<(uuid::Uuid, Ts)> = conn.fetch_sql(sql, id()).await.unwrap();
  assert_eq!(stored.into_iter().collect::<BTreeMap<_, _>>(), tasks);
}

/// L11: many schedules of one instant are decided in a few transactions.
pub async fn many_schedules_at_one_instant(store: &TestStore) {
  const MANY: usize = 5_000;
  let job = stored_job(store).await;
  let at = Ts::from_millis(Ts::now().millis());
  let mut tx = store.db.begin().await.unwrap();
  for number in 0..MANY {
    let row = schedule(&job, &format!("s{number}"), Some(at));
    schedule_bmc::create(&mut tx, &row).await.unwrap();
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let planner = PlanSvc::new(service(store), Duration::from_secs(60));
  store.db.shift_clock(at.micros() - Ts::now().micros() - 30_000_000);
  let turn = planner.run_once().await.unwrap();
  assert_eq!((turn.fired, turn.skipped), (MANY, 0), "all are planned ahead in one turn");
  assert_eq!(planner.run_once().await.unwrap().fired, 0);
}

/// An interval from the end of a run: the next instant is set when the run has ended, also when the
/// planner was not there.
pub async fn an_interval_waits_for_the_end(store: &TestStore) {
  let job = stored_job(store).await;
  let from_end = |row: &mut ScheduleEntity| row.interval_from = IntervalFrom::End;
  let row = every(store, &job, from_end).await;
  let read = async || {
    let mut conn = store.db.read().await.unwrap();
    schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap()
  };
  stand_at(store, &row, 0);
  assert_eq!(plan(store).await.fired, 1);
  assert_eq!((read().await.next_run_at, read().await.status), (None, ScheduleStatus::Enabled));
  stand_at(store, &row, 1000);
  assert_eq!(plan(store).await.fired, 0, "the run lives");
  end(store, &row).await;
  stand_at(store, &row, 1000);
  plan(store).await;
  let next = read().await.next_run_at.unwrap();
  let wait = next.since(row.next_run_at.unwrap().plus(Duration::from_secs(1000)));
  assert!(wait >= Duration::from_secs(100) && wait < Duration::from_secs(160), "{wait:?}");
  stand_at(store, &row, 1160);
  assert_eq!(plan(store).await.fired, 1);
}
