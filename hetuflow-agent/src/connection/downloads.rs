//! Files on their way to tasks that wait for them.
//!
//! Each question to a server stands for itself: which content, from which byte, how many pieces. What
//! has come lies in the cache, so that a new connection, a new server or a new agent goes on behind
//! the last whole piece. A file is given to a task only when all of it came to its hash.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hetuflow_core::{
  ContentHash, DOWNLOAD_PIECES_MAX, FILE_PIECE_BYTES, FileDownload, FileFrame, FileTransferState,
  FileTransferStatus, TaskInstanceId,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::file_cache::FileCache;
use super::incoming_file::{IncomingFile, Taken};
use super::{Fetched, NotFetched, WantedFile};

/// A question is asked again when nothing was heard for so long.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// First wait for a file that its agent is still sending; it doubles.
const COMING_WAIT: Duration = Duration::from_millis(100);
/// No wait is longer.
const COMING_WAIT_MAX: Duration = Duration::from_secs(5);
/// As often a file is fetched that does not come to its hash.
const ROUNDS_MAX: u32 = 3;
/// Pieces of the first question; their number follows what the link can take.
const PIECES_FIRST: u32 = 4;
/// Pieces that came within this time may be more.
const QUICK: Duration = Duration::from_millis(250);
/// Pieces that took longer must be fewer, so that a slow link is free for others.
const SLOW: Duration = Duration::from_secs(1);

/// All files that tasks wait for.
#[derive(Debug)]
pub struct Downloads {
  cache: FileCache,
  /// The first is asked about next.
  queue: VecDeque<Download>,
  asked: Option<Asked>,
  /// What attempts that were not started yet need to stay in the cache.
  held: HashMap<TaskInstanceId, Vec<ContentHash>>,
  told: Vec<Fetched>,
  pieces: u32,
}

#[derive(Debug)]
struct Download {
  hash: ContentHash,
  bytes: u64,
  askers: VecDeque<WantedFile>,
  file: Option<IncomingFile>,
  /// Not asked about before.
  at: Instant,
  waits: u32,
  rounds: u32,
}

/// A question that is not answered to its end.
#[derive(Debug)]
struct Asked {
  hash: ContentHash,
  transfer: Option<Uuid>,
  /// Up to which byte.
  until: u64,
  since: Instant,
  heard: Instant,
}

impl Downloads {
  /// Nothing is wanted yet.
  pub fn new(cache: FileCache) -> Self {
    Self {
      cache,
      queue: VecDeque::new(),
      asked: None,
      held: HashMap::new(),
      told: Vec::new(),
      pieces: PIECES_FIRST,
    }
  }

  /// An attempt wants a file.
  pub fn want(&mut self, wanted: WantedFile, now: Instant) {
    let (instance_id, hash) = (wanted.instance_id, wanted.content_hash);
    self.held.entry(instance_id).or_default().push(hash);
    if self.cache.has(hash, wanted.file_size) {
      return self.told.push(Fetched { instance_id, content_hash: hash, outcome: Ok(()) });
    }
    let known = self.queue.iter_mut().find(|one| one.hash == hash && one.bytes == wanted.file_size);
    match known {
      Some(download) => {
        if download.askers.iter().all(|one| one.instance_id != instance_id) {
          download.askers.push_back(wanted);
        }
      }
      None => self.queue.push_back(Download {
        hash,
        bytes: wanted.file_size,
        askers: VecDeque::from([wanted]),
        file: None,
        at: now,
        waits: 0,
        rounds: 0,
      }),
    }
  }

  /// An attempt has what it needs, or does not need it any more.
  pub fn let_go(&mut self, instance_id: TaskInstanceId) {
    self.held.remove(&instance_id);
    for download in &mut self.queue {
      download.askers.retain(|one| one.instance_id != instance_id);
    }
    self.drop_unwanted();
  }

  fn drop_unwanted(&mut self) {
    let Self { queue, cache, .. } = self;
    queue.retain(|download| {
      let wanted = !download.askers.is_empty();
      if !wanted {
        cache.drop_part(download.hash);
      }
      wanted
    });
  }

  /// There is a new connection: what was asked on the old one is asked again.
  pub fn connected(&mut self, now: Instant) {
    self.asked = None;
    self.queue.iter_mut().for_each(|download| download.at = now);
  }

  /// What became of files that were wanted.
  pub fn take_told(&mut self) -> Vec<Fetched> {
    std::mem::take(&mut self.told)
  }

  /// When there is something to do that nothing else wakes for.
  pub fn next_wake(&self) -> Option<Instant> {
    match &self.asked {
      Some(asked) => Some(asked.heard + ANSWER_LIMIT),
      None => self.queue.iter().map(|one| one.at).min(),
    }
  }

  /// The next question, where one is due. Does a bounded part of what there is to do on the disk.
  pub fn question(&mut self, now: Instant) -> Option<FileDownload> {
    if self.asked.as_ref().is_some_and(|asked| now < asked.heard + ANSWER_LIMIT) {
      return None;
    }
    self.asked = None;
    let at = self.queue.iter().position(|one| one.at <= now)?;
    self.queue.rotate_left(at);
    let download = self.queue.front_mut()?;
    let hash = download.hash;
    if download.file.is_none() {
      match IncomingFile::open(&self.cache, hash, download.bytes) {
        Ok(file) => download.file = Some(file),
        Err(error) => {
          self.fail("input_failed", &format!("it cannot be kept: {error}"));
          return None;
        }
      }
    }
    let file = download.file.as_mut()?;
    match file.catch_up() {
      Ok(true) => {}
      // The rest of it in the next turn.
      Ok(false) => return None,
      Err(error) => {
        self.fail("input_failed", &format!("what has come cannot be read: {error}"));
        return None;
      }
    }
    if file.is_whole() {
      self.finish(now);
      return None;
    }
    let (offset, asker) = (file.offset(), download.askers.front()?);
    let pieces = u64::from(self.pieces) * FILE_PIECE_BYTES as u64;
    let until = (offset + pieces).min(download.bytes);
    self.asked = Some(Asked { hash, transfer: None, until, since: now, heard: now });
    Some(FileDownload {
      task_id: asker.task_id,
      instance_id: asker.instance_id,
      fence: asker.fence,
      content_hash: hash,
      offset,
      pieces: self.pieces,
    })
  }

  /// A server has answered.
  pub fn hear(&mut self, status: &FileTransferStatus, now: Instant) {
    let Some(asked) = self.asked.as_mut().filter(|one| one.hash == status.content_hash) else {
      return;
    };
    let Some(download) = self.queue.front_mut().filter(|one| one.hash == asked.hash) else {
      self.asked = None;
      return;
    };
    let why = status.error_message.as_deref().unwrap_or("no reason was told").to_owned();
    match status.status {
      FileTransferState::Stored if status.file_size == download.bytes => {
        (asked.transfer, asked.heard) = (status.transfer_id, now);
        return;
      }
      FileTransferState::Stored => {
        let (told, came) = (download.bytes, status.file_size);
        self.fail("input_differs", &format!("it has {came} bytes and should have {told}"));
      }
      FileTransferState::Unknown | FileTransferState::Wanted => {
        let wait = COMING_WAIT.saturating_mul(1 << download.waits.min(10)).min(COMING_WAIT_MAX);
        download.at = now + wait;
        download.waits += 1;
      }
      // Not this attempt's any more; another one may want it.
      FileTransferState::Refused => {
        let whose = |asker: &WantedFile| asker.instance_id == status.instance_id;
        let asker = download.askers.iter().position(whose);
        if let Some(asker) = asker.and_then(|at| download.askers.remove(at)) {
          let outcome = Err(NotFetched { reason: "input_failed", message: why });
          let (instance_id, content_hash) = (asker.instance_id, download.hash);
          self.told.push(Fetched { instance_id, content_hash, outcome });
        }
        self.drop_unwanted();
      }
      FileTransferState::Lost => self.fail("input_missing", &why),
    }
    self.asked = None;
  }

  /// A piece has come.
  pub fn take(&mut self, piece: &FileFrame, now: Instant) {
    let Some(asked) = self.asked.as_mut().filter(|one| one.transfer == Some(piece.transfer_id))
    else {
      return;
    };
    let Some(download) = self.queue.front_mut().filter(|one| one.hash == asked.hash) else {
      self.asked = None;
      return;
    };
    let Some(file) = download.file.as_mut() else { return };
    asked.heard = now;
    match file.take(piece) {
      Ok(Taken::Next) => {}
      Ok(Taken::Foreign) => return,
      Ok(Taken::Broken) => return self.begin_anew(now),
      Err(error) => return self.fail("input_failed", &format!("it cannot be kept: {error}")),
    }
    if file.offset() < asked.until {
      return;
    }
    let took = now.saturating_duration_since(asked.since);
    self.asked = None;
    if took <= QUICK {
      self.pieces = (self.pieces * 2).min(DOWNLOAD_PIECES_MAX);
    } else if took > SLOW {
      self.pieces = (self.pieces / 2).max(1);
    }
    if file.is_whole() {
      self.finish(now);
    } else {
      // The others have their turn.
      self.queue.rotate_left(1);
    }
  }

  /// All of the first one is here.
  fn finish(&mut self, now: Instant) {
    let Some(download) = self.queue.front_mut() else { return };
    let Some(file) = download.file.take() else { return };
    if file.hash() != download.hash {
      return self.begin_anew(now);
    }
    if let Err(error) = self.cache.admit(download.hash) {
      return self.fail("input_failed", &format!("it cannot be kept: {error}"));
    }
    if let Some(download) = self.queue.pop_front() {
      self.tell_all(download, &Ok(()));
    }
    let Self { cache, held, .. } = self;
    cache.evict(|hash| held.values().any(|all| all.contains(hash)));
  }

  /// What came is not what it should be.
  fn begin_anew(&mut self, now: Instant) {
    self.asked = None;
    let Some(download) = self.queue.front_mut() else { return };
    (download.file, download.at) = (None, now);
    self.cache.drop_part(download.hash);
    download.rounds += 1;
    if download.rounds >= ROUNDS_MAX {
      self.fail("input_differs", "what came is not what it should be, however often it is fetched");
    }
  }

  /// The first one does not come.
  fn fail(&mut self, reason: &'static str, why: &str) {
    self.asked = None;
    if let Some(download) = self.queue.pop_front() {
      tracing::warn!(content_hash = %download.hash, reason, why, "a file for a task does not come");
      self.cache.drop_part(download.hash);
      self.tell_all(download, &Err(NotFetched { reason, message: why.to_owned() }));
    }
  }

  fn tell_all(&mut self, download: Download, outcome: &Result<(), NotFetched>) {
    let content_hash = download.hash;
    self.told.extend(download.askers.into_iter().map(|asker| Fetched {
      instance_id: asker.instance_id,
      content_hash,
      outcome: outcome.clone(),
    }));
  }
}

#[cfg(test)]
#[path = "downloads_tests.rs"]
mod tests;
