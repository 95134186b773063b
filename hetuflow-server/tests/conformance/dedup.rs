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

pub async fn a_debounced_task_is_moved_until_it_goes(store: &TestStore) {
  let job = stored(store, "moved").await;
  let server = tasks(store);
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  let admission = AdmissionSvc::new(service, Arc::new(JobCache::default()));
  let dedup = json!({ "mode": "debounce", "window_secs": 1, "max_wait_secs": 1.6 });
  let ask = async |n: i64| server.create(&Actor::system(), request(&job, &dedup, n)).await.unwrap();
  let (first, joined) = ask(1).await;
  assert!(!joined);
  let due = first.eligible_at.unwrap();
  let turn = admission.turn().await.unwrap();
  assert_eq!((turn.admitted, turn.next_at), (0, Some(due)), "held until its very instant");
  tokio::time::sleep(Duration::from_millis(300)).await;
  let (second, joined) = ask(2).await;
  assert!(joined && second.id == first.id);
  assert_eq!(second.parameters, Some(json!({ "n": 2, "who": "a" })), "the last word counts");
  let later = second.eligible_at.unwrap();
  assert!(later > due);
  tokio::time::sleep(Duration::from_millis(500)).await;
  let (third, _) = ask(3).await;
  let last = third.eligible_at.unwrap();
  assert_eq!(
    last.since(first.created_at.minus(Duration::from_secs(1))).as_secs(),
    2,
    "no longer than max_wait"
  );
  while admission.turn().await.unwrap().admitted == 0 {
    tokio::time::sleep(Duration::from_millis(50)).await;
  }
  // It has gone: the next request begins anew.
  let (fourth, joined) = ask(4).await;
  assert!(!joined && fourth.id != first.id);
  let mut conn = store.db.read().await.unwrap();
  let gone = task_bmc::get(&mut conn, first.id).await.unwrap().unwrap();
  assert_eq!(gone.parameters, Some(json!({ "n": 3, "who": "a" })));
}
