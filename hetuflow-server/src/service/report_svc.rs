//! Reports on their way into the store: two lanes, each takes every waiting report of some agents
//! and writes them in one transaction; acknowledged means durable.
//!
//! Reports of one agent never sit in two lanes at once, so that an end can never be committed
//! before the output that it closes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hetuflow_core::{AgentId, FileFrame, OutputFrame, TaskInstanceUpdate};
use tokio::sync::{Notify, watch};

use super::report_commit::{CommitContext, commit};
use super::{JobCache, LiveAttempts, RefusedInbox, Store};

/// Most items in one transaction.
const GROUP_ITEMS_MAX: usize = 1000;
/// Most output bytes in one transaction.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Bytes of one agent's reports that may wait; beyond that its socket is not read.
const AGENT_BYTES_MAX: usize = 16 << 20;
/// Wait before a lane tries a failed group again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// One report.
#[derive(Debug)]
pub enum Report {
  /// An attempt moved.
  Update(Box<TaskInstanceUpdate>),
  /// Output.
  Chunk(OutputFrame),
  /// A piece of a file.
  File(FileFrame),
  /// Something that is not stored and only has a number.
  Nothing,
}

/// Reports of one agent epoch, in their order.
#[derive(Debug)]
pub struct ReportBatch {
  /// The reports.
  pub items: Vec<Report>,
  /// The number of the last one.
  pub seq_last: u64,
  /// How many bytes they hold.
  pub bytes: usize,
}

/// Where an agent's reports come from and its acknowledgements go.
#[derive(Debug, Clone)]
pub struct ReportSource {
  /// The agent.
  pub agent_id: AgentId,
  /// The start of its process.
  pub agent_epoch: i64,
  /// Told the last committed number.
  pub acked: Arc<watch::Sender<u64>>,
  /// Told what changed nothing, after the commit.
  pub refused: Arc<RefusedInbox>,
}

impl ReportSource {
  /// Whether both are the same connection. Each process of an agent counts its reports anew, so
  /// that a number means nothing on another one.
  fn is_same(&self, other: &Self) -> bool {
    Arc::ptr_eq(&self.acked, &other.acked)
  }
}

#[derive(Debug, Default)]
struct AgentQueue {
  /// Where each batch came from: an old connection may still be read beside its successor.
  batches: VecDeque<(ReportSource, ReportBatch)>,
  bytes: usize,
  busy: bool,
}

#[derive(Debug, Default)]
struct Queues {
  agents: HashMap<AgentId, AgentQueue>,
  ready: VecDeque<AgentId>,
}

/// The queues in front of the lanes.
pub struct ReportSvc {
  context: CommitContext,
  queues: Mutex<Queues>,
  work: Notify,
  room: Notify,
}

/// What a lane works on: batches of some agents, of one connection each.
pub(super) type Group = Vec<(ReportSource, Vec<ReportBatch>)>;

impl ReportSvc {
  /// Empty queues.
  pub fn new(store: Store, jobs: Arc<JobCache>, live: Arc<LiveAttempts>) -> Arc<Self> {
    Arc::new(Self {
      context: CommitContext { store, jobs, live },
      queues: Mutex::default(),
      work: Notify::new(),
      room: Notify::new(),
    })
  }

  fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
    self.queues.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Queues reports; waits while the agent has too much waiting, which holds its socket back.
  pub async fn push(&self, source: &ReportSource, batch: ReportBatch) {
    loop {
      let room = self.room.notified();
      tokio::pin!(room);
      room.as_mut().enable();
      let full = self
        .queues()
        .agents
        .get(&source.agent_id)
        .is_some_and(|queue| queue.bytes > AGENT_BYTES_MAX);
      if !full {
        break;
      }
      room.await;
    }
    let mut queues = self.queues();
    let queue = queues.agents.entry(source.agent_id.clone()).or_default();
    queue.bytes += batch.bytes;
    queue.batches.push_back((source.clone(), batch));
    if !queue.busy && queue.batches.len() == 1 {
      queues.ready.push_back(source.agent_id.clone());
      self.work.notify_one();
    }
  }

  /// Waits until nothing of this agent is queued or being written, so that what it reported
  /// before is in the store before anything is decided about it.
  pub async fn settle(&self, agent: &AgentId) {
    loop {
      let room = self.room.notified();
      tokio::pin!(room);
      room.as_mut().enable();
      if !self.queues().agents.contains_key(agent) {
        return;
      }
      room.await;
    }
  }

  /// One lane; returns when stopped and nothing waits. Run two.
  pub async fn run_lane(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
    loop {
      let work = self.work.notified();
      let Some(group) = self.take_group() else {
        tokio::select! {
          () = work => continue,
          () = stop.cancelled() => return,
        }
      };
      self.write(&group, &stop).await;
      self.give_back(&group);
    }
  }

  /// Writes a group, again and again while the database fails: reports are never dropped.
  async fn write(&self, group: &Group, stop: &tokio_util::sync::CancellationToken) {
    loop {
      match commit(&self.context, group).await {
        Ok(()) => {
          for (source, batches) in group {
            if let Some(last) = batches.last() {
              source.acked.send_modify(|acked| *acked = (*acked).max(last.seq_last));
            }
          }
          return;
        }
        Err(error) if error.is_retry() => {}
        Err(error) => {
          tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot store reports, trying again"
          );
          tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            // Not acknowledged: the agents keep and resend them.
            () = stop.cancelled() => return,
          }
        }
      }
    }
  }

  fn take_group(&self) -> Option<Group> {
    let mut queues = self.queues();
    let mut group = Group::new();
    let (mut items, mut bytes) = (0, 0);
    while items < GROUP_ITEMS_MAX && bytes < GROUP_BYTES_MAX {
      let Some(agent) = queues.ready.pop_front() else { break };
      let Some(queue) = queues.agents.get_mut(&agent) else { continue };
      let Some((source, _)) = queue.batches.front() else { continue };
      let source = source.clone();
      let mut taken = Vec::new();
      while items < GROUP_ITEMS_MAX
        && bytes < GROUP_BYTES_MAX
        && queue.batches.front().is_some_and(|(from, _)| from.is_same(&source))
        && let Some((_, batch)) = queue.batches.pop_front()
      {
        items += batch.items.len();
        bytes += batch.bytes;
        taken.push(batch);
      }
      queue.busy = true;
      group.push((source, taken));
    }
    if group.is_empty() { None } else { Some(group) }
  }

  fn give_back(&self, group: &Group) {
    let mut queues = self.queues();
    let mut again = HashSet::new();
    for (source, batches) in group {
      let Some(queue) = queues.agents.get_mut(&source.agent_id) else { continue };
      queue.busy = false;
      queue.bytes -= batches.iter().map(|batch| batch.bytes).sum::<usize>();
      if queue.batches.is_empty() {
        queues.agents.remove(&source.agent_id);
      } else {
        again.insert(source.agent_id.clone());
      }
    }
    let more = !again.is_empty();
    queues.ready.extend(again);
    drop(queues);
    if more {
      self.work.notify_one();
    }
    self.room.notify_waiters();
  }
}
