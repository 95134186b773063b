//! What a file is called by its content: the SHA-256 of its bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a file's bytes; 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

/// A text that is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a content hash is 64 hexadecimal digits")]
pub struct BadContentHash;

impl fmt::Display for ContentHash {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
  }
}

impl fmt::Debug for ContentHash {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "ContentHash({self})")
  }
}

impl FromStr for ContentHash {
  type Err = BadContentHash;
  fn from_str(text: &str) -> Result<Self, BadContentHash> {
    let mut bytes = [0_u8; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
      return Err(BadContentHash);
    }
    let digit = |c: u8| char::from(c).to_digit(16).ok_or(BadContentHash);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
      *byte =
        u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).map_err(|_| BadContentHash)?;
    }
    Ok(Self(bytes))
  }
}

impl Serialize for ContentHash {
  fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(self)
  }
}

impl<'de> Deserialize<'de> for ContentHash {
  fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
  }
}

/// Makes a [`ContentHash`] of bytes as they come.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
  /// More bytes.
  pub fn add(&mut self, bytes: &[u8]) {
    self.0.update(bytes);
  }

  /// The hash of all of them.
  pub fn finish(self) -> ContentHash {
    ContentHash(self.0.finalize().into())
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn it_is_what_sha256sum_says() {
    let mut hasher = ContentHasher::default();
    hasher.add(b"a");
    hasher.add(b"bc");
    let hash = hasher.finish();
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash.to_string(), text);
    assert_eq!(text.to_uppercase().parse(), Ok(hash));
    for odd in ["", "ba", &text[1..], &format!("{}é", &text[..62]), &format!("{}zz", &text[..62])]
    {
      assert_eq!(odd.parse::<ContentHash>(), Err(BadContentHash), "{odd}");
    }
    assert_eq!(serde_json::to_value(hash).expect("text"), serde_json::json!(text));
  }
}
