//! How an attempt is held together and limited, from its job and this host's settings.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{TaskConfig, TaskInstanceId, TaskMetrics, tighter};

use super::Cause;
use crate::config::{ConfineSection, HostLimits};
use crate::process::{Cgroups, Grip, Limits, Over, Usage};

/// How long a share of processors may be exceeded where a job does not say.
const SUSTAIN: Duration = Duration::from_secs(10);

/// How one attempt is to be held.
pub fn grip(
  cgroups: &Arc<Cgroups>,
  section: &ConfineSection,
  (instance_id, config): (TaskInstanceId, &TaskConfig),
) -> Grip {
  Grip {
    limits: limits(config, &section.limits),
    look_interval: section.look_interval,
    ..grip_of_orphan(cgroups, instance_id)
  }
}

/// How an attempt of an executor before this one is to be held; what its limits are is forgotten,
/// but where groups hold them they still do.
pub fn grip_of_orphan(cgroups: &Arc<Cgroups>, instance_id: TaskInstanceId) -> Grip {
  Grip {
    cgroups: Arc::clone(cgroups),
    name: instance_id.to_string(),
    mark: format!("HETUFLOW_INSTANCE_ID={instance_id}"),
    limits: Limits::default(),
    look_interval: ConfineSection::default().look_interval,
  }
}

/// The job's limits, where the host's own are not tighter.
fn limits(config: &TaskConfig, host: &HostLimits) -> Limits {
  let job = config.resource_limits.clone().unwrap_or_default();
  Limits {
    memory: tighter(job.memory_bytes(), host.memory),
    cpu: tighter(job.max_cpu_percent, host.cpu),
    cpu_time: job.max_cpu_secs.map(|secs| secs.0),
    processes: tighter(job.max_processes, host.processes),
    file_size: job.file_bytes(),
    sustain: job.sustain_secs.map_or(SUSTAIN, |secs| secs.0),
  }
}

/// The end of an attempt that has hit a limit.
pub fn over_limit(over: Over) -> Cause {
  Cause::OverLimit { reason: over.reason, message: over.message }
}

/// What an attempt has used, for its final report; its times are known there.
pub fn metrics(usage: &Usage) -> TaskMetrics {
  TaskMetrics {
    // Microseconds are enough, and short to write.
    cpu_time: usage.cpu.as_micros() as f64 / 1e6,
    memory_peak: usage.memory_peak,
    disk_read: usage.read,
    disk_write: usage.written,
    ..TaskMetrics::default()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_host_can_only_tighten() {
    let config: TaskConfig = serde_json::from_str(
      r#"{"resource_limits":{"max_memory_mb":64,"max_cpu_percent":0.5,"max_cpu_secs":3}}"#,
    )
    .expect("readable");
    let host = HostLimits { memory: Some(32 << 20), cpu: Some(2.0), processes: Some(9) };
    let limits = limits(&config, &host);
    assert_eq!((limits.memory, limits.cpu), (Some(32 << 20), Some(0.5)));
    assert_eq!((limits.processes, limits.file_size), (Some(9), None));
    assert_eq!(limits.cpu_time, Some(Duration::from_secs(3)));
  }
}
