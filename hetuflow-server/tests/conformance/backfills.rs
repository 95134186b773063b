//! Backfills: what they choose, how many run at once, that nothing runs twice, and how they end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, backfill_bmc, fire_bmc, plan_bmc, schedule_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{
  Actor, BackfillSvc, JobCache, PlanSvc, Store, SubmitSvc, SvcError, TaskSvc,
};
use sea_query::Value as Param;

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::tables::schedule;

/// Seconds between instants: more than a test takes.
const EVERY: u64 = 1000;

/// A server's use cases; each is as good as another, as after a restart.
fn service(store: &TestStore) -> Arc<BackfillSvc> {
  let store = Store::new(store.db.clone(), Arc::new(Bus::default()));
  let submit = SubmitSvc::new(store.clone(), None);
  let tasks = TaskSvc::new(store.clone(), submit, Arc::new(JobCache::default()));
  BackfillSvc::new(store, Arc::new(tasks), 50)
}

struct Past {
  row: ScheduleEntity,
  first: Ts,
}

impl Past {
  /// A schedule that was due every 1,000 s since its first instant, and is again in a while.
  async fn new(store: &TestStore, instants: u64) -> Self {
    let job = stored_job(store).await;
    let back = Duration::from_secs(EVERY * instants - EVERY / 2);
    let first = Ts::from_millis(Ts::now().minus(back).micros() / 1000);
    let mut row = schedule(&job, "past", Some(first.plus(Duration::from_secs(EVERY * instants))));
    row.schedule_kind = ScheduleKind::Interval;
    (row.cron_expression, row.interval_secs, row.anchor_at) = (None, Some(EVERY as i64), first);
    let mut tx = store.db.begin().await.unwrap();
    schedule_bmc::create(&mut tx, &row).await.unwrap();
    tx.end::<_, DbError>(Ok(())).await.unwrap();
    Self { row, first }
  }

  fn at(&self, nth: u64) -> Ts {
    self.first.plus(Duration::from_secs(EVERY * nth))
  }

  fn wish(&self, change: impl FnOnce(&mut BackfillForCreate)) -> BackfillForCreate {
    let (order, parallelism, only) = (None, None, None);
    let mut wish = BackfillForCreate {
      from: self.first,
      to: Ts::now(),
      order,
      parallelism,
      only,
      with_excluded: false,
      dry_run: false,
    };
    change(&mut wish);
    wish
  }

  async fn fill(
    &self,
    store: &TestStore,
    change: impl FnOnce(&mut BackfillForCreate),
  ) -> Result<BackfillEntity, SvcError> {
    let id = self.row.id.to_string();
    service(store).create(&Actor::system(), (None, &id), &self.wish(change)).await
  }

  async fn decided(&self, store: &TestStore, (nth, count): (u64, i64), decision: FireDecision) {
    let fire = FireEntity {
      id: FireId::generate(),
      schedule_id: self.row.id,
      schedule_rev: 1,
      fire_at: self.at(nth),
      decision,
      reason: None,
      task_id: None,
      count,
      from_at: Some(self.at(nth)),
      to_at: Some(self.at(nth + count as u64 - 1)),
    };
    let mut tx = store.db.begin().await.unwrap();
    assert!(fire_bmc::create_once(&mut tx, &fire).await.unwrap());
    tx.end::<_, DbError>(Ok(())).await.unwrap();
  }

  /// The instants of the backfill's tasks that are alive, counted from the first.
  async fn alive(&self, store: &TestStore, row: &BackfillEntity) -> Vec<u64> {
    let mut conn = store.db.read().await.unwrap();
    let open = backfill_bmc::open_tasks(&mut conn, row.id).await.unwrap();
    let first = self.first.micros();
    let nth = |at: Ts| ((at.micros() - first) / (EVERY as i64 * 1_000_000)) as u64;
    open.iter().filter(|task| task.status.is_none()).map(|task| nth(task.scheduled_at)).collect()
  }
}

/// Ends what is alive, each in this state; how many there were.
async fn end(store: &TestStore, row: &BackfillEntity, status: TaskStatus) -> usize {
  let mut tx = store.db.begin().await.unwrap();
  let open = backfill_bmc::open_tasks(&mut tx, row.id).await.unwrap();
  for task in &open {
    let insert = "insert into sched_task_instance (id, task_id, job_id, namespace_id, attempt, \
      fence, status, task_status) values ($1, $2, $3, 'default', 1, 1, 'failed', $4)";
    let (id, job) = (Param::Uuid(Some(task.task_id.0)), Param::Uuid(Some(row.job_id.0)));
    let own = Param::Uuid(Some(uuid::Uuid::now_v7()));
    let values = vec![own, id.clone(), job, Param::String(Some(status.to_string()))];
    tx.execute_sql(insert, values).await.unwrap();
    tx.execute_sql("delete from sched_task_hot where task_id = $1", vec![id]).await.unwrap();
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  open.len()
}

async fn read(store: &TestStore, row: &BackfillEntity) -> BackfillEntity {
  service(store).get(&Actor::system(), &row.id.to_string()).await.unwrap()
}

fn code(refused: Result<BackfillEntity, SvcError>) -> String {
  refused.unwrap_err().response().errors[0].code.clone()
}

pub async fn a_backfill_runs_what_is_missing(store: &TestStore) {
  let past = Past::new(store, 6).await;
  past.decided(store, (1, 1), FireDecision::Fired).await;
  past.decided(store, (2, 2), FireDecision::SkippedMisfire).await;
  let dry = past.fill(store, |wish| wish.dry_run = true).await.unwrap();
  assert_eq!((dry.in_range, dry.total), (6, 5));
  let mut conn = store.db.read().await.unwrap();
  let every = (BackfillFilter::default(), PageArgs::first(9));
  let page = backfill_bmc::list(&mut conn, &every.0, &every.1).await.unwrap();
  assert!(page.data.is_empty(), "a dry run leaves nothing");
  drop(conn);

  let row = past.fill(store, |wish| wish.parallelism = Some(2)).await.unwrap();
  assert_eq!((row.total, row.first_at, row.last_at), (5, past.at(0), past.at(5)));
  // Each turn by another server: what is known is in the store.
  assert_eq!(service(store).run_once().await.unwrap().made, 2);
  assert_eq!(past.alive(store, &row).await, [0, 2]);
  assert_eq!(service(store).run_once().await.unwrap().made, 0, "two are alive");
  end(store, &row, TaskStatus::Succeeded).await;
  assert_eq!(service(store).run_once().await.unwrap().made, 2);
  assert_eq!(past.alive(store, &row).await, [3, 4]);
  end(store, &row, TaskStatus::Failed).await;
  assert_eq!(service(store).run_once().await.unwrap().made, 1);
  end(store, &row, TaskStatus::Succeeded).await;
  service(store).run_once().await.unwrap();
  let over = read(store, &row).await;
  assert_eq!(
    (over.state, over.made, over.succeeded, over.failed),
    (BackfillState::Failed, 5, 3, 2)
  );
  assert_eq!(over.reason.as_deref(), Some("2 of 5 tasks did not succeed"));
  assert!(over.ended_at.is_some());
  assert_eq!(service(store).run_once().await.unwrap().open, 0);

  // What has run is not missing any more; what has failed can be run once more, and only that.
  assert_eq!(code(past.fill(store, |_| {}).await), "backfill.empty");
  let again = past
    .fill(store, |wish| {
      wish.only = Some(BackfillOnly::Failed);
      wish.order = Some(BackfillOrder::Backward);
    })
    .await
    .unwrap();
  assert_eq!(again.total, 2);
  for nth in [4, 3] {
    service(store).run_once().await.unwrap();
    assert_eq!(past.alive(store, &again).await, [nth], "the newest first");
    end(store, &again, TaskStatus::Succeeded).await;
  }
  service(store).run_once().await.unwrap();
  assert_eq!(read(store, &again).await.state, BackfillState::Succeeded);
  let none = past.fill(store, |wish| wish.only = Some(BackfillOnly::Failed)).await;
  assert_eq!(code(none), "backfill.empty");
  assert_eq!(past.fill(store, |wish| wish.only = Some(BackfillOnly::All)).await.unwrap().total, 6);
}

pub async fn two_servers_never_run_an_instant_twice(store: &TestStore) {
  let past = Past::new(store, 40).await;
  let row = past.fill(store, |wish| wish.parallelism = Some(3)).await.unwrap();
  let servers = [service(store), service(store), service(store)];
  let mut seen: Vec<u64> = Vec::new();
  while read(store, &row).await.ended_at.is_none() {
    let turns = servers.iter().map(|server| server.run_once());
    for turn in futures_util::future::join_all(turns).await {
      turn.unwrap();
    }
    let alive = past.alive(store, &row).await;
    assert!(alive.len() <= 3, "{alive:?}");
    seen.extend(alive);
    end(store, &row, TaskStatus::Succeeded).await;
  }
  assert_eq!(seen, (0..40).collect::<Vec<_>>(), "each once, in order");
  let over = read(store, &row).await;
  assert_eq!((over.state, over.succeeded), (BackfillState::Succeeded, 40));
}

pub async fn a_backfill_is_held_goes_on_and_ends(store: &TestStore) {
  let past = Past::new(store, 10).await;
  let admin = Actor::system();
  let row = past.fill(store, |_| {}).await.unwrap();
  let id = row.id.short();
  service(store).run_once().await.unwrap();
  let held = service(store).pause(&admin, &id, Some("night".to_owned())).await.unwrap();
  assert_eq!(held.reason.as_deref(), Some("paused by system: night"));
  end(store, &row, TaskStatus::Succeeded).await;
  assert_eq!(service(store).run_once().await.unwrap().made, 0);
  assert_eq!(read(store, &row).await.succeeded, 1, "counted while it is held");
  assert_eq!(code(service(store).pause(&admin, &id, None).await), "backfill.state");
  service(store).resume(&admin, &id).await.unwrap();
  assert_eq!(service(store).run_once().await.unwrap().made, 1);
  assert_eq!(past.alive(store, &row).await, [1]);

  let ended = service(store).cancel(&admin, &id, &BackfillCancel::default()).await.unwrap();
  assert_eq!(ended.state, BackfillState::Cancelled);
  assert_eq!(past.alive(store, &row).await, [0_u64; 0], "its waiting task is cancelled too");
  service(store).run_once().await.unwrap();
  let over = read(store, &row).await;
  assert!(over.ended_at.is_some() && over.failed == 1 && over.made == 2, "{over:?}");
  assert_eq!(code(service(store).resume(&admin, &id).await), "backfill.state");

  // Without its schedule there is nothing to run.
  let row = past.fill(store, |wish| wish.only = Some(BackfillOnly::All)).await.unwrap();
  let mut tx = store.db.begin().await.unwrap();
  schedule_bmc::delete(&mut tx, past.row.id).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  assert_eq!(service(store).run_once().await.unwrap().made, 0);
  let over = read(store, &row).await;
  assert_eq!(
    (over.state, over.reason.as_deref()),
    (BackfillState::Cancelled, Some("the schedule is gone"))
  );
}

pub async fn a_backfill_has_its_limits_and_holds_nothing_back(store: &TestStore) {
  let past = Past::new(store, 60).await;
  assert_eq!(code(past.fill(store, |_| {}).await), "backfill.too_many", "the test allows 50");
  let future = |wish: &mut BackfillForCreate| wish.to = Ts::now().plus(Duration::from_secs(900));
  assert_eq!(code(past.fill(store, future).await), "backfill.future");
  let before = |wish: &mut BackfillForCreate| {
    (wish.from, wish.to) =
      (past.first.minus(Duration::from_secs(90)), past.first.minus(Duration::from_secs(9)));
  };
  let none = past.fill(store, before).await.unwrap_err().response();
  assert_eq!(none.errors[0].code, "backfill.empty");
  assert!(none.errors[0].message.contains("has no instant from"), "{none:?}");

  // The schedule never overlaps with itself, and fires beside its backfill all the same.
  let last = |wish: &mut BackfillForCreate| wish.from = past.at(58);
  let row = past.fill(store, last).await.unwrap();
  service(store).run_once().await.unwrap();
  assert_eq!(past.alive(store, &row).await, [58]);
  let mut tx = store.db.begin().await.unwrap();
  let due = Ts::now().minus(Duration::from_millis(500));
  schedule_bmc::set_next(&mut tx, past.row.id, Some(due)).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let plan = PlanSvc::new(Store::new(store.db.clone(), Arc::new(Bus::default())), Duration::ZERO);
  assert_eq!(plan.run_once().await.unwrap().fired, 1);
  let mut conn = store.db.read().await.unwrap();
  assert_eq!(plan_bmc::live_tasks(&mut conn, past.row.id).await.unwrap().len(), 1);
  let open = backfill_bmc::open_tasks(&mut conn, row.id).await.unwrap();
  let tasks: BTreeSet<TaskId> = open.iter().map(|task| task.task_id).collect();
  for id in tasks {
    let task = hetuflow_server::infra::bmc::task_bmc::get(&mut conn, id).await.unwrap().unwrap();
    assert_eq!(
      (task.trigger_source, task.schedule_id),
      (TriggerSource::Backfill, Some(past.row.id))
    );
    assert!(
      task.scheduled_at == past.at(58) && task.eligible_at.unwrap() > past.at(59),
      "{task:?}"
    );
  }
}
