//! Secrets of a namespace, as far as anybody is told of them: never their values.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::identity_check::{SECRET_NAME_HINT, is_secret_name};
use crate::protocol::SecretValue;
use crate::types::{FieldError, NamespaceId, Ts};

/// Largest value of a secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// A secret without its value, in `sched_secret`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SecretEntity {
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its name, which is also the name of its file in a task.
  pub name: String,
  /// Counts its values.
  pub version: i64,
  /// For which key it is sealed.
  pub recipients: String,
  /// Who has set its value.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub updated_by: Option<String>,
  /// When it was made.
  pub created_at: Ts,
  /// When its value was set.
  pub updated_at: Ts,
}

/// A value to keep: as text, or as base64 where it is none. Its `Debug` shows nothing, and what
/// cannot be read is not repeated.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SecretForPut {
  /// The value as text.
  #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "quiet")]
  pub value: Option<String>,
  /// The value as base64, where it is no text.
  #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "quiet")]
  pub base64: Option<String>,
}

impl fmt::Debug for SecretForPut {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("SecretForPut(***)")
  }
}

/// Serde's own errors show what they have met.
fn quiet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
  match Value::deserialize(deserializer)? {
    Value::Null => Ok(None),
    Value::String(text) => Ok(Some(text)),
    _ => Err(serde::de::Error::custom("the value of a secret is text in quotes")),
  }
}

impl SecretForPut {
  /// A value as it is sent.
  pub fn of(bytes: Vec<u8>) -> Self {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    match String::from_utf8(bytes) {
      Ok(text) => Self { value: Some(text), base64: None },
      Err(error) => Self { value: None, base64: Some(STANDARD.encode(error.as_bytes())) },
    }
  }

  /// The value itself.
  ///
  /// # Errors
  /// The broken rules, none of which repeats it.
  pub fn read(self, name: &str) -> Result<SecretValue, Vec<FieldError>> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let mut errors = Vec::new();
    if !is_secret_name(name) {
      let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" is not the name of a secret");
      errors.push(FieldError::new("secret.name", "/name", message).with_hint(SECRET_NAME_HINT));
    }
    let bytes = match (self.value, self.base64) {
      (Some(text), None) => text.into_bytes(),
      (None, Some(text)) => STANDARD.decode(text).unwrap_or_else(|_| {
        errors.push(FieldError::new("secret.value", "/base64", "this is not base64"));
        Vec::new()
      }),
      _ => {
        let message = "give the value as value (text) or as base64, one of them";
        errors.push(FieldError::new("secret.value", "/value", message));
        Vec::new()
      }
    };
    if bytes.len() > SECRET_BYTES_MAX {
      let message = format!("{} bytes, at most {SECRET_BYTES_MAX} are allowed", bytes.len());
      errors.push(FieldError::new("secret.too_long", "/value", message));
    }
    if bytes.is_empty() && errors.is_empty() {
      errors.push(FieldError::new("secret.value", "/value", "an empty value is no secret"));
    }
    if errors.is_empty() { Ok(SecretValue::new(bytes)) } else { Err(errors) }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn read(json: &str) -> Result<Vec<u8>, String> {
    let put: SecretForPut = serde_json::from_str(json).map_err(|error| error.to_string())?;
    assert!(!format!("{put:?}").contains("canary"));
    match put.read("db") {
      Ok(value) => Ok(value.expose().to_vec()),
      Err(errors) => Err(errors.into_iter().map(|error| error.message).collect()),
    }
  }

  #[test]
  fn values_are_text_or_base64_and_no_error_repeats_them() {
    assert_eq!(read(r#"{"value":"canary\n"}"#).as_deref(), Ok(&b"canary\n"[..]));
    assert_eq!(read(r#"{"base64":"AP8="}"#).as_deref(), Ok(&b"\0\xff"[..]));
    for json in [
      r#"{"value":["canary"]}"#,
      r#"{"base64":"canary!"}"#,
      r#"{"value":"canary","base64":"AP8="}"#,
      r#"{"value":""}"#,
      "{}",
    ] {
      let told = read(json).expect_err(json);
      assert!(!told.is_empty() && !told.contains("canary"), "{told}");
    }
    let sent = serde_json::to_string(&SecretForPut::of(vec![0, 0xff])).expect("written");
    assert_eq!(read(&sent).as_deref(), Ok(&b"\0\xff"[..]));
  }
}
