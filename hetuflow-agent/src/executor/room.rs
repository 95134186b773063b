//! The executor itself: hands each attempt to a task of its own and passes orders on.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hetuflow_core::TaskInstanceId;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use super::running::Control;
use super::supervise::supervise;
use super::{BaseEnvironment, Command, Event, SteadyClock, StopOrder};
use crate::config::{ConfineSection, TaskType};
use crate::process::{Cgroups, Orphans};

/// Commands handled in one turn.
const TURN: usize = 256;
/// Time between looks for orphans that have ended.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// How attempts are run here.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
  /// Folder of commands that name none.
  pub work_dir: PathBuf,
  /// Below it each attempt with a script gets a folder.
  pub run_base_dir: PathBuf,
  /// Whether tasks may run as root.
  pub allow_root_tasks: bool,
  /// Longest time that output waits to be sent.
  pub flush_interval: Duration,
  /// How tasks are held together, measured and limited.
  pub confine: ConfineSection,
  /// Programs of task types.
  pub task_types: BTreeMap<String, TaskType>,
  /// End every task at once, without a process.
  pub noop: bool,
}

/// What all attempts share.
pub(super) struct Shared {
  pub(super) settings: ExecutorSettings,
  pub(super) base: BaseEnvironment,
  pub(super) clock: SteadyClock,
  pub(super) memory: Arc<Semaphore>,
  pub(super) tracker: TaskTracker,
  pub(super) cgroups: Arc<Cgroups>,
  /// Attempts whose first moments a thread watches now.
  pub(super) short_lives: AtomicUsize,
  events: UnboundedSender<Event>,
}

impl Shared {
  /// Says something; only a dying agent no longer listens.
  pub(super) fn say(&self, event: Event) {
    let _nobody_left = self.events.send(event);
  }
}

/// Owns every attempt that was started.
///
/// Its queues have no limit of their own: commands are bounded by the slots of the scheduler,
/// output by the memory semaphore, and each attempt has three more events at most.
pub struct Executor {
  shared: Arc<Shared>,
  commands: UnboundedReceiver<Command>,
  running: HashMap<TaskInstanceId, UnboundedSender<Control>>,
  ended: (UnboundedSender<TaskInstanceId>, UnboundedReceiver<TaskInstanceId>),
  tick: Arc<AtomicU64>,
}

/// What an [`Executor`] is made of.
pub struct Parts {
  /// How attempts are run.
  pub settings: ExecutorSettings,
  /// What tasks may see of the agent's environment.
  pub base: BaseEnvironment,
  /// Times of events.
  pub clock: SteadyClock,
  /// Bytes of output that may wait for the server.
  pub memory: Arc<Semaphore>,
  /// Owns the tasks of the runtime.
  pub tracker: TaskTracker,
  /// Where commands come from.
  pub commands: UnboundedReceiver<Command>,
  /// Where events go.
  pub events: UnboundedSender<Event>,
  /// Counts turns, as a proof of life.
  pub tick: Arc<AtomicU64>,
}

impl Executor {
  /// An executor with nothing to do.
  pub fn new(parts: Parts) -> Self {
    let Parts { settings, base, clock, memory, tracker, commands, events, tick } = parts;
    let short_lives = AtomicUsize::new(0);
    let cgroups = Arc::new(Cgroups::open(settings.confine.cgroups));
    let shared = Shared { settings, base, clock, memory, tracker, cgroups, short_lives, events };
    let shared = Arc::new(shared);
    Self { shared, commands, running: HashMap::new(), ended: mpsc::unbounded_channel(), tick }
  }

  /// Works until nobody can command any more and every attempt has ended.
  pub async fn run(mut self) {
    let mut commands = Vec::with_capacity(TURN);
    let mut commanded = true;
    let mut orphans = Orphans::adopt();
    let mut orphans_are_left = false;
    let mut reap = tokio::time::interval(REAP_INTERVAL);
    reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while commanded || !self.running.is_empty() {
      tokio::select! {
        count = self.commands.recv_many(&mut commands, TURN), if commanded => {
          commanded = count > 0;
          commands.drain(..).for_each(|command| self.obey(command));
        }
        Some(instance_id) = self.ended.1.recv() => {
          self.running.remove(&instance_id);
          orphans_are_left = true;
        }
        _ = reap.tick(), if orphans_are_left || !self.running.is_empty() => {
          orphans_are_left = orphans.reap();
          self.shared.cgroups.tidy();
        }
      }
      self.tick.fetch_add(1, Ordering::Relaxed);
    }
  }

  fn obey(&mut self, command: Command) {
    match command {
      Command::Start(start) => self.start(start),
      Command::Stop(id, order) => self.tell(id, Control::Stop(order)),
      Command::Signal(id, signal) => self.tell(id, Control::Signal(signal)),
      Command::Pause(id) => self.tell(id, Control::Freeze(true)),
      Command::Resume(id) => self.tell(id, Control::Freeze(false)),
      Command::KillAll => {
        for control in self.running.values() {
          let order = StopOrder { force: true, ..StopOrder::default() };
          let _ended_meanwhile = control.send(Control::Stop(order));
        }
      }
    }
  }

  /// An attempt that has ended meanwhile needs no control any more.
  fn tell(&self, instance_id: TaskInstanceId, control: Control) {
    if let Some(attempt) = self.running.get(&instance_id) {
      let _ended_meanwhile = attempt.send(control);
    }
  }

  fn start(&mut self, start: Box<super::Start>) {
    #[cfg(feature = "bench")]
    if self.shared.settings.noop {
      return super::noop::run(&self.shared, &start);
    }
    let instance_id = start.task.task_instance.id;
    let (sender, controls) = mpsc::unbounded_channel();
    self.running.insert(instance_id, sender);
    let (shared, ended) = (Arc::clone(&self.shared), self.ended.0.clone());
    self.shared.tracker.spawn(async move {
      supervise(shared, start, controls).await;
      let _executor_gone = ended.send(instance_id);
    });
  }
}
