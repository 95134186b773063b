//! What is wrong with a filter, and where.

use super::super::FieldError;

/// The first thing in a filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
  /// `filter.syntax`, `filter.field`, `filter.op`, `filter.value` …
  pub code: &'static str,
  /// The first bad character, counted from zero.
  pub column: u32,
  /// What is wrong.
  pub message: String,
  /// What would be accepted.
  pub hint: String,
}

impl FilterError {
  /// Something is wrong at a column.
  pub fn new(code: &'static str, column: usize, message: impl Into<String>) -> Self {
    let column = u32::try_from(column).unwrap_or(u32::MAX);
    Self { code, column, message: message.into(), hint: String::new() }
  }

  /// Says what would be accepted.
  #[must_use]
  pub fn hint(mut self, hint: impl Into<String>) -> Self {
    self.hint = hint.into();
    self
  }

  /// As a broken rule of an input.
  pub fn into_field_error(self, field: &str) -> FieldError {
    let error = FieldError::new(self.code, field, self.message);
    if self.hint.is_empty() { error } else { error.with_hint(self.hint) }
  }
}

/// A text of the input as a message may show it.
pub(super) fn shown(text: &str) -> String {
  text.chars().take(40).flat_map(char::escape_default).collect()
}
