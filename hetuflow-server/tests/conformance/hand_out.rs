//! The dispatcher over a real store: claims whose answer was lost.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::broker::{DispatchSettings, Dispatcher, Roster};
use hetuflow_server::infra::bmc::hot;
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{JobCache, LiveAttempt, LiveAttempts, Store};
use hetuflow_tests::wait;
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;
use crate::hot_path::{claim_as, enqueue, slots, stored_job, task};

async fn status_of(store: &TestStore, agent: &str) -> Vec<(TaskId, TaskStatus)> {
  let mut conn = store.db.read().await.unwrap();
  let rows = hot::live_of_agent(&mut conn, &AgentId::new(agent).unwrap()).await.unwrap();
  rows.into_iter().map(|row| (row.task_id, row.status)).collect()
}

/// Only what this process claimed, and has never handed to anybody, is taken back.
pub async fn claims_that_nobody_handed_out_wait_again(store: &TestStore) {
  let job = stored_job(store).await;
  let (roster, jobs) = (Arc::new(Roster::default()), Arc::new(JobCache::default()));
  let live = Arc::new(LiveAttempts::default());
  let settings = DispatchSettings {
    early: Duration::from_secs(5),
    poll_interval: Duration::from_millis(20),
    choice: AgentChoice::MostFree,
    prefer_hold: Duration::ZERO,
    claim_lease: Duration::from_millis(400),
  };
  let ours = ServerId::new("s1").unwrap();
  let bus = Arc::new(Bus::default());
  let service = Store::new(store.db.clone(), Arc::clone(&bus));
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  let before = claim_as(store, "s1", &slots(1, "before")).await;
  let caches = (jobs, live.clone(), Arc::default());
  let dispatcher = Dispatcher::new(service, roster, caches, ours, settings);
  let stop = CancellationToken::new();
  let running = tokio::spawn(dispatcher.run(stop.clone()));
  // It notes when it began in its first turn; a claim after that is its own.
  let turned = || async { bus.is_quiet().then_some(()) };
  wait::until("the first turn", Duration::from_secs(30), turned).await.unwrap();
  enqueue(store, &[1, 2, 3].map(|_| task(&job, 0, Ts::now()))).await;
  let lost = claim_as(store, "s1", &slots(1, "lost")).await;
  let known = claim_as(store, "s1", &slots(1, "known")).await;
  let attempt = LiveAttempt {
    task_id: known[0].task_id,
    agent_id: known[0].agent_id.clone(),
    fence: known[0].fence,
  };
  live.insert([(known[0].instance_id, attempt)]);
  let other = claim_as(store, "s2", &slots(1, "other")).await;

  wait::until("the claim to be taken back", Duration::from_secs(30), || async {
    status_of(store, "lost").await.is_empty().then_some(())
  })
  .await
  .unwrap();
  let mut conn = store.db.read().await.unwrap();
  let row = hot::lock_rows(&mut conn, &[lost[0].task_id]).await.unwrap().remove(0);
  assert_eq!((row.status, row.attempt, row.agent_id), (TaskStatus::Pending, 0, None));
  drop(conn);
  // The others have had as long.
  for (agent, claimed) in [("before", &before), ("known", &known), ("other", &other)] {
    assert_eq!(
      status_of(store, agent).await,
      [(claimed[0].task_id, TaskStatus::Locked)],
      "{agent}"
    );
  }
  // Its next claim has a higher fence, so that a late report of the lost one is told from it.
  let again = claim_as(store, "s1", &slots(1, "lost")).await;
  assert_eq!((again[0].task_id, again[0].attempt), (lost[0].task_id, 1));
  assert!(again[0].fence > lost[0].fence);
  stop.cancel();
  running.await.unwrap();
}
