//! Raw log bytes on disk: one temporary file that has no name and that nobody else can open.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes of one segment.
pub const SEGMENT_BYTES: usize = 256 << 10;

/// The file. Offsets are those of the log itself and only grow; what was let go is a hole.
#[derive(Debug)]
pub struct Spool {
  file: File,
  gone: AtomicU64,
}

impl Spool {
  /// Makes the file; it never has a name, and its mode is 0600 before the first byte.
  ///
  /// # Errors
  /// When the temporary folder cannot be written.
  pub fn new() -> io::Result<Self> {
    let file = tempfile::tempfile()?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(Self { file, gone: AtomicU64::new(0) })
  }

  /// Writes bytes at their place.
  ///
  /// # Errors
  /// When the disk is full or broken.
  pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
    self.file.write_all_at(bytes, offset)
  }

  /// Reads bytes from their place.
  ///
  /// # Errors
  /// When they were never written, or let go.
  pub fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    self.file.read_exact_at(&mut bytes, offset)?;
    // A hole reads as zeros: asked after the read, so that no such zero is handed out as log.
    if offset < self.gone.load(Ordering::Acquire) {
      return Err(io::Error::other("these lines are no longer kept"));
    }
    Ok(bytes)
  }

  /// Gives everything before `end` back to the disk.
  pub fn let_go(&self, end: u64) {
    let from = self.gone.swap(end, Ordering::AcqRel);
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    // A file system without holes keeps the bytes until the program ends; the log stays right.
    let _kept = fallocate(&self.file, flags, from, end.saturating_sub(from));
  }
}

#[cfg(test)]
mod tests {
  use std::os::unix::fs::MetadataExt as _;

  use super::*;

  #[test]
  fn nobody_else_can_open_it() {
    let spool = Spool::new().expect("a file");
    let about = spool.file.metadata().expect("known");
    assert_eq!((about.mode() & 0o777, about.nlink()), (0o600, 0));
  }

  #[test]
  fn what_was_let_go_is_an_error_and_not_zeros() {
    let spool = Spool::new().expect("a file");
    spool.write(0, &[7; 20_000]).expect("written");
    spool.let_go(10_000);
    assert!(spool.read(9_999, 2).is_err());
    assert_eq!(spool.read(10_000, 3).expect("kept"), [7, 7, 7]);
  }
}
