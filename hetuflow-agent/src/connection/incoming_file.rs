//! One file on its way in: written piece by piece, hashed as it comes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hetuflow_core::{ContentHash, ContentHasher, FILE_PIECE_BYTES, FileFrame};

use super::file_cache::FileCache;

/// Bytes that are read anew in one turn, so that the connection is not kept waiting.
const CATCH_UP_BYTES: u64 = 4 << 20;

/// A file that is not whole yet.
#[derive(Debug)]
pub struct IncomingFile {
  file: File,
  bytes: u64,
  /// Where the next piece begins.
  offset: u64,
  /// How far it is hashed.
  hashed: u64,
  hasher: ContentHasher,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
  /// It was the next one.
  Next,
  /// It belongs somewhere else, or was there before.
  Foreign,
  /// It is no piece of this file.
  Broken,
}

impl IncomingFile {
  /// What is in the cache of a file so far.
  ///
  /// # Errors
  /// When it cannot be written.
  pub fn open(cache: &FileCache, hash: ContentHash, bytes: u64) -> io::Result<Self> {
    let (file, mut offset) = cache.open_part(hash)?;
    if offset > bytes {
      file.set_len(0)?;
      offset = 0;
    }
    Ok(Self { file, bytes, offset, hashed: 0, hasher: ContentHasher::default() })
  }

  /// Hashes a part of what was there before; says whether all of it is hashed.
  ///
  /// # Errors
  /// When it cannot be read.
  pub fn catch_up(&mut self) -> io::Result<bool> {
    let until = self.offset.min(self.hashed + CATCH_UP_BYTES);
    let mut buffer = vec![0; FILE_PIECE_BYTES];
    while self.hashed < until {
      self.file.read_exact_at(&mut buffer, self.hashed)?;
      self.hasher.add(&buffer);
      self.hashed += buffer.len() as u64;
    }
    Ok(self.hashed >= self.offset)
  }

  /// Where the next piece begins.
  pub fn offset(&self) -> u64 {
    self.offset
  }

  /// Whether the last byte is there.
  pub fn is_whole(&self) -> bool {
    self.offset == self.bytes
  }

  /// Takes a piece.
  ///
  /// # Errors
  /// When it cannot be written.
  pub fn take(&mut self, piece: &FileFrame) -> io::Result<Taken> {
    if piece.offset != self.offset || self.hashed != self.offset {
      return Ok(Taken::Foreign);
    }
    let wanted = (self.bytes - self.offset).min(FILE_PIECE_BYTES as u64);
    let raw = match piece.unpack() {
      Ok(raw) if raw.len() as u64 == wanted => raw,
      _ => return Ok(Taken::Broken),
    };
    self.file.write_all_at(&raw, self.offset)?;
    self.hasher.add(&raw);
    self.offset += wanted;
    self.hashed = self.offset;
    Ok(Taken::Next)
  }

  /// What all of it comes to.
  pub fn hash(self) -> ContentHash {
    self.hasher.finish()
  }
}
