//! The executor as the agent sees it: a process at the other end of a socket, found or started, and
//! found again when it is gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frames::{
  BriefStart, Frame, FrameReader, FromExecutor, Hello, ToExecutor, Welcome, put_json,
};
use super::specs::{NewSpec, ToldSpecs};
use super::{Command, Event, Hold, Launcher, Place, Start, Surroundings};

/// Commands written in one turn.
const TURN: usize = 256;
/// Numbers of stored events that are told at once.
const STORED_MAX: usize = 64;
/// How long they may wait for a command to ride with.
const STORED_WAIT: Duration = Duration::from_millis(10);
/// Between two tries to have an executor.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// It doubles up to this.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(15);
/// Between two tries while an executor is just leaving.
const LEAVING_PAUSE: Duration = Duration::from_millis(10);
/// How long the executor may take to answer the first message.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no executor.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
  /// It cannot be started or reached.
  #[error("the executor cannot be started")]
  Start(#[source] io::Error),
  /// It says something else than it should.
  #[error("the executor does not answer as it should")]
  Talk(#[source] io::Error),
}

/// Where to find an executor, and what it is told first.
pub struct Attached {
  place: Place,
  launcher: Launcher,
  surroundings: Surroundings,
  /// The answer.
  pub welcome: Welcome,
  reader: FrameReader<OwnedReadHalf>,
  writer: OwnedWriteHalf,
}

/// The agent's end of the socket.
pub struct Remote {
  attached: Attached,
  commands: UnboundedReceiver<Command>,
  events: UnboundedSender<Event>,
  stored: (UnboundedSender<u64>, UnboundedReceiver<u64>),
  tick: Arc<AtomicU64>,
  leave: CancellationToken,
  /// Counts executors; what was meant for an earlier one is not passed on.
  number: u64,
  specs: ToldSpecs,
}

impl Attached {
  /// Attaches to the executor of a place, which is started where none runs.
  ///
  /// # Errors
  /// [`RemoteError`].
  pub async fn attach(
    place: Place,
    launcher: Launcher,
    surroundings: Surroundings,
  ) -> Result<Self, RemoteError> {
    let (welcome, reader, writer) = greet(&place, &launcher, &surroundings, None).await?;
    Ok(Self { place, launcher, surroundings, welcome, reader, writer })
  }

  /// Attaches anew, after the executor has gone.
  async fn again(&mut self) -> Result<(), RemoteError> {
    let shift_us = Some(self.welcome.shift_us);
    let (welcome, reader, writer) =
      greet(&self.place, &self.launcher, &self.surroundings, shift_us).await?;
    (self.welcome, self.reader, self.writer) = (welcome, reader, writer);
    Ok(())
  }
}

/// Greets the executor; one that was just leaving when we came in hangs up, and is tried anew.
async fn greet(
  place: &Place,
  launcher: &Launcher,
  surroundings: &Surroundings,
  shift_us: Option<i64>,
) -> Result<(Welcome, FrameReader<OwnedReadHalf>, OwnedWriteHalf), RemoteError> {
  use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
  let until = Instant::now() + WELCOME_LIMIT;
  loop {
    match greet_once(place, launcher, surroundings, shift_us).await {
      Err(RemoteError::Talk(error))
        if matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
          && Instant::now() < until =>
      {
        tokio::time::sleep(LEAVING_PAUSE).await;
      }
      other => return other,
    }
  }
}

async fn greet_once(
  place: &Place,
  launcher: &Launcher,
  surroundings: &Surroundings,
  shift_us: Option<i64>,
) -> Result<(Welcome, FrameReader<OwnedReadHalf>, OwnedWriteHalf), RemoteError> {
  let stream = launcher.reach(place).await.map_err(RemoteError::Start)?;
  let (reader, mut writer) = stream.into_split();
  let mut reader = FrameReader::new(reader);
  let version = env!("CARGO_PKG_VERSION").to_owned();
  let hello = Hello { version, shift_us, surroundings: surroundings.clone() };
  let mut bytes = Vec::new();
  put_json(&mut bytes, &ToExecutor::Hello(Box::new(hello)))
    .map_err(|error| RemoteError::Talk(error.into()))?;
  writer.write_all(&bytes).await.map_err(RemoteError::Talk)?;
  let answer = tokio::time::timeout(WELCOME_LIMIT, reader.next()).await;
  let answer = answer.map_err(|_| RemoteError::Talk(io::ErrorKind::TimedOut.into()))?;
  match answer.map_err(RemoteError::Talk)? {
    Some(Frame::Json(json)) => match serde_json::from_slice(&json) {
      Ok(FromExecutor::Welcome(welcome)) => Ok((*welcome, reader, writer)),
      Ok(_) => Err(RemoteError::Talk(io::Error::other("no welcome"))),
      Err(error) => Err(RemoteError::Talk(error.into())),
    },
    _ => Err(RemoteError::Talk(io::ErrorKind::UnexpectedEof.into())),
  }
}

impl Remote {
  /// The end of an attached executor. What it has in hand must be known to whoever gets `events`.
  pub fn new(
    attached: Attached,
    commands: UnboundedReceiver<Command>,
    events: UnboundedSender<Event>,
    (tick, leave): (Arc<AtomicU64>, CancellationToken),
  ) -> Self {
    let (stored, specs) = (unbounded_channel(), ToldSpecs::default());
    Self { attached, commands, events, stored, tick, leave, number: 0, specs }
  }

  /// Passes on what is said on both sides, until the agent leaves. An executor that is gone is
  /// followed by a new one, which knows from its journal what the old one did.
  pub async fn run(mut self) {
    loop {
      if self.attached.welcome.version != env!("CARGO_PKG_VERSION") {
        let theirs = &self.attached.welcome.version;
        tracing::info!(theirs, "the executor is of another version; it leaves when it is idle");
        // A failure to write shows in the next turn.
        let _gone = self.write(&[ToExecutor::Retire]).await;
      }
      let lost = match self.talk().await {
        Ok(()) => return,
        Err(error) => error,
      };
      tracing::warn!(error = %lost, "the executor is gone; starting a new one");
      // Numbers of the old one mean nothing to the new one.
      self.stored = unbounded_channel();
      self.specs = ToldSpecs::default();
      let mut pause = RETRY_PAUSE;
      loop {
        tokio::select! {
          attached = self.attached.again() => match attached {
            Ok(()) => break,
            Err(error) => {
              let error = &error as &dyn std::error::Error;
              tracing::error!(error, "no executor; trying again");
            }
          },
          () = self.leave.cancelled() => return,
        }
        tokio::select! {
          () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_PAUSE_MAX),
          () = self.leave.cancelled() => return,
        }
      }
      let held = std::mem::take(&mut self.attached.welcome.held);
      self.number += 1;
      let _agent_leaves = self.events.send(Event::Attached { executor: self.number, held });
    }
  }

  /// Returns when the agent leaves.
  async fn talk(&mut self) -> io::Result<()> {
    let mut commands = Vec::with_capacity(TURN);
    let mut stored = Vec::with_capacity(STORED_MAX);
    let mut due = None;
    loop {
      tokio::select! {
        count = self.commands.recv_many(&mut commands, TURN) => {
          if count == 0 {
            self.take_all(&mut commands, &mut stored).await?;
            return self.write(&[ToExecutor::Bye]).await;
          }
        }
        _ = self.stored.1.recv_many(&mut stored, STORED_MAX), if stored.len() < STORED_MAX => {
          // Nobody waits for it but memory: a wake of the executor for each would cost more.
          due.get_or_insert_with(|| Instant::now() + STORED_WAIT);
        }
        () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
          due = Some(Instant::now());
        }
        frame = self.attached.reader.next() => match frame? {
          Some(frame) => {
            let output = matches!(frame, Frame::Output(..));
            self.hear(frame)?;
            if output {
              tokio::task::yield_now().await;
            }
          }
          None => return Err(io::ErrorKind::UnexpectedEof.into()),
        },
        () = self.leave.cancelled() => {
          self.take_all(&mut commands, &mut stored).await?;
          return self.write(&[ToExecutor::Bye]).await;
        }
      }
      let ripe = stored.len() >= STORED_MAX || due.is_some_and(|due| due <= Instant::now());
      if !commands.is_empty() || ripe {
        due = None;
        self.take_all(&mut commands, &mut stored).await?;
      }
    }
  }

  async fn take_all(
    &mut self,
    commands: &mut Vec<Command>,
    stored: &mut Vec<u64>,
  ) -> io::Result<()> {
    while let Ok(command) = self.commands.try_recv() {
      commands.push(command);
    }
    while let Ok(number) = self.stored.1.try_recv() {
      stored.push(number);
    }
    let number = self.number;
    let meant = |one: &Command| !matches!(one, Command::Start(start) if start.executor != number);
    let mut messages = Vec::with_capacity(commands.len() + 1);
    for command in commands.drain(..).filter(meant) {
      match command {
        Command::Start(start) => {
          let brief = self.brief(&mut messages, *start);
          messages.push(ToExecutor::Start(brief));
        }
        Command::Keep(start) => {
          let brief = self.brief(&mut messages, *start);
          messages.push(ToExecutor::Keep(brief));
        }
        command => messages.push(ToExecutor::Command(command)),
      }
    }
    if !stored.is_empty() {
      messages.push(ToExecutor::Stored(std::mem::take(stored)));
    }
    self.write(&messages).await
  }

  /// A start by the number of its job, which is told first where it is new.
  fn brief(&mut self, messages: &mut Vec<ToExecutor>, start: Start) -> BriefStart {
    let Start { task, spec, limits, executor: _ } = start;
    let (number, new) = self.specs.number(&spec);
    if let Some(NewSpec { first }) = new {
      messages.push(ToExecutor::Spec { number, first, spec });
    }
    BriefStart { task: Box::new(task), spec: number, limits }
  }

  async fn write(&mut self, messages: &[ToExecutor]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for message in messages {
      put_json(&mut bytes, message)?;
    }
    self.attached.writer.write_all(&bytes).await
  }

  fn hear(&self, frame: Frame) -> io::Result<()> {
    let hold = |number| Hold::of_receipt(number, self.stored.0.clone());
    let event = match frame {
      Frame::Output(number, frame) => Event::Output { frame, hold: hold(number) },
      Frame::Json(json) => match serde_json::from_slice(&json)? {
        FromExecutor::Started { instance_id, pid, at_us } => {
          Event::Started { instance_id, pid, at_us }
        }
        FromExecutor::Frozen { instance_id, frozen, at_us } => {
          Event::Frozen { instance_id, frozen, at_us }
        }
        FromExecutor::Progress { instance_id, progress, at_us } => {
          Event::Progress { instance_id, progress, at_us }
        }
        FromExecutor::Ended { number, ended } => Event::Ended(ended, hold(number)),
        FromExecutor::Tick(tick) => {
          self.tick.store(tick, Ordering::Relaxed);
          return Ok(());
        }
        FromExecutor::Welcome(_) => return Err(io::Error::other("a second welcome")),
      },
    };
    let _agent_leaves = self.events.send(event);
    Ok(())
  }
}
