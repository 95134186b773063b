//! Limits: who is let through, how slots come free, and that there are never too many.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, ClaimedTask, NewTask};
use hetuflow_server::infra::bmc::{job_bmc, limit_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{Actor, AdmissionSvc, JobCache, SemaphoreSvc, Store};
use serde_json::json;

use crate::engines::TestStore;
use crate::hot_path::{claim_as, enqueue, slots, stored_job, task};
use crate::tables::job;

fn service(store: &TestStore) -> Store {
  Store::new(store.db.clone(), Arc::new(Bus::default()))
}

fn admission(store: &TestStore) -> Arc<AdmissionSvc> {
  AdmissionSvc::new(service(store), Arc::new(JobCache::default()))
}

fn demand(limit: &str, slots: i64) -> LimitDemand {
  LimitDemand { limit: limit.to_owned(), slots, cap: None, rate: None }
}

fn held(job: &JobEntity, priority: i64, demands: &[LimitDemand]) -> NewTask {
  NewTask { gate: Some(Gate(demands.to_vec())), ..task(job, priority, Ts::now()) }
}

async fn set(store: &TestStore, name: &str, put: serde_json::Value) {
  let put: SemaphoreForPut = serde_json::from_value(put).unwrap();
  let semaphores = SemaphoreSvc::new(service(store));
  semaphores.put(&Actor::system(), (None, name), put).await.unwrap();
}

async fn used(store: &TestStore, limit: &str) -> i64 {
  let mut conn = store.db.read().await.unwrap();
  limit_bmc::taken(&mut conn, &[limit]).await.unwrap().first().map_or(0, |one| one.1)
}

/// Ends claimed tasks as the reports of their agents do.
async fn finish(store: &TestStore, claims: &[ClaimedTask]) {
  let mut ends: Vec<(TaskId, i64)> = claims.iter().map(|one| (one.task_id, one.fence)).collect();
  ends.sort_unstable();
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::delete_finished(&mut tx, &ends).await;
  assert_eq!(tx.end(gone).await.unwrap().len(), claims.len());
}

pub async fn held_tasks_wait_for_their_slot(store: &TestStore) {
  let job = stored_job(store).await;
  let limit = "semaphore:default/db";
  set(store, "db", json!({ "slots": 2 })).await;
  let admission = admission(store);
  assert_eq!(admission.turn().await.unwrap().admitted, 0, "nothing is held");
  let tasks: Vec<NewTask> = (0..5).map(|_| held(&job, 0, &[demand(limit, 1)])).collect();
  enqueue(store, &tasks).await;
  assert!(
    claim_as(store, "s1", &slots(9, "a")).await.is_empty(),
    "not before they are let through"
  );
  assert!(hot::due_marks(&mut store.db.read().await.unwrap()).await.unwrap().is_empty());
  assert_eq!(admission.turn().await.unwrap().admitted, 2);
  assert_eq!(admission.turn().await.unwrap().admitted, 0);
  let first = claim_as(store, "s1", &slots(9, "a")).await;
  let ids: HashSet<TaskId> = first.iter().map(|one| one.task_id).collect();
  assert_eq!(ids, HashSet::from([tasks[0].id, tasks[1].id]), "in the order of their instants");
  assert_eq!(used(store, limit).await, 2);
  // A claim that never left keeps its slot, and its end frees it, whatever becomes of the lease.
  let back = [(first[0].task_id, first[0].fence)];
  let mut tx = store.db.begin_hot().await.unwrap();
  let returned = hot::return_claims(&mut tx, &back, false, Ts::now()).await;
  assert_eq!(tx.end(returned).await.unwrap(), 1);
  assert_eq!(admission.turn().await.unwrap().admitted, 0);
  let again = claim_as(store, "s1", &slots(9, "a")).await;
  assert_eq!(again.iter().map(|one| one.task_id).collect::<Vec<_>>(), [first[0].task_id]);
  finish(store, &again).await;
  assert_eq!(used(store, limit).await, 1, "freed by the end itself");
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  // A cancelled one that was let through frees its slot as well.
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::finish_unstarted(&mut tx, &[tasks[2].id]).await;
  assert_eq!(tx.end(gone).await.unwrap()[0].row.gate, -tasks[2].gate.as_ref().unwrap().number());
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  assert_eq!(used(store, limit).await, 2);
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::finish_unstarted(&mut tx, &[tasks[3].id]).await;
  tx.end(gone).await.unwrap();
  assert_eq!(admission.sweep().await.unwrap(), 1, "its lease no longer counts");
}

pub async fn a_retry_waits_for_its_slot_anew(store: &TestStore) {
  let job = stored_job(store).await;
  let limit = "semaphore:default/db";
  set(store, "db", json!({ "slots": 1 })).await;
  let admission = admission(store);
  let tasks = [held(&job, 0, &[demand(limit, 1)]), held(&job, 0, &[demand(limit, 1)])];
  enqueue(store, &tasks).await;
  admission.turn().await.unwrap();
  let first = claim_as(store, "s1", &slots(1, "a")).await.remove(0);
  let again = Ts::now();
  let mut tx = store.db.begin_hot().await.unwrap();
  let went = hot::reschedule_retry(&mut tx, &[(first.task_id, first.fence, again)], again).await;
  tx.end(went).await.unwrap();
  assert_eq!(used(store, limit).await, 0, "a task that waits for another attempt has no slot");
  assert!(claim_as(store, "s1", &slots(9, "a")).await.is_empty());
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  let second = claim_as(store, "s1", &slots(9, "a")).await.remove(0);
  assert_eq!(second.task_id, tasks[1].id, "the other one was due before");
  finish(store, &[second]).await;
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  let third = claim_as(store, "s1", &slots(9, "a")).await.remove(0);
  assert_eq!((third.task_id, third.attempt), (first.task_id, 2));
}

pub async fn all_or_nothing_over_several_limits(store: &TestStore) {
  let job = stored_job(store).await;
  for (name, count) in [("a", 1), ("b", 2)] {
    set(store, name, json!({ "slots": count })).await;
  }
  let (a, b) = ("semaphore:default/a", "semaphore:default/b");
  let both = [demand(a, 1), demand(b, 2)];
  let tasks = [
    held(&job, 0, &[demand(b, 1)]),
    held(&job, 5, &both),
    held(&job, 0, &[demand(a, 1)]),
    held(&job, 0, &both),
  ];
  enqueue(store, &tasks).await;
  let admission = admission(store);
  assert_eq!(admission.turn().await.unwrap().admitted, 1, "the urgent one takes both");
  assert_eq!((used(store, a).await, used(store, b).await), (1, 2));
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::finish_unstarted(&mut tx, &[tasks[1].id]).await;
  assert_eq!(tx.end(gone).await.unwrap().len(), 1);
  // The two small ones were first; what the last one lacks is not taken by it in part.
  assert_eq!(admission.turn().await.unwrap().admitted, 2);
  assert_eq!((used(store, a).await, used(store, b).await), (1, 1));
}

pub async fn rates_count_starts(store: &TestStore) {
  let job = stored_job(store).await;
  let limit = "semaphore:default/mail";
  set(store, "mail", json!({ "rate": 3, "per_secs": 150 })).await;
  let tasks: Vec<NewTask> = (0..7).map(|_| held(&job, 0, &[demand(limit, 1)])).collect();
  enqueue(store, &tasks).await;
  let admission = admission(store);
  let mut let_through = Vec::new();
  while let_through.len() < 7 {
    let turn = admission.turn().await.unwrap();
    let now = store.db.read().await.unwrap().now().await.unwrap();
    let_through.extend((0..turn.admitted).map(|_| now));
    // Ends at once: only starts count, not what is alive.
    finish(store, &claim_as(store, "s1", &slots(9, "a")).await).await;
    // Stands at the instant that it names itself.
    let at = turn.next_at.filter(|at| *at > now);
    let at = at.unwrap_or_else(|| now.plus(Duration::from_secs(1)));
    store.db.shift_clock(at.micros() - Ts::now().micros());
  }
  for four in let_through.windows(4) {
    let span = four[3].since(four[0]);
    assert!(span >= Duration::from_secs(149), "four starts within {span:?}");
  }
}

/// Two servers admit, two claim, and tasks end at the same time.
pub async fn two_servers_never_let_too_many_through(store: &TestStore) {
  const TASKS: usize = 120;
  let job = stored_job(store).await;
  for (name, count) in [("a", 3), ("b", 2)] {
    set(store, name, json!({ "slots": count })).await;
  }
  let (a, b) = ("semaphore:default/a", "semaphore:default/b");
  let kinds =
    [vec![demand(a, 1)], vec![demand(b, 1)], vec![demand(a, 1), demand(b, 1)], vec![demand(a, 2)]];
  let tasks: Vec<NewTask> = (0..TASKS).map(|n| held(&job, 0, &kinds[n % 4])).collect();
  let stop = AtomicBool::new(false);
  let admit = async || {
    let admission = admission(store);
    while !stop.load(Ordering::Relaxed) {
      match admission.turn().await {
        Ok(_) => {}
        Err(error) if error.is_retry() => {}
        Err(error) => panic!("{error}"),
      }
      tokio::time::sleep(Duration::from_millis(1)).await;
    }
  };
  let work = async |server: &str| {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
      let claims = claim_as(store, server, &slots(2, server)).await;
      let mut conn = store.db.read().await.unwrap();
      for (limit, most) in [(a, 3), (b, 2)] {
        let taken = limit_bmc::taken(&mut conn, &[limit]).await.unwrap();
        assert!(taken.iter().all(|one| one.1 <= most), "{taken:?} of {most}");
      }
      drop(conn);
      finish(store, &claims).await;
      done += claims.len();
      tokio::task::yield_now().await;
    }
    done
  };
  let come = async {
    for part in tasks.chunks(10) {
      enqueue(store, part).await;
    }
    let left = || async {
      let mut conn = store.db.read().await.unwrap();
      let live = hot::count_live(&mut conn).await.unwrap();
      live.is_empty().then_some(())
    };
    let ended = hetuflow_tests::wait::until("all to end", Duration::from_secs(120), left).await;
    stop.store(true, Ordering::Relaxed);
    ended.unwrap();
  };
  let (_, _, one, two, ()) = tokio::join!(admit(), admit(), work("s1"), work("s2"), come);
  assert_eq!(one + two, TASKS, "each exactly once");
  assert_eq!((used(store, a).await, used(store, b).await), (0, 0));
}

pub async fn slots_that_nobody_uses_go_to_others(store: &TestStore) {
  let job = stored_job(store).await;
  let config: TaskConfig = serde_json::from_value(json!({ "selector": "zone=nowhere" })).unwrap();
  let class = config.class(&NamespaceId::default(), job.id);
  let mut tx = store.db.begin().await.unwrap();
  let made = job_bmc::ensure_class(&mut tx, &class).await;
  tx.end(made).await.unwrap();
  set(store, "db", json!({ "slots": 1 })).await;
  let one = demand("semaphore:default/db", 1);
  let nowhere = NewTask { class_id: class.class_id(), ..held(&job, 0, std::slice::from_ref(&one)) };
  enqueue(store, &[nowhere.clone(), held(&job, 0, &[one])]).await;
  let admission = admission(store);
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  assert!(claim_as(store, "s1", &slots(1, "a")).await.is_empty(), "no agent may run the first");
  let mut tx = store.db.begin().await.unwrap();
  let long_ago = Ts::now().minus(Duration::from_secs(60));
  let lease =
    limit_bmc::Lease { limit: "semaphore:default/db".to_owned(), task_id: nowhere.id, slots: 1 };
  let written = limit_bmc::write_leases(&mut tx, &[lease], long_ago).await;
  tx.end(written).await.unwrap();
  assert!(admission.turn().await.unwrap().more, "its slot is taken from it");
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  assert_eq!(claim_as(store, "s1", &slots(1, "a")).await.len(), 1);
}

pub async fn the_numbers_of_now_count(store: &TestStore) {
  let config: TaskConfig =
    serde_json::from_value(json!({ "command": "x", "max_concurrent": 1 })).unwrap();
  let mut limited = JobEntity { config, ..job("limited") };
  let mut tx = store.db.begin().await.unwrap();
  let made = job_bmc::create(&mut tx, &limited).await;
  tx.end(made).await.unwrap();
  let limit = format!("job:{}", limited.id);
  let tasks: Vec<NewTask> = (0..6).map(|_| held(&limited, 0, &[demand(&limit, 1)])).collect();
  enqueue(store, &tasks).await;
  let admission = admission(store);
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  limited.config.max_concurrent = Some(3);
  let change = JobForUpdate { config: Some(limited.config.clone()), ..JobForUpdate::default() };
  let mut tx = store.db.begin().await.unwrap();
  let by = (None, Ts::now());
  let changed = job_bmc::update_if_version(&mut tx, limited.id, limited.version, &change, by).await;
  assert!(tx.end(changed).await.unwrap());
  assert_eq!(admission.turn().await.unwrap().admitted, 2);
  let running = claim_as(store, "s1", &slots(9, "a")).await;
  assert_eq!(running.len(), 3);
  // Fewer slots than are taken stop nobody, and let nobody through.
  let lower = NewTask {
    gate: Some(Gate(vec![LimitDemand { cap: Some(2), ..demand(&limit, 1) }])),
    ..task(&limited, 9, Ts::now())
  };
  enqueue(store, std::slice::from_ref(&lower)).await;
  assert_eq!(admission.turn().await.unwrap().admitted, 0);
  finish(store, &running[..1]).await;
  assert_eq!(admission.turn().await.unwrap().admitted, 0, "two are two too many for it");
  finish(store, &running[1..]).await;
  assert_eq!(admission.turn().await.unwrap().admitted, 3, "it, and two that may go beside it");
}

pub async fn semaphores_are_kept_while_they_are_needed(store: &TestStore) {
  let job = stored_job(store).await;
  let semaphores = SemaphoreSvc::new(service(store));
  let actor = Actor::system();
  set(store, "db", json!({ "slots": 2, "description": "the database" })).await;
  set(store, "db2", json!({ "slots": 1 })).await;
  let keyed = held(&job, 0, &[demand("semaphore:default/db/ä/b", 1)]);
  enqueue(store, std::slice::from_ref(&keyed)).await;
  let refused = semaphores.delete(&actor, (None, "db")).await.unwrap_err().response();
  assert_eq!(refused.errors[0].code, "semaphore.in_use");
  semaphores.delete(&actor, (None, "db2")).await.unwrap();
  admission(store).turn().await.unwrap();
  let usage = semaphores.usage(&actor, (None, "db")).await.unwrap();
  assert_eq!((usage.taken, usage.keys[0].key.as_deref()), (1, Some("ä/b")));
  assert_eq!(usage.keys[0].holders[0].task_id, keyed.id);
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::finish_unstarted(&mut tx, &[keyed.id]).await;
  tx.end::<_, DbError>(gone).await.unwrap();
  semaphores.delete(&actor, (None, "db")).await.unwrap();
  assert_eq!(
    semaphores.get(&actor, (None, "db")).await.unwrap_err().response().code,
    ErrorCode::NotFound
  );
}
