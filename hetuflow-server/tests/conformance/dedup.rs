//! Many requests as one task, under load and over two servers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{hot, job_bmc, task_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{Actor, AdmissionSvc, JobCache, Store, SubmitSvc, TaskSvc};
use serde_json::json;

use crate::engines::TestStore;
use crate::tables::job;

fn tasks(store: &TestStore) -> TaskSvc {
  let store = Store::new(store.db.clone(), Arc::new(Bus::default()));
  TaskSvc::new(store.clone(), SubmitSvc::new(store, None), Arc::new(JobCache::default()))
}

fn request(job: &JobEntity, dedup: &serde_json::Value, n: i64) -> TaskForCreate {
  let value = json!({ "job": job.name, "parameters": { "n": n, "who": "a" }, "dedup": dedup });
  serde_json::from_value(value).unwrap()
}

async fn stored(store: &TestStore, name: &str) -> JobEntity {
  let config = serde_json::from_value(json!({ "command": "true" })).unwrap();
  let job = JobEntity { config, ..job(name) };
  let mut tx = store.db.begin().await.unwrap();
  let made = job_bmc::create(&mut tx, &job).await;
  tx.end(made).await.unwrap();
  job
}

pub async fn many_requests_at_once_are_one_task(store: &TestStore) {
  let job = stored(store, "many").await;
  let servers = [tasks(store), tasks(store)];
  for dedup in [
    json!({ "mode": "throttle", "key": "{{ params.who }}", "window_secs": 60 }),
    json!({ "mode": "debounce", "key": "d-{{ params.who }}", "window_secs": 60 }),
  ] {
    let requests = (0..20_i64).map(|n| {
      let (server, request) = (&servers[n as usize % 2], request(&job, &dedup, n));
      async move { server.create(&Actor::system(), request).await.unwrap() }
    });
    let answers = futures_util::future::join_all(requests).await;
    let ids: HashSet<TaskId> = answers.iter().map(|(task, _)| task.id).collect();
    assert_eq!(ids.len(), 1, "{dedup}: one task");
    assert_eq!(answers.iter().filter(|(_, joined)| !joined).count(), 1, "{dedup}: made once");
  }
  let mut conn = store.db.read().await.unwrap();
  let live: i64 = hot::count_live(&mut conn).await.unwrap().iter().map(|(_, count)| count).sum();
  assert_eq!(live, 2);
}

/// At instants that the test chooses: a window of 100 s, and 160 s at most.
pub async fn a_debounced_task_is_moved_until_it_goes(store: &TestStore) {
  let job = stored(store, "moved").await;
  let server = tasks(store);
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  let admission = AdmissionSvc::new(service, Arc::new(JobCache::default()));
  let dedup = json!({ "mode": "debounce", "window_secs": 100, "max_wait_secs": 160 });
  let ask = async |n: i64| server.create(&Actor::system(), request(&job, &dedup, n)).await.unwrap();
  let stand_at = |secs: i64| store.db.shift_clock(secs * 1_000_000);
  let (first, joined) = ask(1).await;
  assert!(!joined);
  let due = first.eligible_at.unwrap();
  let turn = admission.turn().await.unwrap();
  assert_eq!((turn.admitted, turn.next_at), (0, Some(due)), "held until its very instant");
  stand_at(30);
  let (second, joined) = ask(2).await;
  assert!(joined && second.id == first.id);
  assert_eq!(second.parameters, Some(json!({ "n": 2, "who": "a" })), "the last word counts");
  let later = second.eligible_at.unwrap();
  assert!(later >= due.plus(Duration::from_secs(30)));
  stand_at(90);
  let (third, _) = ask(3).await;
  let last = third.eligible_at.unwrap();
  assert_eq!(last, due.plus(Duration::from_secs(60)), "no longer than max_wait");
  assert_eq!(admission.turn().await.unwrap().admitted, 0);
  stand_at(170);
  assert_eq!(admission.turn().await.unwrap().admitted, 1);
  // It has gone: the next request begins anew.
  let (fourth, joined) = ask(4).await;
  assert!(!joined && fourth.id != first.id);
  let mut conn = store.db.read().await.unwrap();
  let gone = task_bmc::get(&mut conn, first.id).await.unwrap().unwrap();
  assert_eq!(gone.parameters, Some(json!({ "n": 3, "who": "a" })));
}

/// A key that made a task is answered with it; otherwise the job's word counts, also for many at
/// once with one key.
pub async fn keys_and_kinds_of_requests_meet(store: &TestStore) {
  let job = stored(store, "keyed").await;
  let mut config = job.config.clone();
  let dedup = json!({ "mode": "throttle", "window_secs": 600 });
  config.dedup = Some(serde_json::from_value(dedup).unwrap());
  let change = JobForUpdate { config: Some(config), ..JobForUpdate::default() };
  let mut tx = store.db.begin().await.unwrap();
  let by = (None, Ts::now());
  let changed = job_bmc::update_if_version(&mut tx, job.id, job.version, &change, by).await;
  assert!(tx.end(changed).await.unwrap());
  let servers = [tasks(store), tasks(store)];
  let ask = async |server: &TaskSvc, key: &str| {
    let value = json!({ "job": "keyed", "idempotency_key": key });
    server.create(&Actor::system(), serde_json::from_value(value).unwrap()).await.unwrap()
  };
  let answers = futures_util::future::join_all((0..8).map(|n| ask(&servers[n % 2], "one"))).await;
  let first = answers[0].0.id;
  assert!(answers.iter().all(|(task, _)| task.id == first));
  assert_eq!(answers.iter().filter(|(_, joined)| !joined).count(), 1);
  assert_eq!(ask(&servers[0], "two").await.0.id, first, "another key within the window");
  store.db.shift_clock(700_000_000);
  assert_eq!(ask(&servers[0], "one").await.0.id, first, "a known key, long after");
  let third = ask(&servers[0], "three").await;
  assert!(!third.1 && third.0.id != first, "the window is over");
}
