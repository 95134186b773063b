//! Holds, resumes and signals as intents: the later wish wins, and nothing is left behind.

use hetuflow_core::*;
use hetuflow_server::infra::bmc::hot::{self, LiveRow, StopIntent, StopMark};
use hetuflow_server::infra::bmc::{job_bmc, task_bmc};
use hetuflow_server::infra::db::{Conn, DbError};

use crate::engines::TestStore;
use crate::hot_path::task;
use crate::tables::job;

/// A task that runs on an agent.
async fn running(store: &TestStore) -> hot::ClaimedTask {
  let job = job("held");
  let mut tx = store.db.begin().await.unwrap();
  job_bmc::create(&mut tx, &job).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let mut tx = store.db.begin_hot().await.unwrap();
  hot::enqueue(&mut tx, &[task(&job, 0, Ts::now())], Ts::now()).await.unwrap();
  let slot = hot::ClaimSlot {
    instance_id: TaskInstanceId::generate(),
    agent_id: AgentId::new("a").unwrap(),
    agent_epoch: 1,
    connection_epoch: 1,
  };
  let server = ServerId::new("s").unwrap();
  let claimed = hot::claim_due(&mut tx, (42, 0), &[slot], &server, 0).await.unwrap().remove(0);
  let row = LiveRow { task_id: claimed.task_id, fence: claimed.fence, started_at: Ts::now() };
  assert_eq!(hot::mark_running(&mut tx, &[row], Ts::now()).await.unwrap().len(), 1);
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  claimed
}

async fn pending(conn: &mut Conn) -> Vec<String> {
  let all: Vec<StopIntent> = hot::pending_stops(conn).await.unwrap();
  all.into_iter().filter_map(|one| one.stop_kind).collect()
}

async fn status(conn: &mut Conn, id: TaskId) -> (TaskStatus, Option<String>) {
  let task = task_bmc::get(conn, id).await.unwrap().unwrap();
  (task.status, task.reason)
}

pub async fn holds_are_wishes_until_the_agent_answers(store: &TestStore) {
  let claimed = running(store).await;
  let (id, fence, now) = (claimed.task_id, claimed.fence, Ts::now());
  let mut tx = store.db.begin_hot().await.unwrap();
  // Resuming what runs is nothing.
  assert!(hot::request_hold(&mut tx, id, (false, None), now).await.unwrap());
  assert!(pending(&mut tx).await.is_empty());
  assert!(hot::request_hold(&mut tx, id, (true, Some("why")), now).await.unwrap());
  assert_eq!(pending(&mut tx).await, ["pause"]);
  // Nothing else while that is on its way.
  assert!(!hot::request_signal(&mut tx, id, "USR1", now).await.unwrap());
  assert!(!hot::mark_paused(&mut tx, id, fence + 1, now).await.unwrap());
  assert!(hot::mark_paused(&mut tx, id, fence, now).await.unwrap());
  assert_eq!(status(&mut tx, id).await, (TaskStatus::Paused, Some("why".to_owned())));
  assert!(pending(&mut tx).await.is_empty());
  // Holding what is held is nothing; a resume that crosses a new hold is carried out, then undone.
  assert!(hot::request_hold(&mut tx, id, (true, Some("other")), now).await.unwrap());
  assert_eq!(status(&mut tx, id).await.1.as_deref(), Some("why"));
  assert!(hot::request_hold(&mut tx, id, (false, None), now).await.unwrap());
  assert_eq!(pending(&mut tx).await, ["resume"]);
  assert!(hot::request_hold(&mut tx, id, (true, Some("again")), now).await.unwrap());
  assert!(hot::mark_resumed(&mut tx, id, fence, now).await.unwrap());
  assert_eq!(status(&mut tx, id).await, (TaskStatus::Running, Some("again".to_owned())));
  assert_eq!(pending(&mut tx).await, ["pause"]);
  assert!(hot::request_hold(&mut tx, id, (false, None), now).await.unwrap());
  assert!(pending(&mut tx).await.is_empty());
  // A signal is taken once.
  assert!(hot::request_signal(&mut tx, id, "USR1", now).await.unwrap());
  let intent = hot::pending_stops(&mut tx).await.unwrap().remove(0);
  assert_eq!(intent.signal(), Some("USR1"));
  assert!(hot::take_signal(&mut tx, &intent).await.unwrap());
  assert!(!hot::take_signal(&mut tx, &intent).await.unwrap());
  assert!(pending(&mut tx).await.is_empty());
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

pub async fn only_a_restart_leads_from_a_stop_to_a_new_attempt(store: &TestStore) {
  let claimed = running(store).await;
  let (id, fence, now) = (claimed.task_id, claimed.fence, Ts::now());
  let mut tx = store.db.begin_hot().await.unwrap();
  let stop = |kind: &str| StopMark { kind: kind.to_owned(), reason: None, grace_ms: Some(5) };
  hot::request_stop(&mut tx, id, &stop("stop"), now).await.unwrap();
  assert!(!hot::request_hold(&mut tx, id, (true, None), now).await.unwrap());
  assert!(hot::reschedule_retry(&mut tx, &[(id, fence, now)], now).await.unwrap().is_empty());
  hot::request_stop(&mut tx, id, &stop("restart"), now).await.unwrap();
  assert_eq!(hot::reschedule_retry(&mut tx, &[(id, fence, now)], now).await.unwrap(), [id]);
  assert_eq!(status(&mut tx, id).await, (TaskStatus::WaitingRetry, None));
  let row = hot::waiting_row(&mut tx, id).await.unwrap().unwrap();
  assert_eq!((row.class_id, row.locked_at), (42, None));
  assert_eq!(hot::count_ahead(&mut tx, &row, now).await.unwrap(), 0);
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}
