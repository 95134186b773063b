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

use super::{Store, SvcError, SvcResult};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, NewTask};
use crate::infra::db::DbError;

/// Requests that may wait for a lane; beyond that submitters wait to get in.
const QUEUE_MAX: usize = 256;
/// Most rows in one transaction.
const GROUP_ROWS_MAX: usize = 1000;
/// How often a group is tried when transactions get in each other's way.
const TRIES_MAX: u32 = 5;
/// How often a group is tried when its connection ends under it.
const LINK_TRIES_MAX: u32 = 3;
/// The keys that a task of ours can only find taken by itself.
const OWN_KEYS: [&str; 2] = ["sched_task_pkey", "sched_task_hot_pkey"];

type Outcome = Result<HashSet<TaskId>, DbError>;

struct Request {
  tasks: Vec<NewTask>,
  reply: oneshot::Sender<Outcome>,
}

/// The queue in front of the lanes.
pub struct SubmitSvc {
  store: Store,
  sender: mpsc::Sender<Request>,
  receiver: Mutex<mpsc::Receiver<Request>>,
}

impl SubmitSvc {
  /// An empty queue.
  pub fn new(store: Store) -> Arc<Self> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    Arc::new(Self { store, sender, receiver: Mutex::new(receiver) })
  }

  /// Inserts tasks and answers once they are durable, with those that went in; the others'
  /// fire or idempotency key was taken.
  ///
  /// # Errors
  /// Database errors, and `unavailable` while the server stops.
  pub async fn submit(&self, tasks: Vec<NewTask>) -> SvcResult<HashSet<TaskId>> {
    let (reply, outcome) = oneshot::channel();
    let stopping = || SvcError::unavailable("the server is stopping");
    self.sender.send(Request { tasks, reply }).await.map_err(|_| stopping())?;
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
    match self.commit(&all).await {
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
        tracing::warn!(error = %error, requests = group.len(), "submit group failed, trying each alone");
        for request in group {
          let outcome = self.commit(&request.tasks).await;
          let _gone = request.reply.send(outcome);
        }
      }
    }
  }

  async fn commit(&self, tasks: &[NewTask]) -> Outcome {
    let mut tries = 0;
    let mut unsure = false;
    loop {
      tries += 1;
      match self.commit_once(tasks).await {
        Err(error) if error.is_retry() && tries < TRIES_MAX => {}
        // Ids are made once per request: the same rows again cannot be other tasks.
        Err(error) if error.is_broken_link() && tries < LINK_TRIES_MAX => unsure = true,
        Err(DbError::Unique { constraint }) if OWN_KEYS.contains(&constraint.as_str()) => {
          return self.stored(tasks, DbError::Unique { constraint }).await;
        }
        Ok(ids) if unsure && ids.len() < tasks.len() => {
          let mut conn = self.store.db.read().await?;
          return hot::stored_tasks(&mut conn, tasks).await;
        }
        outcome => return outcome,
      }
    }
  }

  /// An earlier try had gone in, and its answer was lost: what is stored under our ids is ours.
  async fn stored(&self, tasks: &[NewTask], error: DbError) -> Outcome {
    let mut conn = self.store.db.read().await?;
    let ids = hot::stored_tasks(&mut conn, tasks).await?;
    if ids.is_empty() {
      return Err(error);
    }
    tracing::info!(tasks = ids.len(), "tasks were stored by a try whose answer was lost");
    self.wake(tasks);
    Ok(ids)
  }

  async fn commit_once(&self, tasks: &[NewTask]) -> Outcome {
    let now = Ts::now();
    let single = self.store.db.begin_single().await?;
    let ids = if hot::is_plain(&single, tasks) {
      let mut conn = single;
      hot::enqueue_plain(&mut conn, tasks, &journal_of(tasks, now), now).await?;
      tasks.iter().map(|task| task.id).collect()
    } else {
      let mut tx = single.into_transaction().await?;
      let outcome = async {
        let ids = hot::enqueue(&mut tx, tasks, now).await?;
        let new = tasks.iter().filter(|task| ids.contains(&task.id));
        event_bmc::append(&mut tx, &journal_of(new, now), now).await?;
        Ok(ids)
      }
      .await;
      tx.end::<_, DbError>(outcome).await?
    };
    self.wake(tasks);
    Ok(ids)
  }

  /// Tells whoever hands out, and whoever reads the journal.
  fn wake(&self, tasks: &[NewTask]) {
    let mut marks: BTreeMap<(i64, i64), Ts> = BTreeMap::new();
    for task in tasks {
      let mark = marks.entry((task.class_id, task.priority)).or_insert(task.scheduled_at);
      *mark = (*mark).min(task.scheduled_at);
    }
    self.store.bus.tasks_due(marks);
    self.store.bus.events.notify_one();
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
      "status": "pending", "job_id": task.job_id, "scheduled_at": task.scheduled_at,
      "priority": task.priority, "trigger_source": task.trigger_source,
    }),
  }
}
