//! The dispatcher over a real store: claims whose answer was lost.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::broker::{DispatchSettings, Dispatcher, Roster};
use hetuflow_server::infra::bmc::hot::{self, LiveRow, StopMark};
use hetuflow_server::infra::bmc::{task_bmc, task_instance_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{JobCache, LiveAttempt, LiveAttempts, Store};
use hetuflow_tests::wait;
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;
use crate::hot_path::{claim_as, enqueue, slots, stored_job, task};

const LIMIT: Duration = Duration::from_secs(30);

async fn status_of(store: &TestStore, agent: &str) -> Vec<(TaskId, TaskStatus)> {
  let mut conn = store.db.read().await.unwrap();
  let rows = hot::live_of_agent(&mut conn, &AgentId::new(agent).unwrap()).await.unwrap();
  rows.into_iter().map(|row| (row.task_id, row.status)).collect()
}

/// The dispatcher of server s1, which has nobody to hand anything to, and its wakes.
fn dispatcher(store: &TestStore, live: &Arc<LiveAttempts>) -> (Dispatcher, Arc<Bus>) {
  let (roster, jobs) = (Arc::new(Roster::default()), Arc::new(JobCache::default()));
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
  let caches = (jobs, Arc::clone(live), Arc::default());
  (Dispatcher::new(service, roster, caches, ours, settings), bus)
}

/// Waits until a dispatcher has noted when it began; a claim after that is its own.
async fn first_turn(bus: &Bus) {
  let turned = || async { bus.is_quiet().then_some(()) };
  wait::until("the first turn", LIMIT, turned).await.unwrap();
}

/// Only what this process claimed, and has never handed to anybody, is taken back.
pub async fn claims_that_nobody_handed_out_wait_again(store: &TestStore) {
  let job = stored_job(store).await;
  let live = Arc::new(LiveAttempts::default());
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  let before = claim_as(store, "s1", &slots(1, "before")).await;
  let (dispatcher, bus) = dispatcher(store, &live);
  let stop = CancellationToken::new();
  let running = tokio::spawn(dispatcher.run(stop.clone()));
  first_turn(&bus).await;
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

  wait::until("the claim to be taken back", LIMIT, || async {
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

/// What somebody asks to stop before its lost claim is found ends there: nobody would ever answer.
pub async fn stopped_claims_that_nobody_handed_out_end(store: &TestStore) {
  let job = stored_job(store).await;
  let live = Arc::new(LiveAttempts::default());
  let (dispatcher, bus) = dispatcher(store, &live);
  let stop = CancellationToken::new();
  let running = tokio::spawn(dispatcher.run(stop.clone()));
  first_turn(&bus).await;
  let agents = ["stop", "skip", "restart", "known", "started"];
  enqueue(store, &agents.map(|_| task(&job, 0, Ts::now()))).await;
  let places = agents.map(|agent| slots(1, agent).remove(0));
  // Together: the audit finds no claim before it was asked to stop.
  let mut tx = store.db.begin_hot().await.unwrap();
  let ours = ServerId::new("s1").unwrap();
  let claimed = hot::claim_due(&mut tx, (42, 0), &places, &ours, 5_000_000).await.unwrap();
  assert_eq!(claimed.len(), agents.len());
  for one in &claimed {
    let (task_id, agent_id, fence) = (one.task_id, one.agent_id.clone(), one.fence);
    let name = one.agent_id.as_str();
    if name == "known" {
      live.insert([(one.instance_id, LiveAttempt { task_id, agent_id, fence })]);
    } else if name == "started" {
      let row = LiveRow { task_id, fence, started_at: Ts::now() };
      assert_eq!(hot::mark_running(&mut tx, &[row], Ts::now()).await.unwrap().len(), 1);
    }
    let kind = if ["skip", "restart"].contains(&name) { name } else { "stop" };
    let reason = Some("who".to_owned());
    let mark = StopMark { kind: kind.to_owned(), reason, grace_ms: None };
    assert!(hot::request_stop(&mut tx, task_id, &mark, Ts::now()).await.unwrap());
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();

  for agent in ["stop", "skip", "restart"] {
    wait::until("the claim to be taken back", LIMIT, || async {
      status_of(store, agent).await.is_empty().then_some(())
    })
    .await
    .unwrap();
  }
  let of = |agent: &str| claimed.iter().find(|one| one.agent_id.as_str() == agent).unwrap();
  for agent in ["known", "started"] {
    let left = [(of(agent).task_id, TaskStatus::Cancelling)];
    assert_eq!(status_of(store, agent).await, left, "{agent}");
  }
  let mut conn = store.db.read().await.unwrap();
  for (agent, status, reason) in [
    ("stop", TaskStatus::Cancelled, "cancelled(who)"),
    ("skip", TaskStatus::Skipped, "skipped(who)"),
    ("restart", TaskStatus::WaitingRetry, "cancelled(who)"),
  ] {
    let read = task_bmc::get(&mut conn, of(agent).task_id).await.unwrap().unwrap();
    assert_eq!(read.status, status, "{agent}");
    let attempt = task_instance_bmc::get(&mut conn, of(agent).instance_id).await.unwrap().unwrap();
    assert_eq!((attempt.started_at, attempt.reason.as_deref()), (None, Some(reason)), "{agent}");
  }
  drop(conn);
  stop.cancel();
  running.await.unwrap();
}
