//! New tasks on their way into the store: group commit without a timer.
//!
//! Whoever submits puts its rows into one queue and waits. Two lanes each take everything that is
//! waiting, write it in one transaction and answer. While both are busy the next group grows, so
//! that the load itself sets the size of a commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hetuflow_core::{Change, Subject, TaskId, Topic, Ts};
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{IdleAgents, Store, SvcError, SvcResult};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, Birth, ClaimedTask, JobGuards, NewTask};
use crate::infra::db::DbError;

/// Requests that may wait for a lane; beyond that submitters wait to get in.
const QUEUE_MAX: usize = 256;
/// Most rows in one transaction.
const GROUP_ROWS_MAX: usize = 1000;
/// How often a group is tried when transactions get in each other's way.
const TRIES_MAX: u32 = 5;
/// How often a group is tried when its connection ends under it.
const LINK_TRIES_MAX: u32 = 3;
/// How often it is asked what became of a group; every dead connection of the pool costs one try.
const STORED_TRIES_MAX: u32 = 30;
/// The keys that a task of ours can only find taken by itself.
const OWN_KEYS: [&str; 2] = ["sched_task_pkey", "sched_task_hot_pkey"];

type Outcome = Result<HashSet<TaskId>, DbError>;
/// What went in, and the fence of a task that was born claimed.
type Written = Result<(HashSet<TaskId>, Option<i64>), DbError>;

struct Request {
  tasks: Vec<NewTask>,
  guards: JobGuards,
  reply: oneshot::Sender<Outcome>,
}

/// The queue in front of the lanes.
pub struct SubmitSvc {
  store: Store,
  idle: Option<Arc<dyn IdleAgents>>,
  sender: mpsc::Sender<Request>,
  receiver: Mutex<mpsc::Receiver<Request>>,
}

impl SubmitSvc {
  /// An empty queue; with `idle`, single tasks go to idle agents at once.
  pub fn new(store: Store, idle: Option<Arc<dyn IdleAgents>>) -> Arc<Self> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    Arc::new(Self { store, idle, sender, receiver: Mutex::new(receiver) })
  }

  /// Inserts tasks and answers once they are durable, with those that went in; the others'
  /// fire or idempotency key was taken. `guards` are jobs that the submitter knows from memory.
  ///
  /// # Errors
  /// Database errors, [`DbError::Outdated`] when a guarded job has changed, and `unavailable`
  /// while the server stops.
  pub async fn submit(&self, tasks: Vec<NewTask>, guards: JobGuards) -> SvcResult<HashSet<TaskId>> {
    let (reply, outcome) = oneshot::channel();
    let stopping = || SvcError::unavailable("the server is stopping");
    self.sender.send(Request { tasks, guards, reply }).await.map_err(|_| stopping())?;
    Ok(outcome.await.map_err(|_| stopping())??)
  }

  /// One lane; returns when nothing can come any more. Run two.
  pub async fn run_lane(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
    loop {
      let group = tokio::select! {
        group = self.next_group() => group,
        () = stop.cancelled() => return,
      };
      self.commit_group(group).await;
    }
  }

  async fn next_group(&self) -> Vec<Request> {
    let mut receiver = self.receiver.lock().await;
    let Some(first) = receiver.recv().await else { return std::future::pending().await };
    let mut rows = first.tasks.len();
    let mut group = vec![first];
    while rows < GROUP_ROWS_MAX
      && let Ok(next) = receiver.try_recv()
    {
      rows += next.tasks.len();
      group.push(next);
    }
    group
  }

  async fn commit_group(&self, mut group: Vec<Request>) {
    let all: Vec<NewTask> = group.iter().flat_map(|one| one.tasks.iter().cloned()).collect();
    let mut guards: JobGuards = group.iter().flat_map(|one| one.guards.clone()).collect();
    guards.sort_unstable();
    guards.dedup();
    match self.commit(&all, &guards).await {
      Ok(ids) => {
        for request in group {
          let own =
            request.tasks.iter().map(|task| task.id).filter(|id| ids.contains(id)).collect();
          // A submitter that went away has its answer in the store.
          let _gone = request.reply.send(Ok(own));
        }
      }
      Err(error) if group.len() == 1 => {
        if let Some(request) = group.pop() {
          let _gone = request.reply.send(Err(error));
        }
      }
      Err(error) => {
        tracing::debug!(error = %error, requests = group.len(), "submit group failed, trying each alone");
        for request in group {
          let outcome = self.commit(&request.tasks, &request.guards).await;
          let _gone = request.reply.send(outcome);
        }
      }
    }
  }

  async fn commit(&self, tasks: &[NewTask], guards: &JobGuards) -> Outcome {
    let place = match (tasks, &self.idle) {
      ([task], Some(idle)) => idle.reserve(task),
      _ => None,
    };
    let (mut tries, mut unsure) = (0, false);
    let written = loop {
      tries += 1;
      let birth = place.as_ref().map(|place| &place.birth);
      match self.write(tasks, guards, birth).await {
        Err(error) if error.is_retry() && tries < TRIES_MAX => {}
        // Ids are made once per request: the same rows again cannot be other tasks.
        Err(error) if error.is_broken_link() && tries < LINK_TRIES_MAX => unsure = true,
        outcome => break self.settle(tasks, outcome, unsure).await,
      }
    };
    let fence = written.as_ref().ok().and_then(|(_, fence)| *fence);
    match (&self.idle, place, fence) {
      (Some(idle), Some(place), Some(fence)) => {
        idle.hand_out(ClaimedTask::born(&tasks[0], &place.birth.slot, fence), place);
      }
      (Some(idle), Some(place), None) => idle.release(place),
      _ => {}
    }
    let (ids, fence) = written?;
    if fence.is_none() {
      tell_of_new(&self.store, tasks);
    }
    self.store.bus.events.notify_one();
    Ok(ids)
  }

  /// An earlier try may have gone in without its answer: what is stored under our ids is ours. If
  /// it was born claimed, nobody has handed it out, and the dispatcher's audit takes it back.
  async fn settle(&self, tasks: &[NewTask], outcome: Written, unsure: bool) -> Written {
    let missing = match &outcome {
      Ok((ids, _)) => unsure && ids.len() < tasks.len(),
      Err(DbError::Unique { constraint }) => unsure || OWN_KEYS.contains(&constraint.as_str()),
      Err(_) => unsure,
    };
    if !missing {
      return outcome;
    }
    let mut tries = 0;
    loop {
      tries += 1;
      match self.stored(tasks).await {
        Ok(ids) if ids.is_empty() => return outcome,
        Ok(ids) => {
          tracing::info!(tasks = ids.len(), "tasks were stored by a try whose answer was lost");
          return Ok((ids, None));
        }
        Err(error) if error.is_broken_link() && tries < STORED_TRIES_MAX => {}
        Err(error) => return Err(error),
      }
    }
  }

  async fn stored(&self, tasks: &[NewTask]) -> Outcome {
    let mut conn = self.store.db.read().await?;
    hot::stored_tasks(&mut conn, tasks).await
  }

  /// One transaction; returns what went in, and the fence of a task that was born claimed.
  async fn write(&self, tasks: &[NewTask], guards: &JobGuards, birth: Option<&Birth>) -> Written {
    let now = self.store.db.now();
    if let ([task], Some(birth)) = (tasks, birth)
      && self.store.db.is_sqlite()
      && hot::cannot_collide(tasks)
      && guards.iter().all(|guard| *guard == (task.job_id, task.job_version))
    {
      let mut conn = self.store.db.write_connection().await?;
      let (journal, born) = (journal_of(tasks, now), (task, birth));
      let fence = hot::enqueue_born(&mut conn, born, &journal, (now, guards)).await?;
      return Ok((HashSet::from([task.id]), Some(fence)));
    }
    let mut single = self.store.db.begin_single().await?;
    if hot::is_plain(&single, tasks) {
      let journal = journal_of(tasks, now);
      let fence = hot::enqueue_plain(&mut single, tasks, &journal, (now, guards, birth)).await?;
      return Ok((tasks.iter().map(|task| task.id).collect(), fence));
    }
    let mut tx = single.into_transaction().await?;
    let outcome = async {
      hot::check_jobs(&mut tx, guards).await?;
      let ids = hot::enqueue(&mut tx, tasks, now).await?;
      let new = tasks.iter().filter(|task| ids.contains(&task.id));
      let fence = match (birth, tasks) {
        (Some(birth), [task]) if ids.contains(&task.id) => {
          Some(hot::claim_new(&mut tx, task.id, birth).await?)
        }
        _ => None,
      };
      event_bmc::append(&mut tx, &journal_of(new, now), now).await?;
      Ok((ids, fence))
    }
    .await;
    tx.end::<_, DbError>(outcome).await
  }
}

/// Wakes whoever lets new tasks through or hands them out.
pub(super) fn tell_of_new(store: &Store, tasks: &[NewTask]) {
  let mut marks: BTreeMap<(i64, i64), Ts> = BTreeMap::new();
  for task in tasks.iter().filter(|task| task.gate.is_none()) {
    let mark = marks.entry((task.class_id, task.priority)).or_insert(task.eligible_at());
    *mark = (*mark).min(task.eligible_at());
  }
  if tasks.iter().any(|task| task.gate.is_some()) {
    store.bus.admit.notify_one();
  }
  if !marks.is_empty() {
    store.bus.tasks_due(marks);
  }
}

fn journal_of<'a>(tasks: impl IntoIterator<Item = &'a NewTask>, now: Ts) -> Journal {
  let mut journal = Journal::default();
  for task in tasks {
    journal.push(&task.namespace_id, created(task, now));
  }
  journal
}

/// The event of a new task.
pub fn created(task: &NewTask, now: Ts) -> Change {
  Change {
    at: now,
    subject: Subject { kind: Topic::Task, id: task.id.to_string() },
    event_type: "task.created".to_owned(),
    data: json!({
      "status": task.status(), "job_id": task.job_id, "scheduled_at": task.scheduled_at,
      "priority": task.priority, "trigger_source": task.trigger_source,
    }),
  }
}
