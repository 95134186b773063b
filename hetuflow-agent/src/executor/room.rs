//! The executor itself: hands each attempt to a task of its own and passes orders on.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use hetuflow_core::{LogPolicy, TaskInstanceId};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::housekeeping;
use super::journal::Journal;
use super::lanes::Lanes;
use super::orphan::{self, Orphan};
use super::pieces::Pieces;
use super::running::Control;
use super::supervise::supervise;
use super::{BaseEnvironment, Command, Event, SteadyClock, StopOrder};
use crate::config::{ConfineSection, TaskType};
use crate::process::Cgroups;

/// Commands handled in one turn.
const TURN: usize = 256;

/// Everything that attempts find around them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
  /// How they are run.
  pub settings: ExecutorSettings,
  /// What they may see of the agent's environment.
  pub base: BaseEnvironment,
  /// Bytes of output that may wait for the server; counts from the start of the executor.
  pub output_buffer: u64,
}

/// What attempts find around them now; each agent that comes may bring its own.
#[derive(Debug, Default)]
pub(super) struct CurrentSurroundings(RwLock<Arc<Surroundings>>);

impl CurrentSurroundings {
  /// What counts for an attempt that is started now.
  pub(super) fn get(&self) -> Arc<Surroundings> {
    Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
  }

  /// Counts from the next start on.
  pub(super) fn set(&self, surroundings: Surroundings) {
    *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(surroundings);
  }
}

/// How attempts are run here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutorSettings {
  /// Folder of commands that name none.
  pub work_dir: PathBuf,
  /// Below it each attempt with a script gets a folder.
  pub run_base_dir: PathBuf,
  /// Folders of attempts that hold secrets, or that belong to other users.
  #[serde(default)]
  pub runtime_dir: PathBuf,
  /// Whether tasks may run as root.
  pub allow_root_tasks: bool,
  /// As whom else they may run.
  #[serde(default)]
  pub run_as_allow: Vec<String>,
  /// Programs that jobs may name; all where there is none.
  #[serde(default)]
  pub commands_allow: Vec<String>,
  /// Longest time that output waits to be sent.
  pub flush_interval: Duration,
  /// How tasks are held together, measured and limited.
  #[serde(default)]
  pub confine: ConfineSection,
  /// Whether each start is on the disk before it is made.
  pub journal_sync: bool,
  /// What becomes of output for which no room is left, where the job does not say.
  #[serde(default)]
  pub log_policy: LogPolicy,
  /// Most bytes of a task's results, as JSON.
  #[serde(default)]
  pub result_size_max: u64,
  /// Whether values of secrets are masked in the output of their task.
  #[serde(default)]
  pub mask_secrets: bool,
  /// Where files are that attempts find when they start.
  #[serde(default)]
  pub input_dir: PathBuf,
  /// Where files of attempts are kept until a server has them.
  #[serde(default)]
  pub artifact_dir: PathBuf,
  /// Most bytes of one such file.
  #[serde(default)]
  pub artifact_size_max: u64,
  /// Most bytes of all such files of one attempt.
  #[serde(default)]
  pub artifact_total_max: u64,
  /// Programs of task types.
  pub task_types: BTreeMap<String, TaskType>,
  /// End every task at once, without a process.
  pub noop: bool,
}

/// What all attempts share.
pub(super) struct Shared {
  pub(super) surroundings: Arc<CurrentSurroundings>,
  pub(super) journal: Option<Arc<Journal>>,
  pub(super) clock: SteadyClock,
  pub(super) memory: Arc<Semaphore>,
  pub(super) tracker: TaskTracker,
  pub(super) cgroups: Arc<Cgroups>,
  pub(super) pieces: Arc<Pieces>,
  pub(super) lanes: Lanes,
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
  pub(super) shared: Arc<Shared>,
  running: HashMap<TaskInstanceId, UnboundedSender<Control>>,
  ended: (UnboundedSender<TaskInstanceId>, UnboundedReceiver<TaskInstanceId>),
  _housekeeping: DropGuard,
}

/// What an [`Executor`] is made of.
pub(super) struct Parts {
  /// What attempts find around them.
  pub(super) surroundings: Surroundings,
  /// What must not be forgotten; none where the executor is no process of its own.
  pub(super) journal: Option<Arc<Journal>>,
  /// Times of events.
  pub(super) clock: SteadyClock,
  /// Bytes of output that may wait for the server.
  pub(super) memory: Arc<Semaphore>,
  /// Owns the tasks of the runtime.
  pub(super) tracker: TaskTracker,
  /// How long the pieces of output are.
  pub(super) pieces: Arc<Pieces>,
  /// Where events go.
  pub(super) events: UnboundedSender<Event>,
}

/// The border of an [`Executor`] that lives in the process of its agent.
pub struct Inside {
  /// Times of events.
  pub clock: SteadyClock,
  /// Where commands come from.
  pub commands: UnboundedReceiver<Command>,
  /// Where events go.
  pub events: UnboundedSender<Event>,
  /// Counts turns, as a proof of life.
  pub tick: Arc<AtomicU64>,
}

impl Executor {
  /// Runs an executor that ends with the process that it is in, and forgets everything then; until
  /// nobody can command any more and every attempt has ended.
  pub async fn run_inside(surroundings: Surroundings, tracker: TaskTracker, border: Inside) {
    let memory = output_memory(&surroundings);
    let Inside { clock, commands, events, tick } = border;
    let pieces = Arc::default();
    let parts = Parts { surroundings, journal: None, clock, memory, tracker, pieces, events };
    Self::new(parts).run(commands, tick).await;
  }

  /// An executor with nothing to do; only inside a runtime.
  pub(super) fn new(parts: Parts) -> Self {
    let Parts { surroundings, journal, clock, memory, tracker, pieces, events } = parts;
    let lanes = Lanes::new(Handle::current());
    let cgroups = Arc::new(Cgroups::open(surroundings.settings.confine.cgroups));
    let current = CurrentSurroundings::default();
    current.set(surroundings);
    let surroundings = Arc::new(current);
    let shared =
      Shared { surroundings, journal, clock, memory, tracker, cgroups, pieces, lanes, events };
    let shared = Arc::new(shared);
    let housekeeping =
      housekeeping::begin(&shared.tracker, &shared.cgroups, shared.journal.as_ref());
    Self {
      shared,
      running: HashMap::new(),
      ended: mpsc::unbounded_channel(),
      _housekeeping: housekeeping,
    }
  }

  /// What attempts find around them, from the next start on.
  pub(super) fn surround(&self, surroundings: Surroundings) {
    self.shared.surroundings.set(surroundings);
  }

  /// Forgets the controls of an attempt that has ended; waits for one. Cancelling loses nothing.
  pub(super) async fn note_ended(&mut self) {
    if let Some(instance_id) = self.ended.1.recv().await {
      self.running.remove(&instance_id);
    }
  }

  /// Follows a process that an executor before this one has started.
  pub(super) fn adopt(&mut self, orphan: Orphan) {
    let instance_id = orphan.identity.instance_id;
    let (sender, controls) = mpsc::unbounded_channel();
    self.running.insert(instance_id, sender);
    let (shared, ended) = (Arc::clone(&self.shared), self.ended.0.clone());
    self.shared.tracker.spawn(async move {
      orphan::follow(shared, orphan, controls).await;
      let _executor_gone = ended.send(instance_id);
    });
  }

  pub(super) async fn run(
    mut self,
    mut commands: UnboundedReceiver<Command>,
    tick: Arc<AtomicU64>,
  ) {
    let mut waiting = Vec::with_capacity(TURN);
    let mut commanded = true;
    while commanded || !self.running.is_empty() {
      tokio::select! {
        count = commands.recv_many(&mut waiting, TURN), if commanded => {
          commanded = count > 0;
          waiting.drain(..).for_each(|command| self.obey(command));
        }
        () = self.note_ended() => {}
      }
      tick.fetch_add(1, Ordering::Relaxed);
    }
  }

  /// Does as it is told.
  pub(super) fn obey(&mut self, command: Command) {
    match command {
      // For whoever remembers; there is nothing to run.
      Command::Keep(_) | Command::Forget(_) | Command::Contact(_) => {}
      Command::Start(start) => self.start(start),
      Command::Stop(id, order) => self.tell(id, Control::Stop(order)),
      Command::Signal(id, signal) => self.tell(id, Control::Signal(signal)),
      Command::Pause(id) => self.tell(id, Control::Freeze(true)),
      Command::Resume(id) => self.tell(id, Control::Freeze(false)),
      Command::KillAll | Command::Abandon => {
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
    if self.shared.surroundings.get().settings.noop {
      return super::noop::run(&self.shared, &start);
    }
    let instance_id = start.task.task_instance.id;
    let (sender, controls) = mpsc::unbounded_channel();
    self.running.insert(instance_id, sender);
    let (shared, ended) = (Arc::clone(&self.shared), self.ended.0.clone());
    let done = move || _ = ended.send(instance_id);
    self.shared.lanes.push(move |turn| supervise(shared, start, controls, (turn, done)));
  }
}

/// The memory for output that waits for the server.
pub(super) fn output_memory(surroundings: &Surroundings) -> Arc<Semaphore> {
  let bytes = usize::try_from(surroundings.output_buffer).unwrap_or(usize::MAX);
  Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}
