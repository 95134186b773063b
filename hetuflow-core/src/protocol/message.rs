//! The envelope around every text message, and the kinds it can carry (WIRE §2.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::wire_enum;

/// Largest frame that either side sends or reads, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Messages over this many bytes travel as one zstd frame where both sides can.
pub const COMPRESS_BYTES_MIN: usize = 1 << 10;
/// Sub-protocol of plain JSON text frames.
pub const SUBPROTOCOL_PLAIN: &str = "hetuflow.v1";
/// Sub-protocol that also allows binary frames with one zstd frame each.
pub const SUBPROTOCOL_ZSTD: &str = "hetuflow.v1+zstd";
/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The oldest protocol that is still spoken; a peer that names none speaks the first one.
pub const PROTOCOL_VERSION_MIN: u32 = 1;

wire_enum! {
  /// What a message is about.
  pub enum MessageKind {
    /// Something was wrong with a message.
    Error = 99 => "error",
    /// Durable.
    Ack = 100 => "ack",
    /// An agent says who it is.
    AgentRegister = 101 => "agent_register" | "register_agent",
    /// The answer to it.
    AgentRegisterResponse = 102 => "agent_register_response" | "agent_registered",
    /// An agent lives.
    AgentHeartbeat = 103 => "agent_heartbeat" | "heartbeat",
    /// The answer to it.
    AgentHeartbeatResponse = 104 => "agent_heartbeat_response" | "heartbeat_ack",
    /// An order to an agent.
    AgentCommand = 105 => "agent_command",
    /// An agent leaves for good.
    AgentUnregister = 106 => "agent_unregister",
    /// An agent's labels or capacity changed.
    CapabilitiesUpdate = 107 => "capabilities_update" | "capabilities_changed",
    /// An agent says what it has.
    StateSyncRequest = 108 => "state_sync_request",
    /// What it must have.
    StateSyncResponse = 109 => "state_sync_response" | "state_sync",
    /// Refused.
    Nack = 110 => "nack",
    /// A task for an older agent.
    TaskDispatch = 201 => "task_dispatch",
    /// The answer to it.
    TaskDispatchResponse = 202 => "task_dispatch_response" | "dispatch_task_response",
    /// An attempt moved.
    TaskInstanceUpdate = 203 => "task_instance_update" | "task_instance_updated" | "task_instance_changed",
    /// Do something with an attempt.
    TaskControl = 204 => "task_control" | "cancel_task" | "control_task",
    /// An agent grants credits.
    TaskPoll = 205 => "task_poll" | "acquire_task",
    /// Tasks for them.
    TaskPollResponse = 206 => "task_poll_response" | "task_acquired",
    /// Output of a foreign agent.
    TaskLog = 207 => "task_log" | "log_message",
    /// The same, many.
    TaskLogBatch = 208 => "task_log_batch" | "log_batch",
    /// Something about a process.
    ProcessEvent = 209 => "process_event",
    /// Work may be waiting.
    TaskAvailable = 210 => "task_available",
    /// Log bytes are durable.
    LogAck = 211 => "log_ack",
    /// States and output of many attempts, in order.
    TaskReportBatch = 212 => "task_report_batch",
    /// A file comes.
    FileUpload = 301 => "file_upload",
    /// A file is asked for.
    FileDownload = 302 => "file_download",
    /// How far a file is.
    FileTransferStatus = 303 => "file_transfer_status",
    /// A reader wants events.
    Subscribe = 401 => "subscribe",
    /// A reader has had enough.
    Unsubscribe = 402 => "unsubscribe",
    /// One event.
    Event = 403 => "event",
    /// Events are gone; start from a snapshot.
    Resync = 404 => "resync",
    /// The feed lives.
    Tick = 405 => "tick",
    /// Many events.
    Frame = 406 => "frame",
  }
}

/// Extra text beside the payload: `trace_id`, `reply_to`.
pub type Metadata = BTreeMap<String, String>;

/// The envelope, generic over how much of the payload is already read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<P> {
  /// UUID v7 of this message.
  pub message_id: Uuid,
  /// When it was made, in milliseconds since 1970.
  pub timestamp: i64,
  /// What it is about.
  pub message_kind: MessageKind,
  /// What it says.
  pub payload: P,
  /// Extra text.
  #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
  pub metadata: Metadata,
}

/// A message whose payload is any JSON.
pub type WebSocketMessage = Envelope<Value>;
/// An agent's message to a server.
pub type WebSocketEvent = Envelope<Value>;
/// A server's message to an agent.
pub type WebSocketCommand = Envelope<Value>;

impl<P> Envelope<P> {
  /// A new message, made now.
  pub fn new(message_kind: MessageKind, payload: P) -> Self {
    Self {
      message_id: Uuid::now_v7(),
      timestamp: crate::types::Ts::now().millis(),
      message_kind,
      payload,
      metadata: Metadata::new(),
    }
  }

  /// Says which message this one answers.
  #[must_use]
  pub fn reply_to(mut self, message_id: Uuid) -> Self {
    self.metadata.insert("reply_to".to_owned(), message_id.to_string());
    self
  }
}

impl<P: Serialize> Envelope<P> {
  /// The JSON text.
  ///
  /// # Errors
  /// [`MessageError::Json`] when the payload cannot be written, as a map with non-text keys.
  pub fn to_json(&self) -> Result<String, MessageError> {
    serde_json::to_string(self).map_err(MessageError::Json)
  }
}

/// Why a frame was refused.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
  /// Not JSON, or not of the right shape.
  #[error("message is not readable")]
  Json(#[source] serde_json::Error),
  /// A kind that this build does not know.
  #[error("message kind {kind} is not known here")]
  UnknownKind {
    /// The message.
    message_id: Uuid,
    /// What it called itself.
    kind: String,
  },
  /// A binary frame that is neither output nor zstd.
  #[error("binary frame is broken: {0}")]
  Binary(&'static str),
  /// Over the limit, also after decompression.
  #[error("message of {bytes} bytes is over the limit of {limit}")]
  TooLarge {
    /// How large it is, or would become.
    bytes: usize,
    /// The limit.
    limit: usize,
  },
  /// A field that breaks a rule.
  #[error("{field}: {message}")]
  Invalid {
    /// Where.
    field: &'static str,
    /// What is wrong.
    message: String,
  },
}

/// A message whose envelope is read and whose payload is still text, so that the receiver parses
/// it once, into its own type.
pub type RawMessage<'a> = Envelope<&'a RawValue>;

#[derive(Deserialize)]
struct AnyEnvelope<'a> {
  message_id: Option<Uuid>,
  timestamp: Option<i64>,
  #[serde(borrow)]
  message_kind: Option<std::borrow::Cow<'a, RawValue>>,
  #[serde(borrow)]
  head: Option<Head<'a>>,
  #[serde(borrow)]
  payload: Option<&'a RawValue>,
  #[serde(default)]
  metadata: Metadata,
}

/// The envelope of an earlier release; accepted until 1.0.
#[derive(Deserialize)]
struct Head<'a> {
  id: Uuid,
  timestamp: i64,
  #[serde(borrow)]
  kind: std::borrow::Cow<'a, RawValue>,
}

/// Reads an envelope and leaves the payload as text.
///
/// # Errors
/// [`MessageError::UnknownKind`] names the message, so that it can be answered and ignored.
pub fn read_message(text: &str) -> Result<RawMessage<'_>, MessageError> {
  let any: AnyEnvelope<'_> = serde_json::from_str(text).map_err(MessageError::Json)?;
  let (message_id, timestamp, kind) = match (any.head, any.message_id, any.message_kind) {
    (_, Some(id), Some(kind)) => (id, any.timestamp.unwrap_or_default(), kind),
    (Some(head), _, _) => (head.id, head.timestamp, head.kind),
    _ => return Err(invalid("message_id", "message_id and message_kind are required")),
  };
  let message_kind = serde_json::from_str::<MessageKind>(kind.get()).map_err(|_| {
    MessageError::UnknownKind { message_id, kind: kind.get().chars().take(64).collect() }
  })?;
  let payload = match any.payload {
    Some(payload) => payload,
    None => serde_json::from_str("null").map_err(MessageError::Json)?,
  };
  Ok(Envelope { message_id, timestamp, message_kind, payload, metadata: any.metadata })
}

impl RawMessage<'_> {
  /// Reads the payload as the type that the kind calls for.
  ///
  /// # Errors
  /// [`MessageError::Json`] when it has another shape.
  pub fn read<P: serde::de::DeserializeOwned>(&self) -> Result<P, MessageError> {
    serde_json::from_str(self.payload.get()).map_err(MessageError::Json)
  }
}

/// A broken rule of a message.
pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> MessageError {
  MessageError::Invalid { field, message: message.into() }
}

/// "I have it, and it is durable" (or why not).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AckMessage {
  /// The message that is answered; with `seq`, any of the stream.
  pub message_id: Uuid,
  /// What became of it.
  pub status: AckStatus,
  /// Why.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub details: Option<String>,
  /// Every report up to and including this one is committed.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub seq: Option<u64>,
}

wire_enum! {
  /// What became of a message.
  pub enum AckStatus {
    /// Done.
    Ok = 0 => "ok",
    /// Known already.
    Duplicate = 1 => "duplicate",
    /// Refused; `details` says why.
    Rejected = 2 => "rejected",
  }
}

/// "Send it again", or "never again".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nack {
  /// The message that is refused.
  pub message_id: Uuid,
  /// Its error's number.
  pub err_code: i32,
  /// Its error's sentence.
  pub err_msg: String,
  /// When to try again; absent means never.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub retry_after_ms: Option<u64>,
}
