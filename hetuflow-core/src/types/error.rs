//! One shape for every error that leaves a program: on the wire, over HTTP, on the terminal.

use serde::{Deserialize, Serialize};

use super::Ts;
use crate::wire_enum;

wire_enum! {
  /// What kind of thing went wrong. The table below gives each its HTTP status.
  pub enum ErrorCode {
    /// No such thing, or not for you.
    NotFound = 404 => "not_found",
    /// The input breaks a rule; `errors` names each.
    ValidationError = 422 => "validation_error",
    /// The input could not be read at all.
    BadRequest = 400 => "bad_request",
    /// The state of the thing forbids it.
    Conflict = 409 => "conflict",
    /// No or a bad credential.
    Unauthorized = 401 => "unauthorized",
    /// A good credential without the right.
    Forbidden = 403 => "forbidden",
    /// Too much at once.
    RateLimited = 429 => "rate_limited",
    /// Not now.
    Unavailable = 503 => "unavailable",
    /// Our fault; the log has the trace id.
    InternalError = 500 => "internal_error",
    /// The route has no such method.
    MethodNotAllowed = 405 => "method_not_allowed",
    /// The body is of a kind that is not read here.
    UnsupportedMediaType = 415 => "unsupported_media_type",
    /// The body is over the limit.
    PayloadTooLarge = 413 => "payload_too_large",
    /// It was here, and is deleted.
    Gone = 410 => "gone",
  }
}

impl ErrorCode {
  /// The HTTP status, which is also the number on the wire.
  pub const fn http_status(self) -> u16 {
    match self {
      Self::BadRequest => 400,
      Self::Unauthorized => 401,
      Self::Forbidden => 403,
      Self::NotFound => 404,
      Self::MethodNotAllowed => 405,
      Self::Conflict => 409,
      Self::Gone => 410,
      Self::PayloadTooLarge => 413,
      Self::UnsupportedMediaType => 415,
      Self::ValidationError => 422,
      Self::RateLimited => 429,
      Self::InternalError => 500,
      Self::Unavailable => 503,
    }
  }

  /// Whether the same request may succeed later.
  pub const fn retryable(self) -> bool {
    matches!(self, Self::RateLimited | Self::Unavailable | Self::InternalError)
  }

  /// The exit code of hetuflowctl (TERMINAL B3).
  pub const fn exit_code(self) -> u8 {
    match self {
      Self::NotFound | Self::Gone => 3,
      Self::Unauthorized => 4,
      Self::Forbidden => 5,
      Self::Conflict => 6,
      Self::ValidationError
      | Self::BadRequest
      | Self::PayloadTooLarge
      | Self::UnsupportedMediaType => 8,
      Self::RateLimited | Self::Unavailable => 9,
      Self::MethodNotAllowed | Self::InternalError => 1,
    }
  }
}

/// One broken rule of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
  /// Stable dotted code, as `cron.out_of_range`.
  pub code: String,
  /// Where: a JSON pointer, as `/schedules/0/cron_expression`.
  pub field: String,
  /// What is wrong, with the offending value shortened and escaped.
  pub message: String,
  /// What would be accepted.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub hint: Option<String>,
  /// Bytes of the field's text that are wrong, start and end, for a caret.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub span: Option<(usize, usize)>,
}

impl FieldError {
  /// One broken rule.
  pub fn new(code: &str, field: impl Into<String>, message: impl Into<String>) -> Self {
    Self {
      code: code.to_owned(),
      field: field.into(),
      message: message.into(),
      hint: None,
      span: None,
    }
  }

  /// Says what would be accepted.
  #[must_use]
  pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
    self.hint = Some(hint.into());
    self
  }

  /// The same rule, seen from one level further out.
  #[must_use]
  pub fn under(mut self, prefix: &str) -> Self {
    self.field = format!("{prefix}{}", self.field);
    self
  }
}

/// Characters of one part of a pointer that are shown.
const POINTER_PART_MAX: usize = 64;

/// One name as a part of a JSON pointer (RFC 6901): `~` and `/` are escaped; what is not printable
/// is written as in a string, and a long name is cut, so that the pointer stays one harmless line.
pub fn pointer_part(name: &str) -> String {
  let mut part = String::new();
  for (index, c) in name.chars().enumerate() {
    match c {
      _ if index == POINTER_PART_MAX => {
        part.push('…');
        break;
      }
      '~' => part.push_str("~0"),
      '/' => part.push_str("~1"),
      '"' | '\'' | '\\' => part.push(c),
      c => part.extend(c.escape_debug()),
    }
  }
  part
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ErrorResponse {
  /// The number of `code`.
  pub err_code: i32,
  /// What kind of thing went wrong.
  pub code: ErrorCode,
  /// One sentence for a person.
  pub err_msg: String,
  /// What to do about it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub hint: Option<String>,
  /// Facts for a program.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub details: Option<serde_json::Value>,
  /// Each broken rule.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub errors: Vec<FieldError>,
  /// When.
  #[serde(default = "Ts::now")]
  pub timestamp: Ts,
  /// The same id stands in the server's log.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub trace_id: Option<String>,
}

impl ErrorResponse {
  /// An error of a kind, with its sentence.
  pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
    Self {
      err_code: i32::from(code.http_status()),
      code,
      err_msg: message.into(),
      hint: None,
      details: None,
      errors: Vec::new(),
      timestamp: Ts::now(),
      trace_id: None,
    }
  }

  /// All broken rules of one input at once.
  pub fn validation(errors: Vec<FieldError>) -> Self {
    let message = match errors.as_slice() {
      [one] => one.message.clone(),
      many => format!("{} problems in the input", many.len()),
    };
    let hint = match errors.as_slice() {
      [one] => one.hint.clone(),
      _ => None,
    };
    Self { errors, hint, ..Self::new(ErrorCode::ValidationError, message) }
  }

  /// Says what to do about it.
  #[must_use]
  pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
    self.hint = Some(hint.into());
    self
  }
}

impl std::fmt::Display for ErrorResponse {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    write!(f, "{}: {}", self.code, self.err_msg)
  }
}

impl std::error::Error for ErrorResponse {}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn pointers_are_one_harmless_line() {
    for (name, part) in [
      ("plain", "plain"),
      ("a/b~c", "a~1b~0c"),
      ("a\u{1b}[2J\n", "a\\u{1b}[2J\\n"),
      ("\u{202e}x", "\\u{202e}x"),
      ("gr\u{f6}\u{df}e \"x\"", "gr\u{f6}\u{df}e \"x\""),
      ("", ""),
    ] {
      assert_eq!(pointer_part(name), part, "{name:?}");
    }
    assert_eq!(pointer_part(&"k".repeat(300)), format!("{}…", "k".repeat(64)));
  }

  #[test]
  fn the_number_is_the_http_status() {
    for code in ErrorCode::ALL {
      assert_eq!(code.number(), i32::from(code.http_status()));
    }
  }
}
