//! How much output may be on its way without an ack: as much as the link carries in a moment.
//!
//! Everything goes through one stream, so what is on its way stands before the next heartbeat. A
//! fixed window that a fast link fills would hold a heartbeat up for minutes on a slow one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What a new connection begins with, and what a slow one keeps; one chunk may always go.
const LEAST_BYTES: usize = 32 << 10;
/// More would only fill memory.
const MOST_BYTES: usize = 8 << 20;
/// An ack within this time lets the window grow.
const QUICK: Duration = Duration::from_millis(250);
/// An ack after this time halves it.
const SLOW: Duration = Duration::from_millis(600);

/// Output that was numbered and is not acked.
#[derive(Debug)]
pub struct Window {
  limit: usize,
  in_flight: usize,
  /// Number, bytes and time of each chunk that was sent on this connection.
  sent: VecDeque<(u64, usize, Instant)>,
  /// What was sent before the last halving says nothing about the smaller window.
  halved_at: Option<Instant>,
}

impl Default for Window {
  fn default() -> Self {
    Self { limit: LEAST_BYTES, in_flight: 0, sent: VecDeque::new(), halved_at: None }
  }
}

impl Window {
  /// Whether another chunk may be numbered.
  pub fn has_room(&self) -> bool {
    self.in_flight < self.limit
  }

  /// A chunk was numbered.
  pub fn take(&mut self, bytes: usize) {
    self.in_flight += bytes;
  }

  /// A chunk is on its way.
  pub fn note_sent(&mut self, seq: u64, bytes: usize, now: Instant) {
    self.sent.push_back((seq, bytes, now));
  }

  /// A chunk is stored, or nobody wants it any more.
  pub fn give_back(&mut self, bytes: usize) {
    self.in_flight = self.in_flight.saturating_sub(bytes);
  }

  /// Everything up to `seq` is stored: how long that took says how much may go.
  pub fn acked(&mut self, seq: u64, now: Instant) {
    while let Some((sent_seq, bytes, at)) = self.sent.front().copied()
      && sent_seq <= seq
    {
      self.sent.pop_front();
      let took = now.saturating_duration_since(at);
      if took > SLOW {
        if self.halved_at.is_none_or(|halved| at >= halved) {
          self.limit = (self.limit / 2).max(LEAST_BYTES);
          self.halved_at = Some(now);
        }
      } else if took < QUICK {
        self.limit = (self.limit + bytes).min(MOST_BYTES);
      }
    }
  }

  /// Another connection, maybe over another link.
  pub fn restart(&mut self) {
    self.limit = LEAST_BYTES;
    self.sent.clear();
    self.halved_at = None;
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  const CHUNK: usize = 32 << 10;

  /// A link that carries so many bytes a second, with an answer after 5 ms, for so long; gives the
  /// longest that a chunk has waited in the second half.
  fn worst_wait(bytes_per_second: f64, seconds: f64) -> Duration {
    let (mut window, start) = (Window::default(), Instant::now());
    let (mut link_free, mut worst, mut seq) = (0.0_f64, 0.0_f64, 0);
    let mut flying: VecDeque<(u64, f64)> = VecDeque::new();
    let mut now = 0.0;
    while now < seconds {
      let at = start + Duration::from_secs_f64(now);
      while window.has_room() {
        seq += 1;
        window.take(CHUNK);
        window.note_sent(seq, CHUNK, at);
        link_free = link_free.max(now) + CHUNK as f64 / bytes_per_second;
        flying.push_back((seq, link_free + 0.005));
        if now > seconds / 2.0 {
          worst = worst.max(link_free - now);
        }
      }
      let Some((acked, when)) = flying.pop_front() else { break };
      now = now.max(when);
      window.give_back(CHUNK);
      window.acked(acked, start + Duration::from_secs_f64(now));
    }
    Duration::from_secs_f64(worst)
  }

  #[test]
  fn a_heartbeat_waits_a_moment_on_any_link() {
    for rate in [32e3, 1e6, 10e6, 100e6, 1e9] {
      let wait = worst_wait(rate, 60.0);
      // One chunk more than the least window takes 3 s of a link with 256 kbit/s.
      let limit = if rate < 100e3 { 3.2 } else { 1.0 };
      assert!(wait.as_secs_f64() < limit, "{wait:?} at {rate} bytes a second");
    }
  }

  #[test]
  fn a_quick_link_gets_all_of_it_and_a_new_one_begins_small() {
    let (mut window, now) = (Window::default(), Instant::now());
    for seq in 1..=300 {
      assert!(window.has_room());
      window.take(CHUNK);
      window.note_sent(seq, CHUNK, now);
      window.give_back(CHUNK);
      window.acked(seq, now + Duration::from_millis(2));
    }
    assert_eq!(window.limit, MOST_BYTES);
    window.restart();
    window.take(LEAST_BYTES);
    assert!(!window.has_room());
  }
}
