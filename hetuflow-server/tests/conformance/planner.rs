//! Due instants under every policy of overlap, over a real store, at instants that the test chooses.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, ClaimedTask};
use hetuflow_server::infra::bmc::{PageArgs, fire_bmc, plan_bmc, schedule_bmc, task_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{Actor, PlanSvc, PlanTurn, ScheduleSvc, Store};

use crate::engines::TestStore;
use crate::hot_path::{slots, stored_job};
use crate::tables::schedule;

/// Seconds between instants.
const EVERY: i64 = 100;

/// A schedule whose first instant is now.
pub async fn every(
  store: &TestStore,
  job: &JobEntity,
  change: impl FnOnce(&mut ScheduleEntity),
) -> ScheduleEntity {
  let first = Ts::from_millis(Ts::now().millis());
  let mut row = schedule(job, "every", Some(first));
  row.schedule_kind = ScheduleKind::Interval;
  (row.cron_expression, row.interval_secs, row.anchor_at) = (None, Some(EVERY), first);
  change(&mut row);
  put(store, &row).await;
  row
}

pub async fn put(store: &TestStore, row: &ScheduleEntity) {
  let mut tx = store.db.begin().await.unwrap();
  schedule_bmc::create(&mut tx, row).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

/// Steps the clock that decides to so many seconds after the schedule's first instant.
pub fn stand_at(store: &TestStore, row: &ScheduleEntity, secs: i64) {
  let at = row.next_run_at.unwrap().micros() + secs * 1_000_000;
  store.db.shift_clock(at - Ts::now().micros());
}

pub fn service(store: &TestStore) -> Store {
  Store::new(store.db.clone(), Arc::new(Bus::default()))
}

/// One turn that decides nothing before its time.
pub async fn plan(store: &TestStore) -> PlanTurn {
  PlanSvc::new(service(store), Duration::ZERO).run_once().await.unwrap()
}

/// A turn at the `nth` instant of a schedule, half a second late.
async fn plan_nth(store: &TestStore, row: &ScheduleEntity, nth: i64) -> PlanTurn {
  stand_at(store, row, nth * EVERY);
  store.db.shift_clock(
    row.next_run_at.unwrap().micros() - Ts::now().micros() + (nth * EVERY * 1000 + 500) * 1000,
  );
  plan(store).await
}

/// What was decided: which instant, what, and for how many.
pub async fn fires(store: &TestStore, row: &ScheduleEntity) -> Vec<(i64, FireDecision, i64)> {
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(1000)).await.unwrap();
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

/// The schedule's tasks that are not over, by their instants.
pub async fn live(store: &TestStore, row: &ScheduleEntity) -> Vec<(i64, TaskStatus, TaskId)> {
  let mut conn = store.db.read().await.unwrap();
  let mut found = Vec::new();
  for id in plan_bmc::live_tasks(&mut conn, row.id).await.unwrap() {
    let task = task_bmc::get(&mut conn, id).await.unwrap().unwrap();
    let nth =
      (task.scheduled_at.micros() - row.next_run_at.unwrap().micros()) / (EVERY * 1_000_000);
    found.push((nth, task.status, id));
  }
  found.sort_unstable_by_key(|one| one.0);
  found
}

async fn states(store: &TestStore, row: &ScheduleEntity) -> Vec<(i64, TaskStatus)> {
  live(store, row).await.into_iter().map(|(nth, status, _)| (nth, status)).collect()
}

/// The runs of a schedule that do not wait are over, wherever they were.
pub async fn end(store: &TestStore, row: &ScheduleEntity) {
  let mut tx = store.db.begin().await.unwrap();
  let id = sea_query::Value::Uuid(Some(row.id.0));
  let sql = "delete from sched_task_hot where schedule_id = $1 and status <> 'blocked'";
  let over = tx.execute_sql(sql, vec![id]).await;
  assert!(tx.end(over).await.unwrap() > 0);
}

/// Hands whatever waits to an agent.
async fn claim(store: &TestStore) -> Vec<ClaimedTask> {
  let mut tx = store.db.begin_hot().await.unwrap();
  let range = hot::due_marks(&mut tx).await.unwrap().remove(0).0;
  let server = ServerId::new("s1").unwrap();
  let claimed = hot::claim_due(&mut tx, range, &slots(1, "a"), &server, i64::MAX / 4).await;
  tx.end(claimed).await.unwrap()
}

use FireDecision::{Fired, SkippedOverlap};
use TaskStatus::{Blocked, Pending};

pub async fn skip_leaves_out_what_overlaps(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |_| {}).await;
  for nth in 0..3 {
    plan_nth(store, &row, nth).await;
  }
  let decided = [(0, Fired, 1), (1, SkippedOverlap, 1), (2, SkippedOverlap, 1)];
  assert_eq!(fires(store, &row).await, decided);
  end(store, &row).await;
  assert_eq!(plan_nth(store, &row, 3).await.fired, 1);
  assert_eq!(states(store, &row).await, [(3, Pending)]);
}

pub async fn buffer_one_keeps_one_waiting(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| row.overlap_policy = OverlapPolicy::BufferOne).await;
  for nth in 0..4 {
    plan_nth(store, &row, nth).await;
  }
  let decided = [(0, Fired, 1), (1, Fired, 1), (2, SkippedOverlap, 1), (3, SkippedOverlap, 1)];
  assert_eq!(fires(store, &row).await, decided);
  assert_eq!(states(store, &row).await, [(0, Pending), (1, Blocked)]);
  assert_eq!(plan(store).await.released, 0, "the earlier run lives");
  end(store, &row).await;
  assert_eq!(plan(store).await.released, 1);
  assert_eq!(states(store, &row).await, [(1, Pending)]);
  plan_nth(store, &row, 4).await;
  assert_eq!(states(store, &row).await, [(1, Pending), (4, Blocked)]);
}

pub async fn buffer_all_keeps_a_bounded_queue(store: &TestStore) {
  let job = stored_job(store).await;
  let queue = |row: &mut ScheduleEntity| {
    (row.overlap_policy, row.queue_max) = (OverlapPolicy::BufferAll, 3);
  };
  let row = every(store, &job, queue).await;
  for nth in 0..6 {
    plan_nth(store, &row, nth).await;
  }
  let mut decided: Vec<_> = (0..4).map(|nth| (nth, Fired, 1)).collect();
  decided.extend([(4, SkippedOverlap, 1), (5, SkippedOverlap, 1)]);
  assert_eq!(fires(store, &row).await, decided, "three wait, the others find the queue full");
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(1)).await.unwrap();
  drop(conn);
  let reason = page.data[0].reason.clone().unwrap_or_default();
  assert_eq!(reason, "the queue is full: 3 runs wait (queue_max)");
  // They run one after the other, in the order of their instants.
  for nth in 1..4 {
    end(store, &row).await;
    assert_eq!(plan(store).await.released, 1);
    assert_eq!(plan(store).await.released, 0);
    assert_eq!(states(store, &row).await[0], (nth, Pending));
  }
  end(store, &row).await;
  assert_eq!(plan(store).await.released, 0);
}

pub async fn serial_priority_lets_the_urgent_go_first(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| row.overlap_policy = OverlapPolicy::SerialPriority).await;
  for nth in 0..4 {
    plan_nth(store, &row, nth).await;
  }
  let waiting = live(store, &row).await;
  let mut tx = store.db.begin().await.unwrap();
  for nth in [2, 3] {
    hot::reprioritise_if_waiting(&mut tx, waiting[nth].2, 7).await.unwrap();
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let mut order = Vec::new();
  for _ in 0..3 {
    end(store, &row).await;
    plan(store).await;
    let states = states(store, &row).await;
    order.extend(states.iter().filter(|(_, status)| *status == Pending).map(|(nth, _)| *nth));
  }
  assert_eq!(order, [2, 3, 1], "by priority, then by instant");
}

pub async fn an_older_run_is_asked_to_stop_or_killed(store: &TestStore) {
  let job = stored_job(store).await;
  for (policy, kind) in
    [(OverlapPolicy::CancelOther, "stop"), (OverlapPolicy::TerminateOther, "kill")]
  {
    let row = every(store, &job, |row| row.overlap_policy = policy).await;
    assert_eq!(plan_nth(store, &row, 0).await.fired, 1);
    let old = claim(store).await.remove(0);
    // Another instant comes due while it runs, and one more while it dies.
    for nth in 1..3 {
      assert_eq!(plan_nth(store, &row, nth).await.fired, 1, "{policy}: the new one waits");
      let mut conn = store.db.read().await.unwrap();
      let stops = hot::pending_stops(&mut conn).await.unwrap();
      assert_eq!(stops.len(), 1);
      assert_eq!((stops[0].task_id, stops[0].stop_kind.as_deref()), (old.task_id, Some(kind)));
      assert_eq!(stops[0].stop_reason.as_deref(), Some("a newer fire of the schedule"));
      drop(conn);
      let expected = [(0, TaskStatus::Cancelling), (nth, Blocked)];
      assert_eq!(states(store, &row).await, expected, "{policy}: the newest alone waits");
      assert_eq!(plan(store).await.released, 0, "{policy}: not before the old one is dead");
    }
    end(store, &row).await;
    assert_eq!(plan(store).await.released, 1, "{policy}: now the new one");
    // One that no agent has yet gives way at once.
    assert_eq!(plan_nth(store, &row, 3).await.released, 1);
    assert_eq!(states(store, &row).await, [(3, Pending)]);
    end(store, &row).await;
    let mut tx = store.db.begin().await.unwrap();
    schedule_bmc::delete(&mut tx, row.id).await.unwrap();
    tx.end::<_, DbError>(Ok(())).await.unwrap();
  }
}

pub async fn a_trigger_is_decided_by_the_policy(store: &TestStore) {
  use OverlapPolicy as P;
  let job = stored_job(store).await;
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  for (policy, decision, status) in [
    (P::Skip, SkippedOverlap, None),
    (P::BufferOne, Fired, Some(Blocked)),
    (P::BufferAll, Fired, Some(Blocked)),
    (P::SerialPriority, Fired, Some(Blocked)),
    (P::CancelOther, Fired, Some(Blocked)),
    (P::TerminateOther, Fired, Some(Blocked)),
    (P::AllowAll, Fired, Some(Pending)),
  ] {
    let row = every(store, &job, |row| row.overlap_policy = policy).await;
    stand_at(store, &row, -50);
    let id = row.id.to_string();
    let which = (None, id.as_str());
    let order = TaskForCreate {
      parameters: Some(serde_json::json!({ "by": "hand" })),
      idempotency_key: Some(format!("key-{policy}")),
      ..TaskForCreate::default()
    };
    let first = schedules.trigger(&actor, which, &order).await.unwrap();
    let task = first.task.unwrap();
    assert_eq!((first.decision, task.status, task.schedule_id), (Fired, Pending, Some(row.id)));
    assert_eq!(task.parameters, order.parameters);
    let again = schedules.trigger(&actor, which, &order).await.unwrap();
    assert_eq!((again.duplicate, again.task.map(|task| task.id)), (true, Some(task.id)));
    // It counts as an earlier run for another one.
    let second = schedules.trigger(&actor, which, &TaskForCreate::default()).await.unwrap();
    let found = (second.decision, second.task.map(|task| task.status));
    assert_eq!(found, (decision, status), "{policy}: {:?}", second.reason);
    assert_eq!(second.stopped, i64::from(matches!(policy, P::CancelOther | P::TerminateOther)));
    // And for the next instant of the schedule.
    plan_nth(store, &row, 0).await;
    let planned = fires(store, &row).await;
    let skips = matches!(policy, P::Skip | P::BufferOne);
    assert_eq!(planned, [(0, if skips { SkippedOverlap } else { Fired }, 1)], "{policy}");
    let mut tx = store.db.begin().await.unwrap();
    schedule_bmc::delete(&mut tx, row.id).await.unwrap();
    let all = tx.execute_sql("delete from sched_task_hot", Vec::new()).await;
    tx.end(all).await.unwrap();
  }
}

/// What is planned ahead and not claimed gives way to a run that comes before it, and is decided
/// anew at its time.
pub async fn a_trigger_takes_back_what_is_planned_ahead(store: &TestStore) {
  let job = stored_job(store).await;
  let once = |row: &mut ScheduleEntity| row.max_count = Some(1);
  let row = every(store, &job, once).await;
  stand_at(store, &row, -30);
  let ahead = PlanSvc::new(service(store), Duration::from_secs(60));
  assert_eq!(ahead.run_once().await.unwrap().fired, 1);
  assert_eq!(states(store, &row).await, [(0, Pending)]);
  let id = row.id.to_string();
  let schedules = ScheduleSvc::new(service(store));
  let none = TaskForCreate::default();
  let answer = schedules.trigger(&Actor::system(), (None, &id), &none).await.unwrap();
  assert_eq!((answer.decision, answer.task.unwrap().status), (Fired, Pending));
  assert_eq!(fires(store, &row).await, [], "taken back");
  assert_eq!(ahead.run_once().await.unwrap().fired, 0, "it may be that the run still lives then");
  end(store, &row).await;
  assert_eq!(ahead.run_once().await.unwrap().fired, 1);
  assert_eq!(fires(store, &row).await, [(0, Fired, 1)]);
  let mut conn = store.db.read().await.unwrap();
  let read = schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap();
  assert_eq!((read.status, read.run_count), (ScheduleStatus::Expired, 1));
}

/// Two planners side by side over 10,000 instants: each is decided once, none is left out, and no
/// run begins beside another where the policy forbids it.
pub async fn two_planners_share_ten_thousand_instants(store: &TestStore) {
  let job = stored_job(store).await;
  let second = |policy: OverlapPolicy| {
    move |row: &mut ScheduleEntity| {
      (row.interval_secs, row.overlap_policy, row.name) = (Some(1), policy, policy.to_string());
      (row.misfire_policy, row.misfire_grace_secs) = (MisfirePolicy::FireAll, 86_400);
      row.max_count = (policy == OverlapPolicy::AllowAll).then_some(10_000);
    }
  };
  let all = every(store, &job, second(OverlapPolicy::AllowAll)).await;
  let one = every(store, &job, second(OverlapPolicy::Skip)).await;
  let queue = every(store, &job, second(OverlapPolicy::BufferOne)).await;
  // So early that none becomes due while the test runs.
  stand_at(store, &all, -1000);
  // Enough is ahead at once that both always find work.
  let planners: Vec<_> = (0..2)
    .map(|_| {
      let planner = PlanSvc::new(service(store), Duration::from_secs(20_000));
      tokio::spawn(async move {
        let mut fired = 0;
        for _ in 0..400 {
          fired += planner.run_once().await.unwrap().fired;
        }
        fired
      })
    })
    .collect();
  let mut fired = 0;
  for planner in planners {
    fired += planner.await.unwrap();
  }
  assert_eq!(fired, 10_000 + 2, "and one each of those that do not overlap");
  let mut conn = store.db.read().await.unwrap();
  let count = |row: &ScheduleEntity| vec![sea_query::Value::Uuid(Some(row.id.0))];
  let sql = "select count(*), count(distinct fire_at), count(distinct task_id) from sched_fire \
    where schedule_id = $1 and decision = 'fired'";
  let rows: Vec<(i64, i64, i64)> = conn.fetch_sql(sql, count(&all)).await.unwrap();
  assert_eq!(rows, [(10_000, 10_000, 10_000)]);
  let sql =
    "select min(scheduled_at), max(scheduled_at) from sched_task_hot where schedule_id = $1";
  let rows: Vec<(Ts, Ts)> = conn.fetch_sql(sql, count(&all)).await.unwrap();
  let first = all.next_run_at.unwrap();
  assert_eq!(rows, [(first, first.plus(Duration::from_secs(9_999)))], "no hole");
  let read = schedule_bmc::get(&mut conn, all.id).await.unwrap().unwrap();
  assert_eq!((read.status, read.run_count), (ScheduleStatus::Expired, 10_000));
  drop(conn);
  for row in [&one, &queue] {
    assert_eq!(live(store, row).await.len(), 1, "{}", row.name);
  }
}
