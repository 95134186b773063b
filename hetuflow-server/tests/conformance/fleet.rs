//! What people do to agents: it outlives registrations, happens once, and forgets nobody who is
//! there.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::agent_bmc::AgentChange;
use hetuflow_server::infra::bmc::agent_command_bmc::CommandEnd;
use hetuflow_server::infra::bmc::agent_drain_bmc::{Drain, OpenDrain};
use hetuflow_server::infra::bmc::hot::{self, LiveRow, StopMark};
use hetuflow_server::infra::bmc::{agent_bmc, agent_command_bmc, agent_drain_bmc};
use hetuflow_server::infra::db::DbError;
use serde_json::json;
use uuid::Uuid;

use crate::engines::TestStore;
use crate::hot_path::{claim_as, enqueue, slots, stored_job, task};
use crate::tables::agent;

const SECOND: Duration = Duration::from_secs(1);

pub async fn given_labels_and_drains_outlive_a_registration(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  let mut one = agent("a-1", AgentStatus::Idle);
  agent_bmc::register(&mut tx, &one).await.unwrap();
  let given = Labels::from([("gpu".to_owned(), "h100".to_owned())]);
  let effective = effective_labels(&one.id, &one.capabilities, &given);
  let labels = Some((given.clone(), effective.clone()));
  let change = AgentChange { description: None, labels };
  let later = now.plus(SECOND);
  assert!(agent_bmc::update(&mut tx, &one.id, &change, later).await.unwrap());
  let changed = agent_bmc::labels_since(&mut tx, later).await.unwrap();
  assert_eq!(changed, [(one.id.clone(), effective)]);
  assert!(agent_bmc::labels_since(&mut tx, later.plus(SECOND)).await.unwrap().is_empty());
  let drain = Drain {
    since: now,
    deadline: Some(later),
    then: DrainThen::Kill,
    reason: Some("why".to_owned()),
  };
  assert!(agent_drain_bmc::begin_drain(&mut tx, &one.id, &drain).await.unwrap());
  one.connection_epoch = 2;
  agent_bmc::register(&mut tx, &one).await.unwrap();
  let read = agent_bmc::lock(&mut tx, &one.id).await.unwrap().unwrap();
  assert_eq!((read.given_labels, read.cordoned), (given, true));
  assert_eq!((read.drain_since, read.drain_deadline), (Some(now), Some(later)));
  assert_eq!((read.drain_then, read.drained_at), (Some(DrainThen::Kill), None));
  assert!(agent_bmc::set_cordoned(&mut tx, &one.id, false).await.unwrap());
  let read = agent_bmc::get(&mut tx, &one.id).await.unwrap().unwrap();
  assert_eq!((read.cordoned, read.drain_since, read.drain_then), (false, None, None));
  assert!(agent_drain_bmc::open_drains(&mut tx).await.unwrap().is_empty());
}

pub async fn a_drain_ends_once_and_stops_only_what_nobody_stops(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[1, 2, 3].map(|_| task(&job, 0, Ts::now()))).await;
  let claimed = claim_as(store, "s1", &slots(3, "a-1")).await;
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  let one = agent("a-1", AgentStatus::Idle);
  agent_bmc::register(&mut tx, &one).await.unwrap();
  let mut rows: Vec<LiveRow> = claimed[..2]
    .iter()
    .map(|one| LiveRow { task_id: one.task_id, fence: one.fence, started_at: now })
    .collect();
  rows.sort_by_key(|row| row.task_id);
  assert_eq!(hot::mark_running(&mut tx, &rows, now).await.unwrap().len(), 2);
  assert_eq!(hot::in_hand(&mut tx, &one.id).await.unwrap(), (3, 1));
  let nobody = AgentId::new("nobody").unwrap();
  assert_eq!(hot::in_hand(&mut tx, &nobody).await.unwrap(), (0, 0));
  let mark = StopMark { kind: "stop".to_owned(), reason: Some("mine".to_owned()), grace_ms: None };
  assert!(hot::request_stop(&mut tx, rows[0].task_id, &mark, now).await.unwrap());
  let stopped = hot::request_drain_stops(&mut tx, &one.id, now).await.unwrap();
  assert_eq!(stopped, [(rows[1].task_id, job.namespace_id.clone())]);
  assert!(hot::request_drain_stops(&mut tx, &one.id, now).await.unwrap().is_empty(), "once");
  let kinds: BTreeMap<TaskId, Option<String>> = hot::pending_stops(&mut tx)
    .await
    .unwrap()
    .into_iter()
    .map(|stop| (stop.task_id, stop.stop_kind))
    .collect();
  assert_eq!(kinds[&rows[0].task_id].as_deref(), Some("stop"));
  assert_eq!(kinds[&rows[1].task_id].as_deref(), Some("drain"));
  // What it stopped may be tried again elsewhere; what a person stopped may not.
  let both = [0, 1].map(|at| (rows[at].task_id, rows[at].fence, now));
  let went = hot::reschedule_retry(&mut tx, &both, now).await.unwrap();
  assert_eq!(went, [rows[1].task_id]);

  let drain = Drain { since: now, deadline: None, then: DrainThen::Leave, reason: None };
  assert!(agent_drain_bmc::begin_drain(&mut tx, &one.id, &drain).await.unwrap());
  let open = agent_drain_bmc::open_drains(&mut tx).await.unwrap();
  assert_eq!((open.len(), &open[0].id), (1, &one.id));
  let other = OpenDrain { drain_since: now.plus(SECOND), ..open[0].clone() };
  assert!(!agent_drain_bmc::end_drain(&mut tx, &other, now).await.unwrap(), "another drain");
  assert!(agent_drain_bmc::end_drain(&mut tx, &open[0], now).await.unwrap());
  assert!(!agent_drain_bmc::end_drain(&mut tx, &open[0], now).await.unwrap(), "once");
}

pub async fn a_command_is_sent_once_and_answered_by_its_agent(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  let id = AgentId::new("a-1").unwrap();
  let row = AgentCommandEntity {
    id: Uuid::now_v7(),
    agent_id: id.clone(),
    command: CommandKind::UpdateConfig,
    parameters: BTreeMap::from([("log.level".to_owned(), json!("debug"))]),
    state: AgentCommandState::Waiting,
    result: None,
    message: None,
    created_by: "tester".to_owned(),
    created_at: now,
    expires_at: now.plus(SECOND),
    finished_at: None,
  };
  agent_command_bmc::create(&mut tx, &row).await.unwrap();
  assert_eq!(agent_command_bmc::waiting(&mut tx).await.unwrap(), std::slice::from_ref(&row));
  assert!(agent_command_bmc::take(&mut tx, row.id).await.unwrap());
  assert!(!agent_command_bmc::take(&mut tx, row.id).await.unwrap(), "once");
  assert!(agent_command_bmc::waiting(&mut tx).await.unwrap().is_empty());
  let (state, result) = (AgentCommandState::Done, Some(json!({ "a": [1, "\"'\\"] })));
  let end = CommandEnd { id: row.id, state, result, message: None };
  let stranger = AgentId::new("a-2").unwrap();
  assert!(!agent_command_bmc::finish(&mut tx, &stranger, &end, now).await.unwrap());
  assert!(agent_command_bmc::finish(&mut tx, &id, &end, now).await.unwrap());
  let late = CommandEnd { state: AgentCommandState::Expired, result: None, ..end.clone() };
  assert!(!agent_command_bmc::finish(&mut tx, &id, &late, now).await.unwrap());
  let read = agent_command_bmc::get(&mut tx, row.id).await.unwrap().unwrap();
  assert_eq!((read.state, read.result, read.finished_at), (state, end.result, Some(now)));
  assert_eq!(read.parameters, row.parameters);
  assert_eq!(agent_command_bmc::delete_before(&mut tx, now).await.unwrap(), 0);
  assert_eq!(agent_command_bmc::delete_before(&mut tx, now.plus(SECOND)).await.unwrap(), 1);
  assert_eq!(agent_command_bmc::get(&mut tx, row.id).await.unwrap(), None);
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

pub async fn only_what_is_gone_and_idle_is_forgotten(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  claim_as(store, "s1", &slots(1, "holds")).await;
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  for (name, status, heard) in [
    ("gone", AgentStatus::Offline, Some(now)),
    ("never", AgentStatus::Offline, None),
    ("here", AgentStatus::Idle, Some(now)),
    ("holds", AgentStatus::Offline, Some(now)),
    ("just", AgentStatus::Offline, Some(now.plus(SECOND * 5))),
  ] {
    let one = AgentEntity { last_heartbeat_at: heard, created_at: now, ..agent(name, status) };
    agent_bmc::register(&mut tx, &one).await.unwrap();
  }
  assert!(agent_bmc::list_forgotten(&mut tx, now).await.unwrap().is_empty());
  let before = now.plus(SECOND);
  let found = agent_bmc::list_forgotten(&mut tx, before).await.unwrap();
  let names: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
  assert_eq!(names, ["gone", "never"]);
  for (name, goes) in [("gone", true), ("gone", false), ("holds", false), ("just", false)] {
    let id = AgentId::new(name).unwrap();
    assert_eq!(agent_bmc::delete_forgotten(&mut tx, &id, before).await.unwrap(), goes, "{name}");
  }
}
