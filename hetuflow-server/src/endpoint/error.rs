//! Every error of this room as one body, with its status and the request's id.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hetuflow_core::{ErrorCode, ErrorResponse, FieldError};

use super::middleware::request_id;
use crate::service::SvcError;

/// What a handler answers with.
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// An error on its way out.
#[derive(Debug)]
pub(super) struct ApiError {
  status: u16,
  response: Box<ErrorResponse>,
  cause: Option<Box<SvcError>>,
}

impl ApiError {
  /// An error of this room, with the one rule that is broken.
  pub(super) fn new(
    code: ErrorCode,
    dotted: &str,
    field: &str,
    message: impl Into<String>,
  ) -> Self {
    let message = message.into();
    let mut response = ErrorResponse::new(code, message.clone());
    if !dotted.is_empty() {
      response.errors.push(FieldError::new(dotted, field, message));
    }
    Self::of(response)
  }

  /// Broken rules of a body or a query.
  pub(super) fn broken(code: ErrorCode, errors: Vec<FieldError>) -> Self {
    let rules = ErrorResponse::validation(errors);
    Self::of(ErrorResponse { err_code: i32::from(code.http_status()), code, ..rules })
  }

  fn of(mut response: ErrorResponse) -> Self {
    let status = status_of(&response);
    response.err_code = i32::from(status);
    Self { status, response: Box::new(response), cause: None }
  }

  /// Answers with a status that no [`ErrorCode`] has.
  #[must_use]
  pub(super) fn with_status(mut self, status: StatusCode) -> Self {
    self.status = status.as_u16();
    self.response.err_code = i32::from(self.status);
    self
  }

  /// Says what to do about it.
  #[must_use]
  pub(super) fn hint(mut self, hint: &str) -> Self {
    self.response.hint = Some(hint.to_owned());
    for error in &mut self.response.errors {
      error.hint.get_or_insert_with(|| hint.to_owned());
    }
    self
  }

  /// Adds facts for a program.
  #[must_use]
  pub(super) fn about(mut self, details: serde_json::Value) -> Self {
    self.response.details = Some(details);
    self
  }

  /// The body, for doors that are no HTTP answers.
  pub(super) fn into_body(self) -> ErrorResponse {
    self.log();
    ErrorResponse { trace_id: request_id(), ..*self.response }
  }

  /// Once, with its whole chain; the asker sees only the id.
  fn log(&self) {
    let Some(cause) = &self.cause else { return };
    let mut chain = cause.to_string();
    let mut next = cause.source();
    while let Some(error) = next {
      chain = format!("{chain}: {error}");
      next = error.source();
    }
    tracing::error!(status = self.status, error = %chain, "request failed: {chain}");
  }
}

/// The status: that of the code, but for the few rules with a status of their own.
fn status_of(response: &ErrorResponse) -> u16 {
  match response.errors.first().map(|error| error.code.as_str()) {
    Some("revision.conflict") => 412,
    Some("log.range") => 416,
    _ => response.code.http_status(),
  }
}

impl From<SvcError> for ApiError {
  fn from(error: SvcError) -> Self {
    let known = Self::of(error.response());
    let cause = matches!(error, SvcError::Database(_)).then(|| Box::new(error));
    Self { cause, ..known }
  }
}

impl IntoResponse for ApiError {
  fn into_response(self) -> Response {
    let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = self.into_body();
    let mut response = (status, Json(&body)).into_response();
    let headers = response.headers_mut();
    match status {
      StatusCode::UNAUTHORIZED => {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
      }
      StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
      }
      // What is left of the body is not read.
      StatusCode::PAYLOAD_TOO_LARGE => {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
      }
      _ => {}
    }
    response
  }
}
