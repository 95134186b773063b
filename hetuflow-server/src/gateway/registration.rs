//! The first message of a connection: who it is, and whether it may be that.

use hetuflow_core::{
  AgentConfig, AgentId, AgentRegisterRequest, AgentRegisterResponse, Envelope, MessageKind,
  RawMessage, read_message,
};

use super::link::CLOSE_SUPERSEDED;
use super::session::Opening;
use super::upgrade::{AuthMode, GatewayState};
use crate::service::{Actor, Registration, SUPERSEDED};

/// Close codes of a failed registration.
pub(super) const CLOSE_FIRST_FRAME: u16 = 4000;
pub(super) const CLOSE_FIELD: u16 = 4002;
pub(super) const CLOSE_IDENTITY: u16 = 4003;
pub(super) const CLOSE_PROTOCOL: u16 = 4026;

/// Why a registration was refused.
pub(super) struct Refusal {
  pub(super) code: u16,
  pub(super) reason: String,
}

impl Refusal {
  fn new(code: u16, reason: impl Into<String>) -> Self {
    Self { code, reason: reason.into() }
  }
}

/// A registration that was taken in.
pub(super) struct Registered {
  pub(super) agent_id: AgentId,
  pub(super) request: AgentRegisterRequest,
  pub(super) found: Registration,
  pub(super) message_id: uuid::Uuid,
}

/// Reads the first message and takes the agent in.
pub(super) async fn register(
  state: &GatewayState,
  opening: &Opening,
  text: &str,
) -> Result<Registered, Refusal> {
  let message = read_message(text)
    .map_err(|error| Refusal::new(CLOSE_FIRST_FRAME, format!("register first: {error}")))?;
  if message.message_kind != MessageKind::AgentRegister {
    let reason = format!("register first, not {}", message.message_kind);
    return Err(Refusal::new(CLOSE_FIRST_FRAME, reason));
  }
  let request = read_request(&message)?;
  request.validate().map_err(|error| {
    let protocol = error.to_string().starts_with("protocol_version");
    let code = if protocol { CLOSE_PROTOCOL } else { CLOSE_FIELD };
    Refusal::new(code, format!("register.field {error}"))
  })?;
  let agent_id = AgentId::new(request.agent_id.as_str())
    .map_err(|error| Refusal::new(CLOSE_FIELD, error.to_string()))?;
  if opening.named.as_ref().is_some_and(|named| *named != agent_id) {
    return Err(Refusal::new(CLOSE_IDENTITY, "another agent_id than in the URL"));
  }
  let actor = actor_of(state, opening, &request).await?;
  state
    .tokens
    .bind(&actor, &agent_id)
    .await
    .map_err(|error| Refusal::new(CLOSE_IDENTITY, error.to_string()))?;
  let alone = state.roster.is_without_older(&agent_id, request.agent_epoch).await;
  state.roster.vacate(&agent_id);
  // What an older connection reported must be in before anything is decided about it.
  state.reports.settle(&agent_id).await;
  let found = state.sessions.register(&agent_id, &request, alone).await.map_err(|error| {
    let response = error.response();
    let superseded = response.errors.iter().any(|one| one.code == SUPERSEDED);
    Refusal::new(if superseded { CLOSE_SUPERSEDED } else { CLOSE_IDENTITY }, response.err_msg)
  })?;
  Ok(Registered { agent_id, request, found, message_id: message.message_id })
}

/// Reads the request; a refusal names the field, and what was expected rather than what came.
fn read_request(message: &RawMessage<'_>) -> Result<AgentRegisterRequest, Refusal> {
  let mut reader = serde_json::Deserializer::from_str(message.payload.get());
  serde_path_to_error::deserialize(&mut reader).map_err(|error| {
    let words = error.inner().to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    let expected = words.rfind("expected ").map_or(words, |at| &words[at..]);
    Refusal::new(CLOSE_FIELD, format!("register.field {}: {expected}", error.path()))
  })
}

async fn actor_of(
  state: &GatewayState,
  opening: &Opening,
  request: &AgentRegisterRequest,
) -> Result<Actor, Refusal> {
  if let Some(actor) = &opening.actor {
    return Ok(actor.clone());
  }
  match &request.jwe_token {
    Some(token) if state.settings.auth == AuthMode::Token => state
      .tokens
      .verify(token)
      .await
      .map_err(|error| Refusal::new(CLOSE_IDENTITY, error.response().err_msg)),
    _ => Err(Refusal::new(CLOSE_IDENTITY, "a token is needed")),
  }
}

/// The answer to a registration.
pub(super) fn welcome(
  state: &GatewayState,
  registered: &Registered,
) -> Envelope<AgentRegisterResponse> {
  let found = &registered.found;
  let answer = AgentRegisterResponse {
    success: true,
    message: String::new(),
    config: AgentConfig {
      heartbeat_interval: state.settings.heartbeat_interval.as_secs_f64(),
      ..AgentConfig::default()
    },
    server_time: state.store.db.now().millis(),
    session_id: found.agent.connection_epoch.to_string(),
    server_id: state.server.to_string(),
    reconcile: found.reconcile.clone(),
    acked_seq: u64::try_from(found.agent.acked_seq).unwrap_or(0),
  };
  Envelope::new(MessageKind::AgentRegisterResponse, answer).reply_to(registered.message_id)
}
