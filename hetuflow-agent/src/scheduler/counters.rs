//! Numbers about the work done, read by whoever samples the agent's health.

use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the scheduler alone; readers may see one number before the other.
#[derive(Debug, Default)]
pub struct Counters {
  /// Attempts alive or being started.
  pub active: AtomicU64,
  /// Attempts ended.
  pub ended: AtomicU64,
  /// Of them, with success.
  pub succeeded: AtomicU64,
  /// Microseconds that ended attempts have run in all.
  pub run_us: AtomicU64,
}

impl Counters {
  /// Takes note of one end.
  pub fn note_end(&self, succeeded: bool, run_us: i64) {
    self.ended.fetch_add(1, Ordering::Relaxed);
    self.succeeded.fetch_add(u64::from(succeeded), Ordering::Relaxed);
    self.run_us.fetch_add(u64::try_from(run_us).unwrap_or(0), Ordering::Relaxed);
  }
}
