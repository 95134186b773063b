//! The door: who may connect, checked before the upgrade, and the limits of every socket.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hetuflow_core::{
  AgentId, ErrorCode, ErrorResponse, FRAME_BYTES_MAX, SUBPROTOCOL_PLAIN, SUBPROTOCOL_ZSTD, ServerId,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::session;
use super::{AgentDoor, GatewayStats, PendingBeats};
use crate::broker::Roster;
use crate::service::{
  Actor, AgentCommandSvc, ArtifactSvc, LiveAttempts, ReportSvc, SessionSvc, Store, TokenSvc,
};

/// Where a credential must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
  /// Nobody is asked; only on loopback.
  Off,
  /// In a header, or in the first message.
  Token,
  /// In a header, or 401 before the upgrade.
  Strict,
}

/// Limits and intervals.
#[derive(Debug, Clone, Copy)]
pub struct GatewaySettings {
  /// Where a credential must be.
  pub auth: AuthMode,
  /// Interval that agents are told.
  pub heartbeat_interval: Duration,
  /// A connection that says nothing for this long is dead.
  pub silence_max: Duration,
  /// Time for the first message.
  pub register_timeout: Duration,
  /// Connections at the same time.
  pub connections_max: usize,
}

/// What connections share.
pub struct GatewayState {
  /// The store and the wakes.
  pub store: Store,
  /// Registration.
  pub sessions: Arc<SessionSvc>,
  /// Reports.
  pub reports: Arc<ReportSvc>,
  /// Connections.
  pub roster: Arc<Roster>,
  /// Attempts alive here.
  pub live: Arc<LiveAttempts>,
  /// Orders to agents as a whole.
  pub commands: AgentCommandSvc,
  /// Files that attempts have left.
  pub artifacts: Arc<ArtifactSvc>,
  /// Credentials.
  pub tokens: Arc<TokenSvc>,
  /// Signs of life that wait to be stored.
  pub beats: PendingBeats,
  /// Counters.
  pub stats: Arc<GatewayStats>,
  /// This server.
  pub server: ServerId,
  /// Limits and intervals.
  pub settings: GatewaySettings,
  /// Owner of the writers.
  pub tracker: TaskTracker,
  /// Whether agents may be here.
  pub door: AgentDoor,
  /// Ends all connections.
  pub stop: CancellationToken,
}

/// The routes of the gateway.
pub fn router(state: Arc<GatewayState>) -> Router {
  Router::new()
    .route("/api/v1/gateway/ws", get(upgrade))
    .route("/ws", get(upgrade))
    .with_state(state)
}

#[derive(Debug, Default, Deserialize)]
struct UpgradeQuery {
  agent_id: Option<String>,
  token: Option<String>,
}

/// Buffer of a socket's reader; the default would cost 128 KiB per connection.
const READ_BUFFER: usize = 16 << 10;
/// Bytes that a socket's writer may hold back.
const WRITE_BUFFER_MAX: usize = 4 << 20;

async fn upgrade(
  State(state): State<Arc<GatewayState>>,
  Query(query): Query<UpgradeQuery>,
  headers: HeaderMap,
  upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
  let upgrade = match upgrade {
    Ok(upgrade) => upgrade,
    Err(_) if other_version(&headers) => return refuse_version(),
    Err(rejection) => {
      let status = rejection.status();
      let code = if status == StatusCode::METHOD_NOT_ALLOWED {
        ErrorCode::MethodNotAllowed
      } else {
        ErrorCode::BadRequest
      };
      let body = ErrorResponse::new(code, "this route takes a WebSocket upgrade");
      return (status, axum::Json(body)).into_response();
    }
  };
  if headers.contains_key(header::ORIGIN) {
    let message = "agents are no pages: an upgrade with an Origin is refused";
    return refuse(ErrorResponse::new(ErrorCode::Forbidden, message));
  }
  let protocol = first_known_protocol(&headers);
  if protocol.is_none() && headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
    let message = "none of these sub-protocols is spoken here";
    let hint = format!("offer {SUBPROTOCOL_PLAIN} or {SUBPROTOCOL_ZSTD}");
    return refuse(ErrorResponse::new(ErrorCode::BadRequest, message).with_hint(hint));
  }
  if state.door.is_closed() {
    let message = format!("no agents are let in: {}; try another server", state.door.reason());
    return refuse(ErrorResponse::new(ErrorCode::Unavailable, message));
  }
  let actor = match authenticate(&state, &headers, query.token).await {
    Ok(actor) => actor,
    Err(response) => return refuse(response),
  };
  if state.roster.len() >= state.settings.connections_max {
    let message = format!("{} agents are connected, no more are taken", state.roster.len());
    return refuse(ErrorResponse::new(ErrorCode::Unavailable, message));
  }
  let named = query.agent_id.and_then(|id| AgentId::new(id).ok());
  let upgrade = upgrade
    .protocols(protocol)
    .max_message_size(FRAME_BYTES_MAX)
    .max_frame_size(FRAME_BYTES_MAX)
    .read_buffer_size(READ_BUFFER)
    .max_write_buffer_size(WRITE_BUFFER_MAX);
  let zstd = upgrade
    .selected_protocol()
    .is_some_and(|protocol| protocol.as_bytes() == SUBPROTOCOL_ZSTD.as_bytes());
  upgrade.on_upgrade(move |socket| async move {
    session::run(state, socket, session::Opening { actor, named, zstd }).await;
  })
}

/// The client's first sub-protocol that is known here.
fn first_known_protocol(headers: &HeaderMap) -> Option<&'static str> {
  let wishes = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
  let mut names = wishes.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
  names.find_map(|name| {
    [SUBPROTOCOL_ZSTD, SUBPROTOCOL_PLAIN].into_iter().find(|known| *known == name.trim())
  })
}

/// Whether an upgrade is asked for in another version than the one of RFC 6455.
fn other_version(headers: &HeaderMap) -> bool {
  headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() != b"13")
}

/// 426 with the version that is spoken (RFC 6455 §4.4).
fn refuse_version() -> Response {
  let status = StatusCode::UPGRADE_REQUIRED;
  let body = ErrorResponse {
    err_code: i32::from(status.as_u16()),
    ..ErrorResponse::new(ErrorCode::BadRequest, "WebSocket version 13 is spoken here, no other")
  };
  (status, [(header::SEC_WEBSOCKET_VERSION, "13")], axum::Json(body)).into_response()
}

fn refuse(response: ErrorResponse) -> Response {
  let status = StatusCode::from_u16(response.code.http_status());
  (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), axum::Json(response)).into_response()
}

async fn authenticate(
  state: &GatewayState,
  headers: &HeaderMap,
  query_token: Option<String>,
) -> Result<Option<Actor>, ErrorResponse> {
  if state.settings.auth == AuthMode::Off {
    return Ok(Some(Actor::system()));
  }
  let header = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
  let secret = match header {
    Some(value) => match value.split_once(' ') {
      Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Some(secret.to_owned()),
      _ => {
        let message = "Authorization must be: Bearer TOKEN";
        return Err(ErrorResponse::new(ErrorCode::Unauthorized, message));
      }
    },
    None => query_token,
  };
  match secret {
    Some(secret) => {
      state.tokens.verify(secret.trim()).await.map(Some).map_err(|error| error.response())
    }
    None if state.settings.auth == AuthMode::Strict => {
      let message = "a token is needed before the upgrade";
      Err(ErrorResponse::new(ErrorCode::Unauthorized, message))
    }
    None => Ok(None),
  }
}
