use std::sync::Arc;

use hetuflow_core::{LogDigest, read_gap};
use tokio::sync::Semaphore;

use super::*;

fn put(capture: &mut Capture, stream: Stream, bytes: &[u8]) {
  capture.space().0.extend_from_slice(bytes);
  capture.added(stream, bytes.len());
}

fn bounded(limit: u64, policy: LogPolicy) -> Capture {
  Capture::new(TaskInstanceId::generate(), 3, Bounds { limit, policy })
}

fn capture(limit: u64) -> Capture {
  bounded(limit, LogPolicy::Block)
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

/// All of a log as `verify` would read it: the bytes of one stream, and the gaps.
fn read(frames: &[OutputFrame], rest: Option<SmallOutput>) -> (Vec<u8>, Vec<u64>, LogDigest) {
  let (mut bytes, mut gaps, mut hasher) = (Vec::new(), Vec::new(), LogHasher::default());
  for frame in frames {
    let raw = frame.unpack().expect("own");
    hasher.add(frame.stream, &raw);
    match frame.stream {
      Stream::System => {
        let words = String::from_utf8(raw).expect("text");
        gaps.push(read_gap(&words).expect("a gap").0);
      }
      _ => bytes.extend(raw),
    }
  }
  assert!(rest.is_none(), "a chunk was sent");
  (bytes, gaps, hasher.finish())
}

fn flush_all(log: &mut Capture, frames: &mut Vec<OutputFrame>) {
  let memory = Arc::new(Semaphore::new(1 << 20));
  let hold = memory.clone().try_acquire_many_owned(log.pending_bytes()).expect("room");
  log.flush(Ts::from_micros(1), hold, |frame, _| frames.push(*frame));
}

#[tokio::test]
async fn without_room_the_rest_is_dropped_and_the_place_is_declared() {
  for policy in [LogPolicy::Drop, LogPolicy::HeadTail] {
    let mut log = bounded(0, policy);
    let mut frames = Vec::new();
    let mut written = Vec::new();
    for n in 0..400_000_u32 {
      let word = format!("{n:07}\n");
      written.extend_from_slice(word.as_bytes());
      put(&mut log, Stream::Stdout, word.as_bytes());
      assert!(log.has_room(), "the task never waits");
      // Room comes back twice.
      if n == 200_000 || n == 300_000 {
        flush_all(&mut log, &mut frames);
      }
    }
    log.close();
    flush_all(&mut log, &mut frames);
    let rest = log.take_small();
    let (bytes, gaps, digest) = read(&frames, rest);
    assert_eq!(bytes.len() as u64 + gaps.iter().sum::<u64>(), written.len() as u64, "{policy}");
    assert_eq!((gaps.len(), log.end().dropped), (3, gaps.iter().sum()));
    assert_eq!(log.end().digest, Some(digest));
    assert!(bytes.starts_with(&written[..CHUNK_BYTES_MAX]));
    let ends = bytes.ends_with(&written[written.len() - TAIL_BYTES_MAX..]);
    assert_eq!(ends, policy == LogPolicy::HeadTail, "the true end is there");
  }
}

#[test]
fn a_limit_keeps_head_and_tail_where_asked() {
  let mut log = bounded(10, LogPolicy::HeadTail);
  put(&mut log, Stream::Stdout, b"abcdefgh");
  put(&mut log, Stream::Stderr, b"ij");
  log.close();
  let small = log.take_small().expect("small");
  assert_eq!((small.bytes.as_slice(), log.end().dropped), (b"abcdefghij".as_slice(), 0));
  let mut log = bounded(10, LogPolicy::HeadTail);
  put(&mut log, Stream::Stdout, b"abcdefgh");
  put(&mut log, Stream::Stderr, b"ijklm");
  log.close();
  let small = log.take_small().expect("small");
  let line = "hetuflow: 3 bytes dropped, max_output_size is 10\n";
  assert_eq!(String::from_utf8_lossy(&small.bytes), format!("abcde{line}ijklm"));
  assert_eq!(small.index.as_deref(), Some(format!("o5s{}e5", line.len()).as_str()));
}

#[tokio::test]
async fn a_limit_holds_also_for_what_was_held_back() {
  for limit in [CHUNK_BYTES_MAX + 100, CHUNK_BYTES_MAX + (70 << 10), 2 * CHUNK_BYTES_MAX] {
    let mut log = bounded(limit as u64, LogPolicy::HeadTail);
    let mut frames = Vec::new();
    for _ in 0..10 {
      put(&mut log, Stream::Stdout, &[b'x'; 64 << 10]);
    }
    flush_all(&mut log, &mut frames);
    put(&mut log, Stream::Stdout, b"the end");
    log.close();
    flush_all(&mut log, &mut frames);
    let (bytes, gaps, _) = read(&frames, None);
    assert_eq!(bytes.len() as u64 + gaps.iter().sum::<u64>(), (640 << 10) + 7, "{limit}");
    assert!(bytes.len() <= limit && bytes.ends_with(b"the end"), "{limit}: {}", bytes.len());
  }
}
