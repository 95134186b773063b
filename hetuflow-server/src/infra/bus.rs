//! Wakes inside one server: hints that shorten a wait and never carry truth. Whoever sleeps also
//! has a timer that makes correct what a lost wake would only make late.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hetuflow_core::{TaskId, TaskInstanceId, Ts};
use tokio::sync::{Notify, broadcast};

/// Log wakes that a slow follower may be behind before it looks again on its own timer.
const LOG_WAKES_MAX: usize = 1024;

/// Where claimable work may be: the soonest instant per selector class and priority.
pub type DueMarks = BTreeMap<(i64, i64), Ts>;

/// The wakes of one server.
#[derive(Debug)]
pub struct Bus {
  due: Mutex<DueMarks>,
  /// Something may be claimable, or credits came.
  pub dispatch: Notify,
  /// A schedule changed, or a task of a gated one ended.
  pub plan: Notify,
  /// A backfill changed, or a task ended while one is open.
  pub backfill: Notify,
  /// A backfill is open, as the loop over them has seen it.
  pub backfills_open: AtomicBool,
  /// A task of a limit came or ended, or a limit changed.
  pub admit: Notify,
  /// A commit added to the journal.
  pub events: Notify,
  /// A stop or another control was stored.
  pub control: Notify,
  /// A drain began or an order to an agent was stored.
  pub fleet: Notify,
  /// An agent has answered an order.
  pub answers: Notify,
  /// The dispatcher should read the store anew: another server may have added work.
  pub look_anew: AtomicBool,
  /// A task ended that took more of its agent than a slot.
  pub room_freed: AtomicBool,
  /// Tasks may wait that no agent here had room for.
  backlog: AtomicBool,
  /// Another server should look: told by the notifier, at most 20 times a second.
  pub remote: Notify,
  logs: broadcast::Sender<TaskInstanceId>,
  waiters: Mutex<HashMap<TaskId, Arc<Notify>>>,
}

impl Default for Bus {
  fn default() -> Self {
    Self {
      due: Mutex::new(DueMarks::new()),
      dispatch: Notify::new(),
      plan: Notify::new(),
      backfill: Notify::new(),
      backfills_open: AtomicBool::new(true),
      admit: Notify::new(),
      events: Notify::new(),
      control: Notify::new(),
      fleet: Notify::new(),
      answers: Notify::new(),
      look_anew: AtomicBool::new(false),
      room_freed: AtomicBool::new(false),
      // Until the dispatcher has looked.
      backlog: AtomicBool::new(true),
      remote: Notify::new(),
      logs: broadcast::channel(LOG_WAKES_MAX).0,
      waiters: Mutex::default(),
    }
  }
}

impl Bus {
  /// Tasks of these classes and priorities became claimable at these instants.
  pub fn tasks_due(&self, marks: impl IntoIterator<Item = ((i64, i64), Ts)>) {
    let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
    for (key, at) in marks {
      due.entry(key).and_modify(|known| *known = (*known).min(at)).or_insert(at);
    }
    drop(due);
    self.dispatch.notify_one();
    self.remote.notify_one();
  }

  /// Another server changed something: everybody looks.
  pub fn wake_all(&self) {
    self.look_anew.store(true, Ordering::Release);
    self.dispatch.notify_one();
    self.plan.notify_one();
    self.events.notify_one();
    self.control.notify_one();
    self.fleet.notify_one();
  }

  /// Tasks wait, or none does, as the dispatcher has seen it.
  pub fn set_backlog(&self, waits: bool) {
    self.backlog.store(waits, Ordering::Release);
  }

  /// Nothing waits that a new task could overtake.
  pub fn is_quiet(&self) -> bool {
    !self.backlog.load(Ordering::Acquire)
      && !self.look_anew.load(Ordering::Acquire)
      && self.due.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
  }

  /// Takes all marks; the taker puts back what it could not serve.
  pub fn take_due(&self) -> DueMarks {
    std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
  }

  /// Output of these attempts was committed, or they ended.
  pub fn logs_grew(&self, instances: impl IntoIterator<Item = TaskInstanceId>) {
    for instance in instances {
      // Nobody listening is the usual case.
      let _listeners = self.logs.send(instance);
    }
  }

  /// Hears of attempts whose output grew.
  pub fn listen_logs(&self) -> broadcast::Receiver<TaskInstanceId> {
    self.logs.subscribe()
  }

  /// A wake for whoever waits for this task to end; forgotten when it is dropped.
  pub fn wait_for(self: &Arc<Self>, task: TaskId) -> Waiting {
    let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
    let wake = Arc::clone(waiters.entry(task).or_default());
    Waiting { bus: Arc::clone(self), task, wake }
  }

  /// These tasks ended.
  pub fn tasks_ended(&self, tasks: impl IntoIterator<Item = TaskId>) {
    if self.backfills_open.load(Ordering::Acquire) {
      self.backfill.notify_one();
    }
    let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
    if waiters.is_empty() {
      return;
    }
    for task in tasks {
      if let Some(wake) = waiters.get(&task) {
        wake.notify_waiters();
      }
    }
  }
}

/// One reader that waits for a task to end.
#[derive(Debug)]
pub struct Waiting {
  bus: Arc<Bus>,
  task: TaskId,
  /// Woken when it ended.
  pub wake: Arc<Notify>,
}

impl Drop for Waiting {
  fn drop(&mut self) {
    let mut waiters = self.bus.waiters.lock().unwrap_or_else(PoisonError::into_inner);
    // Two hands: the map's and this one.
    if waiters.get(&self.task).is_some_and(|wake| Arc::strong_count(wake) <= 2) {
      waiters.remove(&self.task);
    }
  }
}
