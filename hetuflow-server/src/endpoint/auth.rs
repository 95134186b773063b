//! Who asks. The check stands before the handlers of every route that is not marked public, so
//! that a new route is closed until somebody opens it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hetuflow_core::ErrorCode;

use super::error::ApiError;
use super::query::pairs_of;
use super::state::ApiState;
use crate::service::Actor;

/// Open streams are checked again this often.
const RECHECK: Duration = Duration::from_secs(60);
/// The parameter that may carry a token where a browser cannot send a header.
const TOKEN_PARAMETER: &str = "token";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Actor);

/// The secret that a stream is checked with again.
#[derive(Clone)]
struct Credential(Option<Arc<str>>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
    // Only reached without the check below when a route was wired past it.
    parts.extensions.get::<Self>().cloned().ok_or_else(missing)
  }
}

/// Watches the right to an open stream.
pub(super) struct StreamRight {
  state: Arc<ApiState>,
  secret: Option<Arc<str>>,
  checked: Instant,
}

impl FromRequestParts<Arc<ApiState>> for StreamRight {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, ApiError> {
    let Credential(secret) = parts.extensions.get::<Credential>().cloned().ok_or_else(missing)?;
    Ok(Self { state: Arc::clone(state), secret, checked: Instant::now() })
  }
}

impl StreamRight {
  /// Waits until the stream must end: its token was revoked or expired, or the server stops.
  /// Safe to drop and call again.
  pub(super) async fn ended(&mut self) -> &'static str {
    loop {
      let rest = RECHECK.saturating_sub(self.checked.elapsed());
      tokio::select! {
        () = self.state.shutdown.cancelled() => return "the server stops",
        () = tokio::time::sleep(rest) => {}
      }
      self.checked = Instant::now();
      let Some(secret) = &self.secret else { continue };
      match self.state.tokens.verify(secret).await {
        Ok(_) => {}
        Err(error) if error.response().code == ErrorCode::Unauthorized => {
          return "the token is no longer valid";
        }
        Err(_) => tracing::warn!("a stream's token could not be checked; it goes on"),
      }
    }
  }
}

/// The check of plain routes: a token in the header, never in the address.
pub(super) async fn authenticate(
  State(state): State<Arc<ApiState>>,
  mut request: Request,
  next: Next,
) -> Response {
  if token_of(request.uri()).is_some() {
    return token_in_url().into_response();
  }
  match identify(&state, &mut request, None).await {
    Ok(()) => next.run(request).await,
    Err(error) => error.into_response(),
  }
}

/// The check of streams: browsers may put the token into the address of an upgrade or of an
/// event stream. It is never logged.
pub(super) async fn authenticate_stream(
  State(state): State<Arc<ApiState>>,
  mut request: Request,
  next: Next,
) -> Response {
  let token = token_of(request.uri());
  if token.is_some() && !is_upgrade(request.headers()) && !wants_events(request.headers()) {
    return token_in_url().into_response();
  }
  match identify(&state, &mut request, token).await {
    Ok(()) => next.run(request).await,
    Err(error) => error.into_response(),
  }
}

async fn identify(
  state: &ApiState,
  request: &mut Request,
  token: Option<String>,
) -> Result<(), ApiError> {
  let (actor, secret) = if state.open {
    (Actor::system(), None)
  } else {
    let secret = match (bearer(request.headers())?, token) {
      (Some(secret), _) => secret.to_owned(),
      (None, Some(token)) => token,
      (None, None) => return Err(missing()),
    };
    (state.tokens.verify(&secret).await?, Some(Arc::from(secret)))
  };
  request.extensions_mut().insert(Caller(actor));
  request.extensions_mut().insert(Credential(secret));
  Ok(())
}

/// The secret of the header; anything but one good Bearer is refused.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
  let mut values = headers.get_all(header::AUTHORIZATION).iter();
  let Some(value) = values.next() else { return Ok(None) };
  let wrong = || {
    let message = "the Authorization header is not \"Bearer TOKEN\"";
    ApiError::new(ErrorCode::Unauthorized, "auth.scheme", "/authorization", message)
  };
  if values.next().is_some() {
    return Err(wrong());
  }
  let text = value.to_str().map_err(|_| wrong())?;
  let (scheme, secret) = text.split_once(' ').ok_or_else(wrong)?;
  let secret = secret.trim();
  if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() || secret.contains(' ') {
    return Err(wrong());
  }
  Ok(Some(secret))
}

fn token_of(uri: &Uri) -> Option<String> {
  let pairs = pairs_of(uri.query().unwrap_or_default());
  pairs.into_iter().find(|(name, _)| name == TOKEN_PARAMETER).map(|(_, value)| value)
}

/// Whether the request asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
  let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
  upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

fn wants_events(headers: &HeaderMap) -> bool {
  let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
  accept.is_some_and(|value| value.contains("text/event-stream"))
}

fn missing() -> ApiError {
  let message = "a token is needed";
  ApiError::new(ErrorCode::Unauthorized, "auth.missing", "/authorization", message)
    .hint("send it as Authorization: Bearer TOKEN")
}

fn token_in_url() -> ApiError {
  let message = "a token in the address ends up in logs and histories";
  ApiError::new(ErrorCode::BadRequest, "auth.token_in_url", "?token", message)
    .hint("send it as Authorization: Bearer TOKEN")
}
