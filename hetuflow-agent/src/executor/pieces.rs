//! How long the pieces are in which output is sent: short until the way to the server has shown
//! that it is quick.
//!
//! A piece stands before the next sign of life of the agent. A long one would take a slow link for
//! so long that the agent was given up, and then it would go the same way again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the slowest link gets.
const LEAST_BYTES: usize = 16 << 10;
/// Longer ones would only take more memory.
const MOST_BYTES: usize = 192 << 10;
/// Stored within this time: the next pieces may be longer.
const QUICK: Duration = Duration::from_millis(250);
/// Stored after this time: the next pieces are to be shorter.
const SLOW: Duration = Duration::from_secs(2);

/// Shared by all attempts of an executor.
#[derive(Debug)]
pub struct Pieces(AtomicUsize);

impl Default for Pieces {
  fn default() -> Self {
    Self(AtomicUsize::new(LEAST_BYTES))
  }
}

impl Pieces {
  /// Bytes of the next piece.
  pub fn bytes(&self) -> usize {
    self.0.load(Ordering::Relaxed)
  }

  /// A piece was stored so long after it was sent.
  pub fn note_stored(&self, took: Duration) {
    let bytes = self.bytes();
    if took < QUICK && bytes < MOST_BYTES {
      self.0.store((bytes * 2).min(MOST_BYTES), Ordering::Relaxed);
    } else if took > SLOW && bytes > LEAST_BYTES {
      self.0.store((bytes / 2).max(LEAST_BYTES), Ordering::Relaxed);
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn pieces_follow_the_link() {
    let pieces = Pieces::default();
    assert_eq!(pieces.bytes(), LEAST_BYTES);
    (0..10).for_each(|_| pieces.note_stored(Duration::from_millis(8)));
    assert_eq!(pieces.bytes(), MOST_BYTES);
    pieces.note_stored(Duration::from_secs(1));
    assert_eq!(pieces.bytes(), MOST_BYTES, "neither quick nor slow");
    (0..10).for_each(|_| pieces.note_stored(Duration::from_secs(3)));
    assert_eq!(pieces.bytes(), LEAST_BYTES);
  }
}
