//! The lease on a SQLite file: one server process, or none.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::DbError;

/// Held as long as the process lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct FileLease {
  _file: File,
}

impl FileLease {
  /// Takes the lease beside the file.
  ///
  /// # Errors
  /// [`DbError::Unusable`] when another server holds it, or the folder cannot be written.
  pub(super) fn take(path: &Path) -> Result<Self, DbError> {
    let beside = path.with_extension("lock");
    let file = OpenOptions::new()
      .create(true)
      .truncate(false)
      .write(true)
      .open(&beside)
      .map_err(|error| DbError::Unusable(format!("cannot open {}: {error}", beside.display())))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
      DbError::Unusable(format!(
        "another server uses {}: a SQLite store belongs to one server; use PostgreSQL for more",
        path.display()
      ))
    })?;
    Ok(Self { _file: file })
  }
}
