//! Labels, and what may be one.

use std::collections::BTreeMap;

use crate::types::{FieldError, pointer_part};

/// Longest label key and value, in bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most labels on one thing.
pub const LABELS_MAX: usize = 64;

/// Labels of an agent, a job or a task.
pub type Labels = BTreeMap<String, String>;

/// Checks labels of a thing.
pub fn check_labels(labels: &Labels, field: &str, errors: &mut Vec<FieldError>) {
  if labels.len() > LABELS_MAX {
    errors.push(FieldError::new(
      "labels.too_many",
      field,
      format!("{} labels, at most {LABELS_MAX} are allowed", labels.len()),
    ));
  }
  for (key, value) in labels {
    let here = format!("{field}/{}", pointer_part(key));
    if !is_label_key(key) {
      errors.push(bad_key(key, "labels.key", &here));
    }
    if value.len() > LABEL_BYTES_MAX || value.chars().any(char::is_control) {
      errors.push(FieldError::new(
        "labels.value",
        here,
        format!("label values are printable text of at most {LABEL_BYTES_MAX} bytes"),
      ));
    }
  }
}

pub(super) fn is_key_char(c: char) -> bool {
  c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

pub(super) fn is_label_key(key: &str) -> bool {
  !key.is_empty() && key.len() <= LABEL_BYTES_MAX && key.chars().all(is_key_char)
}

pub(super) fn bad_key(key: &str, code: &str, field: &str) -> FieldError {
  FieldError::new(code, field, format!("\"{}\" is not a label name", shorten(key)))
    .with_hint("letters, digits and . _ - / only, at most 128 bytes")
}

pub(super) fn shorten(text: &str) -> String {
  text.chars().take(40).flat_map(char::escape_default).collect()
}
