//! What is known of the link, told honestly: live, lagging, reading again, offline.

use std::time::Duration;

use hetuflow_core::Ts;

use super::link::LinkNews;

/// Silence after which the picture counts as lagging.
const LAG_AFTER: Duration = Duration::from_secs(3);
/// Silence after which it counts as offline.
const OFFLINE_AFTER: Duration = Duration::from_secs(10);
/// A clock that is off by more is set anew, not smoothed.
const CLOCK_JUMP_MICROS: i64 = 500_000;

/// The state that the header shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
  /// Never connected so far.
  Connecting,
  /// Up to date.
  Live,
  /// Nothing heard for so long.
  Lag(Duration),
  /// A list is being read again.
  Sync,
  /// No link for so long.
  Offline(Duration),
}

impl Condition {
  /// Whether acts may be sent.
  pub fn may_act(self) -> bool {
    matches!(self, Self::Live | Self::Sync)
  }

  /// Whether what is shown is old.
  pub fn is_stale(self) -> bool {
    matches!(self, Self::Offline(_))
  }
}

/// What is known of the link.
#[derive(Debug, Clone)]
pub struct LinkState {
  /// Connected.
  pub up: bool,
  /// Why not.
  pub error: String,
  /// When the next try is.
  pub retry_at: Option<Duration>,
  /// No more tries until a person asks.
  pub given_up: bool,
  /// When anything was heard last.
  pub heard_at: Option<Duration>,
  /// When the link was lost.
  pub lost_at: Option<Duration>,
  /// The way there and back.
  pub rtt_ms: Option<f64>,
  /// The journal's epoch and number.
  pub journal: Option<(String, i64)>,
  /// The server's clock minus our steady clock, in microseconds.
  offset: Option<i64>,
  /// Our own wall clock at the beginning.
  start: Ts,
}

impl LinkState {
  /// Before the first connection.
  pub fn new(start: Ts) -> Self {
    Self {
      up: false,
      error: String::new(),
      retry_at: None,
      given_up: false,
      heard_at: None,
      lost_at: None,
      rtt_ms: None,
      journal: None,
      offset: None,
      start,
    }
  }

  /// The server's clock; ours as long as it has said nothing.
  pub fn server_now(&self, now: Duration) -> Ts {
    let offset = self.offset.unwrap_or(self.start.micros());
    Ts::from_micros(offset.saturating_add(micros(now)))
  }

  /// How far our own clock is from the server's.
  pub fn skew(&self) -> Option<i64> {
    self.offset.map(|offset| offset - self.start.micros())
  }

  fn hear_clock(&mut self, at: Ts, now: Duration) {
    let fresh = at.micros().saturating_sub(micros(now));
    self.offset = Some(match self.offset {
      // Of two readings the later clock is nearer: messages are late, never early.
      Some(known) if (fresh - known).abs() < CLOCK_JUMP_MICROS => known.max(fresh),
      _ => fresh,
    });
  }

  /// Takes what the link tells.
  pub fn hear(&mut self, news: &LinkNews, now: Duration) {
    match news {
      LinkNews::Up => {
        self.up = true;
        self.heard_at = Some(now);
        self.retry_at = None;
        self.given_up = false;
      }
      LinkNews::Frame(frame) => {
        self.heard_at = Some(now);
        self.hear_clock(frame.at, now);
      }
      LinkNews::Tick(tick) => {
        self.heard_at = Some(now);
        self.journal = Some((tick.epoch.clone(), tick.seq));
        self.hear_clock(tick.at, now);
      }
      // What trembles by a millisecond is not news.
      LinkNews::Rtt(millis) => {
        let steady = |shown: f64| (shown - millis).abs() <= f64::max(2.0, shown / 4.0);
        if !self.rtt_ms.is_some_and(steady) {
          self.rtt_ms = Some(*millis);
        }
      }
      LinkNews::Refused(_) => {}
      LinkNews::Down { error, retry_ms } => {
        if self.up || self.lost_at.is_none() {
          self.lost_at = Some(self.heard_at.unwrap_or(now));
        }
        self.up = false;
        self.error.clone_from(error);
        self.retry_at = retry_ms.map(|millis| now + Duration::from_millis(millis));
        self.given_up = retry_ms.is_none();
      }
    }
    if self.up && !matches!(news, LinkNews::Up) {
      self.lost_at = None;
    }
  }

  /// The state at an instant.
  pub fn condition(&self, synced: bool, now: Duration) -> Condition {
    if !self.up {
      return match self.lost_at {
        Some(since) => Condition::Offline(now.saturating_sub(since)),
        None => Condition::Connecting,
      };
    }
    let silence = now.saturating_sub(self.heard_at.unwrap_or(now));
    match silence {
      silence if silence >= OFFLINE_AFTER => Condition::Offline(silence),
      silence if silence >= LAG_AFTER => Condition::Lag(silence),
      _ if !synced => Condition::Sync,
      _ => Condition::Live,
    }
  }

  /// When the state or its words change without any news.
  pub fn next_change(&self, now: Duration) -> Option<Duration> {
    let heard = self.heard_at.unwrap_or(now);
    let since = if self.up { heard } else { self.lost_at? };
    let silence = now.saturating_sub(since);
    let next = if self.up && silence < LAG_AFTER {
      LAG_AFTER
    } else {
      Duration::from_secs(silence.as_secs() + 1)
    };
    Some(since + next)
  }
}

fn micros(time: Duration) -> i64 {
  i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Tick;

  use super::*;

  fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
  }

  #[test]
  fn a_trembling_round_trip_is_no_news() {
    let mut link = LinkState::new(Ts::from_millis(0));
    let mut shown = |millis: f64| {
      link.hear(&LinkNews::Rtt(millis), secs(1));
      link.rtt_ms
    };
    assert_eq!((shown(1.0), shown(2.9)), (Some(1.0), Some(1.0)));
    assert_eq!((shown(40.0), shown(49.0), shown(51.0)), (Some(40.0), Some(40.0), Some(51.0)));
  }

  #[test]
  fn silence_is_told_and_then_called_offline() {
    let mut link = LinkState::new(Ts::from_millis(0));
    assert_eq!(link.condition(false, secs(0)), Condition::Connecting);
    link.hear(&LinkNews::Up, secs(1));
    assert_eq!(link.condition(false, secs(1)), Condition::Sync);
    let tick = Tick { epoch: "e".into(), seq: 1, at: Ts::from_millis(100_000) };
    link.hear(&LinkNews::Tick(tick), secs(2));
    assert_eq!(link.condition(true, secs(3)), Condition::Live);
    assert_eq!(link.next_change(secs(3)), Some(secs(5)));
    assert_eq!(link.condition(true, secs(6)), Condition::Lag(secs(4)));
    assert_eq!(link.condition(true, secs(14)), Condition::Offline(secs(12)));
    assert!(!link.condition(true, secs(6)).may_act());
    let down = LinkNews::Down { error: "refused".into(), retry_ms: Some(250) };
    link.hear(&down, secs(15));
    assert_eq!(link.condition(true, secs(20)), Condition::Offline(secs(18)));
    link.hear(&down, secs(30));
    assert_eq!(link.condition(true, secs(30)), Condition::Offline(secs(28)));
  }

  #[test]
  fn ages_go_by_the_clock_of_the_server() {
    let mut link = LinkState::new(Ts::from_millis(5_000_000));
    assert_eq!(link.server_now(secs(1)), Ts::from_millis(5_001_000));
    let tick = |millis| Tick { epoch: "e".into(), seq: 1, at: Ts::from_millis(millis) };
    link.hear(&LinkNews::Up, secs(0));
    link.hear(&LinkNews::Tick(tick(100_000)), secs(2));
    assert_eq!(link.server_now(secs(3)), Ts::from_millis(101_000));
    // A late message does not turn the clock back.
    link.hear(&LinkNews::Tick(tick(101_000)), Duration::from_millis(3_200));
    assert_eq!(link.server_now(secs(4)), Ts::from_millis(102_000));
    assert_eq!(link.skew(), Some((98_000 - 5_000_000) * 1000));
  }
}
