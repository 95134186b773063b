//! What surrounds every request: its id, its span, its time limit, and the answer to a panic.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hetuflow_core::ErrorCode;
use tracing::Instrument;

use super::error::ApiError;
use super::v0::is_older;

/// Longest time to the head of an answer; a long poll waits up to 60 s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(75);
/// The same for a request whose body may be large: it is read before the answer begins, and has
/// limits of its own.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(3600);
/// Where large bodies go.
const UPLOADS: &str = "/api/v1/artifacts";
/// Longest address.
const URI_BYTES_MAX: usize = 8 << 10;
/// Where the id travels.
const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
  static CURRENT: String;
}

/// The id of the request that is being served here.
pub(super) fn request_id() -> Option<String> {
  CURRENT.try_with(Clone::clone).ok()
}

/// Serves one request.
pub(super) async fn around(request: Request, next: Next) -> Response {
  let id = given_id(request.headers()).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
  let header = HeaderValue::from_str(&id).ok();
  // The path alone: a query may hold a token.
  let span = tracing::info_span!(
    "http.request",
    method = %request.method(),
    path = request.uri().path(),
    request.id = id,
  );
  let older = is_older(request.uri().path());
  let mut response = CURRENT.scope(id, serve(request, next).instrument(span)).await;
  if let Some(header) = header {
    response.headers_mut().insert(REQUEST_ID, header);
  }
  if older {
    response.headers_mut().insert("deprecation", HeaderValue::from_static("true"));
  }
  let nosniff = HeaderValue::from_static("nosniff");
  response.headers_mut().insert("x-content-type-options", nosniff);
  response
}

async fn serve(request: Request, next: Next) -> Response {
  let begin = Instant::now();
  if request.uri().to_string().len() > URI_BYTES_MAX {
    let message = format!("the address is longer than {URI_BYTES_MAX} bytes");
    return ApiError::new(ErrorCode::BadRequest, "uri.too_long", "", message)
      .with_status(StatusCode::URI_TOO_LONG)
      .into_response();
  }
  let uploads = request.method() == Method::POST && request.uri().path() == UPLOADS;
  let longest = if uploads { UPLOAD_TIME_MAX } else { REQUEST_TIME_MAX };
  let work = AssertUnwindSafe(tokio::time::timeout(longest, next.run(request)));
  let response = match work.catch_unwind().await {
    Ok(Ok(response)) => response,
    Ok(Err(_)) => ApiError::new(ErrorCode::Unavailable, "", "", "it took too long").into_response(),
    Err(panic) => {
      let words = words_of(&*panic);
      tracing::error!(panic = words, "request handler panicked: {words}");
      ApiError::new(ErrorCode::InternalError, "", "", "something broke here").into_response()
    }
  };
  let status = response.status().as_u16();
  let duration_ms = begin.elapsed().as_secs_f64() * 1000.0;
  tracing::debug!(status, duration_ms, "request served with {status}");
  response
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
  let text = panic.downcast_ref::<String>().map(String::as_str);
  text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// The id that the asker chose, where it is one that may be shown and logged.
fn given_id(headers: &HeaderMap) -> Option<String> {
  let text = headers.get(REQUEST_ID)?.to_str().ok()?;
  let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
  let fine = !text.is_empty() && text.len() <= 64 && text.bytes().all(plain);
  fine.then(|| text.to_owned())
}

/// No such route.
pub(super) async fn no_route() -> ApiError {
  ApiError::new(ErrorCode::NotFound, "", "", "no such route").hint("see /docs for all routes")
}

/// The route has no such method.
pub(super) async fn no_method() -> ApiError {
  ApiError::new(ErrorCode::MethodNotAllowed, "", "", "the route has no such method")
    .hint("see /docs for all routes")
}
