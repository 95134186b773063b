//! Load and health of the host, sampled apart from everything that must be quick.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hetuflow_core::AgentMetrics;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::scheduler::Counters;

/// Samples again and again until it is told to stop.
pub async fn sample(
  every: Duration,
  disk: PathBuf,
  counters: Arc<Counters>,
  publish: watch::Sender<AgentMetrics>,
  stop: CancellationToken,
) {
  let started = Instant::now();
  let Ok(mut system) = System::new() else {
    return tracing::warn!("load and memory of this host cannot be read");
  };
  loop {
    // A few reads of /proc; no thread of its own for that.
    system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    publish.send_replace(metrics(&system, &disk, &counters, started));
    tokio::select! {
      () = tokio::time::sleep(every) => {}
      () = stop.cancelled() => return,
    }
  }
}

fn metrics(system: &System, disk: &PathBuf, counters: &Counters, started: Instant) -> AgentMetrics {
  let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
  let (ended, succeeded) = (read(&counters.ended), read(&counters.succeeded));
  let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
  let disk_usage = rustix::fs::statvfs(disk).map_or(0.0, |fs| {
    100.0 * share(fs.f_blocks.saturating_sub(fs.f_bavail) as f64, fs.f_blocks as f64)
  });
  AgentMetrics {
    cpu_usage: f64::from(system.global_cpu_usage()),
    memory_usage: 100.0 * share(system.used_memory() as f64, system.total_memory() as f64),
    disk_usage,
    active_tasks: u32::try_from(read(&counters.active)).unwrap_or(u32::MAX),
    total_executed: ended,
    success_rate: share(succeeded as f64, ended as f64),
    avg_execution_time: share(read(&counters.run_us) as f64 / 1000.0, ended as f64),
    uptime: started.elapsed().as_secs(),
    load1: System::load_average().map(|load| load.one).unwrap_or_default(),
    clock_offset_ms: 0.0,
  }
}
