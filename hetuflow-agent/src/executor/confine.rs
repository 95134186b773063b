//! How an attempt is held together and limited, from its job and this host's settings.

use std::sync::Arc;

use hetuflow_core::{TaskInstanceId, TaskMetrics};

use super::{Cause, Terms};
use crate::config::ConfineSection;
use crate::process::{Cgroups, Grip, Over, Usage};

/// How one attempt is to be held.
pub fn grip(
  cgroups: &Arc<Cgroups>,
  section: &ConfineSection,
  (instance_id, terms): (TaskInstanceId, &Terms),
) -> Grip {
  Grip {
    cgroups: Arc::clone(cgroups),
    name: instance_id.to_string(),
    mark: format!("HETUFLOW_INSTANCE_ID={instance_id}"),
    limits: terms.limits(&section.limits),
    look_interval: section.look_interval,
    orphan_since: None,
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
