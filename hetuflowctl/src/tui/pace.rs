//! When frames may be drawn: at once after a key, else not faster than the terminal can take.

use std::time::{Duration, Instant};

/// A write that takes longer halves the frames.
const SLOW_WRITE: Duration = Duration::from_millis(50);
/// Longest pause between frames of a slow terminal.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Pause between frames while nobody looks.
const UNSEEN_PAUSE: Duration = Duration::from_secs(1);

/// When the next frame may be drawn.
pub(super) struct Pace {
  drawn_at: Option<Instant>,
  /// Between two frames of data, as of the last write.
  pub(super) pause: Duration,
  /// Its smallest value.
  pub(super) floor: Duration,
  /// Somebody looks.
  pub(super) seen: bool,
  /// Something changed.
  pub(super) wanted: bool,
  /// A person waits for it.
  pub(super) at_once: bool,
}

impl Pace {
  /// The first frame comes at once, the others `floor` apart at least.
  pub(super) fn new(floor: Duration) -> Self {
    Self { drawn_at: None, pause: floor, floor, seen: true, wanted: true, at_once: true }
  }

  /// When the next frame is due, where one is wanted.
  pub(super) fn due(&self) -> Option<Instant> {
    if !self.wanted {
      return None;
    }
    let pause = if self.seen { self.pause } else { UNSEEN_PAUSE };
    match (self.at_once, self.drawn_at) {
      (false, Some(at)) => Some(at + pause),
      _ => Some(Instant::now()),
    }
  }

  /// A frame was written, which took so long.
  pub(super) fn wrote(&mut self, took: Duration) {
    self.drawn_at = Some(Instant::now());
    (self.wanted, self.at_once) = (false, false);
    self.pause = if took > SLOW_WRITE {
      (self.pause * 2).min(PAUSE_MAX)
    } else {
      (self.pause / 2).max(self.floor)
    };
  }
}
