//! Ids: one newtype per thing, so that no bare `Uuid` or `String` crosses a function.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownName;

/// Defines a UUID v7 id type: `Copy`, `Display`, `FromStr`, transparent in JSON and SQL.
#[macro_export]
macro_rules! define_id {
  ($(#[$meta:meta])* $name:ident) => {
    $(#[$meta])*
    #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    #[cfg_attr(feature = "with-db", derive(sqlx::Type))]
    #[cfg_attr(feature = "with-db", sqlx(transparent))]
    #[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
    pub struct $name(pub uuid::Uuid);

    impl $name {
      /// A fresh id; ids made later sort later.
      pub fn generate() -> Self { Self(uuid::Uuid::now_v7()) }

      /// The eight characters people see: the tail, since v7 starts with the clock.
      pub fn short(&self) -> String { $crate::types::short_id(&self.0) }
    }

    impl std::fmt::Display for $name {
      fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
    }
    impl std::fmt::Debug for $name {
      fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
    }
    impl std::str::FromStr for $name {
      type Err = uuid::Error;
      fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
    }
    impl From<uuid::Uuid> for $name {
      fn from(id: uuid::Uuid) -> Self { Self(id) }
    }
  };
}

define_id! {
  /// What to run: a job.
  JobId
}
define_id! {
  /// When to run: a schedule of a job.
  ScheduleId
}
define_id! {
  /// One due instant of one schedule and what was decided about it.
  FireId
}
define_id! {
  /// A file that an attempt has left.
  ArtifactId
}
define_id! {
  /// One planned piece of work.
  TaskId
}
define_id! {
  /// One attempt to run a task.
  TaskInstanceId
}
define_id! {
  /// One run of a schedule over instants that lie in the past.
  BackfillId
}
define_id! {
  /// An API or agent token.
  TokenId
}

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The last 40 bits in Crockford base32: eight characters, different for neighbours in time.
pub fn short_id(id: &uuid::Uuid) -> String {
  let mut value = id.as_u128() & 0xff_ffff_ffff;
  let mut text = [0_u8; 8];
  for slot in text.iter_mut().rev() {
    *slot = CROCKFORD[(value & 31) as usize];
    value >>= 5;
  }
  text.iter().map(|byte| char::from(*byte)).collect()
}

/// Reads a short id back into its 40 bits; `i`, `l` and `o` are read as `1`, `1` and `0`.
pub fn parse_short_id(text: &str) -> Option<u64> {
  if text.len() != 8 {
    return None;
  }
  text.bytes().try_fold(0_u64, |value, byte| {
    let byte = match byte.to_ascii_lowercase() {
      b'i' | b'l' => b'1',
      b'o' => b'0',
      other => other,
    };
    let digit = CROCKFORD.iter().position(|known| *known == byte)?;
    Some((value << 5) | digit as u64)
  })
}

/// Defines an id that people may choose: text of at most 40 characters.
macro_rules! define_text_id {
  ($(#[$meta:meta])* $name:ident) => {
    $(#[$meta])*
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    #[serde(transparent)]
    #[cfg_attr(feature = "with-db", derive(sqlx::Type))]
    #[cfg_attr(feature = "with-db", sqlx(transparent))]
    #[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
    pub struct $name(String);

    impl $name {
      /// Longest id, in characters.
      pub const LENGTH_MAX: usize = 40;

      /// Checks the text: 1 to 40 of `A-Za-z0-9._-`, the first a letter or digit.
      ///
      /// # Errors
      /// [`UnknownName`] with the pattern when the text is anything else.
      pub fn new(text: impl Into<String>) -> Result<Self, UnknownName> {
        let text = text.into();
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if first && rest && text.len() <= Self::LENGTH_MAX {
          return Ok(Self(text));
        }
        Err(UnknownName {
          kind: stringify!($name),
          value: text.chars().take(64).flat_map(char::escape_default).collect(),
          expected: "1 to 40 of A-Z a-z 0-9 . _ -, starting with a letter or digit".to_owned(),
        })
      }

      /// A fresh id.
      pub fn generate() -> Self { Self(uuid::Uuid::now_v7().to_string()) }

      /// The text.
      pub fn as_str(&self) -> &str { &self.0 }
    }
    impl fmt::Display for $name {
      fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
    }
    impl FromStr for $name {
      type Err = UnknownName;
      fn from_str(text: &str) -> Result<Self, Self::Err> { Self::new(text) }
    }
    impl<'de> Deserialize<'de> for $name {
      fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
      }
    }
  };
}

define_text_id! {
  /// An agent: chosen in its config, or made at its first start.
  AgentId
}
define_text_id! {
  /// A server.
  ServerId
}
define_text_id! {
  /// A namespace.
  NamespaceId
}

impl Default for NamespaceId {
  fn default() -> Self {
    Self("default".to_owned())
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn neighbours_in_time_have_different_short_ids() {
    let (a, b) = (TaskId::generate(), TaskId::generate());
    assert_ne!(a.short(), b.short());
    assert_eq!(parse_short_id(&a.short()), Some((a.0.as_u128() & 0xff_ffff_ffff) as u64));
  }

  #[test]
  fn text_ids_refuse_what_could_hurt() {
    for bad in ["", "-a", "a b", "../x", "a/b", "a\nb", "é", &"a".repeat(41)] {
      assert!(AgentId::new(bad).is_err(), "{bad:?} was accepted");
    }
    assert_eq!(AgentId::new("agent-1.x_y").expect("valid").as_str(), "agent-1.x_y");
  }
}
