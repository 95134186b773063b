//! Runs that take longer than is usual for their job.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, LiveRow};
use hetuflow_server::infra::bmc::{event_bmc, job_bmc, warning_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{JobCache, OverdueSvc, Store};

use crate::engines::TestStore;
use crate::hot_path::{claim_as, end_of, enqueue, slots, task};
use crate::tables::job;

fn service(store: &TestStore) -> OverdueSvc {
  let store = Store::new(store.db.clone(), Arc::new(Bus::default()));
  OverdueSvc::new(store, Arc::new(JobCache::default()))
}

async fn stored(store: &TestStore, name: &str) -> JobEntity {
  let job = job(name);
  let mut tx = store.db.begin().await.unwrap();
  let spec = JobSpec {
    job_id: job.id,
    job_version: 1,
    job_name: job.name.clone(),
    namespace_id: job.namespace_id.clone(),
    config: job.config.clone(),
    environment: Environment::default(),
  };
  job_bmc::create(&mut tx, &job).await.unwrap();
  let made = job_bmc::create_version(&mut tx, &spec, None, Ts::now()).await;
  tx.end(made).await.unwrap();
  job
}

/// Runs of a job, one after the other, that took so many seconds each and are over.
async fn ran(store: &TestStore, job: &JobEntity, secs: &[u64]) {
  for (nth, secs) in secs.iter().enumerate() {
    let began = Ts::now().minus(Duration::from_secs(3600 - 60 * nth as u64));
    enqueue(store, &[task(job, 0, began)]).await;
    let claimed = claim_as(store, "s1", &slots(1, "a")).await.remove(0);
    let mut end = end_of(&claimed, TaskInstanceStatus::Succeeded);
    end.started_at = Some(began);
    end.completed_at = began.plus(Duration::from_secs(*secs));
    let mut tx = store.db.begin_hot().await.unwrap();
    hot::delete_finished(&mut tx, &[(claimed.task_id, claimed.fence)]).await.unwrap();
    let stored = hot::insert_finished(&mut tx, &[end]).await;
    tx.end(stored).await.unwrap();
  }
}

/// A run of a job that has been going on for so long.
async fn running(store: &TestStore, job: &JobEntity, secs: u64) -> (TaskId, TaskInstanceId) {
  let started_at = Ts::now().minus(Duration::from_secs(secs));
  enqueue(store, &[task(job, 0, started_at)]).await;
  let claimed = claim_as(store, "s1", &slots(1, "a")).await.remove(0);
  let row = LiveRow { task_id: claimed.task_id, fence: claimed.fence, started_at };
  let mut tx = store.db.begin_hot().await.unwrap();
  let moved = hot::mark_running(&mut tx, &[row], Ts::now()).await;
  assert_eq!(tx.end(moved).await.unwrap().len(), 1);
  (claimed.task_id, claimed.instance_id)
}

/// Twice what 95 of 100 runs stay under, ten seconds at least, and only where five runs say what is
/// usual. It is told once, whichever server looks.
pub async fn slower_than_usual_is_told_once(store: &TestStore) {
  let (steady, quick, new) =
    (stored(store, "steady").await, stored(store, "quick").await, stored(store, "new").await);
  ran(store, &steady, &[20, 20, 30, 20, 20]).await;
  ran(store, &quick, &[1, 1, 1, 1, 1]).await;
  ran(store, &new, &[1, 1, 1, 1]).await;
  let fine = running(store, &steady, 50).await;
  let slow = running(store, &steady, 70).await;
  // Twice a second is nothing to speak of.
  running(store, &quick, 8).await;
  let later = running(store, &quick, 15).await;
  running(store, &new, 600).await;
  let mut first = service(store);
  assert_eq!(first.turn().await.unwrap(), 2);
  assert_eq!(first.turn().await.unwrap(), 0, "once");
  assert_eq!(service(store).turn().await.unwrap(), 0, "once in the whole cluster");
  let mut conn = store.db.read().await.unwrap();
  let told = warning_bmc::of_attempts(&mut conn, &[fine.1, slow.1, later.1]).await.unwrap();
  let mut told: Vec<_> = told.into_iter().map(|(attempt, kind, _)| (attempt, kind)).collect();
  told.sort_unstable();
  let mut wanted = vec![(slow.1, "slow".to_owned()), (later.1, "slow".to_owned())];
  wanted.sort_unstable();
  assert_eq!(told, wanted);
  let events = event_bmc::list_after(&mut conn, 0, 100).await.unwrap();
  let overdue = events
    .iter()
    .flat_map(|batch| &batch.changes)
    .filter(|change| change.event_type == "task.overdue");
  let overdue: Vec<_> = overdue.collect();
  assert_eq!(overdue.len(), 2);
  let of_slow = overdue.iter().find(|change| change.subject.id == slow.0.to_string()).unwrap();
  assert_eq!(
    (&of_slow.data["kind"], &of_slow.data["usual_runs"]),
    (&serde_json::json!("slow"), &serde_json::json!(5))
  );
}
