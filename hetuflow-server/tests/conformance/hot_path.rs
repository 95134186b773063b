//! Enqueue, claim, report: guards, fences, keys.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::event_bmc::{self, Journal};
use hetuflow_server::infra::bmc::hot::{
  self, ClaimSlot, ClaimedTask, FinishedAttempt, LiveRow, NewTask, StartGate, StopMark,
};
use hetuflow_server::infra::bmc::{job_bmc, task_bmc, task_instance_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::{Conn, DbError};
use hetuflow_server::service::{Store, SubmitSvc};
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;
use crate::tables::job;

const CLASS: i64 = 42;
const EARLY_US: i64 = 5_000_000;

/// A task of a job that is due now.
pub fn task(job: &JobEntity, priority: i64, scheduled_at: Ts) -> NewTask {
  NewTask {
    id: TaskId::generate(),
    job_id: job.id,
    job_version: 1,
    namespace_id: job.namespace_id.clone(),
    class_id: CLASS,
    priority,
    gate: None,
    schedule_id: None,
    scheduled_at,
    start_deadline_at: None,
    trigger_source: TriggerSource::Manual,
    parameters: Some(serde_json::json!({"k": "v'\"\\"})),
    environment: None,
    config: None,
    idempotency_key: None,
    idempotency_hash: None,
    created_by: Some("tester".to_owned()),
    start: StartGate::Open,
  }
}

pub fn slots(count: usize, agent: &str) -> Vec<ClaimSlot> {
  let slot = || ClaimSlot {
    instance_id: TaskInstanceId::generate(),
    agent_id: AgentId::new(agent).unwrap(),
    agent_epoch: 1,
    connection_epoch: 1,
  };
  (0..count).map(|_| slot()).collect()
}

pub async fn stored_job(store: &TestStore) -> JobEntity {
  let job = job("hot");
  let mut tx = store.db.begin().await.unwrap();
  let made = job_bmc::create(&mut tx, &job).await;
  tx.end(made).await.unwrap();
  job
}

pub async fn enqueue(store: &TestStore, tasks: &[NewTask]) -> HashSet<TaskId> {
  let mut tx = store.db.begin_hot().await.unwrap();
  let made = hot::enqueue(&mut tx, tasks, Ts::now()).await;
  tx.end(made).await.unwrap()
}

/// One claim of a server's.
pub async fn claim_as(store: &TestStore, server: &str, slots: &[ClaimSlot]) -> Vec<ClaimedTask> {
  let server = ServerId::new(server).unwrap();
  let mut tx = store.db.begin_hot().await.unwrap();
  let claimed = hot::claim_due(&mut tx, (CLASS, 0), slots, &server, EARLY_US).await;
  tx.end(claimed).await.unwrap()
}

pub async fn claim(store: &TestStore, priority: i64, slots: &[ClaimSlot]) -> Vec<ClaimedTask> {
  let server = ServerId::new("s1").unwrap();
  let mut tx = store.db.begin_hot().await.unwrap();
  let claimed = hot::claim_due(&mut tx, (CLASS, priority), slots, &server, EARLY_US).await;
  tx.end(claimed).await.unwrap()
}

pub fn end_of(claimed: &ClaimedTask, status: TaskInstanceStatus) -> FinishedAttempt {
  FinishedAttempt {
    id: claimed.instance_id,
    task_id: claimed.task_id,
    job_id: claimed.job_id,
    namespace_id: claimed.namespace_id.clone(),
    attempt: claimed.attempt,
    fence: claimed.fence,
    agent_id: Some(claimed.agent_id.clone()),
    status,
    task_status: Some(TaskStatus::Succeeded),
    dispatched_at: Some(Ts::now()),
    started_at: Some(Ts::now()),
    completed_at: Ts::now(),
    start_skew_us: Some(120),
    pid: Some(4711),
    exit_code: Some(0),
    signal: None,
    reason: None,
    error_message: None,
    log_bytes: 4,
    output_tail: Some(b"\xff\x00ok".to_vec()),
    output_index: Some("o4".to_owned()),
    left: hot::LeftBehind {
      log_hash: Some("ab".repeat(64)),
      log_dropped: 7,
      progress: Some(0.5),
      progress_note: Some("half".to_owned()),
      outputs: Some(serde_json::json!({"rows": "12", "é": ["\"", null]})),
      ..hot::LeftBehind::default()
    },
    metrics: Some(serde_json::json!({"start_time": 1, "cpu_time": 0.5})),
  }
}

async fn status_of(conn: &mut Conn, id: TaskId) -> TaskStatus {
  task_bmc::get(conn, id).await.unwrap().unwrap().status
}

pub async fn what_is_planned_is_claimed_by_priority_and_time(store: &TestStore) {
  let job = stored_job(store).await;
  let now = Ts::now();
  let late = task(&job, 0, now.minus(Duration::from_secs(60)));
  let due = task(&job, 0, now);
  let soon = task(&job, 0, now.plus(Duration::from_secs(3)));
  let far = task(&job, 0, now.plus(Duration::from_secs(60)));
  let urgent = task(&job, 10, now);
  let all = [due.clone(), far.clone(), soon.clone(), late.clone(), urgent.clone()];
  assert_eq!(enqueue(store, &all).await.len(), 5);
  let got = claim(store, 0, &slots(2, "a")).await;
  let ids: HashSet<TaskId> = got.iter().map(|one| one.task_id).collect();
  assert_eq!(ids, HashSet::from([late.id, due.id]), "the soonest first");
  assert!(got.iter().all(|one| one.attempt == 1 && one.parameters == due.parameters));
  let got = claim(store, 0, &slots(9, "a")).await;
  assert_eq!(got.iter().map(|one| one.task_id).collect::<Vec<_>>(), [soon.id]);
  assert_eq!(claim(store, 10, &slots(9, "a")).await.len(), 1);
  assert!(claim(store, 0, &slots(9, "a")).await.is_empty(), "far away is not handed out");
  let mut conn = store.db.read().await.unwrap();
  assert_eq!(status_of(&mut conn, far.id).await, TaskStatus::Pending);
  assert_eq!(status_of(&mut conn, due.id).await, TaskStatus::Locked);
}

pub async fn keys_and_fires_are_taken_once(store: &TestStore) {
  let job = stored_job(store).await;
  let keyed = || NewTask {
    idempotency_key: Some("order-1".to_owned()),
    idempotency_hash: Some(vec![1, 2, 3]),
    ..task(&job, 0, Ts::now())
  };
  let (first, second) = (keyed(), keyed());
  assert_eq!(enqueue(store, std::slice::from_ref(&first)).await.len(), 1);
  assert!(enqueue(store, &[second]).await.is_empty());
  let mut conn = store.db.read().await.unwrap();
  let keys = ["order-1".to_owned()];
  let found = task_bmc::get_by_keys(&mut conn, &job.namespace_id, &keys).await.unwrap();
  assert_eq!(found, [(first.id, "order-1".to_owned(), Some(vec![1, 2, 3]))]);
  drop(conn);
  let at = Ts::from_millis(1_800_000_000_000);
  let schedule = Some(ScheduleId::generate());
  let fired =
    |source| NewTask { schedule_id: schedule, trigger_source: source, ..task(&job, 0, at) };
  assert_eq!(enqueue(store, &[fired(TriggerSource::Schedule)]).await.len(), 1);
  assert!(enqueue(store, &[fired(TriggerSource::Catchup)]).await.is_empty());
  assert_eq!(enqueue(store, &[fired(TriggerSource::Manual)]).await.len(), 1);
}

pub async fn tasks_that_cannot_collide_go_in_with_their_journal(store: &TestStore) {
  let job = stored_job(store).await;
  let tasks: Vec<NewTask> = (0..3).map(|_| task(&job, 0, Ts::now())).collect();
  let mut conn = store.db.begin_single().await.unwrap();
  assert_eq!(hot::is_plain(&conn, &tasks), !store.db.is_sqlite());
  let keyed = NewTask { idempotency_key: Some("k".to_owned()), ..tasks[0].clone() };
  assert!(!hot::is_plain(&conn, &[keyed]));
  if !hot::is_plain(&conn, &tasks) {
    let outcome = Ok(());
    return conn.end::<_, DbError>(outcome).await.unwrap();
  }
  let mut journal = Journal::default();
  for (namespace, id) in [("default", "a"), ("default", "b"), ("other", "c")] {
    let subject = Subject { kind: Topic::Task, id: id.to_owned() };
    let event_type = "task.created".to_owned();
    let change = Change { at: Ts::now(), subject, event_type, data: serde_json::Value::Null };
    journal.push(&NamespaceId::new(namespace).unwrap(), change);
  }
  let guards = vec![(job.id, job.version)];
  let how = (Ts::now(), &guards, None);
  assert_eq!(hot::enqueue_plain(&mut conn, &tasks, &journal, how).await.unwrap(), None);
  drop(conn);
  let mut conn = store.db.read().await.unwrap();
  let read = task_bmc::get(&mut conn, tasks[1].id).await.unwrap().unwrap();
  assert_eq!((read.status, &read.parameters), (TaskStatus::Pending, &tasks[1].parameters));
  let batches = event_bmc::list_after(&mut conn, 0, 10).await.unwrap();
  let sizes: Vec<_> =
    batches.iter().map(|one| (one.namespace_id.to_string(), one.changes.len())).collect();
  assert_eq!(sizes, [("default".to_owned(), 2), ("other".to_owned(), 1)]);
  drop(conn);
  assert_eq!(claim(store, 0, &slots(9, "a")).await.len(), 3);
}

pub async fn a_job_that_moved_on_stops_its_guarded_tasks(store: &TestStore) {
  let job = stored_job(store).await;
  let tasks = [task(&job, 0, Ts::now())];
  let old = vec![(job.id, job.version + 1)];
  let mut conn = store.db.begin_single().await.unwrap();
  if hot::is_plain(&conn, &tasks) {
    let journal = Journal::default();
    let outcome = hot::enqueue_plain(&mut conn, &tasks, &journal, (Ts::now(), &old, None)).await;
    assert!(matches!(outcome, Err(DbError::Outdated { .. })));
  }
  let outcome = hot::check_jobs(&mut conn, &old).await;
  assert!(matches!(outcome, Err(DbError::Outdated { .. })));
  hot::check_jobs(&mut conn, &vec![(job.id, job.version)]).await.unwrap();
  conn.end::<_, DbError>(Ok(())).await.unwrap();
  let mut conn = store.db.read().await.unwrap();
  assert!(task_bmc::get(&mut conn, tasks[0].id).await.unwrap().is_none());
}

pub async fn a_task_can_be_born_claimed(store: &TestStore) {
  let job = stored_job(store).await;
  let birth = hot::Birth { slot: slots(1, "a").remove(0), server: ServerId::new("s1").unwrap() };
  let new = task(&job, 0, Ts::now());
  let mut conn = store.db.begin_single().await.unwrap();
  let tasks = std::slice::from_ref(&new);
  let fence = if hot::is_plain(&conn, tasks) {
    let mut journal = Journal::default();
    let subject = Subject { kind: Topic::Task, id: new.id.to_string() };
    let event_type = "task.created".to_owned();
    let change = Change { at: Ts::now(), subject, event_type, data: serde_json::Value::Null };
    journal.push(&new.namespace_id, change);
    let how = (Ts::now(), &Vec::new(), Some(&birth));
    hot::enqueue_plain(&mut conn, tasks, &journal, how).await.unwrap().unwrap()
  } else {
    let outcome = async {
      hot::enqueue(&mut conn, tasks, Ts::now()).await?;
      hot::claim_new(&mut conn, new.id, &birth).await
    }
    .await;
    conn.end::<_, DbError>(outcome).await.unwrap()
  };
  let mut conn = store.db.read().await.unwrap();
  let read = task_bmc::get(&mut conn, new.id).await.unwrap().unwrap();
  assert_eq!((read.status, read.attempt), (TaskStatus::Locked, 1));
  assert_eq!((read.fence, read.instance_id), (Some(fence), Some(birth.slot.instance_id)));
  drop(conn);
  assert!(claim(store, 0, &slots(3, "b")).await.is_empty(), "nobody else takes it");
  let next = task(&job, 0, Ts::now());
  assert_eq!(enqueue(store, &[next]).await.len(), 1);
  assert!(claim(store, 0, &slots(1, "b")).await[0].fence > fence, "fences only grow");
}

pub async fn many_claimers_never_take_one_task_twice(store: &TestStore) {
  let job = stored_job(store).await;
  let tasks: Vec<NewTask> = (0..1000).map(|_| task(&job, 0, Ts::now())).collect();
  assert_eq!(enqueue(store, &tasks).await.len(), 1000);
  let mut claimers = Vec::new();
  for number in 0..4 {
    let db = store.db.clone();
    claimers.push(tokio::spawn(async move {
      let server = ServerId::new(format!("s{number}")).unwrap();
      let mut own = Vec::new();
      loop {
        let mut tx = db.begin_hot().await.unwrap();
        let slots = slots(37, &format!("a{number}"));
        let got = hot::claim_due(&mut tx, (CLASS, 0), &slots, &server, EARLY_US).await;
        let got = tx.end(got).await.unwrap();
        if got.is_empty() {
          return own;
        }
        own.extend(got);
      }
    }));
  }
  let mut all = Vec::new();
  for claimer in claimers {
    all.extend(claimer.await.unwrap());
  }
  let tasks: HashSet<TaskId> = all.iter().map(|one| one.task_id).collect();
  let fences: HashSet<i64> = all.iter().map(|one| one.fence).collect();
  let attempts: HashSet<TaskInstanceId> = all.iter().map(|one| one.instance_id).collect();
  assert_eq!((all.len(), tasks.len(), fences.len(), attempts.len()), (1000, 1000, 1000, 1000));
}

pub async fn fences_only_grow(store: &TestStore) {
  let job = stored_job(store).await;
  let one = task(&job, 0, Ts::now());
  enqueue(store, std::slice::from_ref(&one)).await;
  let mut last = 0;
  for _ in 0..20 {
    let got = claim(store, 0, &slots(1, "a")).await;
    assert!(got[0].fence > last);
    assert_eq!(got[0].attempt, 1, "a claim that was taken back was no attempt");
    last = got[0].fence;
    let mut tx = store.db.begin_hot().await.unwrap();
    let returned = hot::return_claims(&mut tx, &[(one.id, last)], false, Ts::now()).await;
    assert_eq!(tx.end(returned).await.unwrap(), 1);
  }
  let mut tx = store.db.begin_hot().await.unwrap();
  let again = hot::return_claims(&mut tx, &[(one.id, last)], false, Ts::now()).await;
  assert_eq!(tx.end(again).await.unwrap(), 0, "only a claim can be taken back");
  let got = claim(store, 0, &slots(1, "a")).await;
  let waits = (got[0].task_id, got[0].fence);
  let mut tx = store.db.begin_hot().await.unwrap();
  let (id, fence) = (waits.0, waits.1);
  let sql = "update sched_task_hot set status = 'dispatched' where task_id = $1 and fence = $2";
  let values = vec![id.0.into(), fence.into()];
  tx.execute_sql(sql, values).await.unwrap();
  let mut back = Vec::new();
  for waited in [false, true, true] {
    back.push(hot::return_claims(&mut tx, &[waits], waited, Ts::now()).await.unwrap());
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  assert_eq!(back, [0, 1, 0], "what only waited goes back once, and only where that is asked for");
}

pub async fn an_end_needs_the_fence_and_happens_once(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  let got = claim(store, 0, &slots(1, "a")).await.remove(0);
  let mut tx = store.db.begin_hot().await.unwrap();
  let start = |fence| LiveRow { task_id: got.task_id, fence, started_at: Ts::now() };
  assert!(hot::mark_running(&mut tx, &[start(got.fence + 1)], Ts::now()).await.unwrap().is_empty());
  let moved = hot::mark_running(&mut tx, &[start(got.fence)], Ts::now()).await.unwrap();
  assert_eq!(moved[0].status, TaskStatus::Running);
  assert_eq!(status_of(&mut tx, got.task_id).await, TaskStatus::Running);
  let progress = |fence: i64, progress: f64| hot::ProgressRow {
    task_id: got.task_id,
    fence,
    progress,
    note: Some("é".to_owned()),
  };
  let told = hot::note_progress(&mut tx, &[progress(got.fence + 1, 0.9)], Ts::now()).await;
  assert_eq!(told.unwrap(), [], "only under its fence");
  let told = hot::note_progress(&mut tx, &[progress(got.fence, 0.25)], Ts::now()).await.unwrap();
  assert_eq!((told.len(), told[0].instance_id), (1, Some(got.instance_id)));
  let half = task_bmc::get(&mut tx, got.task_id).await.unwrap().unwrap();
  assert_eq!((half.progress, half.progress_note.as_deref()), (Some(0.25), Some("é")));
  let wrong = [(got.task_id, got.fence + 1)];
  assert!(hot::delete_finished(&mut tx, &wrong).await.unwrap().is_empty());
  let gone = hot::delete_finished(&mut tx, &[(got.task_id, got.fence)]).await.unwrap();
  assert_eq!(gone.len(), 1);
  let end = end_of(&got, TaskInstanceStatus::Succeeded);
  hot::insert_finished(&mut tx, std::slice::from_ref(&end)).await.unwrap();
  hot::insert_finished(&mut tx, std::slice::from_ref(&end)).await.unwrap();
  assert!(hot::delete_finished(&mut tx, &[(got.task_id, got.fence)]).await.unwrap().is_empty());
  let read = task_bmc::get(&mut tx, got.task_id).await.unwrap().unwrap();
  assert_eq!((read.status, read.exit_code, read.attempt), (TaskStatus::Succeeded, Some(0), 1));
  let attempt = task_instance_bmc::get(&mut tx, got.instance_id).await.unwrap().unwrap();
  assert_eq!((attempt.start_skew_us, attempt.pid, attempt.log_bytes), (Some(120), Some(4711), 4));
  let left = end.left;
  assert_eq!((attempt.log_hash, attempt.log_dropped), (left.log_hash, 7));
  assert_eq!((&attempt.outputs, attempt.progress), (&left.outputs, Some(0.5)));
  assert_eq!((attempt.progress_note.as_deref(), read.outputs), (Some("half"), left.outputs));
  let small = hetuflow_server::infra::bmc::log_bmc::small_log(&mut tx, got.instance_id).await;
  assert_eq!(small.unwrap().unwrap().output_tail.as_deref(), Some(&b"\xff\x00ok"[..]));
  assert!(hot::attempt_is_stored(&mut tx, got.instance_id, attempt.status).await.unwrap());
  let failed = TaskInstanceStatus::Failed;
  assert!(!hot::attempt_is_stored(&mut tx, got.instance_id, failed).await.unwrap());
}

pub async fn a_retry_is_a_new_attempt(store: &TestStore) {
  let job = stored_job(store).await;
  enqueue(store, &[task(&job, 0, Ts::now())]).await;
  let first = claim(store, 0, &slots(1, "a")).await.remove(0);
  let mut tx = store.db.begin_hot().await.unwrap();
  let soon = Ts::now().plus(Duration::from_secs(2));
  let ends = [(first.task_id, first.fence, soon)];
  let outcome = async {
    assert_eq!(hot::reschedule_retry(&mut tx, &ends, Ts::now()).await?, [first.task_id]);
    let mut end = end_of(&first, TaskInstanceStatus::Failed);
    end.task_status = None;
    hot::insert_finished(&mut tx, &[end]).await?;
    assert_eq!(status_of(&mut tx, first.task_id).await, TaskStatus::WaitingRetry);
    Ok(())
  }
  .await;
  tx.end::<_, DbError>(outcome).await.unwrap();
  let second = claim(store, 0, &slots(1, "b")).await.remove(0);
  assert_eq!((second.task_id, second.attempt), (first.task_id, 2));
  assert!(second.fence > first.fence);
  assert_eq!(second.eligible_at, soon);
  let mut tx = store.db.begin_hot().await.unwrap();
  assert!(hot::delete_finished(&mut tx, &[(first.task_id, first.fence)]).await.unwrap().is_empty());
  let filter = TaskInstanceFilter { task_id: Some(first.task_id), ..Default::default() };
  let page = hetuflow_server::infra::bmc::PageArgs::first(10);
  let rows = task_instance_bmc::list(&mut tx, &filter, &page).await.unwrap().data;
  let mut attempts: Vec<_> = rows.iter().map(|row| (row.attempt, row.status)).collect();
  attempts.sort_unstable();
  assert_eq!(
    attempts,
    [(1, TaskInstanceStatus::Failed), (2, TaskInstanceStatus::Dispatched)],
    "the live one is listed beside the ended one"
  );
}

pub async fn stops_and_cancels_depend_on_where_the_task_is(store: &TestStore) {
  let job = stored_job(store).await;
  let (waits, runs) = (task(&job, 0, Ts::now()), task(&job, 1, Ts::now()));
  enqueue(store, &[waits.clone(), runs.clone()]).await;
  let claimed = claim(store, 1, &slots(1, "a")).await.remove(0);
  let mark = StopMark { kind: "stop".to_owned(), reason: None, grace_ms: Some(1500) };
  let mut tx = store.db.begin().await.unwrap();
  assert!(!hot::request_stop(&mut tx, waits.id, &mark, Ts::now()).await.unwrap());
  assert!(hot::request_stop(&mut tx, runs.id, &mark, Ts::now()).await.unwrap());
  let stops = hot::pending_stops(&mut tx).await.unwrap();
  assert_eq!(stops.len(), 1);
  assert_eq!((stops[0].instance_id, stops[0].stop_grace_ms), (claimed.instance_id, Some(1500)));
  let gone = hot::finish_unstarted(&mut tx, &[waits.id, runs.id]).await.unwrap();
  assert_eq!(gone.iter().map(|one| one.row.task_id).collect::<Vec<_>>(), [waits.id]);
  let retried =
    hot::reschedule_retry(&mut tx, &[(runs.id, claimed.fence, Ts::now())], Ts::now()).await;
  assert!(retried.unwrap().is_empty(), "a task that was asked to stop is not tried again");
  assert_eq!(hot::reprioritise_if_waiting(&mut tx, runs.id, 5).await.unwrap(), None);
}

pub async fn marks_name_every_class_and_priority(store: &TestStore) {
  let job = stored_job(store).await;
  let mut conn = store.db.read().await.unwrap();
  assert!(hot::due_marks(&mut conn).await.unwrap().is_empty());
  drop(conn);
  let base = Ts::from_millis(1_800_000_000_000);
  let mut rows = Vec::new();
  for class_id in [-7, 3, 900] {
    for priority in [-10, 0, 20] {
      for offset in [5, 1, 9] {
        let at = base.plus(Duration::from_secs(offset));
        rows.push(NewTask { class_id, ..task(&job, priority, at) });
      }
    }
  }
  enqueue(store, &rows).await;
  let mut conn = store.db.read().await.unwrap();
  let mut marks = hot::due_marks(&mut conn).await.unwrap();
  marks.sort_unstable();
  let first = base.plus(Duration::from_secs(1));
  let mut expected = Vec::new();
  for class_id in [-7, 3, 900] {
    for priority in [-10, 0, 20] {
      expected.push(((class_id, priority), first));
    }
  }
  assert_eq!(marks, expected);
}

/// The connection died after the commit and before the answer: the same tasks come again.
pub async fn tasks_whose_answer_was_lost_are_found_again(store: &TestStore) {
  let job = stored_job(store).await;
  let lost = [1, 2, 3].map(|_| task(&job, 0, Ts::now()));
  let mut conn = store.db.begin_single().await.unwrap();
  let plain = hot::is_plain(&conn, &lost);
  if plain {
    let now = (Ts::now(), &Vec::new(), None);
    hot::enqueue_plain(&mut conn, &lost, &Journal::default(), now).await.unwrap();
  }
  drop(conn);
  let submit = SubmitSvc::new(Store::new(store.db.clone(), Arc::new(Bus::default())), None);
  let stop = CancellationToken::new();
  let lane = tokio::spawn(submit.clone().run_lane(stop.clone()));
  let wanted: HashSet<TaskId> = lost.iter().map(|task| task.id).collect();
  for _ in 0..2 {
    // SQLite has no link that could break: there the first call is what puts them in.
    let stored = submit.submit(lost.to_vec(), Vec::new()).await.unwrap();
    assert!(stored == wanted || (!plain && stored.is_empty()), "{stored:?}");
    let mut conn = store.db.read().await.unwrap();
    assert_eq!(hot::stored_tasks(&mut conn, &lost).await.unwrap(), wanted);
    assert_eq!(hot::count_live(&mut conn).await.unwrap(), [(TaskStatus::Pending, 3)]);
  }
  // What is not stored is not claimed to be.
  let (known, new) = (lost[0].clone(), task(&job, 0, Ts::now()));
  let mut conn = store.db.read().await.unwrap();
  let stored = hot::stored_tasks(&mut conn, &[known.clone(), new]).await.unwrap();
  assert_eq!(stored, HashSet::from([known.id]));
  stop.cancel();
  lane.await.unwrap();
}
