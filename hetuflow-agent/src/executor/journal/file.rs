//! The file of a journal.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::record::Record;

const NAME: &str = "journal";
const NEW_NAME: &str = "journal.new";
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
    let mut scratch = Vec::with_capacity(4096);
    for record in records {
      record.put(&mut scratch)?;
    }
    let path = folder.join(NEW_NAME);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(&scratch)?;
    let end = scratch.len() as u64;
    let file = Self { file: Arc::new(file), end, room: end, generation, scratch: Vec::new() };
    rustix::fs::fsync(&*file.file)?;
    std::fs::rename(&path, folder.join(NAME))?;
    let found = File::open(folder).and_then(|folder| Ok(rustix::fs::fsync(folder)?));
    Ok((file, found))
  }

  /// Adds a record to what is written next.
  ///
  /// # Errors
  /// When it cannot be put into bytes; then it is as if it never was.
  pub fn put(&mut self, record: &Record) -> io::Result<()> {
    Ok(record.put(&mut self.scratch)?)
  }

  /// Writes what was added; not durable yet.
  ///
  /// # Errors
  /// When it cannot be written; then it is as if it never was.
  pub fn write(&mut self) -> io::Result<()> {
    let end = self.end + self.scratch.len() as u64;
    if end > self.room {
      let room = ROOM_BYTES.max(self.scratch.len() as u64);
      let flags = rustix::fs::FallocateFlags::empty();
      // Where the file system cannot do it, each write makes its own room.
      if rustix::fs::fallocate(&*self.file, flags, self.end, room).is_ok() {
        self.room = self.end + room;
      }
    }
    let written = self.file.write_all_at(&self.scratch, self.end);
    self.scratch.clear();
    written?;
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
