//! Instants that passed while nobody could fire: what is made up for, when, and what is recorded.

use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, fire_bmc, schedule_bmc, task_bmc};
use hetuflow_server::infra::db::DbError;

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::planner::{every, fires, live, plan, put, stand_at};
use crate::tables::schedule;

use FireDecision::{Fired, SkippedMisfire, SkippedOverlap};

async fn forget(store: &TestStore, row: &ScheduleEntity) {
  let mut tx = store.db.begin().await.unwrap();
  schedule_bmc::delete(&mut tx, row.id).await.unwrap();
  tx.execute_sql("delete from sched_task_hot", Vec::new()).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

/// Five instants are missed: 450, 350, 250, 150 and 50 seconds ago.
pub async fn catching_up_has_its_limits(store: &TestStore) {
  let job = stored_job(store).await;
  use MisfirePolicy::{FireAll, FireLast, FireOnce, Skip};
  // Policy, catchup_max, grace in seconds, max_count; how many of the newest instants run.
  let cases: [(MisfirePolicy, i64, i64, Option<i64>, i64); 11] = [
    (Skip, 10, 3600, None, 0),
    (FireOnce, 10, 3600, None, 1),
    (FireLast, 10, 3600, None, 1),
    (FireAll, 10, 3600, None, 5),
    (FireAll, 3, 3600, None, 3),
    (FireAll, 0, 3600, None, 0),
    (FireAll, 10, 200, None, 2),
    (FireAll, 10, 3600, Some(2), 2),
    (FireLast, 10, 10, None, 0),
    (FireOnce, 10, 0, None, 0),
    (FireAll, -1, -1, None, 0),
  ];
  for (misfire_policy, catchup_max, misfire_grace_secs, max_count, runs) in cases {
    let row = every(store, &job, |row| {
      row.overlap_policy = OverlapPolicy::AllowAll;
      (row.misfire_policy, row.catchup_max) = (misfire_policy, catchup_max);
      (row.misfire_grace_secs, row.max_count) = (misfire_grace_secs, max_count);
    })
    .await;
    stand_at(store, &row, 450);
    let what = format!("{misfire_policy} {catchup_max} {misfire_grace_secs} {max_count:?}");
    assert_eq!(i64::try_from(plan(store).await.fired).unwrap(), runs, "{what}");
    let mut wanted: Vec<_> = (5 - runs..5).map(|nth| (nth, Fired, 1)).collect();
    if runs < 5 {
      wanted.insert(0, (0, SkippedMisfire, 5 - runs));
    }
    assert_eq!(fires(store, &row).await, wanted, "{what}");
    let mut conn = store.db.read().await.unwrap();
    let now = conn.now().await.unwrap();
    for (nth, _, id) in live(store, &row).await {
      let task = task_bmc::get(&mut conn, id).await.unwrap().unwrap();
      assert_eq!(task.trigger_source, TriggerSource::Catchup, "{what}");
      // One run for all is for now; the others keep their instant.
      assert_eq!(
        nth == 4 && task.scheduled_at > now.minus(Duration::from_secs(20)),
        misfire_policy == FireOnce,
        "{what}"
      );
      // Spread over half an interval.
      let late = task.eligible_at.unwrap().since(now.minus(Duration::from_secs(20)));
      assert!(late <= Duration::from_secs(20 + 50), "{what}: {late:?}");
    }
    let read = schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap();
    drop(conn);
    let used_up = max_count == Some(runs);
    assert_eq!(read.status == ScheduleStatus::Expired, used_up, "{what}");
    assert_eq!(read.run_count, runs, "{what}");
    // Nothing is made up for twice.
    assert_eq!(plan(store).await.fired, 0, "{what}");
    forget(store, &row).await;
  }
}

/// What is made up for is subject to the policy of overlap as everything else.
pub async fn catching_up_respects_overlap(store: &TestStore) {
  let job = stored_job(store).await;
  use OverlapPolicy as P;
  // Missed runs, of five, that are made: with nothing alive, and with an earlier run.
  for (policy, idle, busy) in [
    (P::Skip, 1, 0),
    (P::BufferOne, 2, 1),
    (P::BufferAll, 5, 5),
    (P::SerialPriority, 5, 5),
    (P::CancelOther, 1, 1),
    (P::TerminateOther, 1, 1),
    (P::AllowAll, 5, 5),
  ] {
    for (alive, runs) in [(false, idle), (true, busy)] {
      let row = every(store, &job, |row| {
        (row.overlap_policy, row.misfire_policy) = (policy, MisfirePolicy::FireAll);
      })
      .await;
      let what = format!("{policy}, {}", if alive { "busy" } else { "idle" });
      stand_at(store, &row, 0);
      if alive {
        plan(store).await;
      }
      let missed = if alive { 4 } else { 5 };
      stand_at(store, &row, 450);
      let turn = plan(store).await;
      let runs = runs.min(missed);
      assert_eq!(turn.fired as i64, runs, "{what}");
      let decided = fires(store, &row).await;
      let counted: i64 = decided.iter().map(|fire| fire.2).sum();
      assert_eq!(counted, 5, "{what}: each instant is in one row: {decided:?}");
      let newest: Vec<_> = decided.iter().filter(|fire| fire.1 == Fired).map(|f| f.0).collect();
      let expected: Vec<i64> = (5 - runs..5).collect();
      assert_eq!(newest[newest.len() - runs as usize..], expected, "{what}");
      let left_out = if runs == 0 { SkippedOverlap } else { SkippedMisfire };
      assert!(
        decided.iter().all(|fire| fire.1 == Fired || fire.1 == left_out),
        "{what}: {decided:?}"
      );
      let started = live(store, &row).await.into_iter();
      let started = started.filter(|one| one.1 != TaskStatus::Blocked).count() as i64;
      let one = if policy == P::AllowAll { runs + i64::from(alive) } else { 1 };
      assert_eq!(started, one, "{what}");
      forget(store, &row).await;
    }
  }
}

/// K08: a month of every second is counted exactly, in one row, without walking over it.
pub async fn a_month_of_seconds_is_one_row(store: &TestStore) {
  const MONTH: i64 = 30 * 86_400;
  let job = stored_job(store).await;
  let now = Ts::now().micros() / 1_000_000;
  let first = Ts::from_micros((now - MONTH + 1) * 1_000_000);
  let mut rows = Vec::new();
  for name in ["cron", "interval", "interval-jitter"] {
    let mut row = schedule(&job, name, Some(first));
    row.timezone = "Europe/Berlin".into();
    row.cron_expression = Some("* * * * * *".into());
    if name != "cron" {
      row.schedule_kind = ScheduleKind::Interval;
      (row.cron_expression, row.interval_secs, row.anchor_at) = (None, Some(1), first);
    }
    put(store, &row).await;
    rows.push(row);
  }
  // The instant of now is the newest one.
  stand_at(store, &rows[0], MONTH - 1);
  assert_eq!(plan(store).await.fired, rows.len());
  let mut conn = store.db.read().await.unwrap();
  for row in &rows {
    let fires = fire_bmc::list(&mut conn, row.id, &PageArgs::first(10)).await.unwrap().data;
    let fired: Vec<_> = fires.iter().filter(|fire| fire.decision == Fired).collect();
    let skipped: Vec<_> = fires.iter().filter(|fire| fire.decision != Fired).collect();
    assert_eq!((fired.len(), skipped.len()), (1, 1), "{}", row.name);
    assert_eq!(skipped[0].count + 1, MONTH, "{}", row.name);
    assert_eq!(skipped[0].from_at, Some(first), "{}", row.name);
    let before = fired[0].fire_at.minus(Duration::from_secs(1));
    assert_eq!(skipped[0].to_at, Some(before), "{}", row.name);
  }
}

/// K09: what ten thousand schedules have missed is spread, not a herd.
pub async fn what_many_have_missed_is_spread(store: &TestStore) {
  const MANY: usize = 10_000;
  let job = stored_job(store).await;
  let first = Ts::from_micros(Ts::now().micros() / 60_000_000 * 60_000_000);
  let mut tx = store.db.begin().await.unwrap();
  let mut rows = Vec::new();
  for number in 0..MANY {
    let row = schedule(&job, &format!("s{number}"), Some(first));
    schedule_bmc::create(&mut tx, &row).await.unwrap();
    rows.push(row);
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  // Nobody planned for ten minutes.
  stand_at(store, &rows[0], 605);
  let mut fired = 0;
  while fired < MANY {
    let turn = plan(store).await;
    assert!(turn.fired > 0, "{fired} of {MANY}");
    fired += turn.fired;
  }
  let mut conn = store.db.read().await.unwrap();
  let sql = "select eligible_at, scheduled_at from sched_task_hot";
  let starts: Vec<(Ts, Ts)> = conn.fetch_sql(sql, Vec::new()).await.unwrap();
  assert_eq!(starts.len(), MANY);
  let newest = first.plus(Duration::from_secs(600));
  // On a machine on which the planning takes longer than the rest of its minute, the next one is missed as well.
  let is_instant = |at: &Ts| *at >= newest && at.micros() % 60_000_000 == 0;
  let kept = starts.iter().all(|(eligible, at)| is_instant(at) && at <= eligible);
  assert!(kept, "each keeps its instant");
  // Half of the interval is the window; the time that the planning took itself moves it on.
  let begin = starts.iter().map(|(at, _)| at.micros()).min().unwrap();
  let mut seconds = std::collections::BTreeMap::<i64, usize>::new();
  for (at, _) in &starts {
    *seconds.entry((at.micros() - begin) / 1_000_000).or_default() += 1;
  }
  let peak = seconds.values().max().copied().unwrap();
  assert!(peak <= 2 * MANY / 30, "{peak} of {MANY} in one second");
}
