//! One connection from its registration to its end.

mod files;

use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use hetuflow_core::{AgentRegisterResponse, MessageKind};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::answer::refusal;
use super::clock_offset::{ClockOffset, Exchange, ServerClock, point};
use super::dial::{Dialled, Socket};
use super::frames::{BATCH_ITEMS_MAX, batch, message};
use super::inbox::{Heard, Inbox};
use super::life::Life;
use super::link::Link;
use super::outbox::Next;
use super::register::{capabilities_update, farewell, heartbeat, registration};
use super::{Report, Told};

/// How long a server may take to answer a registration.
const REGISTER_LIMIT: Duration = Duration::from_secs(10);
/// How long the last reports may take when the agent leaves.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Heartbeats without an answer before the server is given up.
const SILENT_INTERVALS: u32 = 3;
/// The first heartbeats come quickly, to learn the server's clock.
const EARLY_HEARTBEATS: u32 = 4;
const EARLY_INTERVAL: Duration = Duration::from_millis(100);
/// The server's close code for an agent that a newer copy of it stands in place of.
const CLOSE_SUPERSEDED: u16 = 4010;
/// The server's close code for an agent whose protocol it does not speak: one of them must be
/// upgraded.
const CLOSE_PROTOCOL: u16 = 4026;
/// Reports taken from the queue in one turn.
const TURN: usize = 1024;

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
  /// It broke.
  Lost(String),
  /// The server does not want this agent.
  Refused(String),
  /// A newer process with the same memory is registered: this one is a copy that was left behind.
  Superseded(String),
  /// The agent wants another one at once.
  Renewed,
  /// The agent has left.
  Left,
}

/// The writing half of one connection, and its timers.
struct Session<'a> {
  link: &'a mut Link,
  sink: SplitSink<Socket, Message>,
  heard: UnboundedReceiver<Heard>,
  zstd: bool,
  epoch: i64,
  offset: ClockOffset,
  interval: Duration,
  heartbeats: u32,
  life: &'a Life,
  granted: Option<Granted>,
  repeat_grant: bool,
  renew: bool,
}

/// What the server was told last.
#[derive(Debug, Clone, Copy)]
struct Granted {
  /// Tasks received and tasks that could still be taken, together.
  edge: u64,
  /// Tasks that could be taken.
  capacity: u32,
  /// Tasks received and slots that were free, together.
  free_edge: u64,
}

/// Lives on a socket until it breaks, or the agent leaves.
pub async fn live(link: &mut Link, dialled: Dialled) -> End {
  link.connection_epoch += 1;
  let epoch = link.connection_epoch;
  let (sink, stream) = dialled.socket.split();
  let (sender, heard) = mpsc::unbounded_channel();
  let (tell, clock) = (std::sync::Arc::clone(&link.tell), std::sync::Arc::clone(&link.clock));
  let life = Life::new();
  let (clock, life) = (clock.as_ref(), &life);
  let inbox = Inbox { stream, tell: &tell, heard: sender, clock, connection_epoch: epoch, life };
  let interval = link.settings.heartbeat_interval;
  let session = Session {
    link,
    sink,
    heard,
    zstd: dialled.zstd,
    epoch,
    offset: ClockOffset::default(),
    interval,
    heartbeats: 0,
    life,
    granted: None,
    repeat_grant: false,
    renew: false,
  };
  // Reading goes on while a write waits, or two full buffers would wait for each other.
  let (reading, writing) = (inbox.read(), session.run());
  tokio::pin!(reading, writing);
  let mut reads = true;
  loop {
    tokio::select! {
      end = &mut writing => return end,
      () = &mut reading, if reads => reads = false,
      silence = life.end() => {
        return End::Lost(format!("the server was silent for {silence:?}"));
      }
    }
  }
}

impl Session<'_> {
  async fn run(mut self) -> End {
    match self.register().await {
      Ok(()) => {}
      Err(end) => return end,
    }
    match self.serve().await {
      Ok(end) => end,
      Err(error) => End::Lost(error.to_string()),
    }
  }

  async fn register(&mut self) -> Result<(), End> {
    let lost = |error: tokio_tungstenite::tungstenite::Error| End::Lost(error.to_string());
    let (reply, running) = tokio::sync::oneshot::channel();
    (self.link.tell)(Told::Connected { connection_epoch: self.epoch, reply });
    let mut running = running.await.map_err(|_| End::Left)?;
    self.take_reports();
    running.extend(self.link.outbox.untold_ends());
    let sent_us = self.link.clock.steady_us();
    let first = registration(&self.link.introduction, self.epoch, running, self.zstd);
    let asking = async {
      if let Some(first) = first {
        self.sink.send(first).await.map_err(lost)?;
      }
      self.answer_to_registration().await
    };
    let answer = timeout(REGISTER_LIMIT, asking).await.map_err(|_| {
      End::Lost(format!("no answer to the registration within {REGISTER_LIMIT:?}"))
    })??;
    if !answer.success {
      return Err(End::Refused(answer.message));
    }
    tracing::info!(server = %answer.server_id, session = %answer.session_id, "registered");
    self.link.outbox.resume(answer.acked_seq);
    self.link.uploads.connected(Instant::now());
    self.link.downloads.connected(Instant::now());
    if answer.config.heartbeat_interval > 0.0
      && let Ok(interval) = Duration::try_from_secs_f64(answer.config.heartbeat_interval)
    {
      self.interval = interval.clamp(Duration::from_millis(100), Duration::from_secs(300));
    }
    (self.link.tell)(Told::Settings(answer.config));
    // A registration is a sign of life as good as any.
    (self.link.tell)(Told::Contact(sent_us));
    (self.link.tell)(Told::Reconcile(answer.reconcile));
    Ok(())
  }

  async fn answer_to_registration(&mut self) -> Result<AgentRegisterResponse, End> {
    while let Some(heard) = self.heard.recv().await {
      match heard {
        Heard::Registered(answer) => return Ok(*answer),
        Heard::Closed(Some(CLOSE_SUPERSEDED), reason) => return Err(End::Superseded(reason)),
        Heard::Closed(Some(CLOSE_PROTOCOL), reason) => return Err(End::Refused(reason)),
        Heard::Closed(_, reason) => return Err(End::Lost(reason)),
        _ => {}
      }
    }
    Err(End::Lost("the socket is gone".to_owned()))
  }

  /// Sends what there is to send, one turn after the other.
  async fn serve(&mut self) -> Result<End, tokio_tungstenite::tungstenite::Error> {
    let mut beat = interval(EARLY_INTERVAL);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    self.life.expect(self.interval.max(EARLY_INTERVAL * 10) * SILENT_INTERVALS);
    let leave = self.link.leave.clone();
    let mut leaving_until = None;
    let mut reports = Vec::with_capacity(TURN);
    loop {
      let held_until = self.link.outbox.next_wake().filter(|_| !self.link.outbox.is_all_sent());
      let files = self.link.uploads.next_wake().into_iter().chain(self.link.downloads.next_wake());
      let held_until = held_until.into_iter().chain(files).min();
      let mut beats = false;
      tokio::select! {
        heard = self.heard.recv() => match heard {
          None => return Ok(End::Lost("the socket is gone".to_owned())),
          Some(heard) => if let Some(end) = self.hear(heard).await? { return Ok(end) },
        },
        _ = self.link.reports.recv_many(&mut reports, TURN), if !self.link.reports.is_closed() || !self.link.reports.is_empty() => {}
        _ = self.link.grants.changed() => {}
        _ = beat.tick() => beats = true,
        () = sleep_until(held_until.unwrap_or_else(Instant::now)), if held_until.is_some() => {}
        () = leave.cancelled(), if leaving_until.is_none() => {
          leaving_until = Some(Instant::now() + FLUSH_LIMIT);
        }
        () = sleep_until(leaving_until.unwrap_or_else(Instant::now)), if leaving_until.is_some() => {
          return self.say_goodbye().await;
        }
      }
      // All of them, whatever woke us: the grant must not overtake the report that explains it.
      while let Ok(report) = self.link.reports.try_recv() {
        reports.push(report);
      }
      for report in reports.drain(..) {
        self.take_report(report).await?;
      }
      if beats {
        self.beat(&mut beat).await?;
      }
      while let Ok(heard) = self.heard.try_recv() {
        if let Some(end) = self.hear(heard).await? {
          return Ok(end);
        }
      }
      self.turn().await?;
      if self.renew && leaving_until.is_none() {
        self.sink.close().await?;
        return Ok(End::Renewed);
      }
      if leaving_until.is_some() && self.link.outbox.is_empty() {
        return self.say_goodbye().await;
      }
    }
  }

  /// Moves waiting reports into the outbox.
  fn take_reports(&mut self) {
    let now = Instant::now();
    while let Ok(report) = self.link.reports.try_recv() {
      match report {
        Report::Update(update, on_stored) => self.link.outbox.update(update, on_stored, now),
        Report::Output(frame, on_stored) => self.link.outbox.output(frame, on_stored),
        Report::Capabilities(capabilities) => self.link.introduction.capabilities = *capabilities,
        Report::Fetch(files) => self.want(files),
        Report::LetGo(instance_id) => self.link.downloads.let_go(instance_id),
        // The connection is gone that it was for, or is new anyway.
        Report::Answered(_) | Report::Renew | Report::Refused { .. } => {}
      }
    }
  }

  async fn take_report(
    &mut self,
    report: Report,
  ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    match report {
      Report::Update(update, on_stored) => {
        self.link.outbox.update(update, on_stored, Instant::now());
      }
      Report::Output(frame, on_stored) => self.link.outbox.output(frame, on_stored),
      Report::Answered(ack) => {
        if let Some(answer) = message(MessageKind::Ack, ack, false) {
          self.sink.feed(answer).await?;
        }
      }
      Report::Capabilities(capabilities) => {
        self.link.introduction.capabilities = *capabilities;
        let capabilities = &self.link.introduction.capabilities;
        if let Some(told) = capabilities_update(capabilities) {
          self.sink.feed(told).await?;
        }
      }
      Report::Fetch(files) => self.want(files),
      Report::LetGo(instance_id) => self.link.downloads.let_go(instance_id),
      Report::Renew => self.renew = true,
      Report::Refused { message_id, code, message } => {
        if let Some(answer) = refusal(Some(message_id), code, &message) {
          self.sink.feed(answer).await?;
        }
      }
    }
    Ok(())
  }

  async fn hear(
    &mut self,
    heard: Heard,
  ) -> Result<Option<End>, tokio_tungstenite::tungstenite::Error> {
    match heard {
      Heard::Acked(seq) => {
        if !self.link.outbox.ack(seq, Instant::now()) {
          tracing::warn!(seq, "the server has acked reports that were never sent");
        }
      }
      Heard::Heartbeat(answer, heard_us) => {
        let wall_delta_us = self.link.clock.wall_delta_us();
        let exchange = Exchange {
          sent_us: answer.sent_at_us,
          server_received_us: answer.server_received_us,
          server_sent_us: answer.server_sent_us,
          heard_us,
          wall_delta_us,
        };
        (self.link.tell)(Told::Contact(exchange.sent_us));
        if let Some(clock) = self.offset.note(exchange) {
          let offset = match clock {
            ServerClock::SameAsWall => None,
            ServerClock::Ahead(offset_us) => Some(offset_us),
          };
          (self.link.tell)(Told::Clock(offset));
        }
        self.note_drift(&exchange);
      }
      // One attempt never fetches and sends at the same time: it is one or the other's.
      Heard::File(status) => {
        self.link.uploads.hear(&status, Instant::now());
        self.link.downloads.hear(&status, Instant::now());
      }
      Heard::Piece(piece) => self.link.downloads.take(&piece, Instant::now()),
      Heard::GrantWanted => self.repeat_grant = true,
      Heard::Answer(answer) => self.sink.feed(answer).await?,
      Heard::Registered(_) => tracing::debug!("a second answer to the registration is ignored"),
      // Whether it is for good is told when we ask again.
      Heard::Closed(code, reason) => {
        if code == Some(CLOSE_SUPERSEDED) {
          (self.link.tell)(Told::Doubt);
        }
        return Ok(Some(End::Lost(reason)));
      }
    }
    Ok(None)
  }

  /// Says when the clocks of the two hosts begin to run apart, and when they no longer do.
  fn note_drift(&mut self, exchange: &Exchange) {
    let Some(point) = point(exchange) else { return };
    let drift = self.link.drift.note(point);
    if self.link.drifts == drift.is_some() {
      return;
    }
    self.link.drifts = drift.is_some();
    match drift {
      Some(ppm) => tracing::warn!(
        ppm,
        "this host's clock does not run as fast as the server's (parts per million): tasks with \
         exclusive delivery are refused"
      ),
      None => tracing::info!("this host's clock runs as fast as the server's again"),
    }
    (self.link.tell)(Told::Drift(drift));
  }

  async fn beat(
    &mut self,
    beat: &mut tokio::time::Interval,
  ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    self.heartbeats += 1;
    if self.heartbeats == EARLY_HEARTBEATS {
      *beat = tokio::time::interval_at(Instant::now() + self.interval, self.interval);
      beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut metrics = self.link.metrics.borrow().clone();
    metrics.clock_offset_ms = self.offset.millis(self.link.clock.wall_delta_us());
    let tick = self.link.tick.load(std::sync::atomic::Ordering::Relaxed);
    let grant = self.link.grants.borrow().clone();
    let agent_id = &self.link.introduction.agent_id;
    let message = heartbeat(agent_id, &grant, metrics, tick, self.link.clock.steady_us());
    if let Some(message) = message {
      self.sink.feed(message).await?;
      // At once: the stamp inside is measured against the server's.
      self.sink.flush().await?;
    }
    Ok(())
  }

  /// Sends all that may go now, the grant right behind what freed the slots, in one write.
  async fn turn(&mut self) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let now = Instant::now();
    let mut sent = false;
    while let Some(next) = self.link.outbox.next(BATCH_ITEMS_MAX, now) {
      sent = true;
      let chunk = matches!(next, Next::Chunk { .. });
      let (count, message) = match next {
        Next::Chunk { .. } => (1, self.link.outbox.chunk().map(Message::binary)),
        Next::Batch { seq_from, count } => {
          let epoch = self.link.introduction.agent_epoch;
          batch(epoch, seq_from, self.link.outbox.unsent(count), self.zstd)
        }
      };
      if let Some(message) = message {
        self.sink.feed(message).await?;
      }
      self.link.outbox.note_sent(count, now);
      if chunk {
        // On the same thread tasks are started and reports are made.
        tokio::task::yield_now().await;
      }
    }
    self.send_files(now).await?;
    self.fetch_files(now).await?;
    let reported = sent || self.link.outbox.is_all_sent();
    if let Some(poll) = self.grant(reported) {
      self.sink.feed(poll).await?;
    }
    self.sink.flush().await
  }

  /// The grant, if the server should hear of it now.
  ///
  /// What was received and what can still be taken move together while tasks only come in; their
  /// sum is the edge up to which the server may send, and it moves only when something has
  /// changed here. The same holds for free slots: where the server thinks that half of them or
  /// fewer are left, it is told.
  fn grant(&mut self, reported: bool) -> Option<Message> {
    let grant = self.link.grants.borrow_and_update().clone();
    if grant.connection_epoch != self.epoch {
      return None;
    }
    let (received, capacity) = (grant.poll.received_tasks, grant.poll.available_capacity);
    let edge = received + u64::from(capacity);
    let free = u64::from(grant.poll.free_slots);
    let wanted = self.granted.is_none_or(|last| {
      let thought = last.free_edge.saturating_sub(received);
      let starved = reported && thought < free && thought <= free / 2;
      let risen = edge.saturating_sub(last.edge);
      let fallen = last.edge.saturating_sub(edge);
      starved
        || risen > 0 && (reported || risen >= u64::from(capacity / 4).max(1))
        || fallen > 0 && (capacity == 0 && last.capacity > 0 || fallen >= 16)
    });
    if !wanted && !self.repeat_grant {
      return None;
    }
    self.repeat_grant = false;
    self.granted = Some(Granted { edge, capacity, free_edge: received + free });
    let mut poll = grant.poll;
    poll.agent_id.clone_from(&self.link.introduction.agent_id);
    message(MessageKind::TaskPoll, poll, false)
  }

  async fn say_goodbye(&mut self) -> Result<End, tokio_tungstenite::tungstenite::Error> {
    let drain_done = self.link.outbox.is_empty();
    if let Some(message) = farewell("shutdown", drain_done) {
      self.sink.send(message).await?;
    }
    self.sink.close().await?;
    Ok(End::Left)
  }
}
