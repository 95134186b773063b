//! Whether a stored log is what was captured: read anew from storage, piece by piece, and compared
//! with what the executor has told of it.

use hetuflow_core::{
  CHUNK_BYTES_MAX, Codec, LogDigest, LogGap, LogHasher, LogSpan, LogVerdict, LogVerification,
  Stream, TaskInstanceEntity, TaskInstanceId, TaskInstanceStatus, Ts, read_gap, unpack_chunk,
};

use super::log_svc::{inline_frames, readable};
use super::{Actor, LogSvc, SvcResult};
use crate::infra::bmc::log_bmc::{self, LogChunk};

/// Chunks read in one go.
const CHUNKS_PER_READ: i64 = 8;
/// Spans and gaps that are named.
const NAMED_MAX: usize = 100;
/// A word of the agent is no longer.
const WORD_BYTES_MAX: usize = 1 << 10;

impl LogSvc {
  /// Reads all that is stored of an attempt's output and says whether it is what was captured. Holds
  /// no more than a few chunks at a time.
  ///
  /// # Errors
  /// 404 for an unknown attempt.
  pub async fn verify(
    &self,
    actor: &Actor,
    instance: TaskInstanceId,
  ) -> SvcResult<LogVerification> {
    let mut conn = self.store.db.read().await?;
    let row = readable(&mut conn, actor, instance).await?;
    let small = log_bmc::small_log(&mut conn, instance).await?;
    drop(conn);
    let mut audit = Audit::default();
    let mut cursor = -1;
    loop {
      let mut conn = self.store.db.read().await?;
      let chunks = log_bmc::list_behind(&mut conn, instance, cursor, CHUNKS_PER_READ).await?;
      drop(conn);
      let Some(last) = chunks.last() else { break };
      cursor = last.log_offset;
      for chunk in &chunks {
        audit.chunk(chunk);
        tokio::task::yield_now().await;
      }
    }
    if let Some(small) = small.as_ref()
      && let Some(bytes) = &small.output_tail
    {
      let (index, at) = (small.output_index.as_deref(), Ts::from_micros(0));
      for frame in inline_frames(instance, bytes, index, at, 0) {
        audit.take(frame.stream, frame.offset, &frame.data);
      }
    }
    Ok(audit.judge(&row))
  }
}

/// A log on its way through a check.
#[derive(Default)]
struct Audit {
  hasher: LogHasher,
  /// Up to here it was looked at.
  offset: u64,
  bytes: u64,
  missing: Vec<LogSpan>,
  damaged: Vec<LogSpan>,
  gaps: Vec<LogGap>,
  dropped: u64,
  /// The begin of a word of the agent.
  word: Vec<u8>,
}

impl Audit {
  fn chunk(&mut self, chunk: &LogChunk) {
    let stream = u8::try_from(chunk.stream).ok().and_then(Stream::from_number);
    let codec = u8::try_from(chunk.codec).ok().and_then(Codec::from_number);
    let length = usize::try_from(chunk.raw_len).ok().filter(|length| *length <= CHUNK_BYTES_MAX);
    let from = chunk.log_offset.unsigned_abs();
    // What it holds instead of bytes nobody knows: the place is missing if nothing else has it.
    let Some(length) = length else { return };
    let raw = codec.and_then(|codec| unpack_chunk(codec, &chunk.data, length).ok());
    match (stream, raw) {
      (Some(stream), Some(raw)) => self.take(stream, from, &raw),
      _ => {
        let span = LogSpan { from: from.max(self.offset), to: from + length as u64 };
        if span.from < span.to {
          self.reach(span.from);
          note(&mut self.damaged, span);
          self.offset = span.to;
        }
      }
    }
  }

  /// What lies between here and there is not stored.
  fn reach(&mut self, from: u64) {
    if from > self.offset {
      note(&mut self.missing, LogSpan { from: self.offset, to: from });
      self.offset = from;
    }
  }

  /// Takes bytes of one stream; what was there before is not counted twice.
  fn take(&mut self, stream: Stream, from: u64, raw: &[u8]) {
    self.reach(from);
    let known = usize::try_from(self.offset - from).unwrap_or(usize::MAX).min(raw.len());
    let raw = &raw[known..];
    self.hasher.add(stream, raw);
    if stream == Stream::System {
      self.words(raw);
    }
    self.offset += raw.len() as u64;
    self.bytes += raw.len() as u64;
  }

  /// Looks for gaps among the words of the agent.
  fn words(&mut self, raw: &[u8]) {
    let mut at = self.offset;
    for piece in raw.split_inclusive(|byte| *byte == b'\n') {
      at += piece.len() as u64;
      if self.word.len() + piece.len() <= WORD_BYTES_MAX {
        self.word.extend_from_slice(piece);
      }
      if piece.ends_with(b"\n") {
        let line = std::mem::take(&mut self.word);
        if let Some((bytes, reason)) = std::str::from_utf8(&line).ok().and_then(read_gap) {
          self.dropped = self.dropped.saturating_add(bytes);
          let reason = reason.to_owned();
          note(&mut self.gaps, LogGap { at: at - line.len() as u64, bytes, reason });
        }
      }
    }
  }

  fn judge(mut self, row: &TaskInstanceEntity) -> LogVerification {
    let told = (row.log_hash.is_some() || row.log_bytes > 0).then(|| row.log_bytes.unsigned_abs());
    if row.status.is_final()
      && let Some(told) = told
    {
      self.reach(told);
    }
    let found = self.hasher.finish();
    let expected = row.log_hash.as_deref();
    let captured = expected.map(|text| text.parse::<LogDigest>());
    let same = matches!(captured, Some(Ok(captured)) if captured == found);
    let silent = self.bytes == 0 && row.log_bytes == 0 && was_told(row);
    let verdict = if !row.status.is_final() {
      LogVerdict::Running
    } else if !self.missing.is_empty() {
      LogVerdict::Missing
    } else if !self.damaged.is_empty() || expected.is_some() && !same {
      LogVerdict::Differs
    } else if same || silent {
      LogVerdict::Verified
    } else {
      LogVerdict::Unknown
    };
    let lost: u64 = self.missing.iter().map(|span| span.to - span.from).sum();
    LogVerification {
      instance_id: row.id,
      task_id: row.task_id,
      attempt: row.attempt,
      verdict,
      message: words_of(verdict, lost, !self.damaged.is_empty()),
      bytes: self.bytes,
      captured_bytes: told.or(silent.then_some(0)),
      sha256: found.sha256(),
      captured_sha256: captured.map(|captured| {
        captured.map_or_else(|_| expected.unwrap_or_default().to_owned(), |one| one.sha256())
      }),
      missing: self.missing,
      damaged: self.damaged,
      gaps: self.gaps,
      dropped_bytes: self.dropped,
    }
  }
}

/// Its end was seen by who has captured its output, so that no digest means no output.
fn was_told(row: &TaskInstanceEntity) -> bool {
  let ended = row.exit_code.is_some() || row.signal.is_some();
  ended || row.started_at.is_none() && row.status != TaskInstanceStatus::Lost
}

fn note<T>(list: &mut Vec<T>, one: T) {
  if list.len() < NAMED_MAX {
    list.push(one);
  }
}

fn words_of(verdict: LogVerdict, lost: u64, damaged: bool) -> String {
  match verdict {
    LogVerdict::Verified => "the stored log is what was captured".to_owned(),
    LogVerdict::Missing => format!("{lost} captured bytes are not stored"),
    LogVerdict::Differs if damaged => "stored bytes cannot be read".to_owned(),
    LogVerdict::Differs => "the stored log is not what was captured".to_owned(),
    LogVerdict::Running => "the attempt still runs: what is captured is not known yet".to_owned(),
    LogVerdict::Unknown => "no digest is known: the agent was lost, or its executor was killed, \
      before the attempt had ended"
      .to_owned(),
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{JobId, NamespaceId, TaskId, gap_line};

  use super::*;

  fn row(hash: Option<LogDigest>, log_bytes: i64) -> TaskInstanceEntity {
    TaskInstanceEntity {
      id: TaskInstanceId::generate(),
      task_id: TaskId::generate(),
      job_id: JobId::generate(),
      namespace_id: NamespaceId::default(),
      attempt: 1,
      fence: 1,
      agent_id: None,
      status: TaskInstanceStatus::Succeeded,
      task_status: None,
      dispatched_at: None,
      started_at: Some(Ts::from_micros(1)),
      completed_at: None,
      start_skew_us: None,
      pid: None,
      exit_code: Some(0),
      signal: None,
      reason: None,
      error_message: None,
      log_bytes,
      log_hash: hash.map(|hash| hash.to_string()),
      log_dropped: 0,
      progress: None,
      progress_note: None,
      outputs: None,
    }
  }

  fn chunk(offset: i64, stream: Stream, raw: &[u8]) -> LogChunk {
    LogChunk {
      instance_id: TaskInstanceId::generate(),
      log_offset: offset,
      stream: i64::from(stream.number()),
      codec: 0,
      stream_offset: 0,
      raw_len: i64::try_from(raw.len()).expect("small"),
      at: Ts::from_micros(1),
      data: raw.to_vec(),
    }
  }

  fn digest(pieces: &[(Stream, &[u8])]) -> LogDigest {
    let mut hasher = LogHasher::default();
    pieces.iter().for_each(|(stream, raw)| hasher.add(*stream, raw));
    hasher.finish()
  }

  fn look(chunks: &[LogChunk], row: &TaskInstanceEntity) -> LogVerification {
    let mut audit = Audit::default();
    chunks.iter().for_each(|chunk| audit.chunk(chunk));
    audit.judge(row)
  }

  #[test]
  fn what_was_captured_is_verified_however_it_is_cut() {
    let hash = digest(&[(Stream::Stdout, b"abcdef"), (Stream::Stderr, b"x")]);
    for chunks in [
      vec![chunk(0, Stream::Stdout, b"abcdef"), chunk(6, Stream::Stderr, b"x")],
      vec![
        chunk(0, Stream::Stdout, b"ab"),
        chunk(2, Stream::Stdout, b"cdef"),
        chunk(6, Stream::Stderr, b"x"),
      ],
      vec![
        chunk(0, Stream::Stdout, b"abcd"),
        chunk(2, Stream::Stdout, b"cdef"),
        chunk(6, Stream::Stderr, b"x"),
      ],
    ] {
      let found = look(&chunks, &row(Some(hash), 7));
      assert_eq!((found.verdict, found.bytes), (LogVerdict::Verified, 7), "{found:?}");
      assert_eq!(found.captured_sha256, Some(found.sha256));
    }
  }

  #[test]
  fn each_fault_has_its_name() {
    let hash = digest(&[(Stream::Stdout, b"abcdef")]);
    let good = row(Some(hash), 6);
    let verdict = |chunks: &[LogChunk]| look(chunks, &good).verdict;
    assert_eq!(verdict(&[chunk(0, Stream::Stdout, b"abcdeX")]), LogVerdict::Differs);
    assert_eq!(verdict(&[chunk(0, Stream::Stderr, b"abcdef")]), LogVerdict::Differs);
    let hole = look(&[chunk(0, Stream::Stdout, b"ab"), chunk(4, Stream::Stdout, b"e")], &good);
    assert_eq!(hole.verdict, LogVerdict::Missing);
    assert_eq!(hole.missing, [LogSpan { from: 2, to: 4 }, LogSpan { from: 5, to: 6 }]);
    let mut broken = chunk(0, Stream::Stdout, b"abcdef");
    broken.codec = 1;
    let found = look(std::slice::from_ref(&broken), &good);
    assert_eq!(
      (found.verdict, found.damaged),
      (LogVerdict::Differs, vec![LogSpan { from: 0, to: 6 }])
    );
    broken.raw_len = -3;
    assert_eq!(verdict(&[broken]), LogVerdict::Missing);
    assert_eq!(verdict(&[]), LogVerdict::Missing);
  }

  #[test]
  fn no_digest_is_said_plainly() {
    let mut none = row(None, 0);
    assert_eq!(look(&[], &none).verdict, LogVerdict::Verified, "no output at all");
    none.exit_code = None;
    assert_eq!(look(&[], &none).verdict, LogVerdict::Unknown);
    assert_eq!(look(&[chunk(0, Stream::Stdout, b"x")], &none).verdict, LogVerdict::Unknown);
    none.status = TaskInstanceStatus::Running;
    assert_eq!(look(&[chunk(0, Stream::Stdout, b"x")], &none).verdict, LogVerdict::Running);
  }

  #[test]
  fn declared_gaps_are_named_and_are_no_fault() {
    let line = gap_line(500, "the buffer was full");
    let (first, second) = line.as_bytes().split_at(9);
    let hash = digest(&[(Stream::Stdout, b"ab"), (Stream::System, line.as_bytes())]);
    let length = i64::try_from(line.len()).expect("small");
    let chunks = [
      chunk(0, Stream::Stdout, b"ab"),
      chunk(2, Stream::System, first),
      chunk(11, Stream::System, second),
    ];
    let found = look(&chunks, &row(Some(hash), length + 2));
    assert_eq!((found.verdict, found.dropped_bytes), (LogVerdict::Verified, 500), "{found:?}");
    assert_eq!(
      found.gaps,
      [LogGap { at: 2, bytes: 500, reason: "the buffer was full".to_owned() }]
    );
  }
}
