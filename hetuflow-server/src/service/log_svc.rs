//! Output for readers: from any offset, followed to its complete end, on any server.

use std::collections::VecDeque;
use std::time::Duration;

use hetuflow_core::{
  CHUNK_BYTES_MAX, Codec, OutputFrame, Role, Stream, TaskInstanceEntity, TaskInstanceId, Ts,
  unpack_chunk,
};
use tokio::sync::broadcast;

use super::{Actor, Store, SvcError, SvcResult};
use crate::infra::bmc::log_bmc::{self, LogChunk};
use crate::infra::bmc::task_instance_bmc;
use crate::infra::db::{Conn, DbError};

/// Chunks read in one go.
const CHUNKS_PER_READ: i64 = 16;
/// How often a follower looks for itself, for output that another server stored.
const FOLLOW_POLL: Duration = Duration::from_millis(250);

/// Which output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRange {
  /// From this byte of the merged log on.
  pub from_offset: u64,
  /// Wait for more until the attempt is over.
  pub follow: bool,
  /// Of this stream alone.
  pub stream: Option<Stream>,
  /// Only so many bytes from the end, as it is when the reading begins.
  pub tail_bytes: Option<u64>,
}

/// Output for readers.
#[derive(Clone)]
pub struct LogSvc {
  pub(super) store: Store,
}

impl LogSvc {
  /// The service over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Opens the output of an attempt.
  ///
  /// # Errors
  /// 404 for an unknown attempt; `log.range` for an offset beyond the end of an ended one.
  pub async fn open(
    &self,
    actor: &Actor,
    instance: TaskInstanceId,
    range: LogRange,
  ) -> SvcResult<LogReader> {
    let mut conn = self.store.db.read().await?;
    let row = readable(&mut conn, actor, instance).await?;
    let stored = log_bmc::stored_bytes(&mut conn, instance).await?.max(row.log_bytes);
    let end = u64::try_from(stored).unwrap_or(0);
    if range.from_offset > end && !range.follow {
      let message = format!("the log has {end} bytes, {} is beyond", range.from_offset);
      return Err(SvcError::conflict("log.range", "/from_offset", message));
    }
    let from = match range.tail_bytes {
      Some(tail) => end.saturating_sub(tail).max(range.from_offset),
      None => range.from_offset,
    };
    let wakes = self.store.bus.listen_logs();
    Ok(LogReader {
      store: self.store.clone(),
      instance,
      offset: from,
      range,
      ready: VecDeque::new(),
      wakes,
      over: false,
    })
  }
}

/// The attempt, where the asker may read it.
pub(super) async fn readable(
  conn: &mut Conn,
  actor: &Actor,
  instance: TaskInstanceId,
) -> SvcResult<TaskInstanceEntity> {
  let row = task_instance_bmc::get(conn, instance).await?;
  let row = row
    .filter(|row| actor.namespace_id.as_ref().is_none_or(|own| *own == row.namespace_id))
    .ok_or_else(|| SvcError::not_found("attempt", &instance.to_string()))?;
  actor.require(Role::Viewer, &row.namespace_id)?;
  Ok(row)
}

/// An open log.
pub struct LogReader {
  store: Store,
  instance: TaskInstanceId,
  offset: u64,
  range: LogRange,
  ready: VecDeque<OutputFrame>,
  wakes: broadcast::Receiver<TaskInstanceId>,
  over: bool,
}

impl LogReader {
  /// The next piece; `None` at the end: of what there is, or of the whole log when following.
  ///
  /// # Errors
  /// Any database error.
  pub async fn next(&mut self) -> SvcResult<Option<OutputFrame>> {
    loop {
      while let Some(frame) = self.ready.pop_front() {
        self.offset = frame.offset + u64::from(frame.raw_len);
        if self.range.stream.is_none_or(|wanted| wanted == frame.stream) {
          return Ok(Some(frame));
        }
      }
      if self.over {
        return Ok(None);
      }
      if !self.fill().await? {
        if !self.range.follow {
          return Ok(None);
        }
        self.wait().await;
      }
    }
  }

  /// Whether everything was read and the attempt is over, so that nothing more can come.
  pub fn is_over(&self) -> bool {
    self.over && self.ready.is_empty()
  }

  /// Reads on; `false` when nothing new was there.
  async fn fill(&mut self) -> SvcResult<bool> {
    let mut conn = self.store.db.read().await?;
    let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
    // The end is looked up before the chunks: what was committed by then is then also seen.
    let small = log_bmc::small_log(&mut conn, self.instance).await?;
    let chunks = log_bmc::list_from(&mut conn, self.instance, offset, CHUNKS_PER_READ).await?;
    drop(conn);
    if !chunks.is_empty() {
      for chunk in chunks {
        let frame = frame_from(chunk, self.offset)?;
        self.ready.push_back(frame);
      }
      return Ok(true);
    }
    let Some(small) = small else { return Ok(false) };
    self.over = true;
    if let Some(bytes) = small.output_tail {
      let at = small.completed_at.unwrap_or(Ts::from_micros(0));
      let index = small.output_index.as_deref();
      self.ready.extend(inline_frames(self.instance, &bytes, index, at, self.offset));
    }
    Ok(true)
  }

  async fn wait(&mut self) {
    let instance = self.instance;
    let wakes = &mut self.wakes;
    let woken = async {
      loop {
        match wakes.recv().await {
          Ok(grown) if grown != instance => {}
          _ => return,
        }
      }
    };
    let _woken_or_due = tokio::time::timeout(FOLLOW_POLL, woken).await;
  }
}

/// A stored chunk as a frame, cut so that it begins at `from` where it began before it.
fn frame_from(chunk: LogChunk, from: u64) -> SvcResult<OutputFrame> {
  let bad = |what: &str| {
    SvcError::Database(DbError::BadData(format!(
      "sched_log_chunk of {} at {}: {what}",
      chunk.instance_id, chunk.log_offset
    )))
  };
  let stream = u8::try_from(chunk.stream).ok().and_then(Stream::from_number);
  let codec = u8::try_from(chunk.codec).ok().and_then(Codec::from_number);
  let mut frame = OutputFrame {
    instance_id: chunk.instance_id,
    fence: 0,
    seq: 0,
    offset: chunk.log_offset.unsigned_abs(),
    stream_offset: chunk.stream_offset.unsigned_abs(),
    at: chunk.at,
    raw_len: u32::try_from(chunk.raw_len).map_err(|_| bad("length"))?,
    stream: stream.ok_or_else(|| bad("stream"))?,
    codec: codec.ok_or_else(|| bad("codec"))?,
    data: Vec::new(),
  };
  if frame.offset >= from {
    frame.data = chunk.data;
    return Ok(frame);
  }
  let raw = unpack_chunk(frame.codec, &chunk.data, frame.raw_len as usize)
    .map_err(|error| bad(&error.to_string()))?;
  let cut = usize::try_from(from - frame.offset).unwrap_or(raw.len()).min(raw.len());
  frame.stream_offset += cut as u64;
  frame.offset = from;
  frame.data = raw[cut..].to_vec();
  frame.raw_len = u32::try_from(frame.data.len()).map_err(|_| bad("length"))?;
  frame.codec = Codec::Plain;
  Ok(frame)
}

/// The frames of a small log that rode in its attempt's row, from an offset on.
pub(super) fn inline_frames(
  instance: TaskInstanceId,
  bytes: &[u8],
  index: Option<&str>,
  at: Ts,
  from: u64,
) -> Vec<OutputFrame> {
  let mut frames = Vec::new();
  let mut start = 0_usize;
  let mut per_stream = [0_u64; 4];
  for (stream, len) in read_index(index, bytes.len()) {
    let end = (start + len).min(bytes.len());
    let mut piece_start = start;
    while piece_start < end {
      let piece_end = end.min(piece_start + CHUNK_BYTES_MAX);
      let begin = piece_start.max(usize::try_from(from).unwrap_or(usize::MAX)).min(piece_end);
      let data = bytes[begin..piece_end].to_vec();
      let stream_offset = &mut per_stream[usize::from(stream.number())];
      *stream_offset += (piece_end - piece_start) as u64;
      if !data.is_empty() {
        frames.push(OutputFrame {
          instance_id: instance,
          fence: 0,
          seq: 0,
          offset: begin as u64,
          stream_offset: *stream_offset - data.len() as u64,
          at,
          raw_len: data.len() as u32,
          stream,
          codec: Codec::Plain,
          data,
        });
      }
      piece_start = piece_end;
    }
    start = end;
  }
  frames
}

/// Reads `o12e5o3`; absent or broken means all of it is standard output.
fn read_index(index: Option<&str>, total: usize) -> Vec<(Stream, usize)> {
  let whole = vec![(Stream::Stdout, total)];
  let Some(mut rest) = index else { return whole };
  let mut pieces = Vec::new();
  while let Some(letter) = rest.chars().next() {
    let stream = match letter {
      'o' => Stream::Stdout,
      'e' => Stream::Stderr,
      's' => Stream::System,
      _ => return whole,
    };
    let digits = &rest[1..];
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let Ok(len) = digits[..end].parse::<usize>() else { return whole };
    pieces.push((stream, len));
    rest = &digits[end..];
  }
  let sum = pieces.iter().try_fold(0_usize, |sum, (_, len)| sum.checked_add(*len));
  if sum == Some(total) { pieces } else { whole }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn small_logs_keep_their_streams_and_offsets() {
    let instance = TaskInstanceId::generate();
    let at = Ts::from_micros(0);
    let frames = inline_frames(instance, b"outerrout", Some("o3e3o3"), at, 0);
    let seen: Vec<_> = frames
      .iter()
      .map(|f| (f.stream.letter(), f.offset, f.stream_offset, f.data.clone()))
      .collect();
    assert_eq!(
      seen,
      [('o', 0, 0, b"out".to_vec()), ('e', 3, 0, b"err".to_vec()), ('o', 6, 3, b"out".to_vec())]
    );
    let frames = inline_frames(instance, b"outerrout", Some("o3e3o3"), at, 4);
    assert_eq!(frames[0].data, b"rr");
    assert_eq!((frames[0].offset, frames[0].stream_offset), (4, 1));
    assert_eq!(read_index(Some("o3e3"), 9), [(Stream::Stdout, 9)]);
    assert_eq!(read_index(Some("nonsense"), 9), [(Stream::Stdout, 9)]);
  }
}
