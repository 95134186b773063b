//! Files that people hand in: read whole, up to a limit, and never from what may have no end.

use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::client::{CtlError, Exit};

/// Most bytes of a list or a calendar.
pub const INPUT_BYTES_MAX: u64 = 16 << 20;

/// Reads one plain file, or what a shell's `<(…)` gives. Other pipes and devices are refused.
///
/// # Errors
/// Not found; invalid, where it is no plain file or longer than `bytes_max`.
pub fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CtlError> {
  let place = path.display().to_string();
  let told = |error: std::io::Error| match error.kind() {
    ErrorKind::NotFound => CtlError::new(Exit::NotFound, format!("no file {place}")),
    _ => CtlError::failure(format!("cannot read {place}: {error}")),
  };
  // The kind is asked before the file is opened: opening a pipe without a writer would hang.
  let metadata = std::fs::metadata(path).map_err(told)?;
  let shell_pipe = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
  if !metadata.is_file() && !shell_pipe {
    return Err(
      CtlError::new(Exit::Invalid, format!("{place} is no plain file"))
        .help(format!("cat {place} into this command, with - in its place")),
    );
  }
  read_bounded(std::fs::File::open(path).map_err(told)?, &place, bytes_max)
}

/// The same, as text.
///
/// # Errors
/// As [`read_file`]; invalid, where it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, CtlError> {
  utf8(read_file(path, bytes_max)?, &path.display().to_string())
}

/// Bytes as text.
///
/// # Errors
/// Invalid, where they are not UTF-8.
pub fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, CtlError> {
  String::from_utf8(bytes)
    .map_err(|_| CtlError::new(Exit::Invalid, format!("{name} is not UTF-8 text")))
}

/// Reads all there is, up to a limit; `name` is its name in errors.
///
/// # Errors
/// Invalid, where it is longer than `bytes_max`.
pub fn read_bounded(reader: impl Read, name: &str, bytes_max: u64) -> Result<Vec<u8>, CtlError> {
  let mut bytes = Vec::new();
  reader
    .take(bytes_max + 1)
    .read_to_end(&mut bytes)
    .map_err(|error| CtlError::failure(format!("cannot read {name}: {error}")))?;
  if bytes.len() as u64 > bytes_max {
    let limit = bytes_max >> 20;
    return Err(CtlError::new(Exit::Invalid, format!("{name} is longer than {limit} MiB")));
  }
  Ok(bytes)
}
