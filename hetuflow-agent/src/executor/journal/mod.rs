//! What the executor must not forget, whatever becomes of its process or of the host.
//!
//! One file of checksummed records. `starting` is written before a process is started, and with
//! `journal_sync` flushed to the disk as well, by one flush for all that wait for it; everything else
//! is written at once, since only the host's own death could lose it and then nothing runs any more
//! (decision 0012). A record that was torn by a crash ends the file. What is over is left out when
//! the file is written anew.

mod file;
mod record;
mod renewal;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub use tests::start as a_start;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hetuflow_core::TaskInstanceId;

use super::{Ended, Identity, Pauses, Start, StopWhy};
use file::JournalFile;
use record::Record;

/// The file is written anew when it has grown by this much; when it has grown by twice as much,
/// nothing else is written before that.
const COMPACT_BYTES: u64 = 4 << 20;
/// How often a journal that could not be flushed is tried to be written anew.
const MEND_INTERVAL: Duration = Duration::from_secs(1);
/// Attempts that are over and still remembered, so that none is ever started twice.
const SEEN_MAX: usize = 20_000;

/// Where an attempt stood when the journal was last written.
#[derive(Debug)]
pub enum Stage {
  /// Remembered, not to be started yet.
  Waiting(Box<Start>),
  /// About to be started, or just started.
  Starting,
  /// Its process lived.
  Started {
    /// Its number.
    pid: i32,
    /// When it was started, in ticks since the boot.
    ticks: u64,
    /// When it was started, on the steady clock.
    at_us: i64,
  },
  /// It has ended and nobody has stored that yet.
  Exited {
    /// The end.
    ended: Box<Ended>,
    /// Its process, and when it was started.
    started: Option<(i32, i64)>,
  },
}

/// One attempt in the journal.
#[derive(Debug)]
pub struct Entry {
  /// Which.
  pub identity: Identity,
  /// Where it stood.
  pub stage: Stage,
  /// It was asked to end.
  pub stop: Option<StopWhy>,
  /// It was frozen.
  pub pauses: Pauses,
}

/// What a journal remembers from before.
#[derive(Debug)]
pub struct Recovered {
  /// Attempts that were not over, in the order in which they came.
  pub entries: Vec<Entry>,
  /// The boot under which they were started.
  pub boot_id: String,
  /// When a server was last in reach, where an attempt counts on that.
  pub contact_us: Option<i64>,
  /// Bytes behind the last good record: a write that a crash has cut.
  pub torn_bytes: u64,
}

/// The journal of one state folder.
#[derive(Debug)]
pub struct Journal {
  folder: PathBuf,
  id: String,
  shift_us: i64,
  boot_id: String,
  state: Mutex<State>,
  flushed: Condvar,
  /// Who may write here: as long as anybody still does.
  _lock: Option<std::fs::File>,
}

#[derive(Debug)]
struct State {
  file: JournalFile,
  compact_at: u64,
  /// Bytes that were ever written, whatever the file.
  written: u64,
  /// The first so many of them would outlast the host.
  durable: u64,
  flushing: bool,
  /// Somebody makes the next file.
  renewing: bool,
  /// What was written since, and is not in the next file yet.
  tail: Option<Vec<u8>>,
  /// Why nothing can be started until the file was written anew.
  broken: Option<String>,
  mended_at: Option<Instant>,
  contact_us: Option<i64>,
  entries: HashMap<TaskInstanceId, Entry>,
  seen: HashSet<TaskInstanceId>,
  seen_order: VecDeque<TaskInstanceId>,
}

impl Journal {
  /// Opens the journal of a folder, or makes one. `shift_us` is the clock of a new one and of a
  /// new boot; within one boot the clock stays what it was.
  ///
  /// # Errors
  /// When the folder cannot be read or written.
  pub fn open(folder: &Path, boot_id: &str, shift_us: i64) -> io::Result<(Self, Recovered)> {
    let read = file::read(folder)?;
    let torn_bytes = read.torn_bytes;
    let mut state = State {
      file: JournalFile::nowhere()?,
      compact_at: 0,
      written: 0,
      durable: 0,
      flushing: false,
      renewing: false,
      tail: None,
      broken: None,
      mended_at: None,
      contact_us: None,
      entries: HashMap::new(),
      seen: HashSet::new(),
      seen_order: VecDeque::new(),
    };
    let mut head = None;
    for record in read.records {
      match record {
        Record::Head { id, boot_id, shift_us } => head = Some((id, boot_id, shift_us)),
        record => state.apply(record),
      }
    }
    let known = head
      .unwrap_or_else(|| (uuid::Uuid::now_v7().simple().to_string(), boot_id.to_owned(), shift_us));
    let (id, old_boot, old_shift) = known;
    let shift_us = if old_boot == boot_id { old_shift } else { shift_us };
    let journal = Self {
      folder: folder.to_owned(),
      id,
      shift_us,
      boot_id: boot_id.to_owned(),
      state: Mutex::new(state),
      flushed: Condvar::new(),
      _lock: None,
    };
    let mut state = journal.state();
    journal.rewrite(&mut state)?;
    // Numbers of version 7 are in the order in which the attempts were made.
    let mut entries: Vec<Entry> = state.entries.values().map(Entry::copy).collect();
    entries.sort_by_key(|entry| entry.identity.instance_id);
    let contact_us = state.contact_us;
    drop(state);
    Ok((journal, Recovered { entries, boot_id: old_boot, contact_us, torn_bytes }))
  }

  /// The same, which keeps the lock of its folder until the last writer is gone.
  #[must_use]
  pub fn owning(mut self, lock: std::fs::File) -> Self {
    self._lock = Some(lock);
    self
  }

  /// Names this memory.
  pub fn id(&self) -> &str {
    &self.id
  }

  /// The clock of its times.
  pub const fn shift_us(&self) -> i64 {
    self.shift_us
  }

  /// Whether an attempt was started or has ended here before.
  pub fn was_started(&self, instance_id: TaskInstanceId) -> bool {
    let state = self.state();
    state.seen.contains(&instance_id)
      || state.entries.get(&instance_id).is_some_and(|e| !matches!(e.stage, Stage::Waiting(_)))
  }

  /// Remembers an attempt that waits, without the values of its secrets: those never get to a disk.
  pub fn keep(&self, start: &Start) {
    let mut start = start.copy();
    start.task.secrets.clear();
    let Ok(text) = serde_json::to_string(&start) else { return };
    self.note(Record::Waiting { start: text });
  }

  /// Takes note that an attempt is about to be started: known to whoever reads the journal after
  /// this process, and with `sync` also after the host's own death. Blocks.
  ///
  /// # Errors
  /// When it cannot be written: the attempt must not be started then.
  pub fn starting(&self, identity: Identity, sync: bool) -> io::Result<()> {
    let mut state = self.state();
    self.mend(&mut state)?;
    let end = self.append(&mut state, [Record::Starting { identity }])?;
    if !sync {
      return Ok(());
    }
    while state.durable < end {
      if state.flushing {
        state = self.flushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        continue;
      }
      if let Some(why) = &state.broken {
        return Err(io::Error::other(why.clone()));
      }
      state.flushing = true;
      let (target, handle) = (state.written, state.file.handle());
      drop(state);
      let flushed = rustix::fs::fdatasync(&*handle);
      state = self.state();
      state.flushing = false;
      match flushed {
        Ok(()) => state.durable = state.durable.max(target),
        // What a failed flush has dropped can never be known again, and the next flush of the same
        // file would say that all is well.
        Err(error) => {
          tracing::error!(%error, "the journal cannot be flushed: nothing is started until it is written anew");
          state.broken = Some(format!("the journal cannot be flushed: {error}"));
        }
      }
      self.flushed.notify_all();
    }
    match &state.broken {
      Some(why) => Err(io::Error::other(why.clone())),
      None => Ok(()),
    }
  }

  /// The process of an attempt lives.
  pub fn started(&self, instance_id: TaskInstanceId, pid: i32, ticks: u64, at_us: i64) {
    self.note(Record::Started { instance_id, pid, ticks, at_us });
  }

  /// An attempt was asked to end.
  pub fn stopping(&self, instance_id: TaskInstanceId, why: &StopWhy) {
    self.note(Record::Stopping { instance_id, why: why.clone() });
  }

  /// An attempt was frozen or thawed.
  pub fn frozen(&self, instance_id: TaskInstanceId, frozen: bool, at_us: i64) {
    let known = self.state().entries.get(&instance_id).map(|entry| entry.pauses);
    if let Some(mut pauses) = known {
      pauses.note(at_us, frozen);
      self.note(Record::Frozen { instance_id, pauses });
    }
  }

  /// A server was in reach at `at_us`.
  pub fn contact(&self, at_us: i64) {
    if self.state().contact_us.is_none_or(|known| known < at_us) {
      self.note(Record::Contact { at_us });
    }
  }

  /// An attempt has ended.
  pub fn exited(&self, ended: &Ended) {
    self.note(Record::Exited { ended: Box::new(ended.clone()) });
  }

  /// Attempts are over and that is stored, or they were never started and are gone; one write for all.
  pub fn settled(&self, instances: impl IntoIterator<Item = TaskInstanceId>) {
    let settled = instances.into_iter().map(|instance_id| Record::Settled { instance_id });
    self.note_all(settled);
  }

  fn state(&self) -> MutexGuard<'_, State> {
    self.state.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Writes a record that may be lost with the host: then nothing that it speaks of lives.
  fn note(&self, record: Record) {
    self.note_all([record]);
  }

  fn note_all(&self, records: impl IntoIterator<Item = Record>) {
    let mut state = self.state();
    if let Err(error) = self.append(&mut state, records) {
      tracing::error!(%error, "the journal cannot be written; a restart would not know this");
    }
  }

  /// After a failed flush everything is still here, so a new file can have all of it.
  fn mend(&self, state: &mut State) -> io::Result<()> {
    let Some(why) = state.broken.clone() else { return Ok(()) };
    let recent = state.mended_at.is_some_and(|at| at.elapsed() < MEND_INTERVAL);
    if recent || state.flushing {
      return Err(io::Error::other(why));
    }
    state.mended_at = Some(Instant::now());
    match self.rewrite(state) {
      Ok(()) => {
        tracing::info!("the journal was written anew; tasks are started again");
        Ok(())
      }
      Err(error) => Err(io::Error::other(format!("{why}, nor written anew: {error}"))),
    }
  }

  /// Returns how many bytes were ever written.
  fn append(
    &self,
    state: &mut State,
    records: impl IntoIterator<Item = Record>,
  ) -> io::Result<u64> {
    let mut put = Ok(());
    for record in records {
      put = put.and(state.file.put(&record));
      // It is true whether or not it can be written.
      state.apply(record);
    }
    state.written += state.file.write(state.tail.as_mut())?;
    put?;
    if state.file.end() >= state.compact_at + COMPACT_BYTES
      && !state.flushing
      && let Err(error) = self.rewrite(state)
    {
      tracing::error!(%error, "the journal cannot be written anew; the old file goes on");
      state.compact_at = state.file.end() + COMPACT_BYTES;
    }
    Ok(state.written)
  }

  /// Everything that counts.
  fn records(&self, state: &State) -> impl Iterator<Item = Record> {
    let head =
      Record::Head { id: self.id.clone(), boot_id: self.boot_id.clone(), shift_us: self.shift_us };
    let seen = Record::Seen { instances: state.seen_order.iter().copied().collect() };
    let entries = state.entries.values().flat_map(Entry::records);
    let contact = state.contact_us.map(|at_us| Record::Contact { at_us });
    [head, seen].into_iter().chain(contact).chain(entries)
  }

  /// Writes everything that counts into a new file, durable, in place of the old one.
  fn rewrite(&self, state: &mut State) -> io::Result<()> {
    let records = self.records(state);
    let (file, found) = JournalFile::replace(&self.folder, state.file.generation() + 1, records)?;
    state.file = file;
    state.tail = None;
    state.compact_at = state.file.end() + COMPACT_BYTES;
    if let Err(error) = found {
      state.broken = Some(format!("the journal's folder cannot be flushed: {error}"));
      return Err(error);
    }
    state.durable = state.written;
    state.broken = None;
    Ok(())
  }
}

impl State {
  fn apply(&mut self, record: Record) {
    match record {
      Record::Head { .. } => {}
      Record::Seen { instances } => instances.into_iter().for_each(|id| self.remember(id)),
      Record::Waiting { start } => {
        if let Ok(start) = serde_json::from_str::<Start>(&start) {
          let identity = Identity::of(&start);
          self.put(identity, Stage::Waiting(Box::new(start)));
        }
      }
      Record::Starting { identity } => self.put(identity, Stage::Starting),
      Record::Started { instance_id, pid, ticks, at_us } => {
        if let Some(entry) = self.entries.get_mut(&instance_id) {
          entry.stage = Stage::Started { pid, ticks, at_us };
        }
      }
      Record::Stopping { instance_id, why } => {
        if let Some(entry) = self.entries.get_mut(&instance_id) {
          entry.stop.get_or_insert(why);
        }
      }
      Record::Frozen { instance_id, pauses } => {
        if let Some(entry) = self.entries.get_mut(&instance_id) {
          entry.pauses = pauses;
        }
      }
      Record::Contact { at_us } => {
        self.contact_us = Some(self.contact_us.map_or(at_us, |known| known.max(at_us)));
      }
      Record::Exited { ended } => {
        if let Some(entry) = self.entries.get_mut(&ended.instance_id) {
          let started = match &entry.stage {
            Stage::Started { pid, at_us, .. } => Some((*pid, *at_us)),
            Stage::Exited { started, .. } => *started,
            _ => ended.started.map(|(pid, at_us)| {
              (pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default(), at_us)
            }),
          };
          entry.stage = Stage::Exited { ended, started };
        }
      }
      Record::Settled { instance_id } => {
        if self.entries.remove(&instance_id).is_some_and(|e| !matches!(e.stage, Stage::Waiting(_)))
        {
          self.remember(instance_id);
        }
      }
    }
  }

  fn put(&mut self, identity: Identity, stage: Stage) {
    let stop = self.entries.remove(&identity.instance_id).and_then(|entry| entry.stop);
    let entry = Entry { identity, stage, stop, pauses: Pauses::default() };
    self.entries.insert(identity.instance_id, entry);
  }

  fn remember(&mut self, instance_id: TaskInstanceId) {
    if !self.seen.insert(instance_id) {
      return;
    }
    self.seen_order.push_back(instance_id);
    if self.seen_order.len() > SEEN_MAX
      && let Some(oldest) = self.seen_order.pop_front()
    {
      self.seen.remove(&oldest);
    }
  }
}

impl Entry {
  /// The records that say all of it.
  fn records(&self) -> Vec<Record> {
    let instance_id = self.identity.instance_id;
    let starting = Record::Starting { identity: self.identity };
    let mut records = match &self.stage {
      Stage::Waiting(start) => match serde_json::to_string(start) {
        Ok(start) => vec![Record::Waiting { start }],
        Err(_) => Vec::new(),
      },
      Stage::Starting => vec![starting],
      Stage::Started { pid, ticks, at_us } => {
        let (pid, ticks, at_us) = (*pid, *ticks, *at_us);
        vec![starting, Record::Started { instance_id, pid, ticks, at_us }]
      }
      Stage::Exited { ended, started } => {
        let started =
          started.map(|(pid, at_us)| Record::Started { instance_id, pid, ticks: 0, at_us });
        let exited = Record::Exited { ended: ended.clone() };
        [Some(starting), started, Some(exited)].into_iter().flatten().collect()
      }
    };
    if self.pauses != Pauses::default() {
      records.push(Record::Frozen { instance_id, pauses: self.pauses });
    }
    if let Some(why) = &self.stop {
      records.push(Record::Stopping { instance_id, why: why.clone() });
    }
    records
  }

  fn copy(&self) -> Self {
    let stage = match &self.stage {
      Stage::Waiting(start) => Stage::Waiting(Box::new(start.copy())),
      Stage::Starting => Stage::Starting,
      Stage::Started { pid, ticks, at_us } => {
        Stage::Started { pid: *pid, ticks: *ticks, at_us: *at_us }
      }
      Stage::Exited { ended, started } => Stage::Exited { ended: ended.clone(), started: *started },
    };
    Self { identity: self.identity, stage, stop: self.stop.clone(), pauses: self.pauses }
  }
}
