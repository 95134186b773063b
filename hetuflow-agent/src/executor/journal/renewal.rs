//! Writing the file anew while it goes on: whoever writes a record does not wait for the disk.
//!
//! The next file is made beside the old one and flushed, then it gets what was written meanwhile.
//! Only the last step holds the journal: what is still missing is added, and the next file takes the
//! old one's place. Until its folder is flushed too, no record counts as durable.

use std::io;
use std::sync::PoisonError;

use super::file::{JournalFile, flush_folder};
use super::record::Record;
use super::{COMPACT_BYTES, Journal};

/// What the next file begins with.
pub(super) struct Renewal {
  /// The file that it follows.
  generation: u64,
  records: Vec<Record>,
}

/// The next file, which lacks only what is written from now on. Nobody flushes while there is one.
pub(super) struct NextFile {
  file: JournalFile,
  /// Bytes ever written that are durable in it.
  upto: u64,
}

impl Journal {
  /// Whether the file has grown so much that it is to be written anew.
  pub fn is_due(&self) -> bool {
    let state = self.state();
    state.file.end() >= state.compact_at && !state.renewing && state.broken.is_none()
  }

  /// Writes the file anew where it is due. Blocks the caller for as long as the disk takes, and nobody
  /// else but those that wait for a flush.
  pub fn tidy(&self) {
    let Some(renewal) = self.begin_renewal() else { return };
    let renewed = match self.make_next(renewal) {
      Ok(Some(next)) => self.go_over(next),
      Ok(None) => Ok(()),
      Err(error) => Err(error),
    };
    let mut state = self.state();
    state.renewing = false;
    state.tail = None;
    if let Err(error) = renewed {
      tracing::error!(%error, "the journal cannot be written anew; the old file goes on");
      state.compact_at = state.file.end() + COMPACT_BYTES;
    }
    drop(state);
    JournalFile::leave(&self.folder);
  }

  /// From here on, what is written is kept for the next file as well.
  pub(super) fn begin_renewal(&self) -> Option<Renewal> {
    let mut state = self.state();
    if state.file.end() < state.compact_at || state.renewing || state.broken.is_some() {
      return None;
    }
    state.renewing = true;
    state.tail = Some(Vec::new());
    let records = self.records(&state).collect();
    Some(Renewal { generation: state.file.generation(), records })
  }

  /// Makes the next file; `None` where the old one was replaced meanwhile.
  pub(super) fn make_next(&self, renewal: Renewal) -> io::Result<Option<NextFile>> {
    let Renewal { generation, records } = renewal;
    let mut file = JournalFile::beside(&self.folder, generation + 1, records.into_iter())?;
    let mut state = self.state();
    while state.flushing {
      state = self.flushed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let Some(tail) = state.tail.as_mut().map(std::mem::take) else { return Ok(None) };
    // What others would flush now would be durable in the old file alone.
    state.flushing = true;
    let upto = state.written;
    drop(state);
    let flushed =
      file.write_bytes(&tail).and_then(|()| Ok(rustix::fs::fdatasync(&*file.handle())?));
    if let Err(error) = flushed {
      self.let_flush();
      return Err(error);
    }
    Ok(Some(NextFile { file, upto }))
  }

  /// Puts the next file in the place of the old one.
  pub(super) fn go_over(&self, next: NextFile) -> io::Result<()> {
    if let Err(error) = self.replace_by(next.file) {
      self.let_flush();
      return Err(error);
    }
    let found = flush_folder(&self.folder);
    let mut state = self.state();
    match &found {
      Ok(()) => state.durable = state.durable.max(next.upto),
      Err(error) => state.broken = Some(format!("the journal's folder cannot be flushed: {error}")),
    }
    drop(state);
    self.let_flush();
    found
  }

  fn replace_by(&self, mut file: JournalFile) -> io::Result<()> {
    let mut state = self.state();
    let tail = state.tail.take().unwrap_or_default();
    file.write_bytes(&tail)?;
    JournalFile::take_place(&self.folder)?;
    state.compact_at = file.end() + COMPACT_BYTES;
    state.file = file;
    Ok(())
  }

  fn let_flush(&self) {
    self.state().flushing = false;
    self.flushed.notify_all();
  }
}
