//! Due instants under every policy of overlap and of catching up, over a real store.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, ClaimedTask};
use hetuflow_server::infra::bmc::schedule_bmc::ScheduleCursor;
use hetuflow_server::infra::bmc::{PageArgs, fire_bmc, schedule_bmc, task_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{PlanSvc, PlanTurn, Store};

use crate::engines::TestStore;
use crate::hot_path::{slots, stored_job};
use crate::tables::schedule;

/// Seconds between instants: more than a test takes, so that none becomes due meanwhile.
const EVERY: i64 = 100;

/// A schedule with five instants that are due: 450, 350, 250, 150 and 50 seconds ago.
async fn behind(
  store: &TestStore,
  job: &JobEntity,
  change: impl FnOnce(&mut ScheduleEntity),
) -> ScheduleEntity {
  let first = Ts::now().minus(Duration::from_secs(450));
  let mut row = schedule(job, "behind", Some(first));
  row.schedule_kind = ScheduleKind::Interval;
  (row.cron_expression, row.interval_secs, row.anchor_at) = (None, Some(EVERY), first);
  change(&mut row);
  let mut tx = store.db.begin().await.unwrap();
  schedule_bmc::create(&mut tx, &row).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  row
}

/// One turn that decides nothing before its time.
async fn plan(store: &TestStore) -> PlanTurn {
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  PlanSvc::new(service, Duration::ZERO).run_once().await.unwrap()
}

/// What was decided: how many instants back from now, what, and for how many instants.
async fn fires(store: &TestStore, row: &ScheduleEntity) -> Vec<(i64, FireDecision, i64)> {
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(100)).await.unwrap();
  let first = row.next_run_at.unwrap();
  let mut fires: Vec<_> = page
    .data
    .into_iter()
    .map(|fire| {
      let nth = (fire.fire_at.micros() - first.micros()) / (EVERY * 1_000_000);
      (nth, fire.decision, fire.count)
    })
    .collect();
  fires.sort_unstable_by_key(|fire| fire.0);
  fires
}

/// Which instant comes next, counted from the first.
async fn next(store: &TestStore, row: &ScheduleEntity) -> Option<i64> {
  let mut conn = store.db.read().await.unwrap();
  let read = schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap();
  let first = row.next_run_at.unwrap().micros();
  read.next_run_at.map(|at| (at.micros() - first) / (EVERY * 1_000_000))
}

async fn live(store: &TestStore, row: &ScheduleEntity) -> Vec<TaskId> {
  let mut conn = store.db.read().await.unwrap();
  fire_bmc::live_tasks(&mut conn, row.id).await.unwrap().into_iter().map(TaskId).collect()
}

/// The schedule's live tasks are over.
async fn end(store: &TestStore, row: &ScheduleEntity) {
  let tasks = live(store, row).await;
  let mut tx = store.db.begin().await.unwrap();
  assert_eq!(hot::finish_unstarted(&mut tx, &tasks).await.unwrap().len(), tasks.len());
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

/// Moves the planning to an instant.
async fn set_next(store: &TestStore, row: &ScheduleEntity, at: Ts) {
  let mut tx = store.db.begin().await.unwrap();
  let read = schedule_bmc::get(&mut tx, row.id).await.unwrap().unwrap();
  let cursor = ScheduleCursor {
    status: ScheduleStatus::Enabled,
    status_reason: None,
    next_run_at: Some(at),
    last_run_at: read.last_run_at,
    run_count: read.run_count,
  };
  assert!(schedule_bmc::advance_if_at(&mut tx, &read, &cursor).await.unwrap());
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

/// Hands whatever waits to an agent.
async fn claim(store: &TestStore) -> Vec<ClaimedTask> {
  let mut tx = store.db.begin_hot().await.unwrap();
  let range = hot::due_marks(&mut tx).await.unwrap().remove(0).0;
  let server = ServerId::new("s1").unwrap();
  let claimed = hot::claim_due(&mut tx, range, &slots(1, "a"), &server, 0).await;
  tx.end(claimed).await.unwrap()
}

use FireDecision::{Fired, SkippedMisfire, SkippedOverlap};

pub async fn buffer_one_keeps_one_instant(store: &TestStore) {
  let job = stored_job(store).await;
  let row = behind(store, &job, |row| row.overlap_policy = OverlapPolicy::BufferOne).await;
  assert_eq!(plan(store).await.fired, 1);
  let kept = [(0, Fired, 1), (1, SkippedOverlap, 4)];
  assert_eq!((fires(store, &row).await, next(store, &row).await), (kept.to_vec(), Some(5)));
  // While that run lives nothing more is decided; the next instant is still to come.
  assert_eq!(plan(store).await, PlanTurn::default());
  end(store, &row).await;
  assert_eq!(plan(store).await.fired, 0);
  assert_eq!(fires(store, &row).await, kept);
}

pub async fn buffer_all_keeps_every_instant(store: &TestStore) {
  let job = stored_job(store).await;
  let row = behind(store, &job, |row| row.overlap_policy = OverlapPolicy::BufferAll).await;
  for run in 0..5 {
    assert_eq!(plan(store).await.fired, 1, "run {run}");
    // One at a time, however often it looks.
    assert_eq!(plan(store).await.fired, 0, "run {run}");
    assert_eq!((live(store, &row).await.len(), next(store, &row).await), (1, Some(run + 1)));
    end(store, &row).await;
  }
  assert_eq!(plan(store).await.fired, 0);
  let all: Vec<_> = (0..5).map(|nth| (nth, Fired, 1)).collect();
  assert_eq!(fires(store, &row).await, all);
}

pub async fn skip_counts_what_it_leaves_out(store: &TestStore) {
  let job = stored_job(store).await;
  let row = behind(store, &job, |row| row.misfire_policy = MisfirePolicy::FireAll).await;
  // Nothing lives: one run for all that was missed, since it never overlaps.
  assert_eq!(plan(store).await.fired, 1);
  let missed = [(0, SkippedMisfire, 4), (4, Fired, 1)];
  assert_eq!(fires(store, &row).await, missed);
  set_next(store, &row, row.next_run_at.unwrap().plus(Duration::from_secs(1))).await;
  // It lives: every instant up to now is left out, in one row.
  assert_eq!(plan(store).await.fired, 0);
  let decided = fires(store, &row).await;
  assert!(decided.iter().any(|fire| fire.1 == SkippedOverlap && fire.2 >= 5), "{decided:?}");
}

pub async fn an_older_run_is_asked_to_stop_or_killed(store: &TestStore) {
  let job = stored_job(store).await;
  for (policy, kind) in
    [(OverlapPolicy::CancelOther, "stop"), (OverlapPolicy::TerminateOther, "kill")]
  {
    let row = behind(store, &job, |row| row.overlap_policy = policy).await;
    assert_eq!(plan(store).await.fired, 1);
    let old = claim(store).await.remove(0);
    // Another instant comes due while it runs.
    set_next(store, &row, Ts::now().minus(Duration::from_millis(500))).await;
    for _ in 0..2 {
      assert_eq!(plan(store).await.fired, 0, "{policy}: the old one lives");
      let mut conn = store.db.read().await.unwrap();
      let stops = hot::pending_stops(&mut conn).await.unwrap();
      assert_eq!(stops.len(), 1);
      assert_eq!((stops[0].task_id, stops[0].stop_kind.as_deref()), (old.task_id, Some(kind)));
      assert_eq!(stops[0].stop_reason.as_deref(), Some("a newer fire of the schedule"));
    }
    let mut tx = store.db.begin().await.unwrap();
    let id = sea_query::Value::Uuid(Some(old.task_id.0));
    let over = tx.execute_sql("delete from sched_task_hot where task_id = $1", vec![id]).await;
    assert_eq!(tx.end(over).await.unwrap(), 1);
    assert_eq!(plan(store).await.fired, 1, "{policy}: now the new one");
    let new = live(store, &row).await;
    assert!(new.len() == 1 && new[0] != old.task_id);
    end(store, &row).await;
    let mut tx = store.db.begin().await.unwrap();
    schedule_bmc::delete(&mut tx, row.id).await.unwrap();
    tx.end::<_, DbError>(Ok(())).await.unwrap();
  }
}

pub async fn catching_up_has_its_limits(store: &TestStore) {
  let job = stored_job(store).await;
  use MisfirePolicy::{FireAll, FireLast, FireOnce, Skip};
  // Policy, catchup_max, grace in seconds, max_count; how many of the newest instants run.
  let cases: [(MisfirePolicy, i64, i64, Option<i64>, i64); 9] = [
    (Skip, 10, 3600, None, 0),
    (FireOnce, 10, 3600, None, 1),
    (FireLast, 10, 3600, None, 1),
    (FireAll, 10, 3600, None, 5),
    (FireAll, 3, 3600, None, 3),
    (FireAll, 0, 3600, None, 0),
    (FireAll, 10, 200, None, 2),
    (FireAll, 10, 3600, Some(2), 2),
    (FireLast, 10, 10, None, 0),
  ];
  for (misfire_policy, catchup_max, misfire_grace_secs, max_count, runs) in cases {
    let row = behind(store, &job, |row| {
      row.overlap_policy = OverlapPolicy::AllowAll;
      (row.misfire_policy, row.catchup_max) = (misfire_policy, catchup_max);
      (row.misfire_grace_secs, row.max_count) = (misfire_grace_secs, max_count);
    })
    .await;
    let what = format!("{misfire_policy} {catchup_max} {misfire_grace_secs} {max_count:?}");
    assert_eq!(i64::try_from(plan(store).await.fired).unwrap(), runs, "{what}");
    let mut wanted: Vec<_> = (5 - runs..5).map(|nth| (nth, Fired, 1)).collect();
    if runs < 5 {
      wanted.insert(0, (0, SkippedMisfire, 5 - runs));
    }
    assert_eq!(fires(store, &row).await, wanted, "{what}");
    let mut conn = store.db.read().await.unwrap();
    for id in live(store, &row).await {
      let task = task_bmc::get(&mut conn, id).await.unwrap().unwrap();
      assert_eq!(task.trigger_source, TriggerSource::Catchup, "{what}");
    }
    let read = schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap();
    drop(conn);
    let used_up = max_count == Some(runs);
    assert_eq!(read.status == ScheduleStatus::Expired, used_up, "{what}");
    assert_eq!(read.run_count, runs, "{what}");
    // Nothing is made up for twice.
    assert_eq!(plan(store).await.fired, 0, "{what}");
    end(store, &row).await;
    let mut tx = store.db.begin().await.unwrap();
    schedule_bmc::delete(&mut tx, row.id).await.unwrap();
    tx.end::<_, DbError>(Ok(())).await.unwrap();
  }
}
