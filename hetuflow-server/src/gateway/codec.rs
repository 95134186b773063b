//! Frames in and out: JSON text, one zstd frame with JSON in it, or output.

use axum::extract::ws::Message;
use hetuflow_core::{
  Envelope, FILE_FRAME, FileFrame, Frame, MessageError, MessageKind, OUTPUT_FRAME, OutputFrame,
  pack_message, unpack_message,
};
use serde::Serialize;

/// What a frame holds.
#[derive(Debug)]
pub(super) enum Incoming {
  /// A message, still as text.
  Message(String),
  /// Output.
  Output(Box<OutputFrame>),
  /// A piece of a file.
  File(FileFrame),
  /// Ping, pong: handled below us.
  Nothing,
  /// The other side says goodbye.
  Close,
}

/// Reads a frame.
///
/// # Errors
/// [`MessageError`] for what is not readable.
pub(super) fn read_frame(message: Message) -> Result<Incoming, MessageError> {
  match message {
    Message::Text(text) => Ok(Incoming::Message(text.as_str().to_owned())),
    Message::Binary(bytes) if bytes.first() == Some(&OUTPUT_FRAME) => {
      Ok(Incoming::Output(Box::new(OutputFrame::decode(&bytes)?)))
    }
    Message::Binary(bytes) if bytes.first() == Some(&FILE_FRAME) => {
      Ok(Incoming::File(FileFrame::decode(&bytes)?))
    }
    Message::Binary(bytes) => Ok(Incoming::Message(unpack_message(&bytes)?)),
    Message::Ping(_) | Message::Pong(_) => Ok(Incoming::Nothing),
    Message::Close(_) => Ok(Incoming::Close),
  }
}

/// Writes a message.
pub(super) fn write_message<P: Serialize>(envelope: &Envelope<P>, zstd: bool) -> Message {
  let text = envelope.to_json().expect("protocol messages are plain data");
  match pack_message(text, zstd) {
    Frame::Text(text) => Message::Text(text.into()),
    Frame::Binary(bytes) => Message::Binary(bytes.into()),
  }
}

/// The close code (RFC 6455 §7.4) for what could not be read; `None` where nobody is left to hear.
pub(super) fn close_code(error: &axum::Error) -> Option<u16> {
  use tokio_tungstenite::tungstenite::Error;
  match std::error::Error::source(error)?.downcast_ref::<Error>()? {
    Error::Capacity(_) => Some(1009),
    Error::Utf8(_) => Some(1007),
    Error::Protocol(_) => Some(1002),
    _ => None,
  }
}

/// The answer to a message that is refused and changes nothing.
pub(super) fn refusal(error: &MessageError) -> Envelope<serde_json::Value> {
  let message: String = error.to_string().chars().take(200).collect();
  let code = match error {
    MessageError::UnknownKind { .. } => "unsupported",
    _ => "bad_request",
  };
  let envelope = Envelope::new(
    MessageKind::Error,
    serde_json::json!({"err_code": 400, "code": code, "err_msg": message}),
  );
  match error {
    MessageError::UnknownKind { message_id, .. } => envelope.reply_to(*message_id),
    _ => envelope,
  }
}
