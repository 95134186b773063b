//! The executor as a process of its own: agents come and go, attempts go on.
//!
//! Output and ends are kept until an agent says that a server has stored them; the next agent gets
//! all of it again. An agent is heard to its last word before the next one is answered, so that no
//! start of a dead one can come after the answer that did not name it.

mod door;
mod kept;
mod memory;
mod orders;
mod outgoing;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::TaskInstanceId;
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::door::{Guest, first_agent, next_frame, write_some};
use self::kept::{Kept, Told};
use self::outgoing::Outgoing;
use super::frames::{BriefStart, Frame, FrameReader, FromExecutor, ToExecutor, Welcome};
use super::journal::{Entry, Journal};
use super::pieces::Pieces;
use super::place::Taken;
use super::room::{Parts, output_memory};
use super::specs::HeardSpecs;
use super::{
  Command, Event, Executor, Held, HeldPhase, Place, PlaceError, Start, SteadyClock, StopOrder,
  artifacts, boot_id, folder,
};

/// Events handled in one turn.
const TURN: usize = 256;
/// An executor without an agent and without work leaves after this time.
const LINGER: Duration = Duration::from_secs(10);
/// How often attempts that may not run without a server are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

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

/// Where the executor and its agent meet.
struct Desk {
  journal: Arc<Journal>,
  executor: Executor,
  events: UnboundedReceiver<Event>,
  held: HashMap<TaskInstanceId, Held>,
  kept: BTreeMap<u64, Kept>,
  last_number: u64,
  /// What the agent has not heard yet.
  outgoing: Outgoing,
  window: usize,
  pieces: Arc<Pieces>,
  reader: Option<FrameReader<OwnedReadHalf>>,
  writer: Option<OwnedWriteHalf>,
  out: Vec<u8>,
  /// How much of `out` is written.
  written: usize,
  turns: u64,
  ticked: Instant,
  retire: bool,
  abandoned: bool,
  specs: HeardSpecs,
  /// Asked to end: nothing is started any more.
  stopping: bool,
  idle_since: Instant,
  clock: SteadyClock,
  /// When a server was last in reach, as far as an agent has said.
  contact_us: i64,
}

/// Runs an executor in its place until nobody needs it any more, or `stop` is cancelled: then every
/// attempt is stopped first.
///
/// # Errors
/// [`DeskError`].
pub async fn serve(place: &Place, stop: CancellationToken) -> Result<(), DeskError> {
  let Taken { listener, lock } = place.take()?;
  let shift_us = SteadyClock::start().shift_us();
  let opened = Journal::open(place.folder(), &boot_id(), shift_us);
  let (journal, recovered) = opened
    .map_err(|source| DeskError::Journal { path: place.folder().display().to_string(), source })?;
  let journal = Arc::new(journal.owning(lock));
  tracing::info!(journal = journal.id(), attempts = recovered.entries.len(), "the executor starts");
  if recovered.torn_bytes > 0 {
    tracing::warn!(bytes = recovered.torn_bytes, "the end of the journal was cut by a crash");
  }
  let same_boot = recovered.boot_id == boot_id();
  let contact_us = recovered.contact_us.filter(|_| same_boot);
  let first = tokio::select! {
    first = first_agent(&listener) => first,
    () = tokio::time::sleep(LINGER) => return Ok(()),
    () = stop.cancelled() => return Ok(()),
  };
  let settings = first.hello.surroundings.settings.clone();
  let mut desk = Desk::open(journal, (recovered.entries, same_boot), first);
  // What is found here counts its silence from before, whoever was killed since.
  desk.contact_us = contact_us.unwrap_or(desk.contact_us);
  desk.run(listener, stop).await;
  folder::tidy(&settings);
  Ok(())
}

impl Desk {
  /// A desk with what the journal knows; the first agent says how attempts are run.
  fn open(journal: Arc<Journal>, (entries, same_boot): (Vec<Entry>, bool), first: Guest) -> Self {
    let clock = SteadyClock::with_shift(journal.shift_us());
    let (events, from_executor) = unbounded_channel();
    let pieces = Arc::new(Pieces::default());
    let executor = Executor::new(Parts {
      surroundings: first.hello.surroundings.clone(),
      clock,
      memory: output_memory(&first.hello.surroundings),
      tracker: TaskTracker::new(),
      journal: Some(Arc::clone(&journal)),
      pieces: Arc::clone(&pieces),
      events,
    });
    let mut desk = Self {
      journal,
      executor,
      events: from_executor,
      held: HashMap::new(),
      kept: BTreeMap::new(),
      last_number: 0,
      outgoing: Outgoing::default(),
      window: 0,
      pieces,
      reader: None,
      writer: None,
      out: Vec::new(),
      written: 0,
      turns: 0,
      ticked: Instant::now(),
      retire: false,
      abandoned: false,
      specs: HeardSpecs::default(),
      stopping: false,
      idle_since: Instant::now(),
      clock,
      contact_us: clock.now_us(),
    };
    let found = desk.remember(entries, same_boot, clock);
    let settings = &first.hello.surroundings.settings;
    let living: HashSet<_> = found.iter().map(|one| one.identity.instance_id).collect();
    folder::clear(settings, &living);
    artifacts::clear_parts(&settings.artifact_dir);
    artifacts::clear_records(&settings.artifact_dir, |id| living.contains(&id));
    for orphan in found {
      let id = orphan.identity.instance_id;
      desk.executor.adopt(orphan);
      // A stop that was under way goes on: who had begun it may be gone for good.
      if let Some(why) = desk.held.get(&id).and_then(|held| held.stop.clone()) {
        desk.executor.obey(Command::Stop(id, StopOrder { why: Some(why), ..StopOrder::default() }));
      }
    }
    desk.come(first);
    desk
  }

  async fn run(mut self, listener: UnixListener, stop: CancellationToken) {
    let mut waiting = Vec::with_capacity(TURN);
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Kept over the turns: a guest who is in the door must not be thrown out by other events.
    let mut coming = Box::pin(first_agent(&listener));
    loop {
      self.fill();
      if self.is_idle() && self.retire || self.stopping && self.is_dead() {
        return tracing::info!("nothing is in hand; the executor leaves");
      }
      self.turns += 1;
      let lonely = self.reader.is_none() && self.is_written_down();
      tokio::select! {
        // Reading goes on while a write waits: two full sockets would wait for each other. Orders
        // come before output, or a flood of it would hold a start or a stop back.
        biased;
        written = write_some(self.writer.as_mut(), &self.out[self.written..]),
          if self.writer.is_some() && !self.out.is_empty() => self.note_written(written),
        frame = next_frame(self.reader.as_mut()), if self.reader.is_some() => self.listen(frame),
        count = self.events.recv_many(&mut waiting, TURN) => {
          if count == 0 {
            return;
          }
          waiting.drain(..).for_each(|event| self.hear(event));
        }
        () = self.executor.note_ended() => {}
        guest = &mut coming, if self.reader.is_none() => {
          coming.set(first_agent(&listener));
          self.come(guest);
        }
        _ = looks.tick(), if self.has_limits() => self.stop_unreached(),
        () = tokio::time::sleep_until(self.idle_since + LINGER), if lonely => {
          return tracing::info!("no agent and no work; the executor leaves");
        }
        () = stop.cancelled(), if !self.stopping => self.stop_all(),
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
    self.specs = HeardSpecs::default();
    self.out.clear();
    self.written = 0;
    self.window = 0;
    self.tell_again();
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
    match said.and_then(|said| self.obey(said)) {
      Ok(()) => {}
      Err(error) => {
        tracing::info!(%error, "the agent is gone");
        (self.reader, self.writer) = (None, None);
        self.idle_since = Instant::now();
      }
    }
  }

  fn obey(&mut self, said: ToExecutor) -> io::Result<()> {
    match said {
      ToExecutor::Hello(_) => {}
      ToExecutor::Spec { number, first, spec } => self.specs.note(number, first, spec),
      ToExecutor::Start(brief) => {
        let start = self.whole(brief)?;
        self.command(Command::Start(start));
      }
      ToExecutor::Keep(brief) => {
        let start = self.whole(brief)?;
        self.command(Command::Keep(start));
      }
      ToExecutor::Command(command) => self.command(command),
      ToExecutor::Stored(numbers) => self.stored(numbers),
      ToExecutor::Retire | ToExecutor::Bye => self.retire = true,
    }
    Ok(())
  }

  /// A start with its job.
  fn whole(&self, brief: BriefStart) -> io::Result<Box<Start>> {
    let spec = self.specs.of(brief.spec).ok_or_else(|| io::Error::other("a job nobody told"))?;
    Ok(Box::new(Start { task: *brief.task, spec, limits: brief.limits, executor: 0 }))
  }

  fn hear(&mut self, event: Event) {
    match event {
      Event::Attached { .. } => {}
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
        self.journal.frozen(instance_id, frozen, at_us);
        self.say(&FromExecutor::Frozen { instance_id, frozen, at_us });
      }
      Event::Progress { instance_id, progress, at_us } => {
        self.say(&FromExecutor::Progress { instance_id, progress, at_us });
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
}
