//! The output that the fake server has.

use hetuflow_core::{OutputFrame, Stream, TaskInstanceId, Ts};
use uuid::Uuid;

/// Bytes of one record.
const RECORD_BYTES: usize = 128 << 10;

/// Output as a story has written it.
#[derive(Debug, Clone, Default)]
pub struct LogScript {
  pieces: Vec<(u64, Stream, Vec<u8>)>,
  end: u64,
  /// Nothing more will come.
  pub ended: bool,
  /// Bytes after which the connection breaks, once.
  pub break_after: Option<u64>,
}

impl LogScript {
  /// Adds bytes of a stream.
  pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
    for part in bytes.chunks(RECORD_BYTES) {
      self.pieces.push((self.end, stream, part.to_vec()));
      self.end += part.len() as u64;
    }
  }

  /// All that there will be on standard output.
  pub fn of(bytes: &[u8]) -> Self {
    let mut log = Self { ended: true, ..Self::default() };
    log.push(Stream::Stdout, bytes);
    log
  }

  /// The first piece that reaches beyond a byte, as a record, and the byte after it.
  pub(super) fn record(&self, from: u64) -> Option<(Vec<u8>, u64)> {
    let nth = self.pieces.partition_point(|(at, _, raw)| at + raw.len() as u64 <= from);
    let (offset, stream, raw) = self.pieces.get(nth)?;
    let (codec, data) = OutputFrame::pack(raw);
    let frame = OutputFrame {
      instance_id: TaskInstanceId(Uuid::from_u128(1)),
      fence: 1,
      seq: nth as u64,
      offset: *offset,
      stream_offset: *offset,
      at: Ts::now(),
      raw_len: raw.len() as u32,
      stream: *stream,
      codec,
      data,
    };
    let bytes = frame.encode();
    let record = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
    Some((record, offset + raw.len() as u64))
  }
}
