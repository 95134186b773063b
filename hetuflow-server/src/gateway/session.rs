//! One connection from its first message to its end.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use hetuflow_core::{
  AckMessage, AckStatus, AcquireTaskRequest, AgentCapabilities, AgentId, Envelope, ErrorResponse,
  HeartbeatRequest, HeartbeatResponse, MessageError, MessageKind, RawMessage, TaskInstanceUpdate,
  TaskReportBatch, read_message,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answers;
use super::codec::{Incoming, close_code, read_frame, refusal};
use super::files;
use super::link::{OUTGOING_MAX, SocketLink, close_reason};
use super::refused_reports::{RefusedLog, refused_report};
use super::registration::{self, CLOSE_FIELD, CLOSE_FIRST_FRAME, Registered};
use super::upgrade::GatewayState;
use super::writer::write_loop;
use crate::broker::{Grant, Member};
use crate::service::{
  Actor, HeartbeatNote, RefusedInbox, RefusedReports, Report, ReportBatch, ReportSource,
};

/// Refused messages in a row after which a connection is ended.
const REFUSALS_MAX: u32 = 100;
/// Close code for a peer that keeps breaking rules.
const CLOSE_ABUSE: u16 = 4029;
/// Close code of a server that stops, or can keep no agents.
const CLOSE_GOING_AWAY: u16 = 1001;

/// A clock further off than a hundred years is no clock.
const CLOCK_OFFSET_MS_MAX: f64 = 100.0 * 365.25 * 86_400_000.0;

/// What is known before the first message.
pub(super) struct Opening {
  pub(super) actor: Option<Actor>,
  pub(super) named: Option<AgentId>,
  pub(super) zstd: bool,
}

/// Why a connection ends.
struct Ending {
  code: u16,
  reason: String,
}

impl Ending {
  fn new(code: u16, reason: impl Into<String>) -> Self {
    Self { code, reason: reason.into() }
  }
}

type Reading = SplitStream<WebSocket>;

/// Runs a connection.
pub(super) async fn run(state: Arc<GatewayState>, mut socket: WebSocket, opening: Opening) {
  state.stats.count_connection();
  let first = tokio::time::timeout(state.settings.register_timeout, first_text(&mut socket)).await;
  let outcome = match first {
    Err(_late) => Err(Ending::new(4008, "no registration came in time")),
    Ok(None) => return,
    Ok(Some(Err(ending))) => Err(ending),
    Ok(Some(Ok(text))) => registration::register(&state, &opening, &text)
      .await
      .map_err(|refusal| Ending::new(refusal.code, refusal.reason)),
  };
  match outcome {
    Ok(registered) => Session::start(state, socket, opening.zstd, registered).await,
    Err(ending) => {
      state.stats.count_refused();
      tracing::info!(code = ending.code, reason = %ending.reason, "agent was not taken in");
      let reason = close_reason(&ending.reason);
      let frame = CloseFrame { code: ending.code, reason: reason.into() };
      // The peer may be gone already.
      let _gone = socket.send(Message::Close(Some(frame))).await;
    }
  }
}

/// The first message; `None` when the peer is gone and hears nothing more.
async fn first_text(socket: &mut WebSocket) -> Option<Result<String, Ending>> {
  let wrong = |error: MessageError| {
    Some(Err(Ending::new(CLOSE_FIRST_FRAME, format!("register first: {error}"))))
  };
  loop {
    let message = match socket.recv().await? {
      Ok(message) => message,
      Err(error) => {
        let code = close_code(&error)?;
        return Some(Err(Ending::new(code, format!("connection failed: {error}"))));
      }
    };
    match read_frame(message) {
      Ok(Incoming::Message(text)) => return Some(Ok(text)),
      Ok(Incoming::Output(_) | Incoming::File(_)) => {
        return wrong(MessageError::Binary("output before the registration"));
      }
      Ok(Incoming::Nothing) => {}
      Ok(Incoming::Close) => return None,
      Err(error) => return wrong(error),
    }
  }
}

/// A connection after its registration.
struct Session {
  state: Arc<GatewayState>,
  link: Arc<SocketLink>,
  source: ReportSource,
  connection_epoch: i64,
  registered: Option<Registered>,
  /// The last report that was queued on this connection.
  seq: u64,
  refusals: u32,
  refused_log: RefusedLog,
  /// Whether a clock beyond belief was told of on this connection.
  clock_told: bool,
}

impl Session {
  async fn start(state: Arc<GatewayState>, socket: WebSocket, zstd: bool, registered: Registered) {
    let agent_id = registered.agent_id.clone();
    let acked_seq = u64::try_from(registered.found.agent.acked_seq).unwrap_or(0);
    let (sender, receiver) = mpsc::channel(OUTGOING_MAX);
    let (acked, acks) = watch::channel(acked_seq);
    let refused = Arc::new(RefusedInbox::default());
    let link = Arc::new(SocketLink::new(sender, zstd));
    let (sink, stream) = socket.split();
    let hard = CancellationToken::new();
    let writer = write_loop(state.clone(), sink, receiver, (acks, zstd), hard.clone());
    state.tracker.spawn(writer);
    let connection_epoch = registered.found.agent.connection_epoch;
    let stay = state.door.stay();
    let source = ReportSource {
      agent_id: agent_id.clone(),
      agent_epoch: registered.request.agent_epoch,
      acked: Arc::new(acked),
      refused: refused.clone(),
    };
    link.send(&registration::welcome(&state, &registered));
    let old = state.roster.join(member_of(&registered, link.clone(), hard.clone()));
    if let Some(old) = old {
      old.link.close("a newer connection took over");
    }
    tracing::info!(agent.id = %agent_id, connection_epoch, "agent {agent_id} is connected");
    let mut session = Self {
      state: state.clone(),
      link,
      source,
      connection_epoch,
      registered: Some(registered),
      seq: acked_seq,
      refusals: 0,
      refused_log: RefusedLog::default(),
      clock_told: false,
    };
    let ending = session.read_loop(stream, &refused, &stay).await;
    session.link.close_with(ending.code, &ending.reason);
    drop(session);
    hard.cancel();
    tracing::info!(agent.id = %agent_id, reason = %ending.reason, "agent {agent_id} left");
    state.beats.forget(&agent_id, connection_epoch);
    if state.roster.leave(&agent_id, connection_epoch) {
      note_end(&state, &agent_id, connection_epoch).await;
    }
  }

  async fn read_loop(
    &mut self,
    mut stream: Reading,
    refused: &RefusedInbox,
    stay: &CancellationToken,
  ) -> Ending {
    let silence_max = self.state.settings.silence_max;
    loop {
      let frame = tokio::select! {
        frame = tokio::time::timeout(silence_max, stream.next()) => frame,
        refusals = refused.take() => {
          self.tell_refused(&refusals);
          continue;
        }
        () = stay.cancelled() => return Ending::new(CLOSE_GOING_AWAY, self.state.door.reason()),
      };
      let message = match frame {
        Err(_silent) => return Ending::new(4008, "nothing was heard for too long"),
        Ok(None) => return Ending::new(1000, "connection closed"),
        Ok(Some(Err(error))) => {
          let code = close_code(&error).unwrap_or(1002);
          return Ending::new(code, format!("connection failed: {error}"));
        }
        Ok(Some(Ok(message))) => message,
      };
      self.state.stats.count_received();
      let outcome = match read_frame(message) {
        Ok(Incoming::Message(text)) => self.handle_text(&text).await,
        Ok(Incoming::Output(frame)) => {
          let (seq, bytes) = (frame.seq, frame.data.len() + 256);
          self.take_reports(seq, vec![Report::Chunk(*frame)], bytes).await
        }
        Ok(Incoming::File(frame)) => {
          let (seq, bytes) = (frame.seq, frame.data.len() + 256);
          self.take_reports(seq, vec![Report::File(frame)], bytes).await
        }
        Ok(Incoming::Nothing) => Ok(()),
        Ok(Incoming::Close) => return Ending::new(1000, "agent said goodbye"),
        Err(error) => self.refuse(&error),
      };
      if let Err(ending) = outcome {
        return ending;
      }
    }
  }

  fn refuse(&mut self, error: &MessageError) -> Result<(), Ending> {
    self.state.stats.count_refused();
    self.refusals += 1;
    tracing::debug!(agent.id = %self.source.agent_id, %error, "message refused");
    if self.refusals >= REFUSALS_MAX {
      return Err(Ending::new(CLOSE_ABUSE, "too many refused messages"));
    }
    self.link.send(&refusal(error));
    Ok(())
  }

  /// Reports that changed nothing: counted, answered, and logged once in a while.
  fn tell_refused(&mut self, refusals: &RefusedReports) {
    self.state.stats.count_refused_reports(refusals.total);
    for report in &refusals.shown {
      self.link.send(&refused_report(report));
    }
    if let Some(count) = self.refused_log.count(refusals.total) {
      let agent = &self.source.agent_id;
      let last = refusals.shown.last().map_or("", |report| report.code);
      tracing::warn!(agent.id = %agent, count, last, "{count} reports of agent {agent} changed nothing");
    }
  }

  async fn handle_text(&mut self, text: &str) -> Result<(), Ending> {
    let message = match read_message(text) {
      Ok(message) => message,
      Err(error) => return self.refuse(&error),
    };
    match self.handle(&message, text.len()).await {
      Ok(()) => {
        self.refusals = 0;
        Ok(())
      }
      Err(Handled::Refused(error)) => self.refuse(&error),
      Err(Handled::Ended(ending)) => Err(ending),
    }
  }

  async fn handle(&mut self, message: &RawMessage<'_>, bytes: usize) -> Result<(), Handled> {
    match message.message_kind {
      MessageKind::TaskReportBatch => {
        let batch: TaskReportBatch = message.read()?;
        if batch.agent_epoch != self.source.agent_epoch {
          let reason = "reports of another process of this agent";
          return Err(Handled::Ended(Ending::new(CLOSE_FIELD, reason)));
        }
        let items = batch.items.into_iter().map(report_of).collect();
        self.take_reports(batch.seq_from, items, bytes).await.map_err(Handled::Ended)
      }
      MessageKind::TaskPoll => {
        let grant: AcquireTaskRequest = message.read()?;
        self.take_grant(&grant);
        Ok(())
      }
      MessageKind::AgentHeartbeat => {
        let received = self.state.store.db.now().micros();
        let beat: HeartbeatRequest = message.read()?;
        self.take_heartbeat(beat, received, message.message_id);
        Ok(())
      }
      MessageKind::TaskInstanceUpdate => {
        let update: TaskInstanceUpdate = message.read()?;
        let report = Report::Update(Box::new(update));
        let batch = ReportBatch { items: vec![report], seq_last: self.seq, bytes };
        self.state.reports.push(&self.source, batch).await;
        self.state.reports.settle(&self.source.agent_id).await;
        self.acknowledge(message.message_id);
        Ok(())
      }
      MessageKind::CapabilitiesUpdate => {
        #[derive(serde::Deserialize)]
        struct Update {
          capabilities: AgentCapabilities,
        }
        let update: Update = message.read()?;
        self.take_capabilities(update.capabilities).await?;
        self.acknowledge(message.message_id);
        Ok(())
      }
      MessageKind::FileUpload | MessageKind::FileDownload | MessageKind::FileTransferStatus => {
        files::take(&self.state, (&self.link, &self.source.agent_id), message)?;
        Ok(())
      }
      MessageKind::AgentUnregister => Err(Handled::Ended(Ending::new(1000, "agent unregistered"))),
      MessageKind::Ack => {
        let ack: AckMessage = message.read()?;
        answers::take(&self.state, &self.source.agent_id, answers::of_ack(ack)).await;
        Ok(())
      }
      MessageKind::Error => {
        let error: ErrorResponse = message.read()?;
        if let Some(end) = answers::of_error(&error) {
          answers::take(&self.state, &self.source.agent_id, end).await;
        }
        Ok(())
      }
      MessageKind::Nack | MessageKind::TaskDispatchResponse | MessageKind::ProcessEvent => Ok(()),
      other => Err(Handled::Refused(MessageError::UnknownKind {
        message_id: message.message_id,
        kind: other.to_string(),
      })),
    }
  }

  /// Labels and slots as they are now; they count from the next claim on.
  async fn take_capabilities(&self, capabilities: AgentCapabilities) -> Result<(), Handled> {
    hetuflow_core::check_told_labels(&capabilities.labels)?;
    let id = self.source.agent_id.clone();
    let (task_types, slots) = (capabilities.task_types(), capabilities.max_concurrent_tasks);
    match self.state.sessions.capabilities(&id, capabilities).await {
      Ok(Some(labels)) => self.state.roster.update(&id, |member| {
        member.task_types = task_types;
        member.slots = slots;
        member.labels = labels;
      }),
      Ok(None) => {}
      Err(error) => {
        // It says so again with its next registration.
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot store capabilities");
      }
    }
    self.state.store.bus.dispatch.notify_one();
    Ok(())
  }

  fn acknowledge(&self, message_id: Uuid) {
    let ack = AckMessage { message_id, status: AckStatus::Ok, details: None, seq: None };
    self.link.send(&Envelope::new(MessageKind::Ack, ack));
  }

  /// Queues reports in their order; those that were queued before are dropped.
  async fn take_reports(
    &mut self,
    seq_from: u64,
    mut items: Vec<Report>,
    bytes: usize,
  ) -> Result<(), Ending> {
    let expected = self.seq + 1;
    if seq_from > expected {
      let reason = format!("protocol.seq: {seq_from} came, {expected} was due");
      return Err(Ending::new(CLOSE_FIELD, reason));
    }
    let known = usize::try_from(expected - seq_from).unwrap_or(usize::MAX);
    if known >= items.len() {
      return Ok(());
    }
    items.drain(..known);
    self.seq += items.len() as u64;
    let batch = ReportBatch { items, seq_last: self.seq, bytes };
    self.state.reports.push(&self.source, batch).await;
    Ok(())
  }

  /// A grant. The first one comes after the agent has sent all reports that it kept, so that now
  /// the attempts that it did not name can be judged.
  fn take_grant(&mut self, grant: &AcquireTaskRequest) {
    if let Some(registered) = self.registered.take()
      && !registered.found.unnamed.is_empty()
    {
      let state = Arc::clone(&self.state);
      self.state.tracker.spawn(async move {
        state.reports.settle(&registered.agent_id).await;
        if let Err(error) = state.sessions.judge_unnamed(&registered.found).await {
          tracing::error!(error = &error as &dyn std::error::Error, "cannot judge attempts");
        }
      });
    }
    let grant = Grant {
      available: grant.available_capacity,
      free_slots: grant.free_slots.min(grant.available_capacity),
      received: grant.received_tasks,
    };
    self.state.roster.grant(&self.source.agent_id, self.connection_epoch, grant);
    self.state.store.bus.dispatch.notify_one();
  }

  fn take_heartbeat(&mut self, mut beat: HeartbeatRequest, received: i64, message_id: Uuid) {
    let answer = HeartbeatResponse {
      success: true,
      server_timestamp: self.state.store.db.now().millis(),
      sent_at_us: beat.sent_at_us,
      server_received_us: received,
      server_sent_us: self.state.store.db.now().micros(),
      ..HeartbeatResponse::default()
    };
    let envelope = Envelope::new(MessageKind::AgentHeartbeatResponse, answer).reply_to(message_id);
    self.link.send(&envelope);
    let told = beat.metrics.clock_offset_ms;
    let believable = told.is_finite() && told.abs() <= CLOCK_OFFSET_MS_MAX;
    if !believable {
      beat.metrics.clock_offset_ms = 0.0;
    }
    let invalid = !believable && !std::mem::replace(&mut self.clock_told, true);
    if invalid {
      let agent = &self.source.agent_id;
      tracing::warn!(agent.id = %agent, clock_offset_ms = told,
        "the clock offset that agent {agent} tells is beyond belief and is not kept");
    }
    let load = beat.metrics.cpu_usage.max(beat.metrics.memory_usage);
    if load.is_finite() {
      let permille = (load.clamp(0.0, 100.0) * 10.0) as i64;
      self.state.roster.update(&self.source.agent_id, |member| member.load_permille = permille);
    }
    self.state.beats.note(HeartbeatNote {
      id: self.source.agent_id.clone(),
      agent_epoch: self.source.agent_epoch,
      connection_epoch: self.connection_epoch,
      status: beat.status,
      clock_offset_ms: believable.then_some(told),
      clock_invalid: invalid,
      statistics: serde_json::to_value(&beat.metrics).unwrap_or_default(),
    });
  }
}

/// Notes that the newest connection of an agent has ended.
async fn note_end(state: &GatewayState, agent: &AgentId, connection_epoch: i64) {
  let Err(error) = state.sessions.disconnected(agent, connection_epoch).await else { return };
  let error = &error as &dyn std::error::Error;
  // Those that were sent away because of the database are many, and that was said once for all.
  if state.door.is_closed() {
    tracing::debug!(agent.id = %agent, error, "cannot note a disconnect");
  } else {
    tracing::warn!(agent.id = %agent, error, "cannot note a disconnect");
  }
}

enum Handled {
  Refused(MessageError),
  Ended(Ending),
}

impl From<MessageError> for Handled {
  fn from(error: MessageError) -> Self {
    Self::Refused(error)
  }
}

fn report_of(item: hetuflow_core::ReportItem) -> Report {
  match item {
    hetuflow_core::ReportItem::Update(update) => Report::Update(update),
    // Output in JSON belongs to foreign agents, whose door is not built yet; it keeps its number.
    hetuflow_core::ReportItem::Chunk(_) => Report::Nothing,
  }
}

fn member_of(registered: &Registered, link: Arc<SocketLink>, ended: CancellationToken) -> Member {
  let agent = &registered.found.agent;
  Member {
    agent_id: agent.id.clone(),
    agent_epoch: agent.agent_epoch,
    connection_epoch: agent.connection_epoch,
    labels: agent.labels.clone(),
    namespaces: agent
      .namespaces
      .iter()
      .filter_map(|name| hetuflow_core::NamespaceId::new(name.as_str()).ok())
      .collect(),
    task_types: agent.capabilities.task_types(),
    slots: agent.capabilities.max_concurrent_tasks,
    load_permille: 0,
    cordoned: agent.cordoned,
    link,
    ended,
  }
}
