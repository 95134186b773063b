//! Agents that fall silent and come back: their attempts are reachable exactly when they are.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::agent_bmc::{self, Heartbeat};
use hetuflow_server::infra::bmc::hot;
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::{Conn, DbError, Row1};
use hetuflow_server::service::{JobCache, LiveAttempts, SessionSvc, Store};
use tokio::task::JoinHandle;

use crate::engines::TestStore;
use crate::hot_path::{claim, enqueue, slots, stored_job, task};
use crate::tables::agent;

const LOST_AFTER: Duration = Duration::from_secs(60);

fn sessions(store: &TestStore) -> SessionSvc {
  let (jobs, live) = (Arc::new(JobCache::default()), Arc::new(LiveAttempts::default()));
  let whole = Store::new(store.db.clone(), Arc::new(Bus::default()));
  SessionSvc::new(whole, jobs, live, ServerId::new("s1").unwrap(), LOST_AFTER)
}

/// Commits what a transaction holds back, once this work waits for it.
async fn commit_when_waited_for<T>(store: &TestStore, tx: Conn, work: &JoinHandle<T>) {
  // SQLite has no two transactions that write at once.
  while !store.db.is_sqlite() && !work.is_finished() {
    let sql = "select count(*) from pg_stat_activity \
      where datname = current_database() and wait_event_type = 'Lock'";
    let mut conn = store.db.read().await.unwrap();
    let waiting: Vec<Row1<i64>> = conn.fetch_sql(sql, Vec::new()).await.unwrap();
    if waiting[0].0 > 0 {
      break;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

async fn count_unreachable(store: &TestStore) -> usize {
  let mut conn = store.db.read().await.unwrap();
  let later = conn.now().await.unwrap().plus(LOST_AFTER);
  hot::unreachable_before(&mut conn, later).await.unwrap().len()
}

/// An agent that runs one task.
async fn busy_agent(store: &TestStore, status: AgentStatus) -> AgentEntity {
  let job = stored_job(store).await;
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  claim(store, 0, &slots(1, "a-1")).await;
  let mut tx = store.db.begin().await.unwrap();
  let row = AgentEntity { last_heartbeat_at: Some(Ts::from_micros(0)), ..agent("a-1", status) };
  agent_bmc::register(&mut tx, &row).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  row
}

fn beat_of(agent: &AgentEntity) -> Heartbeat {
  Heartbeat {
    id: agent.id.clone(),
    agent_epoch: agent.agent_epoch,
    status: AgentStatus::Busy,
    statistics: serde_json::json!({}),
    clock_offset_ms: None,
    clock_invalid: false,
  }
}

/// Another server gives an agent up while this one hears it.
pub async fn a_sign_of_life_beside_a_giving_up(store: &TestStore) {
  let row = busy_agent(store, AgentStatus::Busy).await;
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  assert_eq!(agent_bmc::mark_silent(&mut tx, now).await.unwrap(), *std::slice::from_ref(&row.id));
  assert_eq!(hot::mark_unreachable(&mut tx, &row.id, now).await.unwrap(), 1);
  let (sessions, beats) = (sessions(store), [beat_of(&row)]);
  let heard = tokio::spawn(async move { sessions.heartbeats(&beats).await });
  commit_when_waited_for(store, tx, &heard).await;
  heard.await.unwrap().unwrap();
  let mut conn = store.db.read().await.unwrap();
  let read = agent_bmc::get(&mut conn, &row.id).await.unwrap().unwrap();
  drop(conn);
  assert_eq!((read.status, count_unreachable(store).await), (AgentStatus::Busy, 0));
}

/// This server looks for what was missed when an agent was given up, while another hears it.
pub async fn a_sign_of_life_beside_a_second_look(store: &TestStore) {
  let row = busy_agent(store, AgentStatus::Offline).await;
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  assert_eq!(
    agent_bmc::lock_offline(&mut tx, [&row.id]).await.unwrap(),
    *std::slice::from_ref(&row.id)
  );
  let server = ServerId::new("s2").unwrap();
  assert!(agent_bmc::heartbeat(&mut tx, &beat_of(&row), &server, now).await.unwrap());
  assert_eq!(hot::clear_unreachable(&mut tx, &row.id).await.unwrap(), 0);
  let sessions = sessions(store);
  let looked = tokio::spawn(async move { sessions.sweep_orphans().await });
  commit_when_waited_for(store, tx, &looked).await;
  assert_eq!((looked.await.unwrap().unwrap(), count_unreachable(store).await), (0, 0));
}

pub async fn unreachable_attempts_are_found(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[task(&job, 0, Ts::now()), task(&job, 0, Ts::now())]).await;
  claim(store, 0, &slots(1, "gone")).await;
  claim(store, 0, &slots(1, "here")).await;
  let gone = AgentId::new("gone").unwrap();
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  assert_eq!(hot::live_of_agent(&mut tx, &gone).await.unwrap().len(), 1);
  assert_eq!(hot::mark_unreachable(&mut tx, &gone, now).await.unwrap(), 1);
  assert_eq!(hot::mark_unreachable(&mut tx, &gone, now).await.unwrap(), 0, "since the first time");
  let later = now.plus(Duration::from_secs(1));
  let found = hot::unreachable_before(&mut tx, later).await.unwrap();
  assert_eq!(found.len(), 1);
  assert_eq!(found[0].unreachable_since, now);
  assert!(hot::unreachable_before(&mut tx, now).await.unwrap().is_empty());
  assert_eq!(hot::clear_unreachable(&mut tx, &gone).await.unwrap(), 1);
  assert!(hot::unreachable_before(&mut tx, later).await.unwrap().is_empty());
}

pub async fn attempts_of_agents_that_are_offline_are_not_forgotten(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[1, 2, 3].map(|_| task(&job, 0, Ts::now()))).await;
  for agent in ["idle", "offline", "deleted"] {
    claim(store, 0, &slots(1, agent)).await;
  }
  let mut tx = store.db.begin().await.unwrap();
  for (id, status) in [("idle", AgentStatus::Idle), ("offline", AgentStatus::Offline)] {
    agent_bmc::register(&mut tx, &agent(id, status)).await.unwrap();
  }
  let now = tx.now().await.unwrap();
  assert!(hot::any_orphans(&mut tx).await.unwrap());
  let gone = agent_bmc::lock_all_offline(&mut tx).await.unwrap();
  assert_eq!(gone, [AgentId::new("offline").unwrap()]);
  let marked = hot::mark_orphans(&mut tx, &gone, now).await.unwrap();
  assert_eq!(marked, 2, "the idle one is not silent");
  assert!(!hot::any_orphans(&mut tx).await.unwrap());
  assert_eq!(hot::mark_orphans(&mut tx, &gone, now).await.unwrap(), 0, "since the first time");
  assert_eq!(hot::mark_orphans(&mut tx, &[], now).await.unwrap(), 0, "nobody is offline");
  let later = now.plus(Duration::from_secs(1));
  assert_eq!(hot::unreachable_before(&mut tx, later).await.unwrap().len(), 2);
  let ids = ["deleted", "idle", "offline"].map(|id| AgentId::new(id).unwrap());
  assert_eq!(agent_bmc::lock_offline(&mut tx, &ids).await.unwrap(), ids[2..]);
}
