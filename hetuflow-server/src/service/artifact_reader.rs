//! The bytes of a file for a reader, a few pieces at a time.

use std::collections::VecDeque;

use hetuflow_core::{Codec, FILE_PIECE_BYTES, MessageError, unpack_chunk};
use uuid::Uuid;

use super::{Store, SvcError, SvcResult};
use crate::infra::bmc::artifact_content_bmc::{self as content_bmc, Content, Piece};

/// Pieces read in one go: 1 MiB.
pub(super) const PIECES_PER_READ: i64 = 32;

/// An open file.
pub struct ArtifactReader {
  store: Store,
  content: Uuid,
  /// The next byte, and the end of what is wanted.
  offset: u64,
  end: u64,
  size: u64,
  ready: VecDeque<Piece>,
}

impl ArtifactReader {
  pub(super) fn new(store: Store, content: Content) -> Self {
    let size = u64::try_from(content.size).unwrap_or(0);
    Self { store, content: content.id, offset: 0, end: size, size, ready: VecDeque::new() }
  }

  /// Bytes of the whole file.
  pub fn size(&self) -> u64 {
    self.size
  }

  /// Reads only these bytes; both ends stay within the file.
  #[must_use]
  pub fn cut(mut self, from: u64, end: u64) -> Self {
    self.end = end.min(self.size);
    self.offset = from.min(self.end);
    self
  }

  /// The next bytes; none at the end of what is wanted.
  ///
  /// # Errors
  /// When the database fails, or the file is not whole any more.
  pub async fn next(&mut self) -> SvcResult<Option<Vec<u8>>> {
    if self.offset >= self.end {
      return Ok(None);
    }
    if self.ready.is_empty() {
      let begin = self.offset - self.offset % FILE_PIECE_BYTES as u64;
      let begin = i64::try_from(begin).unwrap_or(i64::MAX);
      let mut conn = self.store.read().await?;
      self.ready =
        content_bmc::pieces_from(&mut conn, self.content, begin, PIECES_PER_READ).await?.into();
    }
    let gone = || SvcError::unavailable("the file was deleted while it was read");
    let piece = self.ready.pop_front().ok_or_else(gone)?;
    let begin = u64::try_from(piece.file_offset).unwrap_or(u64::MAX);
    let mut bytes = unpack(&piece).map_err(|_| gone())?;
    let skipped = self.offset.checked_sub(begin).and_then(|count| usize::try_from(count).ok());
    let skipped = skipped.filter(|count| *count < bytes.len()).ok_or_else(gone)?;
    let wanted = usize::try_from(self.end - begin).unwrap_or(usize::MAX);
    bytes.truncate(wanted);
    bytes.drain(..skipped);
    self.offset += bytes.len() as u64;
    Ok(Some(bytes))
  }
}

/// The raw bytes of a piece.
pub(super) fn unpack(piece: &Piece) -> Result<Vec<u8>, MessageError> {
  let codec = u8::try_from(piece.codec).ok().and_then(Codec::from_number);
  let codec = codec.ok_or(MessageError::Binary("unknown codec"))?;
  unpack_chunk(codec, &piece.data, usize::try_from(piece.raw_len).unwrap_or(0))
}
