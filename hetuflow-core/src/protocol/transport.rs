//! How a message becomes a frame: plain text, or one zstd frame where both sides can.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::message::{COMPRESS_BYTES_MIN, FRAME_BYTES_MAX, MessageError};

/// What travels in one WebSocket frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
  /// A text frame.
  Text(String),
  /// A binary frame.
  Binary(Vec<u8>),
}

/// Most bytes that a compressed message may unpack to.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

thread_local! {
  /// Making one costs more than packing a small message.
  static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(1).ok());
  static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
    RefCell::new(Decompressor::new().ok());
}

/// Packs bytes as one zstd frame; `None` where that fails.
fn zstd_pack(raw: &[u8]) -> Option<Vec<u8>> {
  COMPRESSOR.with_borrow_mut(|one| one.as_mut()?.compress(raw).ok())
}

/// Unpacks one zstd frame into at most `size` bytes; `None` where it is none, or larger.
fn zstd_unpack(packed: &[u8], size: usize) -> Option<Vec<u8>> {
  DECOMPRESSOR.with_borrow_mut(|one| one.as_mut()?.decompress(packed, size).ok())
}

/// Packs a message's text for the wire.
pub fn pack_message(text: String, zstd: bool) -> Frame {
  if zstd
    && text.len() > COMPRESS_BYTES_MIN
    && let Some(packed) = zstd_pack(text.as_bytes())
    && packed.len() < text.len()
  {
    return Frame::Binary(packed);
  }
  Frame::Text(text)
}

/// Unpacks a compressed message.
///
/// # Errors
/// [`MessageError::TooLarge`] beyond [`MESSAGE_BYTES_MAX`]; [`MessageError::Binary`] for what is
/// not zstd or not UTF-8.
pub fn unpack_message(bytes: &[u8]) -> Result<String, MessageError> {
  let size = zstd::zstd_safe::get_frame_content_size(bytes)
    .ok()
    .flatten()
    .ok_or(MessageError::Binary("not one zstd frame with its size"))?;
  let size = usize::try_from(size).unwrap_or(usize::MAX);
  if size > MESSAGE_BYTES_MAX || bytes.len() > FRAME_BYTES_MAX {
    return Err(MessageError::TooLarge { bytes: size, limit: MESSAGE_BYTES_MAX });
  }
  let raw = zstd_unpack(bytes, size).ok_or(MessageError::Binary("does not unpack"))?;
  String::from_utf8(raw).map_err(|_| MessageError::Binary("unpacks to something else than UTF-8"))
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  proptest! {
    #[test]
    fn messages_survive(text in ".{0,4000}", zstd: bool) {
      match pack_message(text.clone(), zstd) {
        Frame::Text(same) => prop_assert_eq!(same, text),
        Frame::Binary(bytes) => prop_assert_eq!(unpack_message(&bytes).expect("own frame"), text),
      }
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
      let _outcome = unpack_message(&bytes);
    }
  }

  #[test]
  fn a_bomb_is_refused_by_its_size() {
    let bomb = zstd::bulk::compress(&vec![0_u8; 64 << 20], 1).expect("packs");
    assert!(matches!(unpack_message(&bomb), Err(MessageError::TooLarge { .. })));
  }
}
