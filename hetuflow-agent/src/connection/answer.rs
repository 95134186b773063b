//! Answers to messages that cannot be followed.

use hetuflow_core::{Envelope, ErrorCode, ErrorResponse, MessageKind};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::frames::frame;

/// Longest sentence of an answer.
const TEXT_CHARS_MAX: usize = 300;

/// "I cannot do that", with the message that is meant and one word why.
pub fn refusal(message_id: Option<Uuid>, code: &str, message: &str) -> Option<Message> {
  let kind = match code {
    "unknown" => ErrorCode::NotFound,
    "stale" | "expired" => ErrorCode::Conflict,
    "unsupported" => ErrorCode::BadRequest,
    _ => ErrorCode::ValidationError,
  };
  let text: String = message.chars().take(TEXT_CHARS_MAX).collect();
  let mut error = ErrorResponse::new(kind, format!("{code}: {text}"));
  error.details = Some(serde_json::json!({ "reason": code, "message_id": message_id }));
  let envelope = Envelope::new(MessageKind::Error, error);
  frame(&message_id.into_iter().fold(envelope, Envelope::reply_to), false)
}
