//! Files on their way to the server: one content after the other, from a folder that is the only
//! memory of what is owed. Whatever dies, the next process looks there and asks how far each is.
//!
//! A content is asked about, sent from where the server has it, and asked about again: it is gone
//! from here only when the server has compared it with its hash.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hetuflow_core::{
  FILE_PIECE_BYTES, FileFrame, FileTransferState, FileTransferStatus, FileUpload, TaskInstanceId,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::outbox::Outbox;

/// What a folder owes.
const OWED: &str = "owed.json";
/// A question without an answer is asked again after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// First wait for a server that does not know the attempt's end yet; it doubles.
const UNKNOWN_WAIT: Duration = Duration::from_millis(500);
/// No wait is longer.
const UNKNOWN_WAIT_MAX: Duration = Duration::from_secs(60);
/// As often a server may say that it does not know an attempt; then its files are nobody's. About
/// an hour.
const UNKNOWN_MAX: u32 = 60;
/// As often a content is sent that does not come to its hash.
const ROUNDS_MAX: u32 = 3;

/// What is to be told about files.
#[derive(Debug)]
pub enum Said {
  /// There is a content; how far is it?
  Have(FileUpload),
  /// There is no such content any more.
  Lost(FileTransferStatus),
}

/// All files that a server must still get.
#[derive(Debug)]
pub struct Uploads {
  dir: PathBuf,
  waiting: VecDeque<Waiting>,
  current: Option<Current>,
  told: VecDeque<Said>,
}

/// The files of an attempt, and when to ask for them.
#[derive(Debug)]
struct Waiting {
  instance_id: TaskInstanceId,
  at: Instant,
  unknown: u32,
}

/// The attempt whose files are on their way.
#[derive(Debug)]
struct Current {
  folder: PathBuf,
  whose: Waiting,
  owed: VecDeque<FileUpload>,
  phase: Phase,
  rounds: u32,
}

#[derive(Debug)]
enum Phase {
  /// To be asked about.
  Ask,
  /// Asked about, then.
  Asked(Instant),
  /// On its way.
  Sending { transfer: Uuid, offset: u64, file: File },
  /// All of it was sent, the last of it with this number.
  Sent(u64),
}

impl Uploads {
  /// What a folder owes; it is looked through when there is a connection.
  pub fn new(dir: PathBuf) -> Self {
    Self { dir, waiting: VecDeque::new(), current: None, told: VecDeque::new() }
  }

  /// Nothing is owed.
  pub fn is_idle(&self) -> bool {
    self.current.is_none() && self.waiting.is_empty() && self.told.is_empty()
  }

  /// There is a new connection: looks for what is owed. What was asked on the old one is asked
  /// again; what was sent on it goes out again by itself.
  pub fn connected(&mut self, now: Instant) {
    if let Some(Current { phase: phase @ Phase::Asked(_), .. }) = &mut self.current {
      *phase = Phase::Ask;
    }
    for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
      if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
        self.add(id, now);
      }
    }
  }

  /// The end of an attempt is stored that has left files.
  pub fn add(&mut self, instance_id: TaskInstanceId, now: Instant) {
    let known = self.waiting.iter().any(|one| one.instance_id == instance_id);
    let current = self.current.as_ref().is_some_and(|one| one.whose.instance_id == instance_id);
    if !known && !current {
      self.waiting.push_back(Waiting { instance_id, at: now, unknown: 0 });
    }
  }

  /// When there is something to do that nothing else wakes for.
  pub fn next_wake(&self) -> Option<Instant> {
    match &self.current {
      None => self.waiting.iter().map(|one| one.at).min(),
      Some(Current { phase: Phase::Asked(at), .. }) => Some(*at + ANSWER_LIMIT),
      Some(_) => None,
    }
  }

  /// Notes what has become durable.
  pub fn note_acked(&mut self, outbox: &Outbox, now: Instant) {
    if let Some(Current { phase, .. }) = &mut self.current {
      match phase {
        Phase::Sent(last) if outbox.is_acked(*last) => *phase = Phase::Ask,
        Phase::Asked(at) if now >= *at + ANSWER_LIMIT => *phase = Phase::Ask,
        _ => {}
      }
    }
  }

  /// What is to be told now.
  pub fn messages(&mut self, now: Instant) -> impl Iterator<Item = Said> {
    if self.current.is_none() {
      self.begin(now);
    }
    if let Some(current) = &mut self.current
      && matches!(current.phase, Phase::Ask)
      && let Some(upload) = current.owed.front()
    {
      self.told.push_back(Said::Have(upload.clone()));
      current.phase = Phase::Asked(now);
    }
    std::mem::take(&mut self.told).into_iter()
  }

  /// Takes the next attempt whose time has come.
  fn begin(&mut self, now: Instant) {
    while let Some(at) = self.waiting.iter().position(|one| one.at <= now) {
      let Some(whose) = self.waiting.remove(at) else { return };
      let folder = self.dir.join(whose.instance_id.to_string());
      match owed(&folder) {
        Some(owed) if !owed.is_empty() => {
          self.current = Some(Current { folder, whose, owed, phase: Phase::Ask, rounds: 0 });
          return;
        }
        _ => remove(&folder),
      }
    }
  }

  /// The server has answered.
  pub fn hear(&mut self, status: &FileTransferStatus, now: Instant) {
    let Some(current) = &mut self.current else { return };
    let asked = current.owed.front().filter(|upload| {
      upload.content_hash == status.content_hash && upload.instance_id == status.instance_id
    });
    if asked.is_none() || !matches!(current.phase, Phase::Asked(_)) {
      return;
    }
    match status.status {
      FileTransferState::Stored => self.done(now),
      FileTransferState::Refused | FileTransferState::Lost => {
        let why = status.error_message.as_deref().unwrap_or("no reason was told");
        tracing::warn!(instance.id = %status.instance_id, content_hash = %status.content_hash, why,
          "a file that a task has left is not taken");
        self.done(now);
      }
      FileTransferState::Unknown => self.postpone(now),
      FileTransferState::Wanted => match status.transfer_id {
        Some(transfer) => self.open(transfer, status.bytes_transferred, now),
        None => self.done(now),
      },
    }
  }

  /// One content is over with; the folder goes with the last.
  fn done(&mut self, now: Instant) {
    let Some(current) = &mut self.current else { return };
    if let Some(upload) = current.owed.pop_front() {
      let path = current.folder.join(upload.content_hash.to_string());
      let _not_there = std::fs::remove_file(path);
    }
    (current.phase, current.rounds) = (Phase::Ask, 0);
    if current.owed.is_empty() {
      remove(&current.folder);
      self.current = None;
      self.begin(now);
    }
  }

  /// The end is not stored yet, or never will be.
  fn postpone(&mut self, now: Instant) {
    let Some(Current { folder, mut whose, .. }) = self.current.take() else { return };
    whose.unknown += 1;
    if whose.unknown > UNKNOWN_MAX {
      tracing::warn!(instance.id = %whose.instance_id,
        "no server knows of the files that an attempt has left; they are removed");
      return remove(&folder);
    }
    let wait = UNKNOWN_WAIT.saturating_mul(1 << whose.unknown.min(10)).min(UNKNOWN_WAIT_MAX);
    whose.at = now + wait;
    self.waiting.push_back(whose);
  }

  fn open(&mut self, transfer: Uuid, offset: u64, now: Instant) {
    let Some(current) = &mut self.current else { return };
    let Some(upload) = current.owed.front() else { return };
    current.rounds += u32::from(offset == 0);
    let path = current.folder.join(upload.content_hash.to_string());
    let why = match File::open(&path) {
      Ok(_) if current.rounds > ROUNDS_MAX => "what its agent has kept is not what it was".into(),
      Ok(file) if offset < upload.file_size => {
        current.phase = Phase::Sending { transfer, offset, file };
        return;
      }
      Ok(_) => "the server wants more than there is".to_owned(),
      Err(error) => format!("its agent cannot read it any more: {error}"),
    };
    self.lose(&why, now);
  }

  /// A content is here no more: the server is told, and that is all.
  fn lose(&mut self, why: &str, now: Instant) {
    let Some(upload) = self.current.as_ref().and_then(|current| current.owed.front()) else {
      return;
    };
    tracing::error!(instance.id = %upload.instance_id, content_hash = %upload.content_hash, why,
      "a file that a task has left is lost");
    self.told.push_back(Said::Lost(FileTransferStatus {
      transfer_id: None,
      instance_id: upload.instance_id,
      content_hash: upload.content_hash,
      file_size: upload.file_size,
      bytes_transferred: 0,
      status: FileTransferState::Lost,
      error_message: Some(why.to_owned()),
    }));
    self.done(now);
  }

  /// The next piece; [`Self::note_sent`] must follow.
  pub fn next_piece(&mut self, now: Instant) -> Option<FileFrame> {
    let current = self.current.as_mut()?;
    let size = current.owed.front()?.file_size;
    let Phase::Sending { transfer, offset, file } = &mut current.phase else { return None };
    let left = usize::try_from(size - *offset).unwrap_or(usize::MAX);
    let mut raw = vec![0; left.min(FILE_PIECE_BYTES)];
    if let Err(error) = file.read_exact_at(&mut raw, *offset) {
      let why = format!("its agent cannot read it any more: {error}");
      self.lose(&why, now);
      return None;
    }
    let piece = FileFrame::new(*transfer, *offset, &raw);
    *offset += raw.len() as u64;
    Some(piece)
  }

  /// The piece has this number.
  pub fn note_sent(&mut self, seq: u64) {
    let Some(current) = &mut self.current else { return };
    let Some(size) = current.owed.front().map(|upload| upload.file_size) else { return };
    if let Phase::Sending { offset, .. } = &current.phase
      && *offset == size
    {
      current.phase = Phase::Sent(seq);
    }
  }
}

fn owed(folder: &Path) -> Option<VecDeque<FileUpload>> {
  let text = std::fs::read(folder.join(OWED)).ok()?;
  serde_json::from_slice(&text).ok()
}

fn remove(folder: &Path) {
  if let Err(error) = std::fs::remove_dir_all(folder)
    && error.kind() != std::io::ErrorKind::NotFound
  {
    tracing::warn!(path = %folder.display(), %error, "cannot remove the files of an attempt");
  }
}
