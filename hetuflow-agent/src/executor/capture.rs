//! The output of one attempt between its pipes and the reports.

use hetuflow_core::{
  CHUNK_BYTES_MAX, INLINE_OUTPUT_MAX, LogHasher, OutputFrame, Stream, TaskInstanceId, Ts, gap_line,
};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::result_file::{Left, ResultFile, of_last_line};
use super::spoken::Spoken;
use super::{LogEnd, Said, SmallOutput};

/// With this much collected a chunk is worth sending.
const FLUSH_BYTES: usize = 192 << 10;

/// What a chunk takes beside its bytes while it waits.
const FRAME_BYTES: usize = 512;

/// Collected bytes in capture order, with their streams.
#[derive(Debug)]
pub struct Capture {
  instance_id: TaskInstanceId,
  fence: i64,
  limit: u64,
  buffer: Vec<u8>,
  runs: Vec<(Stream, usize)>,
  offset: u64,
  stream_offsets: [u64; 3],
  accepted: u64,
  /// Dropped and not declared yet.
  dropped: u64,
  /// Dropped and declared.
  declared: u64,
  hasher: LogHasher,
  /// What the task says of itself.
  pub spoken: Spoken,
  results: Option<Results>,
  outputs: Option<Map<String, Value>>,
  sent: bool,
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
  /// Nothing yet; `limit` 0 is unlimited.
  pub fn new(instance_id: TaskInstanceId, fence: i64, limit: u64) -> Self {
    Self {
      instance_id,
      fence,
      limit: if limit == 0 { u64::MAX } else { limit },
      buffer: Vec::new(),
      runs: Vec::new(),
      offset: 0,
      stream_offsets: [0; 3],
      accepted: 0,
      dropped: 0,
      declared: 0,
      hasher: LogHasher::default(),
      spoken: Spoken::default(),
      results: None,
      outputs: None,
      sent: false,
    }
  }

  /// Looks for results in this file, and in the last line of standard output where `printed`.
  pub fn expect_results(&mut self, file: ResultFile, printed: bool) {
    self.results = Some(Results { file, tail: printed.then(Vec::new) });
  }

  /// Where a pipe may add bytes, and how many; [`Self::added`] must follow.
  pub fn space(&mut self) -> (&mut Vec<u8>, usize) {
    let room = CHUNK_BYTES_MAX - self.buffer.len().min(CHUNK_BYTES_MAX);
    (&mut self.buffer, room)
  }

  /// Whether a pipe may be read now.
  pub fn has_room(&self) -> bool {
    self.buffer.len() < CHUNK_BYTES_MAX
  }

  /// Takes note of bytes that a pipe added; what is over the limit is dropped.
  pub fn added(&mut self, stream: Stream, count: usize) {
    if stream == Stream::Stdout {
      self.listen(count);
    }
    let allowed = self.limit - self.accepted;
    let kept = usize::try_from(allowed).unwrap_or(usize::MAX).min(count);
    self.buffer.truncate(self.buffer.len() - (count - kept));
    self.accepted += kept as u64;
    self.dropped += (count - kept) as u64;
    self.note_run(stream, kept);
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
    self.declare_dropped();
  }

  /// What the task has said of itself.
  pub fn said(&mut self) -> Said {
    let Spoken { progress, metrics, .. } = std::mem::take(&mut self.spoken);
    Said { outputs: self.outputs.take(), progress, metrics }
  }

  /// Declares what was dropped; once, at the end.
  fn declare_dropped(&mut self) {
    if self.dropped > 0 {
      let (dropped, limit) = (self.dropped, self.limit);
      self.dropped = 0;
      self.declared += dropped;
      self.say(&gap_line(dropped, &format!("max_output_size is {limit}")));
    }
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
    self.buffer.len() >= FLUSH_BYTES
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
      // Only a word of the agent can push the buffer over one chunk.
      let end = start + length;
      while start < end {
        let raw = &self.buffer[start..end.min(start + CHUNK_BYTES_MAX)];
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
mod tests {
  use std::sync::Arc;

  use tokio::sync::Semaphore;

  use super::*;

  fn put(capture: &mut Capture, stream: Stream, bytes: &[u8]) {
    capture.space().0.extend_from_slice(bytes);
    capture.added(stream, bytes.len());
  }

  fn capture(limit: u64) -> Capture {
    Capture::new(TaskInstanceId::generate(), 3, limit)
  }

  #[test]
  fn a_small_log_keeps_the_order_of_its_streams() {
    let mut log = capture(0);
    put(&mut log, Stream::Stdout, b"out\n");
    put(&mut log, Stream::Stderr, b"e\xff");
    put(&mut log, Stream::Stderr, b"\n");
    put(&mut log, Stream::Stdout, b"o");
    let small = log.take_small().expect("small");
    assert_eq!(small.bytes, b"out\ne\xff\no");
    assert_eq!(small.index.as_deref(), Some("o4e3o1"));
    assert_eq!(log.total(), 8);
  }

  #[test]
  fn plain_stdout_needs_no_index() {
    let mut log = capture(0);
    put(&mut log, Stream::Stdout, b"a");
    assert_eq!(log.take_small().expect("small").index, None);
    assert_eq!(capture(0).take_small(), None);
  }

  #[test]
  fn over_the_limit_is_dropped_and_declared() {
    let mut log = capture(5);
    put(&mut log, Stream::Stdout, b"abc");
    put(&mut log, Stream::Stderr, b"defgh");
    put(&mut log, Stream::Stdout, b"ij");
    log.close();
    let small = log.take_small().expect("small");
    assert!(small.bytes.starts_with(b"abcdehetuflow: 5 bytes dropped"), "{:?}", small.bytes);
    assert!(small.index.expect("mixed").starts_with("o3e2s"));
  }

  #[tokio::test]
  async fn chunks_hold_one_stream_each_and_tile_the_log() {
    let memory = Arc::new(Semaphore::new(1 << 20));
    let mut log = capture(0);
    put(&mut log, Stream::Stdout, &[b'x'; 5000]);
    put(&mut log, Stream::Stderr, b"err");
    put(&mut log, Stream::Stdout, b"more");
    let hold = memory.clone().acquire_many_owned(log.pending_bytes()).await.expect("open");
    let mut frames = Vec::new();
    log.flush(Ts::from_micros(1), hold, |frame, share| frames.push((frame, share)));
    let seen: Vec<_> =
      frames.iter().map(|(f, _)| (f.stream, f.offset, f.stream_offset, f.raw_len)).collect();
    assert_eq!(
      seen,
      [(Stream::Stdout, 0, 0, 5000), (Stream::Stderr, 5000, 0, 3), (Stream::Stdout, 5003, 5000, 4)]
    );
    let held = |f: &OutputFrame| (f.data.len() + FRAME_BYTES).min(f.raw_len as usize);
    let held: usize = frames.iter().map(|(frame, _)| held(frame)).sum();
    assert_eq!(memory.available_permits(), (1 << 20) - held, "only packed bytes are held");
    assert!(!log.is_small() && log.is_empty());
    drop(frames);
    assert_eq!(memory.available_permits(), 1 << 20);
  }
}
