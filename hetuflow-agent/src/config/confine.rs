//! `[agent.process]`, as far as it holds tasks together and within limits.

use std::fmt;
use std::time::Duration;

use hetuflow_core::config_text::ConfigText;
use serde::{Deserialize, Serialize};

const LIMITS: &str = "agent.process.limits";
const MEMORY_MIN: u64 = 1 << 20;
const PROCESSORS_MAX: f64 = 1024.0;

/// How tasks are held together, measured and limited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfineSection {
  /// Which control groups may be used.
  pub cgroups: CgroupChoice,
  /// Longest time between two measures of a task.
  pub look_interval: Duration,
  /// What no attempt may exceed here, whatever its job says.
  pub limits: HostLimits,
}

impl Default for ConfineSection {
  fn default() -> Self {
    let look_interval = Duration::from_secs(2);
    Self { cgroups: CgroupChoice::Auto, look_interval, limits: HostLimits::default() }
  }
}

/// `[agent.process.limits]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct HostLimits {
  /// Bytes of memory.
  pub memory: Option<u64>,
  /// Processors.
  pub cpu: Option<f64>,
  /// Processes and threads at once.
  pub processes: Option<u32>,
}

/// Which control groups may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupChoice {
  /// Version 2 where it is, version 1 for what it lacks.
  #[default]
  Auto,
  /// Only version 2.
  V2,
  /// Only version 1.
  V1,
  /// None.
  Off,
}

impl std::str::FromStr for CgroupChoice {
  type Err = &'static str;
  fn from_str(text: &str) -> Result<Self, Self::Err> {
    Ok(match text {
      "auto" => Self::Auto,
      "v2" => Self::V2,
      "v1" => Self::V1,
      "off" => Self::Off,
      _ => return Err("write auto, v2, v1 or off"),
    })
  }
}

impl fmt::Display for CgroupChoice {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match self {
      Self::Auto => "auto",
      Self::V2 => "v2",
      Self::V1 => "v1",
      Self::Off => "off",
    })
  }
}

/// Reads it.
pub(super) fn confine(text: &mut ConfigText) -> ConfineSection {
  let default = ConfineSection::default();
  let milli = Duration::from_millis(1);
  ConfineSection {
    cgroups: text.parsed("agent.process.cgroups", default.cgroups, "\"auto\""),
    look_interval: text.duration(
      "agent.process.resource_monitor_interval",
      default.look_interval,
      100 * milli..=Duration::from_secs(3600),
    ),
    limits: limits(text),
  }
}

fn limits(text: &mut ConfigText) -> HostLimits {
  let key = |name: &str| format!("{LIMITS}.{name}");
  let cpu = text.parsed(&key("max_cpu_percent"), 0.0_f64, "1.5");
  if cpu != 0.0 && !(0.01..=PROCESSORS_MAX).contains(&cpu) {
    let message = format!("is out of range, 0.01 to {PROCESSORS_MAX} processors are allowed");
    text.problem(&key("max_cpu_percent"), message, Some("1.5"));
  }
  let memory = text.size(&key("max_memory_bytes"), 0);
  if (1..MEMORY_MIN).contains(&memory) {
    text.problem(&key("max_memory_bytes"), "is too little for any program", Some("\"4GiB\""));
  }
  let processes = text.integer(&key("max_processes"), 0, 0..=4 << 20);
  HostLimits {
    memory: (memory > 0).then_some(memory),
    cpu: (cpu > 0.0).then_some(cpu),
    processes: u32::try_from(processes).ok().filter(|count| *count > 0),
  }
}
