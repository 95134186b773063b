//! The output of one attempt between its pipes and the reports.

use hetuflow_core::{CHUNK_BYTES_MAX, INLINE_OUTPUT_MAX, OutputFrame, Stream, TaskInstanceId, Ts};
use tokio::sync::OwnedSemaphorePermit;

use super::SmallOutput;

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
  dropped: u64,
  sent: bool,
  /// With this much collected a chunk is worth sending, and none is longer.
  piece: usize,
}

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
      sent: false,
      piece: CHUNK_BYTES_MAX,
    }
  }

  /// How long chunks are cut from now on.
  pub fn cut_after(&mut self, bytes: usize) {
    self.piece = bytes.clamp(1, CHUNK_BYTES_MAX);
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
    let allowed = self.limit - self.accepted;
    let kept = usize::try_from(allowed).unwrap_or(usize::MAX).min(count);
    self.buffer.truncate(self.buffer.len() - (count - kept));
    self.accepted += kept as u64;
    self.dropped += (count - kept) as u64;
    self.note_run(stream, kept);
  }

  /// Adds a word of the agent itself; it does not count against the limit.
  pub fn say(&mut self, text: &str) {
    self.buffer.extend_from_slice(text.as_bytes());
    self.note_run(Stream::System, text.len());
  }

  /// Declares what was dropped; once, at the end.
  pub fn declare_dropped(&mut self) {
    if self.dropped > 0 {
      let (dropped, limit) = (self.dropped, self.limit);
      self.dropped = 0;
      self.say(&format!("hetuflow: {dropped} bytes dropped, max_output_size is {limit}\n"));
    }
  }

  fn note_run(&mut self, stream: Stream, count: usize) {
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
    log.declare_dropped();
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
