//! The control group of one tree of processes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroups::remove_folder;

/// How often a freezing group of version 1 is looked at.
const FREEZE_LOOKS: u32 = 50;
const FREEZE_PAUSE: Duration = Duration::from_millis(1);
/// The time over which processor shares are counted.
const CPU_PERIOD_US: f64 = 100_000.0;
/// The smallest share that the kernel takes.
const CPU_QUOTA_US_MIN: f64 = 1000.0;

/// A folder of one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
  pub(super) v2: bool,
  pub(super) path: PathBuf,
}

impl Folder {
  /// Makes a folder in it.
  pub(super) fn below(&self, name: &str) -> Option<Self> {
    let folder = Self { v2: self.v2, path: self.path.join(name) };
    match fs::create_dir(&folder.path) {
      Ok(()) => Some(folder),
      // Two roles may share a hierarchy.
      Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Some(folder),
      Err(error) => {
        tracing::debug!(path = %folder.path.display(), %error, "no control group");
        None
      }
    }
  }

  fn write(&self, file: &str, text: &str) -> bool {
    fs::write(self.path.join(file), text).is_ok()
  }

  fn read(&self, file: &str) -> String {
    fs::read_to_string(self.path.join(file)).unwrap_or_default()
  }

  fn number(&self, file: &str) -> Option<u64> {
    self.read(file).trim().parse().ok()
  }

  /// The number behind a word, as in `max 3`.
  fn field(&self, file: &str, name: &str) -> Option<u64> {
    let text = self.read(file);
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.and_then(|rest| rest.trim().parse().ok())
  }
}

/// The control group of one tree of processes, in every hierarchy that is needed.
#[derive(Debug)]
pub struct Cell {
  keeper: Folder,
  memory: Option<Folder>,
  pids: Option<Folder>,
  cpu: Option<Folder>,
}

impl Cell {
  pub(super) fn new(keeper: Folder) -> Self {
    Self { keeper, memory: None, pids: None, cpu: None }
  }

  pub(super) fn limit_memory(&mut self, bytes: Option<u64>, folder: Option<Folder>) {
    let (Some(bytes), Some(folder)) = (bytes, folder) else { return };
    let text = bytes.to_string();
    let set = if folder.v2 {
      // A tree of which one process was killed is of no use to anybody.
      folder.write("memory.oom.group", "1");
      folder.write("memory.swap.max", "0");
      folder.write("memory.max", &text)
    } else {
      let set = folder.write("memory.limit_in_bytes", &text);
      folder.write("memory.memsw.limit_in_bytes", &text);
      set
    };
    self.memory = self.keep(folder, set);
  }

  pub(super) fn limit_processes(&mut self, count: Option<u32>, folder: Option<Folder>) {
    let (Some(count), Some(folder)) = (count, folder) else { return };
    let set = folder.write("pids.max", &count.to_string());
    self.pids = self.keep(folder, set);
  }

  pub(super) fn limit_cpu(&mut self, processors: Option<f64>, folder: Option<Folder>) {
    let (Some(processors), Some(folder)) = (processors, folder) else { return };
    let quota = (processors * CPU_PERIOD_US).max(CPU_QUOTA_US_MIN).round();
    let set = if folder.v2 {
      folder.write("cpu.max", &format!("{quota} {CPU_PERIOD_US}"))
    } else {
      folder.write("cpu.cfs_period_us", &CPU_PERIOD_US.to_string())
        && folder.write("cpu.cfs_quota_us", &quota.to_string())
    };
    self.cpu = self.keep(folder, set);
  }

  /// A folder whose limit was not taken is of no use.
  fn keep(&self, folder: Folder, set: bool) -> Option<Folder> {
    if !set && self.folders().all(|one| one != &folder) {
      remove_folder(&folder.path);
    }
    set.then_some(folder)
  }

  /// Each folder; one that has several roles comes several times.
  fn folders(&self) -> impl Iterator<Item = &Folder> {
    std::iter::once(&self.keeper).chain([&self.memory, &self.pids, &self.cpu].into_iter().flatten())
  }

  /// Whether the kernel holds the limit of memory.
  pub(super) fn holds_memory(&self) -> bool {
    self.memory.is_some()
  }

  /// Whether the kernel holds the limit of processes.
  pub(super) fn holds_processes(&self) -> bool {
    self.pids.is_some()
  }

  /// Whether the kernel holds the limit of processor time.
  pub(super) fn holds_cpu(&self) -> bool {
    self.cpu.is_some()
  }

  /// Takes a process in; what it starts from now on is in it, too.
  pub(super) fn join(&self, pid: i32) -> bool {
    let pid = pid.to_string();
    let mut last = None;
    let mut all = true;
    for folder in self.folders() {
      if last != Some(folder) {
        all &= folder.write("cgroup.procs", &pid);
      }
      last = Some(folder);
    }
    all
  }

  /// The processes in it; zombies are not.
  pub(super) fn pids(&self) -> Vec<i32> {
    self.keeper.read("cgroup.procs").lines().filter_map(|line| line.parse().ok()).collect()
  }

  /// Whether nothing lives in it.
  pub(super) fn is_empty(&self) -> bool {
    if self.keeper.v2 {
      return self.keeper.field("cgroup.events", "populated") != Some(1);
    }
    self.pids().is_empty()
  }

  /// Kills everything in it.
  pub(super) fn kill(&self) {
    if self.keeper.v2 {
      self.keeper.write("cgroup.kill", "1");
      return;
    }
    // What is frozen makes no children and gives no number back; it dies when it is thawed.
    self.freeze(true);
    self.signal_each(Signal::KILL);
    self.freeze(false);
  }

  /// Freezes or thaws everything in it; false where that is not possible.
  pub(super) fn freeze(&self, frozen: bool) -> bool {
    if self.keeper.v2 {
      return self.keeper.write("cgroup.freeze", if frozen { "1" } else { "0" });
    }
    if !self.keeper.path.join("freezer.state").exists() {
      return false;
    }
    let wanted = if frozen { "FROZEN" } else { "THAWED" };
    for _ in 0..FREEZE_LOOKS {
      if !self.keeper.write("freezer.state", wanted) {
        return false;
      }
      if self.keeper.read("freezer.state").trim() == wanted {
        return true;
      }
      std::thread::sleep(FREEZE_PAUSE);
    }
    frozen
  }

  /// Each process gets the signal through a handle that was opened while it was in the group.
  fn signal_each(&self, signal: Signal) {
    let open = |pid: i32| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?));
    let handles: Vec<_> = self.pids().into_iter().filter_map(open).collect();
    let still = self.pids();
    for (pid, handle) in &handles {
      if still.contains(pid) {
        let _ended_meanwhile = pidfd_send_signal(handle, signal);
      }
    }
  }

  /// Processes that the kernel has killed for want of memory.
  pub(super) fn memory_kills(&self) -> u64 {
    let Some(memory) = &self.memory else { return 0 };
    let file = if memory.v2 { "memory.events" } else { "memory.oom_control" };
    memory.field(file, "oom_kill").unwrap_or(0)
  }

  /// Starts of processes that the kernel has refused.
  pub(super) fn refused_starts(&self) -> u64 {
    self.pids.as_ref().and_then(|pids| pids.field("pids.events", "max")).unwrap_or(0)
  }

  /// Most memory at once, where it is counted.
  pub(super) fn memory_peak(&self) -> u64 {
    let Some(memory) = &self.memory else { return 0 };
    memory.number(if memory.v2 { "memory.peak" } else { "memory.max_usage_in_bytes" }).unwrap_or(0)
  }

  /// Processor time, where it is counted.
  pub(super) fn cpu(&self) -> Duration {
    let used = self.keeper.v2.then(|| self.keeper.field("cpu.stat", "usage_usec")).flatten();
    Duration::from_micros(used.unwrap_or(0))
  }

  /// Removes it; false while something lives in it.
  pub(super) fn remove(&self) -> bool {
    let left: Vec<_> = self.folders().filter(|folder| !remove_folder(&folder.path)).collect();
    left.is_empty()
  }
}
