//! The executor as a process of its own: agents come and go, attempts go on.
//!
//! Output and ends are kept until an agent says that a server has stored them; the next agent gets
//! all of it again. An agent is heard to its last word before the next one is answered, so that no
//! start of a dead one can come after the answer that did not name it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hetuflow_core::TaskInstanceId;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frames::{
  Frame, FrameReader, FromExecutor, Hello, ToExecutor, Welcome, put_json, put_output,
};
use super::journal::{Entry, Journal, Stage};
use super::place::Taken;
use super::{
  Command, Ended, Event, Executor, Held, HeldPhase, Hold, Identity, Place, PlaceError, SteadyClock,
  StopOrder, boot_id, cancelled, orphan,
};
use crate::executor::room::{CurrentSurroundings, Parts, output_memory};

/// Events handled in one turn.
const TURN: usize = 256;
/// Messages of an agent that wait here; beyond that its socket is not read.
const INBOX: usize = 256;
/// Output that is with the agent and not stored yet; more stays here.
const WINDOW_BYTES: usize = 8 << 20;
/// An executor without an agent and without work leaves after this time.
const LINGER: Duration = Duration::from_secs(10);
/// Between two proofs of life, at most.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no executor here.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
  /// Its place cannot be had.
  #[error(transparent)]
  Place(#[from] PlaceError),
  /// Its journal cannot be had; without it a task could be started twice.
  #[error("cannot use the journal in {path}")]
  Journal {
    /// Where.
    path: String,
    /// Why.
    #[source]
    source: io::Error,
  },
}

/// What an agent says to the desk.
enum Visit {
  /// An agent has come.
  Came(Box<Hello>, OwnedWriteHalf),
  /// It says something.
  Said(ToExecutor),
  /// It is gone.
  Left,
}

/// An event that is kept until it is stored.
struct Kept {
  instance_id: TaskInstanceId,
  told: Told,
  _hold: Hold,
}

enum Told {
  Output(Box<hetuflow_core::OutputFrame>),
  Ended(Box<Ended>),
}

/// Where the executor and its agent meet.
struct Desk {
  journal: Arc<Journal>,
  held: HashMap<TaskInstanceId, Held>,
  kept: BTreeMap<u64, Kept>,
  last_number: u64,
  /// What comes next for the agent.
  next: u64,
  window: usize,
  agent: Option<OwnedWriteHalf>,
  out: Vec<u8>,
  commands: UnboundedSender<Command>,
  tick: Arc<AtomicU64>,
  ticked: (u64, Instant),
  retire: bool,
  idle_since: Instant,
}

/// Runs an executor in its place until nobody needs it any more, or `stop` is cancelled: then every
/// attempt is stopped first.
///
/// # Errors
/// [`DeskError`].
pub async fn serve(place: &Place, stop: CancellationToken) -> Result<(), DeskError> {
  let Taken { listener, _lock } = place.take()?;
  let shift_us = SteadyClock::start().shift_us();
  let opened = Journal::open(place.folder(), &boot_id(), shift_us);
  let (journal, recovered) = opened
    .map_err(|source| DeskError::Journal { path: place.folder().display().to_string(), source })?;
  let journal = Arc::new(journal);
  tracing::info!(journal = journal.id(), attempts = recovered.entries.len(), "the executor starts");
  if recovered.torn_bytes > 0 {
    tracing::warn!(bytes = recovered.torn_bytes, "the end of the journal was cut by a crash");
  }
  let (visits, agents) = mpsc::channel(INBOX);
  let tracker = TaskTracker::new();
  tracker.spawn(receive(listener, visits));
  Desk::open(journal, recovered.boot_id == boot_id(), recovered.entries, agents, tracker, stop)
    .await;
  Ok(())
}

/// Lets one agent in after the other; each is read to its end first.
async fn receive(listener: UnixListener, visits: mpsc::Sender<Visit>) {
  loop {
    let stream = match listener.accept().await {
      Ok((stream, _)) => stream,
      Err(error) => {
        tracing::warn!(%error, "an agent cannot be let in");
        tokio::time::sleep(Duration::from_millis(100)).await;
        continue;
      }
    };
    let (reader, writer) = stream.into_split();
    if let Err(error) = attend(FrameReader::new(reader), writer, &visits).await {
      tracing::warn!(%error, "an agent is not understood");
    }
    if visits.send(Visit::Left).await.is_err() {
      return;
    }
  }
}

async fn attend(
  mut reader: FrameReader<OwnedReadHalf>,
  writer: OwnedWriteHalf,
  visits: &mpsc::Sender<Visit>,
) -> io::Result<()> {
  let mut writer = Some(writer);
  while let Some(Frame::Json(json)) = reader.next().await? {
    let said: ToExecutor = serde_json::from_slice(&json)?;
    let visit = match (said, writer.take()) {
      (ToExecutor::Hello(hello), Some(writer)) => Visit::Came(hello, writer),
      (_, Some(_)) => return Err(io::Error::other("hello comes first")),
      (said, None) => Visit::Said(said),
    };
    if visits.send(visit).await.is_err() {
      return Ok(());
    }
  }
  Ok(())
}

impl Desk {
  /// Waits for the first agent, which says how attempts are run; then works.
  async fn open(
    journal: Arc<Journal>,
    same_boot: bool,
    entries: Vec<Entry>,
    mut agents: mpsc::Receiver<Visit>,
    tracker: TaskTracker,
    stop: CancellationToken,
  ) {
    let (hello, writer) = loop {
      tokio::select! {
        visit = agents.recv() => match visit {
          Some(Visit::Came(hello, writer)) => break (hello, writer),
          Some(_) => {}
          None => return,
        },
        () = tokio::time::sleep(LINGER) => return,
        () = stop.cancelled() => return,
      }
    };
    let clock = SteadyClock::with_shift(journal.shift_us());
    let (commands, to_executor) = unbounded_channel();
    let (events, from_executor) = unbounded_channel();
    let tick = Arc::new(AtomicU64::new(0));
    let mut executor = Executor::new(Parts {
      surroundings: hello.surroundings.clone(),
      clock,
      memory: output_memory(&hello.surroundings),
      tracker: tracker.clone(),
      journal: Some(Arc::clone(&journal)),
      commands: to_executor,
      events: events.clone(),
      tick: Arc::clone(&tick),
    });
    let mut desk = Self {
      journal,
      held: HashMap::new(),
      kept: BTreeMap::new(),
      last_number: 0,
      next: 1,
      window: 0,
      agent: None,
      out: Vec::new(),
      commands,
      tick,
      ticked: (0, Instant::now()),
      retire: false,
      idle_since: Instant::now(),
    };
    let orphans = desk.remember(entries, same_boot, clock);
    let surroundings = executor.surroundings();
    orphans.into_iter().for_each(|(id, found)| executor.adopt(id, found));
    let executor = tracker.spawn(executor.run());
    desk.come(&hello, writer);
    desk.run(agents, from_executor, surroundings, stop).await;
    drop(desk);
    let _ended = executor.await;
  }

  /// Puts back what the journal knows. What was started and whose end nobody saw is looked for.
  fn remember(
    &mut self,
    entries: Vec<Entry>,
    same_boot: bool,
    clock: SteadyClock,
  ) -> Vec<(TaskInstanceId, orphan::Found)> {
    let mut orphans = Vec::new();
    for Entry { identity, stage, stop } in entries {
      let id = identity.instance_id;
      let phase = match stage {
        Stage::Waiting(start) => HeldPhase::Waiting(start),
        Stage::Exited { ended, started } => {
          let pid = started.and_then(|(pid, _)| u32::try_from(pid).ok());
          let started_us = started.map(|(_, at_us)| at_us);
          self.keep(id, Told::Ended(ended), Hold::default());
          HeldPhase::Ended { pid, started_us }
        }
        // Nothing has survived the host's own start; the server knows by the boot id.
        Stage::Starting | Stage::Started { .. } if !same_boot => {
          self.journal.settled(id);
          continue;
        }
        Stage::Starting => {
          let found = orphan::find(id, clock.now_us());
          let phase = match &found {
            orphan::Found::Alive { pid, at_us, .. } => HeldPhase::Running {
              pid: u32::try_from(pid.as_raw_nonzero().get()).ok(),
              at_us: *at_us,
              paused: false,
            },
            orphan::Found::Gone => HeldPhase::Starting,
          };
          orphans.push((id, found));
          phase
        }
        Stage::Started { pid, ticks, at_us } => {
          orphans.push((id, orphan::look(pid, ticks, at_us)));
          HeldPhase::Running { pid: u32::try_from(pid).ok(), at_us, paused: false }
        }
      };
      self.held.insert(id, Held { identity, phase, stop });
    }
    orphans
  }

  async fn run(
    &mut self,
    mut agents: mpsc::Receiver<Visit>,
    mut events: UnboundedReceiver<Event>,
    surroundings: Arc<CurrentSurroundings>,
    stop: CancellationToken,
  ) {
    let mut waiting = Vec::with_capacity(TURN);
    let mut stopping = false;
    loop {
      if self.write().await.is_err() {
        // Its reader tells when it is gone.
        self.agent = None;
      }
      if self.is_idle() && self.retire || stopping && self.is_dead() {
        return tracing::info!("nothing is in hand; the executor leaves");
      }
      tokio::select! {
        count = events.recv_many(&mut waiting, TURN) => {
          if count == 0 {
            return;
          }
          waiting.drain(..).for_each(|event| self.hear(event));
        }
        visit = agents.recv() => match visit {
          None => return,
          Some(Visit::Came(hello, writer)) => {
            surroundings.set(hello.surroundings.clone());
            self.come(&hello, writer);
          }
          Some(Visit::Said(said)) => self.obey(said),
          Some(Visit::Left) => {
            self.agent = None;
            self.idle_since = Instant::now();
          }
        },
        () = tokio::time::sleep_until(self.idle_since + LINGER), if self.agent.is_none() && self.is_idle() => {
          return tracing::info!("no agent and no work; the executor leaves");
        }
        () = stop.cancelled(), if !stopping => {
          stopping = true;
          self.stop_all();
        }
      }
    }
  }

  /// An agent has come: it hears what is in hand, and then all that is kept.
  fn come(&mut self, hello: &Hello, writer: OwnedWriteHalf) {
    tracing::info!(version = hello.version, attempts = self.held.len(), "an agent is here");
    self.agent = Some(writer);
    self.retire = false;
    self.out.clear();
    self.window = 0;
    self.next = 0;
    let welcome = Welcome {
      version: env!("CARGO_PKG_VERSION").to_owned(),
      shift_us: self.journal.shift_us(),
      journal_id: self.journal.id().to_owned(),
      pid: std::process::id(),
      held: self.held.values().map(Held::copy).collect(),
    };
    self.say(&FromExecutor::Welcome(Box::new(welcome)));
  }

  fn obey(&mut self, said: ToExecutor) {
    match said {
      ToExecutor::Hello(_) => {}
      ToExecutor::Command(command) => self.command(command),
      ToExecutor::Stored(numbers) => numbers.into_iter().for_each(|number| self.stored(number)),
      ToExecutor::Retire | ToExecutor::Bye => self.retire = true,
    }
  }

  fn command(&mut self, command: Command) {
    match command {
      Command::Keep(start) => {
        let identity = Identity::of(&start.task);
        if self.held.contains_key(&identity.instance_id) {
          return;
        }
        self.journal.keep(&start);
        let phase = HeldPhase::Waiting(start);
        self.held.insert(identity.instance_id, Held { identity, phase, stop: None });
      }
      Command::Forget(id) => {
        if self.held.get(&id).is_some_and(|held| matches!(held.phase, HeldPhase::Waiting(_))) {
          self.held.remove(&id);
          self.journal.settled(id);
        }
      }
      Command::Start(start) => {
        let identity = Identity::of(&start.task);
        let known = self.held.get(&identity.instance_id);
        let waits = known.is_none_or(|held| matches!(held.phase, HeldPhase::Waiting(_)));
        if !waits || self.journal.was_started(identity.instance_id) {
          return tracing::warn!(instance.id = %identity.instance_id, "started before; not again");
        }
        let phase = HeldPhase::Starting;
        self.held.insert(identity.instance_id, Held { identity, phase, stop: None });
        self.pass(Command::Start(start));
      }
      Command::Stop(id, order) => {
        if let (Some(held), Some(why)) = (self.held.get_mut(&id), &order.why)
          && held.stop.is_none()
        {
          held.stop = Some(why.clone());
          self.journal.stopping(id, why);
        }
        self.pass(Command::Stop(id, order));
      }
      command => self.pass(command),
    }
  }

  fn pass(&self, command: Command) {
    let _executor_gone = self.commands.send(command);
  }

  fn hear(&mut self, event: Event) {
    match event {
      Event::Attached(_) => {}
      Event::Started { instance_id, pid, at_us } => {
        if let Some(held) = self.held.get_mut(&instance_id) {
          held.phase = HeldPhase::Running { pid, at_us, paused: false };
        }
        self.say(&FromExecutor::Started { instance_id, pid, at_us });
      }
      Event::Frozen { instance_id, frozen, at_us } => {
        let held = self.held.get_mut(&instance_id);
        if let Some(Held { phase: HeldPhase::Running { paused, .. }, .. }) = held {
          *paused = frozen;
        }
        self.say(&FromExecutor::Frozen { instance_id, frozen, at_us });
      }
      Event::Output { frame, hold } => self.keep(frame.instance_id, Told::Output(frame), hold),
      Event::Ended(ended, hold) => {
        let id = ended.instance_id;
        // Before anybody hears of it: whoever comes next must hear the same.
        self.journal.exited(&ended);
        if let Some(held) = self.held.get_mut(&id) {
          let (pid, started_us) = match held.phase {
            HeldPhase::Running { pid, at_us, .. } => (pid, Some(at_us)),
            _ => (None, None),
          };
          held.phase = HeldPhase::Ended { pid, started_us };
        }
        self.keep(id, Told::Ended(ended), hold);
      }
    }
  }

  fn keep(&mut self, instance_id: TaskInstanceId, told: Told, hold: Hold) {
    self.last_number += 1;
    self.kept.insert(self.last_number, Kept { instance_id, told, _hold: hold });
  }

  /// A server has it.
  fn stored(&mut self, number: u64) {
    let Some(kept) = self.kept.remove(&number) else { return };
    match kept.told {
      Told::Output(frame) => self.window = self.window.saturating_sub(frame.data.len()),
      Told::Ended(_) => {
        self.held.remove(&kept.instance_id);
        self.journal.settled(kept.instance_id);
      }
    }
  }

  fn say(&mut self, message: &FromExecutor) {
    if self.agent.is_some()
      && let Err(error) = put_json(&mut self.out, message)
    {
      tracing::error!(%error, "a message cannot be written");
    }
  }

  /// Writes what the agent has not heard yet, as far as the window goes.
  async fn write(&mut self) -> io::Result<()> {
    if self.agent.is_none() {
      return Ok(());
    }
    self.fill();
    let turns = self.tick.load(Ordering::Relaxed);
    if turns != self.ticked.0 && self.ticked.1.elapsed() >= TICK_INTERVAL {
      self.ticked = (turns, Instant::now());
      self.say(&FromExecutor::Tick(turns));
    }
    if let Some(agent) = &mut self.agent
      && !self.out.is_empty()
    {
      let written = agent.write_all(&self.out).await;
      self.out.clear();
      if self.out.capacity() > WINDOW_BYTES {
        self.out.shrink_to(64 << 10);
      }
      written?;
    }
    Ok(())
  }

  fn fill(&mut self) {
    for (number, kept) in self.kept.range(self.next..) {
      match &kept.told {
        Told::Output(_) if self.window >= WINDOW_BYTES => break,
        Told::Output(frame) => {
          self.window += frame.data.len();
          put_output(&mut self.out, *number, frame);
        }
        Told::Ended(ended) => {
          let message = FromExecutor::Ended { number: *number, ended: ended.clone() };
          if let Err(error) = put_json(&mut self.out, &message) {
            tracing::error!(%error, "an end cannot be written");
          }
        }
      }
      self.next = number + 1;
    }
  }

  fn is_idle(&self) -> bool {
    self.kept.is_empty() && self.held.is_empty()
  }

  /// Nothing lives, and nobody is there to hear of what is kept; the journal has the ends.
  fn is_dead(&self) -> bool {
    let ended = |held: &Held| matches!(held.phase, HeldPhase::Ended { .. });
    self.is_idle() || self.agent.is_none() && self.held.values().all(ended)
  }

  /// The executor itself was asked to end: nothing must be left without it.
  fn stop_all(&mut self) {
    tracing::warn!(attempts = self.held.len(), "asked to end: every attempt is stopped first");
    let why = cancelled("executor_shutdown");
    let ids: Vec<_> = self.held.keys().copied().collect();
    for id in ids {
      let order = StopOrder { why: Some(why.clone()), ..StopOrder::default() };
      self.command(Command::Stop(id, order));
      self.command(Command::Forget(id));
    }
  }
}
