//! Values that nobody may see on their way to a task.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most that a log may say, whatever level is asked for: these libraries write whole messages
/// and handshakes into their trace, and with them tokens and secrets.
pub const LOG_LIMITS: &str = "trace,tungstenite=debug,tokio_tungstenite=debug";

/// A value that is never shown: its `Debug` says nothing. Base64 in JSON, so any bytes will do.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

/// Values by their names.
pub type Secrets = BTreeMap<String, SecretValue>;

impl SecretValue {
  /// Takes a value in.
  pub const fn new(bytes: Vec<u8>) -> Self {
    Self(bytes)
  }

  /// The value itself: for the one who writes it to where it is meant to be, and nobody else.
  pub fn expose(&self) -> &[u8] {
    &self.0
  }
}

impl fmt::Debug for SecretValue {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("***")
  }
}

impl Serialize for SecretValue {
  fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(&self.0))
  }
}

impl<'de> Deserialize<'de> for SecretValue {
  fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The error must not repeat what it could not read.
    STANDARD.decode(text).map(Self).map_err(|_| serde::de::Error::custom("not base64"))
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_value_travels_and_is_never_shown() {
    let value = SecretValue::new(b"canary\0\xff".to_vec());
    let text = serde_json::to_string(&value).expect("written");
    assert_eq!(serde_json::from_str::<SecretValue>(&text).expect("read"), value);
    assert!(!text.contains("canary"));
    assert_eq!(format!("{value:?}"), "***");
    let error = serde_json::from_str::<SecretValue>("\"canary!\"").expect_err("not base64");
    assert!(!error.to_string().contains("canary"), "{error}");
  }
}
