//! The file of a journal.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::record::Record;

const NAME: &str = "journal";
/// A new file that takes the place of the old one at once.
const NEW_NAME: &str = "journal.new";
/// A new file that is made while the old one goes on.
const NEXT_NAME: &str = "journal.next";
/// Room that is taken from the disk at a time: appends within it change no length of the file.
const ROOM_BYTES: u64 = 1 << 20;

/// What was in a folder's journal.
pub struct Read {
  /// All whole records.
  pub records: Vec<Record>,
  /// Bytes behind them that are no record and not just room.
  pub torn_bytes: u64,
}

/// Reads a journal; a folder without one has none.
///
/// # Errors
/// When there is one that cannot be read.
pub fn read(folder: &Path) -> io::Result<Read> {
  let bytes = match std::fs::read(folder.join(NAME)) {
    Ok(bytes) => bytes,
    Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
    Err(error) => return Err(error),
  };
  let mut records = Vec::new();
  let mut rest = &bytes[..];
  while let Some((record, length)) = Record::take(rest) {
    records.push(record);
    rest = &rest[length..];
  }
  let torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
  Ok(Read { records, torn_bytes: torn as u64 })
}

/// Makes what was moved in a folder durable.
///
/// # Errors
/// When the disk does not take it.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
  Ok(rustix::fs::fsync(File::open(folder)?)?)
}

/// A journal's file that is written to.
#[derive(Debug)]
pub struct JournalFile {
  file: Arc<File>,
  end: u64,
  room: u64,
  generation: u64,
  scratch: Vec<u8>,
}

impl JournalFile {
  /// A file that is nowhere yet; the first thing to do is to replace it.
  ///
  /// # Errors
  /// When the system has not even that.
  pub fn nowhere() -> io::Result<Self> {
    let file = Arc::new(File::open("/dev/null")?);
    Ok(Self { file, end: 0, room: 0, generation: 0, scratch: Vec::new() })
  }

  /// A file on a disk that is full.
  #[cfg(test)]
  pub fn full() -> Self {
    let file = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    Self { file: Arc::new(file), end: 0, room: u64::MAX, generation: 1, scratch: Vec::new() }
  }

  /// A file that takes everything and can never be flushed.
  #[cfg(test)]
  pub fn lost(generation: u64) -> Self {
    let file = std::fs::OpenOptions::new().write(true).open("/dev/null").expect("a device");
    Self { file: Arc::new(file), end: 0, room: u64::MAX, generation, scratch: Vec::new() }
  }

  /// Puts a new file with these records in place of the old one. The second result says whether a
  /// crash of the host would find the new one, too: an append to it is durable only then.
  ///
  /// # Errors
  /// When it cannot be written; the old one stays then.
  pub fn replace(
    folder: &Path,
    generation: u64,
    records: impl Iterator<Item = Record>,
  ) -> io::Result<(Self, io::Result<()>)> {
    let file = Self::make(&folder.join(NEW_NAME), generation, records)?;
    std::fs::rename(folder.join(NEW_NAME), folder.join(NAME))?;
    Ok((file, flush_folder(folder)))
  }

  /// Makes a new file with these records, durable, beside the old one.
  ///
  /// # Errors
  /// When it cannot be written.
  pub fn beside(
    folder: &Path,
    generation: u64,
    records: impl Iterator<Item = Record>,
  ) -> io::Result<Self> {
    Self::make(&folder.join(NEXT_NAME), generation, records)
  }

  /// Puts a file that was made beside the old one in its place: whoever reads from now on finds it,
  /// whatever becomes of this process. A crash of the host finds it once the folder is flushed.
  ///
  /// # Errors
  /// When it cannot be moved; the old one stays then.
  pub fn take_place(folder: &Path) -> io::Result<()> {
    std::fs::rename(folder.join(NEXT_NAME), folder.join(NAME))
  }

  /// Removes a file that was made beside the old one and is not wanted any more.
  pub fn leave(folder: &Path) {
    // Where there is none, all is as it should be; the next one overwrites it in any case.
    let _gone = std::fs::remove_file(folder.join(NEXT_NAME));
  }

  fn make(path: &Path, generation: u64, records: impl Iterator<Item = Record>) -> io::Result<Self> {
    let mut scratch = Vec::with_capacity(4096);
    for record in records {
      record.put(&mut scratch)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&scratch)?;
    let end = scratch.len() as u64;
    rustix::fs::fsync(&file)?;
    Ok(Self { file: Arc::new(file), end, room: end, generation, scratch: Vec::new() })
  }

  /// Adds a record to what is written next.
  ///
  /// # Errors
  /// When it cannot be put into bytes; then it is as if it never was.
  pub fn put(&mut self, record: &Record) -> io::Result<()> {
    Ok(record.put(&mut self.scratch)?)
  }

  /// Writes what was added, and gives it to `copy` as well; not durable yet. Returns how many bytes it
  /// was.
  ///
  /// # Errors
  /// When it cannot be written; then it is as if it never was.
  pub fn write(&mut self, copy: Option<&mut Vec<u8>>) -> io::Result<u64> {
    let scratch = std::mem::take(&mut self.scratch);
    let written = self.write_bytes(&scratch);
    if let (Ok(()), Some(copy)) = (&written, copy) {
      copy.extend_from_slice(&scratch);
    }
    let length = scratch.len() as u64;
    self.scratch = scratch;
    self.scratch.clear();
    written.map(|()| length)
  }

  /// Writes whole records; not durable yet.
  ///
  /// # Errors
  /// When they cannot be written; then it is as if they never were.
  pub fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
    let end = self.end + bytes.len() as u64;
    if end > self.room {
      let room = ROOM_BYTES.max(bytes.len() as u64);
      let flags = rustix::fs::FallocateFlags::empty();
      // Where the file system cannot do it, each write makes its own room.
      if rustix::fs::fallocate(&*self.file, flags, self.end, room).is_ok() {
        self.room = self.end + room;
      }
    }
    self.file.write_all_at(bytes, self.end)?;
    self.end = end;
    Ok(())
  }

  /// Where the next record goes.
  pub const fn end(&self) -> u64 {
    self.end
  }

  /// Counts the files of a journal.
  pub const fn generation(&self) -> u64 {
    self.generation
  }

  /// For flushing without holding the journal.
  pub fn handle(&self) -> Arc<File> {
    Arc::clone(&self.file)
  }
}
