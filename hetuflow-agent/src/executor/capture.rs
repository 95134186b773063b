//! The output of one attempt between its pipes and the reports.

use hetuflow_core::{
  CHUNK_BYTES_MAX, INLINE_OUTPUT_MAX, LogHasher, LogPolicy, OutputFrame, Stream, TaskInstanceId,
  Ts, gap_line,
};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::mask::Masker;
use super::overflow::{Gap, Overflow, Why};
use super::result_file::{Left, ResultFile, of_last_line};
use super::spoken::Spoken;
use super::{LogEnd, Said, SmallOutput};

/// In the first moments, when nothing is sent yet, so much is collected.
const FIRST_BYTES: usize = 192 << 10;

/// What a chunk takes beside its bytes while it waits.
const FRAME_BYTES: usize = 512;

/// Most bytes behind a gap that are held back for its end.
const TAIL_BYTES_MAX: usize = 64 << 10;
/// Read at once where it is not kept.
const OVERFLOW_BYTES: usize = 64 << 10;

/// How much output is kept, and what becomes of more.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
  /// Most bytes; 0 is unlimited.
  pub limit: u64,
  /// Where there is no room.
  pub policy: LogPolicy,
}

/// Collected bytes in capture order, with their streams.
#[derive(Debug)]
pub struct Capture {
  instance_id: TaskInstanceId,
  fence: i64,
  bounds: Bounds,
  buffer: Vec<u8>,
  runs: Vec<(Stream, usize)>,
  offset: u64,
  stream_offsets: [u64; 3],
  accepted: u64,
  /// What is not kept now.
  overflow: Overflow,
  /// Dropped and declared.
  declared: u64,
  hasher: LogHasher,
  /// Hides values of secrets; none where there are none.
  masker: Option<Box<Masker>>,
  /// What the task says of itself.
  pub spoken: Spoken,
  results: Option<Results>,
  outputs: Option<Map<String, Value>>,
  sent: bool,
  /// With this much collected a chunk is worth sending, and none is longer.
  piece: usize,
}

/// Where results are looked for when the task has ended.
#[derive(Debug)]
struct Results {
  file: ResultFile,
  /// The last bytes of standard output, where the last line may be the result.
  tail: Option<Vec<u8>>,
}

/// Bytes of standard output in which a handler's result is looked for.
const TAIL_BYTES: usize = 64 << 10;

impl Capture {
  /// Nothing yet.
  pub fn new(instance_id: TaskInstanceId, fence: i64, bounds: Bounds) -> Self {
    let limit = if bounds.limit == 0 { u64::MAX } else { bounds.limit };
    Self {
      instance_id,
      fence,
      bounds: Bounds { limit, ..bounds },
      buffer: Vec::new(),
      runs: Vec::new(),
      offset: 0,
      stream_offsets: [0; 3],
      accepted: 0,
      overflow: Overflow::default(),
      declared: 0,
      hasher: LogHasher::default(),
      masker: None,
      spoken: Spoken::default(),
      results: None,
      outputs: None,
      sent: false,
      piece: FIRST_BYTES,
    }
  }

  /// Looks for results in this file, and in the last line of standard output where `printed`.
  pub fn expect_results(&mut self, file: ResultFile, printed: bool) {
    self.results = Some(Results { file, tail: printed.then(Vec::new) });
  }

  /// Hides values of secrets from now on.
  pub fn mask(&mut self, masker: Option<Masker>) {
    self.masker = masker.map(Box::new);
  }

  /// How long chunks are cut from now on.
  pub fn cut_after(&mut self, bytes: usize) {
    self.piece = bytes.clamp(1, CHUNK_BYTES_MAX);
  }

  /// Where a pipe may add bytes, and how many; [`Self::added`] must follow.
  pub fn space(&mut self) -> (&mut Vec<u8>, usize) {
    let room = CHUNK_BYTES_MAX - self.buffer.len().min(CHUNK_BYTES_MAX);
    let no_room = room == 0 || self.overflow.why() == Some(Why::Buffer);
    let room = if no_room && self.overflows() { OVERFLOW_BYTES } else { room };
    (&mut self.buffer, room)
  }

  /// Whether a pipe may be read now.
  pub fn has_room(&self) -> bool {
    self.buffer.len() < CHUNK_BYTES_MAX || self.overflows()
  }

  /// Whether the task never waits: what has no room is dropped.
  pub fn overflows(&self) -> bool {
    self.bounds.policy != LogPolicy::Block
  }

  /// Takes note of bytes that a pipe added; what is over the limit is dropped.
  pub fn added(&mut self, stream: Stream, count: usize) {
    let count = match &mut self.masker {
      Some(masker) => masker.pass(stream, &mut self.buffer, count),
      None => count,
    };
    self.take_in(stream, count);
  }

  fn take_in(&mut self, stream: Stream, count: usize) {
    if stream == Stream::Stdout {
      self.listen(count);
    }
    let free = CHUNK_BYTES_MAX.saturating_sub(self.buffer.len() - count);
    self.admit(stream, count, if self.overflows() { free } else { usize::MAX });
  }

  /// The last `count` bytes are the task's: those that have no place are dropped.
  fn admit(&mut self, stream: Stream, count: usize, room: usize) {
    let start = self.buffer.len() - count;
    let mut kept = 0;
    if self.overflow.why().is_none() {
      let head = self.bounds.limit - self.limit_tail() as u64;
      let allowed = usize::try_from(head.saturating_sub(self.accepted)).unwrap_or(usize::MAX);
      kept = count.min(allowed).min(room);
      if kept < count && allowed <= room {
        self.overflow.open(Why::Limit, self.limit_tail());
      } else if kept < count {
        let holds_back = self.bounds.policy == LogPolicy::HeadTail;
        self.overflow.open(Why::Buffer, if holds_back { TAIL_BYTES_MAX } else { 0 });
      }
    }
    if kept < count {
      self.overflow.add(stream, &self.buffer[start + kept..]);
    }
    self.buffer.truncate(start + kept);
    self.accepted += kept as u64;
    self.note_run(stream, kept);
  }

  /// How much of all that may be said is held back for the end.
  fn limit_tail(&self) -> usize {
    if self.bounds.policy != LogPolicy::HeadTail || self.bounds.limit == u64::MAX {
      return 0;
    }
    usize::try_from(self.bounds.limit / 2).unwrap_or(usize::MAX).min(TAIL_BYTES_MAX)
  }

  /// There is room again: the gap is declared, and what was held back follows it.
  fn end_gap(&mut self) {
    let Some(Gap { why, dropped, tail }) = self.overflow.close() else { return };
    if dropped > 0 {
      self.declared += dropped;
      let words = match why {
        Why::Buffer => "no room was left in the output buffer".to_owned(),
        Why::Limit => format!("max_output_size is {}", self.bounds.limit),
      };
      self.say(&gap_line(dropped, &words));
    }
    for (stream, bytes) in tail {
      self.buffer.extend_from_slice(&bytes);
      match why {
        // There are few of them.
        Why::Buffer => self.admit(stream, bytes.len(), usize::MAX),
        // Within the limit: this is what was set apart for it.
        Why::Limit => {
          self.accepted += bytes.len() as u64;
          self.note_run(stream, bytes.len());
        }
      }
    }
  }

  /// The last `count` bytes are heard, whether or not they are kept.
  fn listen(&mut self, count: usize) {
    let raw = &self.buffer[self.buffer.len() - count..];
    self.spoken.hear(raw);
    if let Some(tail) = self.results.as_mut().and_then(|results| results.tail.as_mut()) {
      tail.extend_from_slice(&raw[raw.len().saturating_sub(TAIL_BYTES)..]);
      tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
  }

  /// Adds a word of the agent itself; it does not count against the limit.
  pub fn say(&mut self, text: &str) {
    self.buffer.extend_from_slice(text.as_bytes());
    self.note_run(Stream::System, text.len());
  }

  /// Nothing comes any more: takes the results in, and declares what was dropped. Blocks on the
  /// disk where there are results.
  pub fn close(&mut self) {
    for stream in [Stream::Stdout, Stream::Stderr] {
      if let Some(masker) = &mut self.masker {
        let count = masker.end(stream, &mut self.buffer);
        self.take_in(stream, count);
      }
    }
    // What was held back for want of room may be more than the task may say.
    self.end_gap();
    self.end_gap();
    if let Some(results) = self.results.take() {
      match results.file.take() {
        Left::Nothing => self.outputs = results.tail.as_deref().and_then(of_last_line),
        Left::Values(values, others) => {
          self.outputs = (!values.is_empty()).then_some(values);
          if others > 0 {
            self.say(&format!("hetuflow: {others} lines of the result file are not name=value\n"));
          }
        }
        Left::TooLarge => self.say("hetuflow: the result file is too large and was not kept\n"),
        Left::Unreadable(why) => {
          self.say(&format!("hetuflow: the result file cannot be read: {why}\n"));
        }
      }
    }
    self.declare_masks();
  }

  /// What was masked is no secret: that it was, and how often.
  fn declare_masks(&mut self) {
    let Some(masker) = &mut self.masker else { return };
    let count = masker.count();
    if let Some(outputs) = &mut self.outputs {
      masker.mask_values(outputs);
    }
    if count > 0 {
      self.say(&format!("hetuflow: {count} values of secrets in this output were masked\n"));
    }
  }

  /// What the task has said of itself.
  pub fn said(&mut self) -> Said {
    let Spoken { progress, metrics, .. } = std::mem::take(&mut self.spoken);
    Said { outputs: self.outputs.take(), progress, metrics, ..Said::default() }
  }

  /// The last `count` bytes are of this stream.
  fn note_run(&mut self, stream: Stream, count: usize) {
    self.hasher.add(stream, &self.buffer[self.buffer.len() - count..]);
    match self.runs.last_mut() {
      _ if count == 0 => {}
      Some((last, length)) if *last == stream => *length += count,
      _ => self.runs.push((stream, count)),
    }
  }

  /// Nothing waits to be sent.
  pub fn is_empty(&self) -> bool {
    self.buffer.is_empty()
  }

  /// Enough is collected to be sent at once.
  pub fn is_full(&self) -> bool {
    self.buffer.len() >= self.piece
  }

  /// Whether a chunk was sent already.
  pub fn was_sent(&self) -> bool {
    self.sent
  }

  /// Whether all of it can ride in the final report.
  pub fn is_small(&self) -> bool {
    !self.sent && self.buffer.len() <= INLINE_OUTPUT_MAX
  }

  /// Bytes that a flush needs memory for.
  pub fn pending_bytes(&self) -> u32 {
    u32::try_from(self.buffer.len()).unwrap_or(u32::MAX)
  }

  /// Bytes in all, sent or not.
  pub fn total(&self) -> u64 {
    self.offset + self.buffer.len() as u64
  }

  /// What is to be told of the log, once nothing is added any more.
  pub fn end(&self) -> LogEnd {
    let digest = (self.total() > 0).then(|| self.hasher.clone().finish());
    LogEnd { digest, dropped: self.declared }
  }

  /// Packs what is collected, one frame for each run of one stream; `hold` covers all of it.
  pub fn flush(
    &mut self,
    at: Ts,
    mut hold: OwnedSemaphorePermit,
    mut send: impl FnMut(Box<OutputFrame>, OwnedSemaphorePermit),
  ) {
    self.sent = true;
    let mut start = 0;
    for (stream, length) in std::mem::take(&mut self.runs) {
      let end = start + length;
      while start < end {
        let raw = &self.buffer[start..end.min(start + self.piece)];
        start += raw.len();
        let (codec, data) = OutputFrame::pack(raw);
        let Some(mut share) = hold.split(raw.len()) else { break };
        // What compression saved is free for others; a frame takes some bytes for itself, too.
        drop(share.split(raw.len().saturating_sub(data.len() + FRAME_BYTES)));
        let place = &mut self.stream_offsets[usize::from(stream.number()) - 1];
        let frame = OutputFrame {
          instance_id: self.instance_id,
          fence: self.fence,
          seq: 0,
          offset: self.offset,
          stream_offset: *place,
          at,
          raw_len: u32::try_from(raw.len()).unwrap_or(u32::MAX),
          stream,
          codec,
          data,
        };
        *place += raw.len() as u64;
        self.offset += raw.len() as u64;
        send(Box::new(frame), share);
      }
    }
    self.buffer.clear();
    if self.buffer.capacity() > CHUNK_BYTES_MAX {
      self.buffer.shrink_to(CHUNK_BYTES_MAX);
    }
    if self.overflow.why() == Some(Why::Buffer) {
      self.end_gap();
    }
  }

  /// The whole log, where it is small and not empty.
  pub fn take_small(&mut self) -> Option<SmallOutput> {
    if !self.is_small() || self.is_empty() {
      return None;
    }
    let runs = std::mem::take(&mut self.runs);
    let index = if runs.iter().all(|(stream, _)| *stream == Stream::Stdout) {
      None
    } else {
      Some(runs.iter().map(|(stream, length)| format!("{}{length}", stream.letter())).collect())
    };
    self.offset += self.buffer.len() as u64;
    Some(SmallOutput { bytes: std::mem::take(&mut self.buffer), index })
  }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
