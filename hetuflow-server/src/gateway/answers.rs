//! What an agent answers to orders for it as a whole.

use hetuflow_core::{AckMessage, AckStatus, AgentCommandState, AgentId, ErrorResponse, FieldError};
use serde_json::Value;

use super::upgrade::GatewayState;
use crate::service::CommandEnd;

/// Longest answer that is kept, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The end of a command from an acknowledgement: its details are the result, as JSON.
pub(super) fn of_ack(ack: AckMessage) -> CommandEnd {
  let details = ack.details.filter(|text| text.len() <= ANSWER_BYTES_MAX);
  if ack.status == AckStatus::Rejected {
    let message = details.map(clean);
    let state = AgentCommandState::Refused;
    return CommandEnd { id: ack.message_id, state, result: None, message };
  }
  let result = details.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
  let result = result.map(without_nul);
  CommandEnd { id: ack.message_id, state: AgentCommandState::Done, result, message: None }
}

/// The end of a command from an error that names it; an older agent knows no other answer.
pub(super) fn of_error(error: &ErrorResponse) -> Option<CommandEnd> {
  let id = error.details.as_ref()?.get("message_id")?.as_str()?.parse().ok()?;
  let rules = error.errors.iter().map(|rule: &FieldError| rule.message.clone());
  let message = std::iter::once(error.err_msg.clone()).chain(rules).collect::<Vec<_>>().join("; ");
  let state = AgentCommandState::Refused;
  Some(CommandEnd { id, state, result: None, message: Some(clean(message)) })
}

/// Stores an answer; one to something else than a command changes nothing.
pub(super) async fn take(state: &GatewayState, agent: &AgentId, end: CommandEnd) {
  if let Err(error) = state.commands.finish(agent, &end).await {
    let error = &error as &dyn std::error::Error;
    tracing::warn!(agent.id = %agent, error, "cannot store the answer of an agent");
  }
}

/// Text as both databases can store it.
fn clean(text: String) -> String {
  text.chars().take(4000).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

fn without_nul(value: Value) -> Value {
  match value {
    Value::String(text) => Value::String(clean(text)),
    Value::Array(items) => items.into_iter().map(without_nul).collect(),
    Value::Object(fields) => {
      fields.into_iter().map(|(key, value)| (clean(key), without_nul(value))).collect()
    }
    other => other,
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::ErrorCode;
  use serde_json::json;
  use uuid::Uuid;

  use super::*;

  fn ack(status: AckStatus, details: &str) -> AckMessage {
    AckMessage { message_id: Uuid::nil(), status, details: Some(details.to_owned()), seq: None }
  }

  #[test]
  fn answers_are_results_or_words() {
    let done = of_ack(ack(AckStatus::Ok, r#"{"a":"x\u0000y"}"#));
    assert_eq!(done.state, AgentCommandState::Done);
    assert_eq!(done.result, Some(json!({ "a": "x\u{fffd}y" })));
    let refused = of_ack(ack(AckStatus::Rejected, "not here"));
    assert_eq!(refused.state, AgentCommandState::Refused);
    assert_eq!(refused.message.as_deref(), Some("not here"));
  }

  #[test]
  fn an_older_agent_answers_with_an_error() {
    let mut error = ErrorResponse::new(ErrorCode::BadRequest, "unsupported: command restart");
    assert_eq!(of_error(&error), None);
    error.details = Some(json!({ "reason": "unsupported", "message_id": Uuid::nil() }));
    let end = of_error(&error).expect("an end");
    assert_eq!((end.id, end.state), (Uuid::nil(), AgentCommandState::Refused));
    assert_eq!(end.message.as_deref(), Some("unsupported: command restart"));
  }
}
