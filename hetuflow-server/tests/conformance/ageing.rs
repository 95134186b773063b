//! Priorities that rise with waiting.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, NewTask};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{AgeingSvc, Store};

use crate::engines::TestStore;
use crate::hot_path::{enqueue, stored_job, task};

async fn standing(store: &TestStore, id: TaskId) -> (i64, i64) {
  let mut conn = store.db.read().await.unwrap();
  let row = hot::waiting_row(&mut conn, id).await.unwrap().unwrap();
  (row.priority, row.aged)
}

/// One point for every step of the wait, and only while something more urgent is due.
pub async fn long_waiters_rise(store: &TestStore) {
  let job = stored_job(store).await;
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  let ageing = AgeingSvc::new(service.clone(), Duration::from_secs(100));
  let ago = |secs| Ts::now().minus(Duration::from_secs(secs));
  let old = task(&job, -10, ago(350));
  let new = task(&job, -10, ago(50));
  let demand =
    LimitDemand { limit: "semaphore:default/x".to_owned(), slots: 1, cap: None, rate: None };
  let held = NewTask { gate: Some(Gate(vec![demand])), ..task(&job, 0, ago(250)) };
  enqueue(store, &[old.clone(), new.clone()]).await;
  assert_eq!(ageing.turn().await.unwrap(), 0, "nothing is more urgent");
  let later = task(&job, 9, Ts::now().plus(Duration::from_secs(600)));
  enqueue(store, &[later, held.clone()]).await;
  assert_eq!(ageing.turn().await.unwrap(), 1, "the held one is more urgent than the old one");
  assert_eq!(standing(store, old.id).await, (-7, 3));
  assert_eq!(standing(store, new.id).await, (-10, 0));
  assert_eq!(standing(store, held.id).await, (0, 0), "nothing due is above it");
  let urgent = task(&job, 5, Ts::now());
  enqueue(store, std::slice::from_ref(&urgent)).await;
  assert_eq!(ageing.turn().await.unwrap(), 1);
  assert_eq!(standing(store, held.id).await, (2, 2));
  assert_eq!(ageing.turn().await.unwrap(), 0, "once for each step");
  // A person's word sets the priority itself; waiting counts on top of it.
  let mut tx = store.db.begin_hot().await.unwrap();
  let set = hot::reprioritise_if_waiting(&mut tx, old.id, -20).await;
  tx.end(set).await.unwrap();
  assert_eq!(standing(store, old.id).await, (-20, 0));
  assert_eq!(ageing.turn().await.unwrap(), 1);
  assert_eq!(standing(store, old.id).await, (-17, 3));
  let off = AgeingSvc::new(service, Duration::ZERO);
  assert!(!off.is_on());
}
