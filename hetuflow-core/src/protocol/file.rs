//! Files between agents and servers (WIRE §2.3): asked for by their content, sent in pieces.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content_hash::ContentHash;
use super::message::MessageError;
use super::output_frame::{Codec, OutputFrame, unpack_chunk};
use crate::types::{FileTransferState, TaskId, TaskInstanceId};

/// First byte of a frame with a piece of a file.
pub const FILE_FRAME: u8 = 0x02;
/// Bytes before the data.
pub const FILE_HEADER_BYTES: usize = 38;
/// Every piece of a file but its last one has this many bytes. Two agents that send the same
/// content send the same pieces, and a slow link is free for others after each.
pub const FILE_PIECE_BYTES: usize = 32 << 10;
/// Most pieces of a file that a server sends for one question.
pub const DOWNLOAD_PIECES_MAX: u32 = 32;
/// Most files that an attempt can leave.
pub const ARTIFACTS_MAX: usize = 256;
/// Longest name of a file, in bytes.
pub const ARTIFACT_NAME_MAX: usize = 400;

/// A file that an attempt has left, as its last report tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactNote {
  /// Its path below the folder that it was found in, with `/` between the parts.
  pub name: String,
  /// Its bytes.
  #[serde(default)]
  pub size: u64,
  /// What they come to; none where it was not taken.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub hash: Option<ContentHash>,
  /// Why it was not taken, or what is odd about it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
}

/// An agent has a content that its attempt has left: what is to become of it? Sent before the
/// first piece, after the last, and again wherever an answer may have been lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUpload {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// The content.
  pub content_hash: ContentHash,
  /// Its bytes.
  pub file_size: u64,
}

/// A file that an attempt finds when it starts, as its server tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputNote {
  /// Where: a path below the folder for it.
  pub to: String,
  /// What it is; none where the server has not found it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub content_hash: Option<ContentHash>,
  /// Its bytes.
  #[serde(default)]
  pub file_size: u64,
  /// Its rights.
  pub mode: u32,
  /// Why it was not found.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
}

/// An agent wants bytes of a content that one of its attempts is to find. The answer is a
/// [`FileTransferStatus`], and behind one that says `stored` come the pieces. Each question stands
/// for itself: it may be asked of any server, at any time, again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDownload {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// The content.
  pub content_hash: ContentHash,
  /// The first byte that is wanted: where a piece begins.
  pub offset: u64,
  /// How many pieces, at most [`DOWNLOAD_PIECES_MAX`].
  pub pieces: u32,
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTransferStatus {
  /// Names the transfer in the frames that carry it; none where nothing is to be sent.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub transfer_id: Option<Uuid>,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// The content.
  pub content_hash: ContentHash,
  /// Its bytes.
  pub file_size: u64,
  /// How many of them are durable, from the first on.
  pub bytes_transferred: u64,
  /// What becomes of it.
  pub status: FileTransferState,
  /// Why, where it is not taken.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub error_message: Option<String>,
}

/// One piece of a file. From an agent it is a report like any other: numbered, and acknowledged
/// when it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFrame {
  /// The transfer, as the server has named it.
  pub transfer_id: Uuid,
  /// Its place among the agent's reports; 0 from a server.
  pub seq: u64,
  /// Where its bytes begin in the file.
  pub offset: u64,
  /// How many they are.
  pub raw_len: u32,
  /// How `data` is packed.
  pub codec: Codec,
  /// The packed bytes.
  pub data: Vec<u8>,
}

impl FileFrame {
  /// A piece of a file, packed where that is worth it.
  pub fn new(transfer_id: Uuid, offset: u64, raw: &[u8]) -> Self {
    let (codec, data) = OutputFrame::pack(raw);
    let raw_len = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    Self { transfer_id, seq: 0, offset, raw_len, codec, data }
  }

  /// The frame's bytes, little-endian.
  pub fn encode(&self) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES + self.data.len());
    bytes.push(FILE_FRAME);
    bytes.extend_from_slice(self.transfer_id.as_bytes());
    bytes.extend_from_slice(&self.seq.to_le_bytes());
    bytes.extend_from_slice(&self.offset.to_le_bytes());
    bytes.extend_from_slice(&self.raw_len.to_le_bytes());
    bytes.push(self.codec.number());
    bytes.extend_from_slice(&self.data);
    bytes
  }

  /// Reads a frame.
  ///
  /// # Errors
  /// [`MessageError::Binary`] for anything that is not whole, known and within the limits.
  pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
    let broken = MessageError::Binary;
    let Some((header, data)) = bytes.split_at_checked(FILE_HEADER_BYTES) else {
      return Err(broken("file header is not whole"));
    };
    if header[0] != FILE_FRAME {
      return Err(broken("no piece of a file"));
    }
    let transfer_id = Uuid::from_slice(&header[1..17]).map_err(|_| broken("transfer id"))?;
    let word = |at: usize| {
      u64::from_le_bytes(header[at..at + 8].try_into().expect("a header has eight bytes there"))
    };
    let (seq, offset) = (word(17), word(25));
    let raw_len =
      u32::from_le_bytes(header[33..37].try_into().expect("a header has four bytes there"));
    let codec = Codec::from_number(header[37]).ok_or_else(|| broken("unknown codec"))?;
    if raw_len == 0 || raw_len as usize > FILE_PIECE_BYTES {
      return Err(broken("length of a piece is out of range"));
    }
    let packed = match codec {
      Codec::Plain => data.len() == raw_len as usize,
      Codec::Zstd => data.len() < raw_len as usize,
    };
    if !packed {
      return Err(broken("length of a piece and its data differ"));
    }
    if !offset.is_multiple_of(FILE_PIECE_BYTES as u64) || offset > i64::MAX as u64 / 2 {
      return Err(broken("offset of a piece is out of range"));
    }
    Ok(Self { transfer_id, seq, offset, raw_len, codec, data: data.to_vec() })
  }

  /// The raw bytes.
  ///
  /// # Errors
  /// [`MessageError::Binary`] when the data does not unpack to `raw_len` bytes.
  pub fn unpack(&self) -> Result<Vec<u8>, MessageError> {
    unpack_chunk(self.codec, &self.data, self.raw_len as usize)
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn frame() -> FileFrame {
    let transfer_id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let mut frame = FileFrame::new(transfer_id, 65_536, b"a piece");
    frame.seq = 42;
    frame
  }

  #[test]
  fn the_sample_is_what_is_sent() {
    let sample = include_bytes!("../../tests/samples/file_frame.bin");
    assert_eq!(frame().encode(), sample);
    let read = FileFrame::decode(sample).expect("the sample");
    assert_eq!((read.unpack().expect("plain"), read), (b"a piece".to_vec(), frame()));
  }

  #[test]
  fn what_repeats_is_packed() {
    let raw = vec![7_u8; FILE_PIECE_BYTES];
    let packed = FileFrame::new(Uuid::nil(), 0, &raw);
    let read = FileFrame::decode(&packed.encode()).expect("whole");
    assert!(read.data.len() < 1000, "{}", read.data.len());
    assert_eq!(read.unpack().expect("zstd"), raw);
  }

  #[test]
  fn odd_frames_are_refused() {
    let bytes = frame().encode();
    for cut in 0..bytes.len() {
      assert!(FileFrame::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    for (at, value) in [(0, 1), (25, 1), (32, 0xff), (33, 0), (35, 9), (37, 7)] {
      let mut bytes = bytes.clone();
      bytes[at] = value;
      assert!(FileFrame::decode(&bytes).is_err(), "{at}");
    }
  }
}
