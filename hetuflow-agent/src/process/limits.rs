//! What a tree of processes may use, and the part of it that the kernel watches for each process.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Limits of a tree of processes; what is absent is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
  /// Bytes of memory.
  pub memory: Option<u64>,
  /// Processors: 0.5 is half the time of one.
  pub cpu: Option<f64>,
  /// Processor time in all.
  pub cpu_time: Option<Duration>,
  /// Processes and threads at once.
  pub processes: Option<u32>,
  /// Bytes of any one file that it writes.
  pub file_size: Option<u64>,
  /// How long `cpu` may be exceeded where nothing can slow the tree down.
  pub sustain: Duration,
}

impl Limits {
  /// Whether a cgroup would help.
  pub fn want_cgroup(&self) -> bool {
    self.memory.is_some() || self.cpu.is_some() || self.processes.is_some()
  }

  /// Whether there is any.
  pub fn are_set(&self) -> bool {
    self.want_cgroup() || self.cpu_time.is_some() || self.file_size.is_some()
  }

  /// Sets what each process has for itself; children inherit it. It comes a moment after the start:
  /// a `pre_exec` would cost every start the cheap way of `posix_spawn`.
  pub fn set_for(&self, pid: Pid) {
    let set = |resource, current: u64, maximum: u64| {
      let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
      // It may have ended already, or be under a lower limit.
      let _ended = prlimit(Some(pid), resource, limit);
    };
    if let Some(bytes) = self.file_size {
      set(Resource::Fsize, bytes, bytes);
    }
    if let Some(time) = self.cpu_time {
      let secs = time.as_secs() + u64::from(time.subsec_nanos() > 0);
      set(Resource::Cpu, secs, secs + 1);
    }
  }
}
