//! When the server was last heard, also while a write waits: a peer that is gone takes nothing more,
//! and a writer that waits for it looks at no clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// After a pause of the whole process what has come meanwhile is read first.
const CATCH_UP: Duration = Duration::from_millis(250);
/// How often one looks while there is no limit yet.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The signs of life of one connection.
#[derive(Debug)]
pub struct Life {
  begun: Instant,
  heard_us: AtomicU64,
  limit_us: AtomicU64,
}

impl Life {
  /// Begins now, without a limit.
  pub fn new() -> Self {
    Self { begun: Instant::now(), heard_us: AtomicU64::new(0), limit_us: AtomicU64::new(0) }
  }

  /// The server lives.
  pub fn note(&self) {
    self.heard_us.store(micros(self.begun.elapsed()), Ordering::Relaxed);
  }

  /// From now on it may be silent for so long.
  pub fn expect(&self, limit: Duration) {
    self.note();
    self.limit_us.store(micros(limit), Ordering::Relaxed);
  }

  /// How long it has been silent.
  pub fn silence(&self) -> Duration {
    let heard = Duration::from_micros(self.heard_us.load(Ordering::Relaxed));
    self.begun.elapsed().saturating_sub(heard)
  }

  /// Waits until it has been silent for too long; returns for how long.
  pub async fn end(&self) -> Duration {
    loop {
      let limit = Duration::from_micros(self.limit_us.load(Ordering::Relaxed));
      let left = limit.saturating_sub(self.silence());
      if limit.is_zero() {
        sleep(LOOK_INTERVAL).await;
      } else if !left.is_zero() {
        sleep(left).await;
      } else {
        sleep(CATCH_UP).await;
        if self.silence() >= limit {
          return self.silence();
        }
      }
    }
  }
}

fn micros(time: Duration) -> u64 {
  u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn silence_ends_it_and_every_frame_counts() {
    let short = Duration::from_millis(20);
    let life = Life::new();
    tokio::time::timeout(short, life.end()).await.expect_err("no limit yet");
    life.expect(Duration::from_secs(60));
    tokio::time::timeout(short, life.end()).await.expect_err("it lives");
    assert!(life.silence() >= short);
    life.note();
    life.expect(short);
    assert!(life.end().await >= short);
  }
}
