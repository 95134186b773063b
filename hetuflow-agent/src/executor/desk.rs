//! The executor as a process of its own: agents come and go, attempts go on.
//!
//! Output and ends are kept until an agent says that a server has stored them; the next agent gets
//! all of it again. An agent is heard to its last word before the next one is answered, so that no
//! start of a dead one can come after the answer that did not name it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{TaskInstanceId, TaskInstanceStatus};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frames::{
  Frame, FrameReader, FromExecutor, Hello, ToExecutor, Welcome, put_json, put_output,
};
use super::journal::{Entry, Journal, Stage};
use super::place::Taken;
use super::{
  Command, Ended, Event, Executor, Held, HeldPhase, Hold, Identity, Place, PlaceError, SteadyClock,
  StopOrder, StopWhy, boot_id, cancelled, orphan,
};
use crate::executor::room::{Parts, output_memory};

/// Events handled in one turn.
const TURN: usize = 256;
/// Output that is with the agent and not stored yet; more stays here.
const WINDOW_BYTES: usize = 8 << 20;
/// Bytes on their way into the socket; no more is put together before they are gone.
const OUT_BYTES: usize = 1 << 20;
/// An executor without an agent and without work leaves after this time.
const LINGER: Duration = Duration::from_secs(10);
/// How long an agent may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// How often attempts that may not run without a server are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
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
  executor: Executor,
  events: UnboundedReceiver<Event>,
  held: HashMap<TaskInstanceId, Held>,
  kept: BTreeMap<u64, Kept>,
  last_number: u64,
  /// What comes next for the agent.
  next: u64,
  window: usize,
  reader: Option<FrameReader<OwnedReadHalf>>,
  writer: Option<OwnedWriteHalf>,
  out: Vec<u8>,
  /// How much of `out` is written.
  written: usize,
  turns: u64,
  ticked: Instant,
  retire: bool,
  abandoned: bool,
  idle_since: Instant,
  clock: SteadyClock,
  /// When a server was last in reach, as far as an agent has said.
  contact_us: i64,
}

async fn write_some(writer: Option<&mut OwnedWriteHalf>, bytes: &[u8]) -> io::Result<usize> {
  match writer {
    Some(writer) => writer.write(bytes).await,
    None => std::future::pending().await,
  }
}

async fn next_frame(reader: Option<&mut FrameReader<OwnedReadHalf>>) -> io::Result<Option<Frame>> {
  match reader {
    Some(reader) => reader.next().await,
    None => std::future::pending().await,
  }
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
  let same_boot = recovered.boot_id == boot_id();
  let first = tokio::select! {
    first = first_agent(&listener) => first,
    () = tokio::time::sleep(LINGER) => return Ok(()),
    () = stop.cancelled() => return Ok(()),
  };
  Desk::open(journal, (recovered.entries, same_boot), first).run(listener, stop).await;
  Ok(())
}

/// An agent that has come.
struct Guest {
  hello: Box<Hello>,
  reader: FrameReader<OwnedReadHalf>,
  writer: OwnedWriteHalf,
}

/// The next agent that says hello.
async fn first_agent(listener: &UnixListener) -> Guest {
  loop {
    match tokio::time::timeout(HELLO_LIMIT, accept(listener)).await {
      Ok(Ok(guest)) => return guest,
      Ok(Err(error)) => tracing::warn!(%error, "an agent is not understood"),
      // Nobody came, or somebody came and said nothing.
      Err(_) => {}
    }
  }
}

async fn accept(listener: &UnixListener) -> io::Result<Guest> {
  let (stream, _) = listener.accept().await?;
  let (reader, writer) = stream.into_split();
  let mut reader = FrameReader::new(reader);
  match reader.next().await? {
    Some(Frame::Json(json)) => match serde_json::from_slice(&json)? {
      ToExecutor::Hello(hello) => Ok(Guest { hello, reader, writer }),
      _ => Err(io::Error::other("hello comes first")),
    },
    _ => Err(io::ErrorKind::UnexpectedEof.into()),
  }
}

impl Desk {
  /// A desk with what the journal knows; the first agent says how attempts are run.
  fn open(journal: Arc<Journal>, (entries, same_boot): (Vec<Entry>, bool), first: Guest) -> Self {
    let clock = SteadyClock::with_shift(journal.shift_us());
    let (events, from_executor) = unbounded_channel();
    let executor = Executor::new(Parts {
      surroundings: first.hello.surroundings.clone(),
      clock,
      memory: output_memory(&first.hello.surroundings),
      tracker: TaskTracker::new(),
      journal: Some(Arc::clone(&journal)),
      events,
    });
    let mut desk = Self {
      journal,
      executor,
      events: from_executor,
      held: HashMap::new(),
      kept: BTreeMap::new(),
      last_number: 0,
      next: 1,
      window: 0,
      reader: None,
      writer: None,
      out: Vec::new(),
      written: 0,
      turns: 0,
      ticked: Instant::now(),
      retire: false,
      abandoned: false,
      idle_since: Instant::now(),
      clock,
      // The deadline of what is found here begins anew: the agent has only just come back.
      contact_us: clock.now_us(),
    };
    for (id, found) in desk.remember(entries, same_boot, clock) {
      desk.executor.adopt(id, found);
    }
    desk.come(first);
    desk
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
        // It may have been started just before the host died, with a record that was not on the
        // disk: nobody starts it again. The server knows by the boot id.
        Stage::Waiting(_) if !same_boot => {
          self.journal.settled(id);
          continue;
        }
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

  async fn run(mut self, listener: UnixListener, stop: CancellationToken) {
    let mut waiting = Vec::with_capacity(TURN);
    let mut stopping = false;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Kept over the turns: a guest who is in the door must not be thrown out by other events.
    let mut coming = Box::pin(first_agent(&listener));
    loop {
      self.fill();
      if self.is_idle() && self.retire || stopping && self.is_dead() {
        return tracing::info!("nothing is in hand; the executor leaves");
      }
      self.turns += 1;
      let lonely = self.reader.is_none() && self.is_idle();
      tokio::select! {
        // What has ended makes room before more is started. Reading goes on while a write waits:
        // two full sockets would wait for each other.
        biased;
        written = write_some(self.writer.as_mut(), &self.out[self.written..]),
          if self.writer.is_some() && !self.out.is_empty() => self.note_written(written),
        count = self.events.recv_many(&mut waiting, TURN) => {
          if count == 0 {
            return;
          }
          waiting.drain(..).for_each(|event| self.hear(event));
        }
        () = self.executor.note_ended() => {}
        frame = next_frame(self.reader.as_mut()), if self.reader.is_some() => self.listen(frame),
        guest = &mut coming, if self.reader.is_none() => {
          coming.set(first_agent(&listener));
          self.come(guest);
        }
        _ = looks.tick(), if self.has_limits() => self.stop_unreached(),
        () = tokio::time::sleep_until(self.idle_since + LINGER), if lonely => {
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
  fn come(&mut self, guest: Guest) {
    let Guest { hello, reader, writer } = guest;
    tracing::info!(version = hello.version, attempts = self.held.len(), "an agent is here");
    self.executor.surround(hello.surroundings);
    (self.reader, self.writer) = (Some(reader), Some(writer));
    (self.retire, self.abandoned) = (false, false);
    self.out.clear();
    self.written = 0;
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

  /// The agent has said something, or is gone.
  fn listen(&mut self, frame: io::Result<Option<Frame>>) {
    let said = match frame {
      Ok(Some(Frame::Json(json))) => serde_json::from_slice(&json).map_err(io::Error::from),
      Ok(Some(Frame::Output(..))) => Err(io::Error::other("output from an agent")),
      Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
      Err(error) => Err(error),
    };
    match said {
      Ok(said) => self.obey(said),
      Err(error) => {
        tracing::info!(%error, "the agent is gone");
        (self.reader, self.writer) = (None, None);
        self.idle_since = Instant::now();
      }
    }
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
        let identity = Identity::of(&start);
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
        let identity = Identity::of(&start);
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
      Command::Abandon => {
        tracing::warn!(attempts = self.held.len(), "what is in hand is nobody's any more");
        self.abandoned = true;
        let kept: Vec<u64> = self.kept.keys().copied().collect();
        kept.into_iter().for_each(|number| self.stored(number));
        let waiting = self.held.iter().filter(|(_, h)| matches!(h.phase, HeldPhase::Waiting(_)));
        let waiting: Vec<_> = waiting.map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.command(Command::Forget(id)));
        self.pass(Command::Abandon);
      }
      Command::Contact(at_us) => self.contact_us = self.contact_us.max(at_us),
      command => self.pass(command),
    }
  }

  /// Stops what may not run for so long without a server. Counts by `CLOCK_BOOTTIME`, so that a
  /// host that slept does it first of all.
  fn stop_unreached(&mut self) {
    let silent_us = self.clock.now_us() - self.contact_us;
    let over = |held: &Held| {
      let lives = matches!(held.phase, HeldPhase::Starting | HeldPhase::Running { .. });
      let limit = held.identity.stop_after_us;
      lives && held.stop.is_none() && limit.is_some_and(|limit| silent_us >= limit)
    };
    let over: Vec<_> = self.held.iter().filter(|(_, held)| over(held)).map(|(id, _)| *id).collect();
    for id in over {
      tracing::warn!(instance.id = %id, silent_us, "no server for too long; it is stopped");
      let why =
        StopWhy { status: TaskInstanceStatus::Failed, reason: "stopped(disconnected)".to_owned() };
      self.command(Command::Stop(id, StopOrder { why: Some(why), ..StopOrder::default() }));
    }
  }

  fn has_limits(&self) -> bool {
    self.held.values().any(|held| held.identity.stop_after_us.is_some())
  }

  fn pass(&mut self, command: Command) {
    self.executor.obey(command);
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
            _ => match ended.started {
              Some((pid, at_us)) => (pid, Some(at_us)),
              None => (None, None),
            },
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
    if self.abandoned {
      self.stored(self.last_number);
    }
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
    if self.writer.is_some()
      && let Err(error) = put_json(&mut self.out, message)
    {
      tracing::error!(%error, "a message cannot be written");
    }
  }

  /// Adds to what is being written what the agent has not heard yet, as far as the window goes.
  fn fill(&mut self) {
    if self.writer.is_none() || self.out.len() - self.written >= OUT_BYTES {
      return;
    }
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
      if self.out.len() - self.written >= OUT_BYTES {
        break;
      }
    }
    if !self.out.is_empty() && self.ticked.elapsed() >= TICK_INTERVAL {
      self.ticked = Instant::now();
      self.say(&FromExecutor::Tick(self.turns));
    }
  }

  fn note_written(&mut self, written: io::Result<usize>) {
    match written {
      Ok(count) => {
        self.written += count;
        if self.written == self.out.len() {
          self.out.clear();
          self.written = 0;
        }
      }
      Err(error) => {
        // Its reader tells when it is gone.
        tracing::debug!(%error, "the agent does not listen any more");
        self.writer = None;
      }
    }
  }

  fn is_idle(&self) -> bool {
    self.kept.is_empty() && self.held.is_empty()
  }

  /// Nothing lives, and nobody is there to hear of what is kept; the journal has the ends.
  fn is_dead(&self) -> bool {
    let ended = |held: &Held| matches!(held.phase, HeldPhase::Ended { .. });
    self.is_idle() || self.reader.is_none() && self.held.values().all(ended)
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
