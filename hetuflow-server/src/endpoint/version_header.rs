//! `If-Match` and `ETag`: a change of what was seen, not of what somebody else made of it.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hetuflow_core::{ErrorCode, JobEntity, ScheduleEntity};
use serde::Serialize;

use super::error::ApiError;

/// The version that the asker saw, where it says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct IfMatch(pub(super) Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
    read(&parts.headers).map(Self)
  }
}

fn read(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
  let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
  let text = value.to_str().unwrap_or_default().trim();
  if text == "*" {
    return Ok(None);
  }
  let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
  bare.parse().map(Some).map_err(|_| {
    let message = "If-Match holds no version";
    ApiError::new(ErrorCode::BadRequest, "header.if_match", "If-Match", message)
      .hint("send the version as it was read: If-Match: \"3\"")
  })
}

/// A thing whose versions count up.
pub(super) trait Versioned: Serialize {
  /// The version.
  fn version(&self) -> i64;
}

impl Versioned for JobEntity {
  fn version(&self) -> i64 {
    self.version
  }
}

impl Versioned for ScheduleEntity {
  fn version(&self) -> i64 {
    self.rev
  }
}

/// The thing with its version as `ETag`.
pub(super) fn tagged(status: StatusCode, thing: &impl Versioned) -> Response {
  let mut response = (status, Json(thing)).into_response();
  if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", thing.version())) {
    response.headers_mut().insert(header::ETAG, tag);
  }
  response
}
