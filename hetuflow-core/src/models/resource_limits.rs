//! What one attempt may use on its host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::task_config::Seconds;
use crate::types::FieldError;

const MIB: u64 = 1 << 20;
/// Most megabytes of a limit: 1 PiB.
const MEGABYTES_MAX: u64 = 1 << 30;
/// Most processors of a limit.
const PROCESSORS_MAX: f64 = 1024.0;
/// Most processes of a limit: what Linux can have at all.
const PROCESSES_MAX: u32 = 4 << 20;

/// What one attempt may use, all its processes together; what is absent is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ResourceLimits {
  /// Memory, in MiB.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_memory_mb: Option<u64>,
  /// Processors: 0.8 is 80 % of one, 2 is two of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_cpu_percent: Option<f64>,
  /// Processor time in all.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_cpu_secs: Option<Seconds>,
  /// Longest run time; the shorter of this and `timeout` counts.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_execution_time_secs: Option<Seconds>,
  /// Most bytes of output; the smaller of this and `max_output_size` counts.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_output_size_bytes: Option<u64>,
  /// Processes and threads at once.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_processes: Option<u32>,
  /// Size of any one file that it writes, in MiB.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub max_file_mb: Option<u64>,
  /// How long `max_cpu_percent` may be exceeded on a host that cannot slow the attempt down.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub sustain_secs: Option<Seconds>,
}

impl ResourceLimits {
  /// Memory in bytes.
  pub fn memory_bytes(&self) -> Option<u64> {
    self.max_memory_mb.map(|mb| mb.saturating_mul(MIB))
  }

  /// Size of one file in bytes.
  pub fn file_bytes(&self) -> Option<u64> {
    self.max_file_mb.map(|mb| mb.saturating_mul(MIB))
  }

  /// Checks every rule and names each that is broken; `field` is where the limits stand.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    let mut range = |name: &str, is_fine: bool, allowed: String| {
      if !is_fine {
        let message = format!("{name} is out of range, {allowed} is allowed");
        errors.push(FieldError::new("number.range", format!("{field}/{name}"), message));
      }
    };
    let megabytes = |mb: Option<u64>| mb.is_none_or(|mb| (1..=MEGABYTES_MAX).contains(&mb));
    let sizes = || format!("1 to {MEGABYTES_MAX} MiB");
    range("max_memory_mb", megabytes(self.max_memory_mb), sizes());
    range("max_file_mb", megabytes(self.max_file_mb), sizes());
    let processors = |cpu: f64| (0.01..=PROCESSORS_MAX).contains(&cpu);
    let cpu = self.max_cpu_percent.is_none_or(processors);
    range("max_cpu_percent", cpu, format!("0.01 to {PROCESSORS_MAX} processors"));
    let processes = self.max_processes.is_none_or(|count| (1..=PROCESSES_MAX).contains(&count));
    range("max_processes", processes, format!("1 to {PROCESSES_MAX}"));
  }

  /// Its times, by name, for the rules that all times of a config follow; whether 0 is allowed.
  pub(super) fn times(&self) -> [(&'static str, Option<Seconds>, bool); 3] {
    [
      ("resource_limits/max_cpu_secs", self.max_cpu_secs, false),
      ("resource_limits/max_execution_time_secs", self.max_execution_time_secs, false),
      ("resource_limits/sustain_secs", self.sustain_secs, true),
    ]
  }
}

/// The smaller of two limits, of which each may be absent.
pub fn tighter<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
  match (one, other) {
    (Some(one), Some(other)) => Some(if other < one { other } else { one }),
    (one, other) => one.or(other),
  }
}

/// The shorter of two times.
pub(super) fn shorter(one: Option<Seconds>, other: Option<Seconds>) -> Option<Duration> {
  tighter(one.map(|secs| secs.0), other.map(|secs| secs.0))
}

#[cfg(test)]
mod tests {
  use super::super::TaskConfig;

  fn read(json: &str) -> TaskConfig {
    serde_json::from_str(json).expect("readable")
  }

  #[test]
  fn the_tighter_of_two_counts() {
    let config = read(
      r#"{"timeout":"5m","max_output_size":0,
        "resource_limits":{"max_execution_time_secs":60,"max_output_size_bytes":1000}}"#,
    );
    assert_eq!(config.time_limit().expect("limited").as_secs(), 60);
    assert_eq!(config.output_limit(), Some(1000));
    assert_eq!(read(r#"{"max_output_size":0}"#).output_limit(), Some(0), "unlimited on purpose");
    assert_eq!(read("{}").output_limit(), None);
    assert_eq!(read("{}").time_limit(), None);
  }

  #[test]
  fn limits_out_of_range_are_named() {
    let config = read(
      r#"{"command":"x","resource_limits":{"max_memory_mb":0,"max_cpu_percent":-1,
        "max_processes":0,"max_file_mb":0,"max_cpu_secs":0}}"#,
    );
    let mut errors = Vec::new();
    config.check("/config", &mut errors);
    let mut fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    fields.sort_unstable();
    let wanted =
      ["max_cpu_percent", "max_cpu_secs", "max_file_mb", "max_memory_mb", "max_processes"];
    assert_eq!(fields, wanted.map(|name| format!("/config/resource_limits/{name}")));
  }
}
