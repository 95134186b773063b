//! A server that is just enough for an agent: accepts its socket and does what the test says.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hetuflow_agent::application::{Agent, ExecutorHome};
use hetuflow_agent::config::{Settings, Source, load};
use hetuflow_core::*;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// Nothing here takes this long unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Listens for agents.
pub struct FakeServer {
  listener: TcpListener,
}

/// One connection of an agent.
pub struct Link {
  socket: WebSocketStream<TcpStream>,
  /// Headers and URL of the upgrade.
  pub request: Request,
  waiting: VecDeque<Said>,
}

/// What an agent has said.
#[derive(Debug)]
pub enum Said {
  /// A report with its number.
  Update(u64, Box<TaskInstanceUpdate>),
  /// Output.
  Chunk(OutputFrame),
  /// A grant.
  Poll(AcquireTaskRequest),
  /// "I live"; answered already.
  Heartbeat,
  /// Anything else: kind and payload.
  Other(MessageKind, Value),
}

impl FakeServer {
  /// Listens on a free port.
  pub async fn new() -> Self {
    Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("bound") }
  }

  /// Starts an agent that dials here; `toml` is laid beside the essentials.
  pub async fn agent(&self, dir: &std::path::Path, toml: &str) -> Agent {
    let settings = self.settings(dir, toml);
    Agent::start(&settings, "agent-x", ExecutorHome::Inside).await.expect("started")
  }

  /// The settings of such an agent.
  pub fn settings(&self, dir: &std::path::Path, toml: &str) -> Settings {
    let port = self.listener.local_addr().expect("bound").port();
    let text = format!(
      "agent.state_dir = '{}'\nagent.token = 's3cret'\nagent.shutdown_grace = '100ms'\nagent.tasks_on_stop = 'stop'\n\
       agent.allow_root_tasks = true\n\
       agent.connection.server_base_url = 'http://127.0.0.1:{port}'\n\
       agent.connection.reconnect_base = '10ms'\nagent.connection.reconnect_max = '50ms'\n\
       agent.connection.heartbeat_interval = '200ms'\n{toml}\n",
      dir.display()
    );
    for folder in ["work", "runs"] {
      std::fs::create_dir_all(dir.join(folder)).expect("made");
    }
    let source = Source { file: "test".to_owned(), text, ..Source::default() };
    load(source).unwrap_or_else(|problems| panic!("{problems:?}")).settings
  }

  /// The next connection, without any answer yet.
  pub async fn accept(&self) -> Link {
    let accepting = async {
      let (tcp, _) = self.listener.accept().await.expect("accepted");
      let mut seen = None;
      #[expect(clippy::result_large_err, reason = "the library's own type")]
      let look = |request: &Request, mut response: Response| {
        seen = Some(request.clone());
        response
          .headers_mut()
          .insert("Sec-WebSocket-Protocol", SUBPROTOCOL_ZSTD.parse().expect("valid"));
        Ok(response)
      };
      let socket = tokio_tungstenite::accept_hdr_async(tcp, look).await.expect("upgraded");
      Link { socket, request: seen.expect("seen"), waiting: VecDeque::new() }
    };
    tokio::time::timeout(LIMIT, accepting).await.expect("an agent comes")
  }

  /// The next connection, registered.
  pub async fn accept_registered(&self, acked_seq: u64) -> (Link, AgentRegisterRequest) {
    let mut link = self.accept().await;
    let register = link.registration().await;
    link.welcome(acked_seq, Vec::new()).await;
    (link, register)
  }
}

impl Link {
  /// Sends one message.
  pub async fn send<P: Serialize>(&mut self, kind: MessageKind, payload: P) -> uuid::Uuid {
    let envelope = Envelope::new(kind, payload);
    let text = envelope.to_json().expect("writable");
    let message = match pack_message(text, true) {
      Frame::Text(text) => Message::text(text),
      Frame::Binary(bytes) => Message::binary(bytes),
    };
    self.socket.send(message).await.expect("sent");
    envelope.message_id
  }

  /// Sends any text.
  pub async fn send_text(&mut self, text: &str) {
    self.socket.send(Message::text(text)).await.expect("sent");
  }

  /// What the agent says first.
  pub async fn registration(&mut self) -> AgentRegisterRequest {
    match self.next().await {
      Said::Other(MessageKind::AgentRegister, payload) => {
        serde_json::from_value(payload).expect("registration")
      }
      other => panic!("not a registration: {other:?}"),
    }
  }

  /// Lets it in.
  pub async fn welcome(&mut self, acked_seq: u64, reconcile: Vec<Reconcile>) {
    let answer = AgentRegisterResponse {
      success: true,
      server_id: "fake".to_owned(),
      reconcile,
      acked_seq,
      ..AgentRegisterResponse::default()
    };
    self.send(MessageKind::AgentRegisterResponse, answer).await;
  }

  /// Says that reports are durable.
  pub async fn ack(&mut self, seq: u64) {
    let message_id = uuid::Uuid::now_v7();
    let ack = AckMessage { message_id, status: AckStatus::Ok, details: None, seq: Some(seq) };
    self.send(MessageKind::Ack, ack).await;
  }

  /// Hands out tasks of one job.
  pub async fn dispatch(&mut self, config: Value, tasks: Vec<ScheduledTask>) -> uuid::Uuid {
    let spec = JobSpec {
      job_id: JobId::generate(),
      job_version: 1,
      job_name: "job".to_owned(),
      namespace_id: NamespaceId::default(),
      config: serde_json::from_value(config).expect("config"),
      environment: Environment::new(),
    };
    let answer = AcquireTaskResponse { specs: vec![spec], tasks, ..Default::default() };
    self.send(MessageKind::TaskPollResponse, answer).await
  }

  /// The next thing it says; heartbeats are answered here, and told as well.
  pub async fn next(&mut self) -> Said {
    loop {
      if let Some(said) = self.waiting.pop_front() {
        return said;
      }
      let frame = tokio::time::timeout(LIMIT, self.socket.next()).await.expect("it says something");
      let text = match frame.expect("open").expect("readable") {
        Message::Binary(bytes) if bytes.first() == Some(&OUTPUT_FRAME) => {
          self.waiting.push_back(Said::Chunk(OutputFrame::decode(&bytes).expect("output")));
          continue;
        }
        Message::Binary(bytes) => unpack_message(&bytes).expect("zstd"),
        Message::Text(text) => text.as_str().to_owned(),
        _ => continue,
      };
      self.take(&text).await;
    }
  }

  async fn take(&mut self, text: &str) {
    let message = read_message(text).expect("a message");
    match message.message_kind {
      MessageKind::TaskReportBatch => {
        let batch: TaskReportBatch = message.read().expect("batch");
        for (seq, item) in (batch.seq_from..).zip(batch.items) {
          let ReportItem::Update(update) = item else { panic!("our chunks are binary") };
          self.waiting.push_back(Said::Update(seq, update));
        }
      }
      MessageKind::TaskPoll => self.waiting.push_back(Said::Poll(message.read().expect("poll"))),
      MessageKind::AgentHeartbeat => {
        let beat: HeartbeatRequest = message.read().expect("heartbeat");
        let now = Ts::now().micros();
        let answer = HeartbeatResponse {
          success: true,
          sent_at_us: beat.sent_at_us,
          server_received_us: now,
          server_sent_us: now,
          ..HeartbeatResponse::default()
        };
        self.send(MessageKind::AgentHeartbeatResponse, answer).await;
        self.waiting.push_back(Said::Heartbeat);
      }
      kind => {
        let payload: Value = message.read().expect("json");
        self.waiting.push_back(Said::Other(kind, payload));
      }
    }
  }

  /// The next thing that `pick` takes; heartbeats alone do not keep a test alive.
  async fn find<T>(&mut self, what: &str, mut pick: impl FnMut(Said) -> Option<T>) -> T {
    let looking = async {
      loop {
        if let Some(found) = pick(self.next().await) {
          return found;
        }
      }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("no {what} came"))
  }

  /// The next report.
  pub async fn update(&mut self) -> (u64, Box<TaskInstanceUpdate>) {
    let pick = |said| if let Said::Update(seq, update) = said { Some((seq, update)) } else { None };
    self.find("report", pick).await
  }

  /// The next report of an end.
  pub async fn end(&mut self) -> (u64, Box<TaskInstanceUpdate>) {
    loop {
      let (seq, update) = self.update().await;
      if update.status.is_final() {
        return (seq, update);
      }
    }
  }

  /// The next grant.
  pub async fn poll(&mut self) -> AcquireTaskRequest {
    self.find("grant", |said| if let Said::Poll(poll) = said { Some(poll) } else { None }).await
  }

  /// The next error, as its one word.
  pub async fn refusal(&mut self) -> String {
    let pick = |said| match said {
      Said::Other(MessageKind::Error, payload) => {
        Some(payload["details"]["reason"].as_str().unwrap_or_default().to_owned())
      }
      _ => None,
    };
    self.find("refusal", pick).await
  }
}

/// A task that is due `after_ms` from now.
pub fn task(after_ms: i64) -> ScheduledTask {
  let scheduled_at = Ts::from_micros(Ts::now().micros() + after_ms * 1000);
  serde_json::from_value(json!({
    "task_instance": { "id": TaskInstanceId::generate() },
    "task": { "id": TaskId::generate(), "scheduled_at": scheduled_at },
    "fence": 11,
    "attempt": 1,
  }))
  .expect("a task")
}
