//! An attempt whose process lives on after its first moments.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{Stream, TaskInstanceId, Ts};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::capture::Capture;
use super::confine::{metrics, over_limit};
use super::room::Shared;
use super::stop::{SIGKILL, Stopping};
use super::time_limit::TimeLimit;
use super::{Cause, Ended, Event, Exit, Hold, Identity, StopOrder};
use crate::process::{Confined, Over, Pipe, Process, ReadOutcome, Spawned, Usage};

/// A task that ends this soon can still put its output into the final report.
pub const INLINE_CHANCE: Duration = Duration::from_millis(20);
/// How long somebody else may hold the pipes of a process that has ended.
const ORPHANED_PIPE_LIMIT: Duration = Duration::from_secs(1);

/// The progress of one attempt is told no more often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What a running attempt can be told.
#[derive(Debug)]
pub enum Control {
  /// End it.
  Stop(StopOrder),
  /// One signal to the group.
  Signal(i32),
  /// Freeze or thaw the group.
  Freeze(bool),
}

/// An attempt whose process was started.
pub struct Running {
  shared: Arc<Shared>,
  instance_id: TaskInstanceId,
  process: Process,
  confined: Confined,
  capture: Capture,
  default_stop: StopOrder,
  flush_interval: Duration,
  started: Instant,
  time_limit: TimeLimit,
  flush_at: Option<Instant>,
  flush_due: bool,
  stopping: Option<Stopping>,
  exit: Option<Exit>,
  exit_us: i64,
  pipes_until: Option<Instant>,
  /// Bytes that were in the pipes when it ended: they are its own, whoever holds the pipes.
  owed: Owed,
  all_gone: bool,
  frozen: bool,
  /// Whether what is left in the background at its end may live on.
  lets_go: bool,
  used: Option<(Usage, Option<Over>)>,
  /// When a progress was told last, and when the next one is to be.
  progress_told: Option<Instant>,
  progress_at: Option<Instant>,
}

impl Running {
  /// Takes a process over; `started` is when, and how it ended where it has.
  ///
  /// # Errors
  /// When the kernel refuses to watch it; nothing of it lives then.
  pub fn new(
    shared: &Arc<Shared>,
    Identity { instance_id, terms, .. }: Identity,
    (spawned, mut confined, mut capture): (Spawned, Confined, Capture),
    (at_us, exit): (i64, Option<(Exit, i64)>),
  ) -> io::Result<Self> {
    let process = spawned.follow()?;
    capture.cut_after(shared.pieces.bytes());
    if exit.is_none() {
      confined.settle();
    }
    let ran = Duration::from_micros(u64::try_from(shared.clock.now_us() - at_us).unwrap_or(0));
    let now = Instant::now();
    let started = now.checked_sub(ran).unwrap_or(now);
    let pipes_open = process.stdout.is_some() || process.stderr.is_some();
    let mut running = Self {
      shared: Arc::clone(shared),
      instance_id,
      process,
      confined,
      flush_at: (!capture.is_empty()).then_some(started + INLINE_CHANCE),
      capture,
      default_stop: terms.stop_order(),
      flush_interval: shared.surroundings.get().settings.flush_interval,
      started,
      time_limit: TimeLimit::new(at_us, terms.time()),
      flush_due: false,
      stopping: None,
      exit: exit.map(|(exit, _)| exit),
      exit_us: exit.map_or(at_us, |(_, exit_us)| exit_us),
      pipes_until: (exit.is_some() && pipes_open).then(|| now + ORPHANED_PIPE_LIMIT),
      owed: Owed::default(),
      all_gone: false,
      frozen: false,
      lets_go: !terms.ends_whole(),
      used: None,
      progress_told: None,
      progress_at: None,
    };
    if running.exit.is_some() {
      running.owed = Owed::of(&running.process);
      running.end_background();
    }
    running.note_progress();
    Ok(running)
  }

  /// Follows it to its end.
  pub async fn follow(mut self, controls: &mut UnboundedReceiver<Control>) -> Ended {
    let mut listening = true;
    while !self.is_over() {
      let wake = self.next_wake();
      let want = if self.wants_flush() { self.capture.pending_bytes() } else { 0 };
      if want > 0
        && self.capture.overflows()
        && let Ok(hold) = self.room_at_once(want)
      {
        // Nothing is dropped while there is room.
        self.flush(hold);
        tokio::task::yield_now().await;
        continue;
      }
      let reading = self.capture.has_room();
      let (stdout, stderr) = (&self.process.stdout, &self.process.stderr);
      tokio::select! {
        control = controls.recv(), if listening => match control {
          Some(control) => self.obey(control),
          None => listening = false,
        },
        () = tokio::time::sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => self.tick(),
        hold = Arc::clone(&self.shared.memory).acquire_many_owned(want), if want > 0 => {
          // The semaphore is never closed; an error would mean that nobody counts any more.
          if let Ok(hold) = hold {
            self.flush(hold);
            // Packing takes a millisecond: a flood must not keep a start or a stop waiting for more.
            tokio::task::yield_now().await;
          }
        }
        ready = pipe_ready(stdout.as_ref()), if reading && stdout.is_some() => {
          let (buffer, room) = self.capture.space();
          let outcome = ready.map_or(ReadOutcome::Closed, |pipe| pipe.read(buffer, room));
          self.note_read(Stream::Stdout, outcome);
        }
        ready = pipe_ready(stderr.as_ref()), if reading && stderr.is_some() => {
          let (buffer, room) = self.capture.space();
          let outcome = ready.map_or(ReadOutcome::Closed, |pipe| pipe.read(buffer, room));
          self.note_read(Stream::Stderr, outcome);
        }
        () = self.process.ended(), if self.exit.is_none() => self.note_exit(),
      }
    }
    self.end()
  }

  /// Everything that can happen has happened, and what is left fits into the final report.
  fn is_over(&mut self) -> bool {
    if self.exit.is_none() {
      return false;
    }
    let pipes_closed = self.process.stdout.is_none() && self.process.stderr.is_none();
    if !pipes_closed {
      return false;
    }
    if !self.all_gone {
      let (stopping, confined) = (&mut self.stopping, &mut self.confined);
      self.all_gone = stopping.as_mut().is_none_or(|stopping| stopping.all_is_gone(confined));
      if !self.all_gone {
        return false;
      }
      // Nothing of the group is left: its number may be used again.
      let process = &mut self.process;
      self.used = Some(self.confined.note_end(self.exit, || process.reap()));
      self.capture.close();
    }
    self.capture.is_empty() || self.capture.is_small()
  }

  /// Room for what is collected, without a wait. The last of it always has room: who does not wait
  /// for its output does not wait for the end of it either, and it is a few hundred KiB.
  fn room_at_once(&self, want: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
    let room = Arc::clone(&self.shared.memory).try_acquire_many_owned(want);
    if room.is_err() && self.all_gone {
      return Arc::new(Semaphore::new(want as usize)).try_acquire_many_owned(want);
    }
    room
  }

  fn wants_flush(&self) -> bool {
    let rest = self.all_gone && !self.capture.is_small();
    !self.capture.is_empty() && (self.flush_due || self.capture.is_full() || rest)
  }

  fn next_wake(&self) -> Option<Instant> {
    let goes_on = self.stopping.is_none() && self.exit.is_none();
    let left = goes_on.then(|| self.time_limit.left(self.shared.clock.now_us())).flatten();
    let time_limit = left.and_then(|left| Instant::now().checked_add(left));
    // Timers sleep while the host sleeps: the looks find out that the time limit is over.
    let look = goes_on.then(|| self.confined.next_look().into());
    let flush_at = self.flush_at.filter(|_| !self.flush_due);
    let stop = self.stopping.as_ref().and_then(Stopping::next_wake);
    let others = [stop, self.pipes_until, self.progress_at];
    [time_limit, look, flush_at].into_iter().chain(others).flatten().min()
  }

  fn tick(&mut self) {
    let now = Instant::now();
    if self.flush_at.is_some_and(|at| now >= at) {
      self.flush_due = true;
    }
    if self.progress_at.is_some_and(|at| now >= at) {
      self.tell_progress(now);
    }
    if self.exit.is_none() && self.stopping.is_none() {
      self.check_limits(now);
    }
    if let Some(stopping) = &mut self.stopping {
      stopping.tick(&mut self.confined);
    }
    if self.pipes_until.is_some_and(|at| now >= at) {
      self.give_up_pipes();
    }
  }

  fn check_limits(&mut self, now: Instant) {
    if self.time_limit.is_over(self.shared.clock.now_us()) {
      return self.begin_stop(Cause::TimedOut, self.default_stop.clone());
    }
    if now.into_std() >= self.confined.next_look()
      && let Some(over) = self.confined.look()
    {
      let order = StopOrder { force: true, ..StopOrder::default() };
      self.begin_stop(over_limit(over), order);
    }
  }

  fn obey(&mut self, control: Control) {
    if self.all_gone {
      return;
    }
    match control {
      Control::Signal(signal) => _ = self.confined.signal(signal),
      Control::Freeze(frozen) => self.freeze(frozen),
      Control::Stop(order) => {
        self.begin_stop(Cause::Stopped, self.default_stop.clone().with(order));
      }
    }
  }

  fn freeze(&mut self, frozen: bool) {
    // A stop that is under way must not be held up.
    if self.exit.is_none() && self.stopping.is_none() && self.confined.freeze(frozen) {
      let (instance_id, at_us) = (self.instance_id, self.shared.clock.now_us());
      self.time_limit.freeze(at_us, frozen);
      self.frozen = frozen;
      self.shared.say(Event::Frozen { instance_id, frozen, at_us });
    }
  }

  /// Begins a stop, or makes the one under way quicker. What has ended by itself stays so.
  fn begin_stop(&mut self, cause: Cause, order: StopOrder) {
    if let Some(stopping) = &mut self.stopping {
      stopping.hurry(&mut self.confined, &order);
      return;
    }
    if self.exit.is_none() && self.process.exit().is_none() {
      self.stopping = Some(Stopping::begin(&mut self.confined, cause, &order, self.frozen));
    } else if order.force {
      // Only what it left behind is still there; its own end is the one to report.
      self.confined.signal(SIGKILL);
    }
  }

  /// Its own end is the end of all of it, where nothing may be left behind.
  fn end_background(&mut self) {
    let must_end = !self.lets_go || self.confined.was_cut();
    if must_end && self.stopping.is_none() {
      let order = StopOrder { force: true, ..StopOrder::default() };
      let stopping = Stopping::begin(&mut self.confined, Cause::Itself, &order, self.frozen);
      self.stopping = Some(stopping);
    }
  }

  fn note_exit(&mut self) {
    // After a stop the number is kept until the whole group is gone, so that the kill that may
    // follow cannot hit a stranger.
    let Some(exit) = self.process.exit() else { return };
    self.exit = Some(exit);
    self.exit_us = self.shared.clock.now_us();
    self.owed = Owed::of(&self.process);
    if self.process.stdout.is_some() || self.process.stderr.is_some() {
      self.pipes_until = Some(Instant::now() + ORPHANED_PIPE_LIMIT);
    }
    self.end_background();
  }

  fn note_read(&mut self, stream: Stream, outcome: ReadOutcome) {
    match outcome {
      ReadOutcome::Empty => {}
      ReadOutcome::Closed => match stream {
        Stream::Stdout => self.process.stdout = None,
        _ => self.process.stderr = None,
      },
      ReadOutcome::Bytes(count) => {
        self.capture.added(stream, count);
        self.owed.paid(stream, count);
        self.note_progress();
        if self.flush_at.is_none() && !self.capture.is_empty() {
          let now = Instant::now();
          let first = (self.started + INLINE_CHANCE).max(now);
          let later = now + self.flush_interval;
          self.flush_at = Some(if self.capture.was_sent() { later } else { first });
        }
      }
    }
    if self.process.stdout.is_none() && self.process.stderr.is_none() {
      self.pipes_until = None;
    }
  }

  /// A new progress is told at once, or as soon as the last one is old enough.
  fn note_progress(&mut self) {
    if self.progress_at.is_none() && self.capture.spoken.has_news() {
      let now = Instant::now();
      let next = self.progress_told.map_or(now, |told| (told + PROGRESS_INTERVAL).max(now));
      self.progress_at = Some(next);
    }
  }

  fn tell_progress(&mut self, now: Instant) {
    self.progress_at = None;
    if let Some(progress) = self.capture.spoken.news() {
      let (instance_id, at_us) = (self.instance_id, self.shared.clock.now_us());
      self.shared.say(Event::Progress { instance_id, progress: progress.clone(), at_us });
      self.progress_told = Some(now);
    }
  }

  /// The process is gone and others hold its pipes: their output is not waited for. Its own is, also
  /// where there is no room to read it for a long time.
  fn give_up_pipes(&mut self) {
    if self.owed.is_any(&self.process) {
      self.pipes_until = Some(Instant::now() + ORPHANED_PIPE_LIMIT);
      return;
    }
    self.pipes_until = None;
    self.process.stdout = None;
    self.process.stderr = None;
    self.capture.say(
      "hetuflow: the process has ended and left others holding its output; not read any more\n",
    );
  }

  fn flush(&mut self, hold: OwnedSemaphorePermit) {
    let at = Ts::from_micros(self.shared.clock.now_us());
    let shared = &self.shared;
    self.capture.flush(at, hold, |frame, share| {
      shared.say(Event::Output { frame, hold: Hold::of_memory(share) });
    });
    self.capture.cut_after(self.shared.pieces.bytes());
    // What a gap has held back follows it.
    let rest = !self.capture.is_empty();
    self.flush_at = rest.then(|| Instant::now() + self.flush_interval);
    self.flush_due = false;
  }

  /// What was stopped is dead; what may be of it and lives is not passed over in silence.
  fn stopped_all(&self, cause: Cause) -> Cause {
    let escaped = self.confined.escaped();
    if escaped.is_empty() {
      return cause;
    }
    let message = format!(
      "processes have left the control group and cleared their environment, their parents are dead, \
       and more than one task ran meanwhile: nobody can tell whose they are, so they live on: \
       {escaped:?}"
    );
    Cause::OverLimit { reason: "stopped(escaped)".to_owned(), message }
  }

  fn end(mut self) -> Ended {
    let cause = self.stopping.take().map_or(Cause::Itself, |stopping| stopping.cause);
    // The end of a stop is the end of all of it, not of its first process.
    let at_us = if cause == Cause::Itself { self.exit_us } else { self.shared.clock.now_us() };
    let log_bytes = self.capture.total();
    let (usage, over) = self.used.take().unzip();
    let cause = match over.flatten() {
      Some(over) if cause == Cause::Itself => over_limit(over),
      _ if matches!(cause, Cause::Stopped | Cause::TimedOut) => self.stopped_all(cause),
      _ => cause,
    };
    let (log, said) = (self.capture.end(), self.capture.said());
    Ended {
      instance_id: self.instance_id,
      cause,
      started: None,
      exit: self.exit,
      at_us,
      output: self.capture.take_small(),
      log_bytes,
      log,
      said,
      metrics: usage.as_ref().map(metrics),
    }
  }
}

/// Bytes in the pipes of a process that has ended.
#[derive(Debug, Clone, Copy, Default)]
struct Owed {
  stdout: u64,
  stderr: u64,
}

impl Owed {
  /// What is in them now.
  fn of(process: &Process) -> Self {
    let waiting = |pipe: Option<&Pipe>| pipe.map_or(0, Pipe::waiting);
    Self { stdout: waiting(process.stdout.as_ref()), stderr: waiting(process.stderr.as_ref()) }
  }

  /// So many of them were read.
  fn paid(&mut self, stream: Stream, count: usize) {
    let owed = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
    *owed = owed.saturating_sub(count as u64);
  }

  /// Whether some of them are still to be read.
  const fn is_any(&self, process: &Process) -> bool {
    self.stdout > 0 && process.stdout.is_some() || self.stderr > 0 && process.stderr.is_some()
  }
}

/// Waits for a pipe, so that a closed one can stand in the same place.
async fn pipe_ready(pipe: Option<&crate::process::Pipe>) -> Option<crate::process::ReadyPipe<'_>> {
  match pipe {
    Some(pipe) => Some(pipe.ready().await),
    None => None,
  }
}
