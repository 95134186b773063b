//! Agents that fall silent and come back: their attempts are reachable exactly when they are.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::agent_bmc::{self, Heartbeat};
use hetuflow_server::infra::bmc::hot::{self, StopMark};
use hetuflow_server::infra::bmc::{task_bmc, task_instance_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::{Conn, DbError, Row1};
use hetuflow_server::service::{JobCache, LiveAttempts, SessionSvc, Store};
use tokio::task::JoinHandle;

use crate::engines::TestStore;
use crate::hot_path::{claim, enqueue, slots, stored_job, task};
use crate::tables::agent;

const LOST_AFTER: Duration = Duration::from_secs(60);

fn sessions(store: &TestStore) -> SessionSvc {
  sessions_of(store, "s1")
}

/// The sessions of a server.
fn sessions_of(store: &TestStore, server: &str) -> SessionSvc {
  let (jobs, live) = (Arc::new(JobCache::default()), Arc::new(LiveAttempts::default()));
  let whole = Store::new(store.db.clone(), Arc::new(Bus::default()));
  SessionSvc::new(whole, jobs, live, ServerId::new(server).unwrap(), LOST_AFTER)
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
    connection_epoch: agent.connection_epoch,
    status: AgentStatus::Busy,
    statistics: serde_json::json!({}),
    clock_offset_ms: None,
    clock_invalid: false,
  }
}

/// What an agent says when it comes back with nothing in hand.
fn return_of(agent: &AgentEntity, agent_epoch: i64) -> AgentRegisterRequest {
  AgentRegisterRequest {
    agent_id: agent.id.to_string(),
    boot_id: agent.boot_id.clone(),
    journal_id: agent.journal_id.clone(),
    agent_epoch,
    ..AgentRegisterRequest::default()
  }
}

async fn status_of(store: &TestStore, agent: &AgentId) -> AgentStatus {
  let mut conn = store.db.read().await.unwrap();
  agent_bmc::get(&mut conn, agent).await.unwrap().unwrap().status
}

/// The attempt that an agent has in hand.
async fn in_hand(store: &TestStore, agent: &AgentId) -> hot::HotRow {
  let mut conn = store.db.read().await.unwrap();
  hot::live_of_agent(&mut conn, agent).await.unwrap().remove(0)
}

/// A sign of life of a connection that has ended is stored late: the next process of the agent is
/// known to follow the one that is gone, on whichever server it comes back.
pub async fn a_late_sign_of_life_undoes_no_disconnect(store: &TestStore) {
  let row = busy_agent(store, AgentStatus::Idle).await;
  let task = in_hand(store, &row.id).await.task_id;
  let (here, there) = (sessions(store), sessions_of(store, "s2"));
  here.disconnected(&row.id, row.connection_epoch).await.unwrap();
  here.heartbeats(&[beat_of(&row)]).await.unwrap();
  assert_eq!(status_of(store, &row.id).await, AgentStatus::Disconnecting);

  let request = return_of(&row, row.agent_epoch + 1);
  let found = there.register(&row.id, &request, true).await.unwrap();
  assert!(found.same_journal);
  there.judge_unnamed(&found).await.unwrap();
  let mut conn = store.db.read().await.unwrap();
  let read = task_bmc::get(&mut conn, task).await.unwrap().unwrap();
  drop(conn);
  assert_eq!(read.status, TaskStatus::Pending, "nobody has started it");

  // Over the next connection it is heard, and over that one alone.
  let old = AgentEntity { agent_epoch: row.agent_epoch + 1, ..row };
  here.heartbeats(&[beat_of(&old)]).await.unwrap();
  assert_eq!(status_of(store, &old.id).await, AgentStatus::Idle);
  there.heartbeats(&[beat_of(&found.agent)]).await.unwrap();
  assert_eq!(status_of(store, &old.id).await, AgentStatus::Busy);
}

/// A disconnect is being stored while a sign of life is.
pub async fn a_sign_of_life_beside_a_disconnect(store: &TestStore) {
  let row = busy_agent(store, AgentStatus::Busy).await;
  let mut tx = store.db.begin().await.unwrap();
  let status = AgentStatus::Disconnecting;
  assert!(agent_bmc::set_status(&mut tx, &row.id, row.connection_epoch, status).await.unwrap());
  let (sessions, beats) = (sessions(store), [beat_of(&row)]);
  let heard = tokio::spawn(async move { sessions.heartbeats(&beats).await });
  commit_when_waited_for(store, tx, &heard).await;
  heard.await.unwrap().unwrap();
  assert_eq!(status_of(store, &row.id).await, status);
}

/// A claim was lost on its way, and somebody has asked to stop it before its agent came back.
pub async fn a_stopped_claim_that_did_not_arrive_ends_at_the_return(store: &TestStore) {
  let row = busy_agent(store, AgentStatus::Idle).await;
  let claim = in_hand(store, &row.id).await;
  let mark = StopMark { kind: "stop".to_owned(), reason: Some("who".to_owned()), grace_ms: None };
  let mut tx = store.db.begin().await.unwrap();
  assert!(hot::request_stop(&mut tx, claim.task_id, &mark, Ts::now()).await.unwrap());
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let sessions = sessions(store);
  let request = return_of(&row, row.agent_epoch);
  let found = sessions.register(&row.id, &request, true).await.unwrap();
  sessions.judge_unnamed(&found).await.unwrap();
  let mut conn = store.db.read().await.unwrap();
  let task = task_bmc::get(&mut conn, claim.task_id).await.unwrap().unwrap();
  assert_eq!(task.status, TaskStatus::Cancelled);
  let attempt = task_instance_bmc::get(&mut conn, claim.instance_id.unwrap()).await.unwrap();
  assert_eq!(attempt.unwrap().reason.as_deref(), Some("cancelled(who)"));
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
