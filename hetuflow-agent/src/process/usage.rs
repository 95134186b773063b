//! What a tree of processes has used.

use std::time::Duration;

use super::stat::Stat;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// What was used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
  /// Processor time.
  pub cpu: Duration,
  /// Most memory at once, in bytes; 0 where it was not measured.
  pub memory_peak: u64,
  /// Bytes read from disks.
  pub read: u64,
  /// Bytes written to disks.
  pub written: u64,
}

impl Usage {
  /// The larger of each: measures of the same tree in different ways.
  pub fn raise(&mut self, other: Self) {
    self.cpu = self.cpu.max(other.cpu);
    self.memory_peak = self.memory_peak.max(other.memory_peak);
    self.read = self.read.max(other.read);
    self.written = self.written.max(other.written);
  }

  /// What a process that has ended and was not reaped yet leaves behind, with all children that it
  /// has waited for. Its memory is gone by then.
  pub fn of_ended(pid: i32) -> Self {
    let ticks = Stat::read(pid).map_or(0, |stat| stat.own_ticks + stat.waited_ticks);
    let (read, written) = disk(pid);
    let cpu = ticks_time(ticks).max(own_cpu(pid));
    Self { cpu, memory_peak: 0, read, written }
  }
}

/// Processor time of the first thread of a process, to the nanosecond.
fn own_cpu(pid: i32) -> Duration {
  let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
  let nanos = text.and_then(|text| text.split(' ').next()?.parse().ok());
  Duration::from_nanos(nanos.unwrap_or(0))
}

/// A look at living processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
  pub(super) cpu: Duration,
  pub(super) memory: u64,
  /// Threads, as limits count them.
  pub(super) processes: u32,
}

impl Look {
  pub(super) fn at(stats: &[Stat]) -> Self {
    let page = rustix::param::page_size() as u64;
    let (mut look, mut shared_most) = (Self::default(), 0);
    for stat in stats {
      look.cpu += ticks_time(stat.own_ticks + stat.waited_ticks);
      look.processes += stat.threads;
      // Pages of files are counted once, not for each process that has them mapped.
      let (resident, shared) = pages(stat.pid).unwrap_or_default();
      look.memory += resident.saturating_sub(shared) * page;
      shared_most = shared_most.max(shared * page);
    }
    look.memory += shared_most;
    look
  }
}

/// The most memory that a living process has had.
pub(super) fn own_peak(pid: i32) -> u64 {
  let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
  let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
  let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
  kib.unwrap_or(0) << 10
}

fn pages(pid: i32) -> Option<(u64, u64)> {
  let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
  let mut words = text.split(' ').skip(1);
  Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Bytes that went to or came from disks; only for processes of the same user.
fn disk(pid: i32) -> (u64, u64) {
  let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
  let field = |name: &str| {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
  };
  (field("read_bytes:"), field("write_bytes:"))
}

fn ticks_time(ticks: u64) -> Duration {
  Duration::from_nanos(ticks * (NANOS_PER_SEC / rustix::param::clock_ticks_per_second().max(1)))
}
