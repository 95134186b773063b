//! A server that is just enough for one agent, so that the agent alone is measured: hands out
//! tasks, takes reports, acknowledges at once, and can be gone for a while.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use hetuflow_core::{
  AckMessage, AckStatus, AcquireTaskRequest, AcquireTaskResponse, AgentRegisterRequest,
  AgentRegisterResponse, Envelope, HeartbeatRequest, HeartbeatResponse, JobId, JobSpec,
  MessageKind, NamespaceId, OUTPUT_FRAME, OutputFrame, Reconcile, ReconcileAction, ReportItem,
  ScheduledTask, TaskInstanceId, TaskInstanceUpdate, TaskReportBatch, Ts, read_message,
  unpack_message,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Tasks in one answer.
const TASKS_PER_ANSWER: usize = 250;

/// What the server knows.
#[derive(Debug, Default)]
pub(super) struct Board {
  due: VecDeque<ScheduledTask>,
  spec: Option<JobSpec>,
  /// Ends by attempt.
  pub(super) ends: HashMap<TaskInstanceId, Box<TaskInstanceUpdate>>,
  /// Reports of ends that came again with another content.
  pub(super) contradictions: usize,
  /// Output by attempt and offset; only its length where bytes are not kept.
  pub(super) output: HashMap<TaskInstanceId, BTreeMap<u64, Vec<u8>>>,
  /// Raw bytes of output in all.
  pub(super) bytes: u64,
  /// Whether output is kept.
  pub(super) keeps_output: bool,
  /// When heartbeats came.
  pub(super) beats: Vec<Instant>,
  /// Sessions so far.
  pub(super) sessions: usize,
  acked: (i64, u64),
  down: bool,
}

impl Board {
  fn note(&mut self, batch: TaskReportBatch) {
    for item in batch.items {
      let ReportItem::Update(update) = item else { continue };
      if update.status.is_final() {
        let known = self.ends.get(&update.instance_id);
        let other = known.is_some_and(|known| known.exit_code != update.exit_code);
        self.contradictions += usize::from(other);
        self.ends.insert(update.instance_id, update);
      }
    }
  }
}

/// The server, on a free port of this host.
#[derive(Debug)]
pub(super) struct FakeServer {
  board: Arc<Mutex<Board>>,
  changed: Arc<Notify>,
  url: String,
  running: JoinHandle<()>,
}

impl Drop for FakeServer {
  fn drop(&mut self) {
    self.running.abort();
  }
}

impl FakeServer {
  /// Listens, with nothing to do.
  pub(super) async fn start() -> Result<Self> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (board, changed) = (Arc::<Mutex<Board>>::default(), Arc::<Notify>::default());
    let running = tokio::task::spawn(listen(listener, Arc::clone(&board), Arc::clone(&changed)));
    Ok(Self { board, changed, url, running })
  }

  /// Where it listens.
  pub(super) fn url(&self) -> &str {
    &self.url
  }

  /// What it knows now.
  pub(super) fn board(&self) -> MutexGuard<'_, Board> {
    lock(&self.board)
  }

  /// Hands out tasks of one job, one for each instant, and names their attempts.
  pub(super) fn hand_out(&self, config: Value, instants: &[Ts]) -> Result<Vec<TaskInstanceId>> {
    let mut board = self.board();
    board.spec = Some(JobSpec {
      job_id: JobId::generate(),
      job_version: 1,
      job_name: "bench".to_owned(),
      namespace_id: NamespaceId::default(),
      config: serde_json::from_value(config)?,
      environment: BTreeMap::new(),
    });
    let mut ids = Vec::new();
    for at in instants {
      let id = TaskInstanceId::generate();
      let task = json!({
        "task_instance": { "id": id },
        "task": { "id": hetuflow_core::TaskId::generate(), "scheduled_at": at },
        "fence": 1, "attempt": 1,
      });
      board.due.push_back(serde_json::from_value(task)?);
      ids.push(id);
    }
    drop(board);
    self.changed.notify_one();
    Ok(ids)
  }

  /// Hangs up and refuses everybody, or takes agents again.
  pub(super) fn set_down(&self, down: bool) {
    self.board().down = down;
    self.changed.notify_one();
  }

  /// Waits until `look` is content; looks again every few milliseconds.
  pub(super) async fn until(
    &self,
    what: &str,
    limit: std::time::Duration,
    mut look: impl FnMut(&Board) -> bool,
  ) -> Result<()> {
    crate::wait::until_ok(what, limit, || {
      let board = self.board();
      let content = look(&board);
      std::future::ready(if content { Ok(()) } else { Err(format!("{} ends", board.ends.len())) })
    })
    .await
  }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
  board.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, board: Arc<Mutex<Board>>, changed: Arc<Notify>) {
  while let Ok((tcp, _)) = listener.accept().await {
    if lock(&board).down {
      continue;
    }
    // One agent, one connection at a time.
    if let Err(error) = session(tcp, &board, &changed).await
      && std::env::var_os("HETUFLOW_BENCH_DEBUG").is_some()
    {
      eprintln!("session: {error:#}");
    }
  }
}

/// One connection.
struct Session<'a> {
  socket: WebSocketStream<TcpStream>,
  board: &'a Mutex<Board>,
  epoch: i64,
  poll: AcquireTaskRequest,
  sent: u64,
}

async fn session(tcp: TcpStream, board: &Mutex<Board>, changed: &Notify) -> Result<()> {
  tcp.set_nodelay(true)?;
  let socket = tokio_tungstenite::accept_async(tcp).await?;
  let poll = AcquireTaskRequest::default();
  let mut session = Session { socket, board, epoch: 0, poll, sent: 0 };
  lock(board).sessions += 1;
  loop {
    tokio::select! {
      frame = session.socket.next() => match frame {
        Some(frame) => session.take(frame?).await?,
        None => return Ok(()),
      },
      () = changed.notified() => {
        if lock(board).down {
          return Ok(());
        }
      }
    }
    session.answer_poll().await?;
    session.socket.flush().await?;
  }
}

impl Session<'_> {
  async fn feed<P: Serialize>(&mut self, kind: MessageKind, payload: P) -> Result<()> {
    let text = Envelope::new(kind, payload).to_json()?;
    Ok(self.socket.feed(Message::text(text)).await?)
  }

  async fn take(&mut self, message: Message) -> Result<()> {
    let text = match message {
      Message::Binary(bytes) if bytes.first() == Some(&OUTPUT_FRAME) => {
        let frame = OutputFrame::decode(&bytes)?;
        let raw = u64::from(frame.raw_len);
        {
          let mut board = lock(self.board);
          let keeps = board.keeps_output;
          let kept = if keeps { frame.unpack()? } else { Vec::new() };
          let chunks = board.output.entry(frame.instance_id).or_default();
          if chunks.insert(frame.offset, kept).is_none() {
            board.bytes += raw;
          }
        }
        return self.ack(frame.seq).await;
      }
      Message::Binary(bytes) => unpack_message(&bytes)?,
      Message::Text(text) => text.as_str().to_owned(),
      _ => return Ok(()),
    };
    let message = read_message(&text)?;
    match message.message_kind {
      MessageKind::AgentRegister => self.welcome(&message.read()?).await,
      MessageKind::TaskPoll => {
        self.poll = message.read()?;
        Ok(())
      }
      MessageKind::AgentHeartbeat => {
        let beat: HeartbeatRequest = message.read()?;
        lock(self.board).beats.push(Instant::now());
        let now = Ts::now().micros();
        let answer = HeartbeatResponse {
          success: true,
          sent_at_us: beat.sent_at_us,
          server_received_us: now,
          server_sent_us: now,
          ..HeartbeatResponse::default()
        };
        self.feed(MessageKind::AgentHeartbeatResponse, answer).await
      }
      MessageKind::TaskReportBatch => {
        let batch: TaskReportBatch = message.read()?;
        let last = batch.seq_from + batch.items.len() as u64 - 1;
        lock(self.board).note(batch);
        self.ack(last).await
      }
      _ => Ok(()),
    }
  }

  async fn welcome(&mut self, request: &AgentRegisterRequest) -> Result<()> {
    self.epoch = request.agent_epoch;
    let keep = |running: &hetuflow_core::RunningInstance| Reconcile {
      instance_id: running.instance_id,
      action: ReconcileAction::Keep,
    };
    let acked = lock(self.board).acked;
    let answer = AgentRegisterResponse {
      success: true,
      server_id: "bench".to_owned(),
      reconcile: request.running.iter().map(keep).collect(),
      acked_seq: if acked.0 == self.epoch { acked.1 } else { 0 },
      ..AgentRegisterResponse::default()
    };
    self.feed(MessageKind::AgentRegisterResponse, answer).await
  }

  async fn ack(&mut self, seq: u64) -> Result<()> {
    lock(self.board).acked = (self.epoch, seq);
    let message_id = uuid::Uuid::now_v7();
    let ack = AckMessage { message_id, status: AckStatus::Ok, details: None, seq: Some(seq) };
    self.feed(MessageKind::Ack, ack).await
  }

  async fn answer_poll(&mut self) -> Result<()> {
    loop {
      let on_their_way = self.sent.saturating_sub(self.poll.received_tasks);
      let room = u64::from(self.poll.available_capacity).saturating_sub(on_their_way);
      let most = usize::try_from(room)?.min(TASKS_PER_ANSWER);
      let answer = {
        let mut board = lock(self.board);
        let count = most.min(board.due.len());
        if count == 0 {
          return Ok(());
        }
        let specs = vec![board.spec.clone().context("a job")?];
        let tasks: Vec<ScheduledTask> = board.due.drain(..count).collect();
        AcquireTaskResponse { specs, tasks, ..AcquireTaskResponse::default() }
      };
      self.sent += answer.tasks.len() as u64;
      self.feed(MessageKind::TaskPollResponse, answer).await?;
    }
  }
}
