//! One error for every use case: what the asker is told, and what only the log may say.

use hetuflow_core::{ErrorCode, ErrorResponse, FieldError};

use crate::infra::db::DbError;

/// Outcome of a use case.
pub type SvcResult<T> = Result<T, SvcError>;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum SvcError {
  /// The asker's to mend.
  #[error("{0}")]
  Refused(Box<ErrorResponse>),
  /// Ours to mend; the asker is told the code and the trace id alone.
  #[error("database failed")]
  Database(#[source] DbError),
}

impl SvcError {
  /// The asker is told this.
  pub fn refused(response: ErrorResponse) -> Self {
    Self::Refused(Box::new(response))
  }

  /// No such thing.
  pub fn not_found(kind: &str, name: &str) -> Self {
    let shown: String = name.chars().take(80).flat_map(char::escape_default).collect();
    Self::refused(ErrorResponse::new(ErrorCode::NotFound, format!("no {kind} \"{shown}\"")))
  }

  /// Broken rules, all of them.
  pub fn invalid(errors: Vec<FieldError>) -> Self {
    Self::refused(ErrorResponse::validation(errors))
  }

  /// The state of the thing forbids it; `code` is the dotted one.
  pub fn conflict(code: &str, field: &str, message: impl Into<String>) -> Self {
    let message = message.into();
    let mut response = ErrorResponse::new(ErrorCode::Conflict, message.clone());
    response.errors.push(FieldError::new(code, field, message));
    Self::refused(response)
  }

  /// A good credential without the right.
  pub fn forbidden(message: impl Into<String>) -> Self {
    Self::refused(ErrorResponse::new(ErrorCode::Forbidden, message))
  }

  /// Not now.
  pub fn unavailable(message: impl Into<String>) -> Self {
    Self::refused(ErrorResponse::new(ErrorCode::Unavailable, message))
  }

  /// `Err(invalid)` when any rule is broken.
  ///
  /// # Errors
  /// The broken rules.
  pub fn check(errors: Vec<FieldError>) -> SvcResult<()> {
    if errors.is_empty() { Ok(()) } else { Err(Self::invalid(errors)) }
  }

  /// What the asker is told.
  pub fn response(&self) -> ErrorResponse {
    match self {
      Self::Refused(response) => (**response).clone(),
      Self::Database(DbError::Unreachable(_)) => {
        ErrorResponse::new(ErrorCode::Unavailable, "the database cannot be reached")
      }
      Self::Database(_) => ErrorResponse::new(ErrorCode::InternalError, "something broke here"),
    }
  }
}

impl From<DbError> for SvcError {
  fn from(error: DbError) -> Self {
    Self::Database(error)
  }
}
