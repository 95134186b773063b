//! Output as bytes: one binary frame per chunk, stored as it was sent (WIRE §2.6.3).

use uuid::Uuid;

use super::message::MessageError;
use crate::types::{TaskInstanceId, Ts};

/// First byte of an output frame. A zstd frame starts with 0x28, so that the two cannot be mixed.
pub const OUTPUT_FRAME: u8 = 0x01;
/// Bytes before the data.
pub const OUTPUT_HEADER_BYTES: usize = 63;
/// Most raw bytes in one chunk.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;

/// How the data of a chunk is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
  /// As it is.
  Plain,
  /// One zstd frame.
  Zstd,
}

impl Codec {
  /// The number in frames and rows.
  pub const fn number(self) -> u8 {
    match self {
      Self::Plain => 0,
      Self::Zstd => 1,
    }
  }

  /// Reads the number.
  pub const fn from_number(number: u8) -> Option<Self> {
    match number {
      0 => Some(Self::Plain),
      1 => Some(Self::Zstd),
      _ => None,
    }
  }
}

/// Which pipe the bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
  /// Standard output.
  Stdout,
  /// Standard error.
  Stderr,
  /// A word of the agent itself.
  System,
}

impl Stream {
  /// The number in frames and rows.
  pub const fn number(self) -> u8 {
    match self {
      Self::Stdout => 1,
      Self::Stderr => 2,
      Self::System => 3,
    }
  }

  /// Reads the number.
  pub const fn from_number(number: u8) -> Option<Self> {
    match number {
      1 => Some(Self::Stdout),
      2 => Some(Self::Stderr),
      3 => Some(Self::System),
      _ => None,
    }
  }

  /// The short name in logs and indexes.
  pub const fn letter(self) -> char {
    match self {
      Self::Stdout => 'o',
      Self::Stderr => 'e',
      Self::System => 's',
    }
  }
}

/// One chunk of one stream, with its place in the merged log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFrame {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// Its place among the agent's reports.
  pub seq: u64,
  /// Where the raw bytes begin in the merged log.
  pub offset: u64,
  /// Where they begin in their own stream.
  pub stream_offset: u64,
  /// When the last of them was read.
  pub at: Ts,
  /// How many raw bytes.
  pub raw_len: u32,
  /// Which pipe.
  pub stream: Stream,
  /// How `data` is packed.
  pub codec: Codec,
  /// The packed bytes.
  pub data: Vec<u8>,
}

impl OutputFrame {
  /// The frame's bytes, little-endian.
  pub fn encode(&self) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OUTPUT_HEADER_BYTES + self.data.len());
    bytes.push(OUTPUT_FRAME);
    bytes.extend_from_slice(self.instance_id.0.as_bytes());
    bytes.extend_from_slice(&self.fence.to_le_bytes());
    bytes.extend_from_slice(&self.seq.to_le_bytes());
    bytes.extend_from_slice(&self.offset.to_le_bytes());
    bytes.extend_from_slice(&self.stream_offset.to_le_bytes());
    bytes.extend_from_slice(&self.at.micros().to_le_bytes());
    bytes.extend_from_slice(&self.raw_len.to_le_bytes());
    bytes.push(self.stream.number());
    bytes.push(self.codec.number());
    bytes.extend_from_slice(&self.data);
    bytes
  }

  /// Reads a frame.
  ///
  /// # Errors
  /// [`MessageError::Binary`] for anything that is not whole, known and within the limits.
  pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
    let broken = |what| MessageError::Binary(what);
    if bytes.len() < OUTPUT_HEADER_BYTES || bytes[0] != OUTPUT_FRAME {
      return Err(broken("output header is not whole"));
    }
    let mut at = 1;
    let mut take = |n: usize| {
      at += n;
      &bytes[at - n..at]
    };
    let uuid = Uuid::from_slice(take(16)).map_err(|_| broken("instance id"))?;
    let mut word = || u64::from_le_bytes(take(8).try_into().unwrap_or_default());
    let (fence, seq, offset, stream_offset, micros) = (word(), word(), word(), word(), word());
    let raw_len = u32::from_le_bytes(take(4).try_into().unwrap_or_default());
    let stream = Stream::from_number(take(1)[0]).ok_or_else(|| broken("unknown stream"))?;
    let codec = Codec::from_number(take(1)[0]).ok_or_else(|| broken("unknown codec"))?;
    let data = bytes[OUTPUT_HEADER_BYTES..].to_vec();
    if raw_len == 0 || raw_len as usize > CHUNK_BYTES_MAX {
      return Err(broken("chunk length is out of range"));
    }
    if codec == Codec::Plain && data.len() != raw_len as usize {
      return Err(broken("chunk length and data differ"));
    }
    if offset.checked_add(u64::from(raw_len)).is_none_or(|end| end > i64::MAX as u64) {
      return Err(broken("offset is out of range"));
    }
    Ok(Self {
      instance_id: TaskInstanceId(uuid),
      fence: fence as i64,
      seq,
      offset,
      stream_offset,
      at: Ts::from_micros(micros as i64),
      raw_len,
      stream,
      codec,
      data,
    })
  }

  /// Packs raw bytes: zstd where it is worth it, plain otherwise.
  pub fn pack(raw: &[u8]) -> (Codec, Vec<u8>) {
    if raw.len() >= COMPRESS_CHUNK_MIN
      && let Ok(mut packed) = zstd::bulk::compress(raw, 1)
      && packed.len() < raw.len()
    {
      // It was made with room for the worst case, and may wait for long.
      packed.shrink_to_fit();
      return (Codec::Zstd, packed);
    }
    (Codec::Plain, raw.to_vec())
  }

  /// The raw bytes.
  ///
  /// # Errors
  /// [`MessageError::Binary`] when the data does not unpack to `raw_len` bytes.
  pub fn unpack(&self) -> Result<Vec<u8>, MessageError> {
    unpack_chunk(self.codec, &self.data, self.raw_len as usize)
  }
}

/// Chunks under this many bytes are not worth a zstd header.
const COMPRESS_CHUNK_MIN: usize = 512;

/// Unpacks the data of a chunk; never makes more than `raw_len` bytes.
///
/// # Errors
/// [`MessageError::Binary`] when the data does not unpack to exactly `raw_len` bytes.
pub fn unpack_chunk(codec: Codec, data: &[u8], raw_len: usize) -> Result<Vec<u8>, MessageError> {
  let raw = match codec {
    Codec::Plain => data.to_vec(),
    Codec::Zstd => zstd::bulk::decompress(data, raw_len.min(CHUNK_BYTES_MAX))
      .map_err(|_| MessageError::Binary("chunk does not unpack"))?,
  };
  if raw.len() != raw_len {
    return Err(MessageError::Binary("chunk unpacks to another length"));
  }
  Ok(raw)
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  fn frame(raw: &[u8]) -> OutputFrame {
    let (codec, data) = OutputFrame::pack(raw);
    OutputFrame {
      instance_id: TaskInstanceId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001)),
      fence: 17,
      seq: 42,
      offset: 1000,
      stream_offset: 900,
      at: Ts::from_millis(1_732_150_000_000),
      raw_len: u32::try_from(raw.len()).expect("small"),
      stream: Stream::Stderr,
      codec,
      data,
    }
  }

  #[test]
  fn the_frame_is_this_to_the_byte() {
    let sample = include_bytes!("../../tests/samples/output_frame.bin");
    assert_eq!(frame(b"out\xff\x00\n").encode(), sample);
    assert_eq!(OutputFrame::decode(sample).expect("valid"), frame(b"out\xff\x00\n"));
  }

  proptest! {
    #[test]
    fn any_bytes_survive(raw in proptest::collection::vec(any::<u8>(), 1..5000)) {
      let frame = frame(&raw);
      let back = OutputFrame::decode(&frame.encode()).expect("own frame");
      prop_assert_eq!(back.unpack().expect("own data"), raw);
    }

    #[test]
    fn garbage_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
      if let Ok(frame) = OutputFrame::decode(&bytes) {
        let _outcome = frame.unpack();
      }
    }
  }
}
