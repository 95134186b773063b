//! What of a job counts for as long as its process lives. It is written down with the start, so that
//! whoever follows the process knows it, however many executors have died meanwhile.

use std::time::Duration;

use hetuflow_core::{Delivery, TaskConfig, signal_number, tighter};
use serde::{Deserialize, Serialize};

use super::{Start, StopOrder};
use crate::config::HostLimits;
use crate::process::Limits;

/// How long a share of processors may be exceeded where a job does not say.
const SUSTAIN: Duration = Duration::from_secs(10);

/// The terms of one attempt; what is absent is unlimited, or as everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
  /// Longest run time.
  #[serde(skip_serializing_if = "Option::is_none")]
  time_us: Option<u64>,
  #[serde(skip_serializing_if = "Option::is_none")]
  stop_signal: Option<i32>,
  #[serde(skip_serializing_if = "Option::is_none")]
  stop_grace_us: Option<u64>,
  /// Bytes.
  #[serde(skip_serializing_if = "Option::is_none")]
  memory: Option<u64>,
  /// Thousandths of a processor.
  #[serde(skip_serializing_if = "Option::is_none")]
  cpu_milli: Option<u64>,
  #[serde(skip_serializing_if = "Option::is_none")]
  cpu_time_us: Option<u64>,
  #[serde(skip_serializing_if = "Option::is_none")]
  processes: Option<u32>,
  /// Bytes.
  #[serde(skip_serializing_if = "Option::is_none")]
  file_size: Option<u64>,
  #[serde(skip_serializing_if = "Option::is_none")]
  sustain_us: Option<u64>,
  /// Nothing of it may live on behind its end.
  #[serde(skip_serializing_if = "std::ops::Not::not")]
  ends_whole: bool,
}

impl Terms {
  /// The terms of an attempt as it came from the server.
  pub fn of(start: &Start, config: &TaskConfig) -> Self {
    let default_time = (!start.limits.time.is_zero()).then_some(start.limits.time);
    let limits = config.resource_limits.as_ref();
    Self {
      time_us: config.time_limit().or(default_time).map(micros),
      stop_signal: config.stop_signal.as_deref().and_then(signal_number),
      stop_grace_us: config.stop_grace_secs.map(|secs| micros(secs.0)),
      memory: limits.and_then(|limits| limits.memory_bytes()),
      cpu_milli: limits.and_then(|limits| limits.max_cpu_percent).map(milli),
      cpu_time_us: limits.and_then(|limits| limits.max_cpu_secs).map(|secs| micros(secs.0)),
      processes: limits.and_then(|limits| limits.max_processes),
      file_size: limits.and_then(|limits| limits.file_bytes()),
      sustain_us: limits.and_then(|limits| limits.sustain_secs).map(|secs| micros(secs.0)),
      // What it leaves in the background would live on beside the next attempt.
      ends_whole: config.allow_background == Some(false)
        || config.delivery() == Delivery::Exclusive,
    }
  }

  /// Whether there are none.
  pub fn are_none(&self) -> bool {
    *self == Self::default()
  }

  /// Longest run time.
  pub fn time(&self) -> Option<Duration> {
    self.time_us.map(Duration::from_micros)
  }

  /// How it is stopped where nobody says otherwise.
  pub fn stop_order(&self) -> StopOrder {
    let grace = self.stop_grace_us.map(Duration::from_micros);
    StopOrder { signal: self.stop_signal, grace, force: false, why: None }
  }

  /// Whether its own end is the end of all of it.
  pub const fn ends_whole(&self) -> bool {
    self.ends_whole
  }

  /// The job's limits, where the host's own are not tighter.
  pub fn limits(&self, host: &HostLimits) -> Limits {
    let cpu = self.cpu_milli.map(|milli| milli as f64 / 1000.0);
    Limits {
      memory: tighter(self.memory, host.memory),
      cpu: tighter(cpu, host.cpu),
      cpu_time: self.cpu_time_us.map(Duration::from_micros),
      processes: tighter(self.processes, host.processes),
      file_size: self.file_size,
      sustain: self.sustain_us.map_or(SUSTAIN, Duration::from_micros),
    }
  }
}

fn micros(time: Duration) -> u64 {
  u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Shares are checked to be positive; one that is written down stays so.
fn milli(share: f64) -> u64 {
  ((share * 1000.0).round() as u64).max(1)
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::executor::journal::a_start;

  fn terms(config: serde_json::Value) -> Terms {
    let config: TaskConfig = serde_json::from_value(config).expect("readable");
    Terms::of(&a_start(), &config)
  }

  #[test]
  fn the_host_can_only_tighten() {
    let terms = terms(serde_json::json!({
      "resource_limits": { "max_memory_mb": 64, "max_cpu_percent": 0.5, "max_cpu_secs": 3 },
    }));
    let host = HostLimits { memory: Some(32 << 20), cpu: Some(2.0), processes: Some(9) };
    let limits = terms.limits(&host);
    assert_eq!((limits.memory, limits.cpu), (Some(32 << 20), Some(0.5)));
    assert_eq!((limits.processes, limits.file_size), (Some(9), None));
    assert_eq!(limits.cpu_time, Some(Duration::from_secs(3)));
  }

  #[test]
  fn they_come_back_from_the_journal_as_they_were() {
    let whole = terms(serde_json::json!({
      "timeout": 7, "stop_signal": "SIGINT", "stop_grace_secs": 2, "allow_background": false,
      "resource_limits": {
        "max_memory_mb": 64, "max_cpu_percent": 0.333, "max_processes": 5, "sustain_secs": 1,
      },
    }));
    let text = serde_json::to_string(&whole).expect("plain");
    assert_eq!(serde_json::from_str::<Terms>(&text).expect("read"), whole);
    assert_eq!((whole.time(), whole.ends_whole()), (Some(Duration::from_secs(7)), true));
    let stop = whole.stop_order();
    assert_eq!((stop.signal, stop.grace), (Some(2), Some(Duration::from_secs(2))));
    let none = terms(serde_json::json!({}));
    assert!(none.are_none());
    assert_eq!(serde_json::to_string(&none).expect("plain"), "{}");
  }

  #[test]
  fn nothing_of_an_exclusive_attempt_stays_behind() {
    let exclusive = terms(serde_json::json!({
      "delivery": "exclusive", "disconnect": { "stop_after": 45 },
    }));
    assert!(exclusive.ends_whole());
  }
}
