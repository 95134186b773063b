//! Words as the system wants them for a program: one behind the other, each with a zero byte at its end.

use std::ffi::{OsStr, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr::null;

/// Words that end with a zero byte, one behind the other.
pub(super) struct Words {
  bytes: Vec<u8>,
  starts: Vec<usize>,
}

impl Words {
  /// Room for so many words of so many bytes.
  pub(super) fn with_capacity(words: usize, bytes: usize) -> Self {
    Self { bytes: Vec::with_capacity(bytes + words), starts: Vec::with_capacity(words) }
  }

  /// One word of several parts.
  ///
  /// # Errors
  /// When one of them holds a NUL byte.
  pub(super) fn add(&mut self, parts: &[&OsStr]) -> io::Result<()> {
    self.starts.push(self.bytes.len());
    for part in parts {
      if part.as_bytes().contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a word holds a NUL byte"));
      }
      self.bytes.extend_from_slice(part.as_bytes());
    }
    self.bytes.push(0);
    Ok(())
  }

  /// As the system wants them; they point into this.
  pub(super) fn pointers(&self) -> Vec<*const c_char> {
    let words = self.starts.iter().map(|start| self.bytes[*start..].as_ptr().cast());
    words.chain([null()]).collect()
  }
}

/// Sorted by name, and each name once.
pub(super) fn last_of_each(environment: &[(OsString, OsString)]) -> Vec<(&OsStr, &OsStr)> {
  let pairs = environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
  let mut pairs: Vec<_> = pairs.collect();
  // Equal names stay in their order.
  pairs.sort_by_key(|(name, _)| *name);
  pairs.dedup_by(|later, earlier| {
    let same = later.0 == earlier.0;
    if same {
      *earlier = *later;
    }
    same
  });
  pairs
}
