//! A tree of processes that is held together, measured and kept within its limits: by control
//! groups where this host lets us make them, else by looking through `/proc`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::cell::Cell;
use super::cgroups::Cgroups;
use super::group::signal_group;
use super::limits::Limits;
use super::spawned::Exit;
use super::start_ticks;
use super::stat::Stat;
use super::tree::Tree;
use super::usage::{Look, Usage, own_peak};

/// Time between looks at a tree that has limits; at others the first ones.
const LOOK_STEP: Duration = Duration::from_millis(100);
/// The same where only looking holds a limit that is soon far behind.
const QUICK_STEP: Duration = Duration::from_millis(20);
/// How often a tree is gathered before it is taken as it is.
const GATHER_ROUNDS: usize = 8;
/// A process of which one of these signals was the end has hit a limit of its own.
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
/// What a shell adds to the signal that has ended its child.
const SHELL_SIGNAL: i32 = 128;
const MIB: f64 = (1 << 20) as f64;

/// A limit that was hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
  /// For programs: `oom_killed`, or `limit(name)`.
  pub reason: String,
  /// For people.
  pub message: String,
}

impl Over {
  fn limit(name: &str, message: String) -> Self {
    Self { reason: format!("limit({name})"), message }
  }
}

/// How a tree is to be held.
#[derive(Debug, Clone)]
pub struct Grip {
  /// Where groups are made.
  pub cgroups: Arc<Cgroups>,
  /// The name of its group.
  pub name: String,
  /// A `NAME=value` in its environment that nobody else has.
  pub mark: String,
  /// What it may use.
  pub limits: Limits,
  /// Longest time between two measures.
  pub look_interval: Duration,
  /// When the process was started, where it is somebody else's child: its number may be a stranger's as
  /// soon as it has ended.
  pub orphan_since: Option<u64>,
}

impl Grip {
  /// Makes ready what a process needs from its first moment. Without limits that is nothing: most
  /// processes end in a moment.
  pub fn prepare(self) -> Prepared {
    let limits = &self.limits;
    let cell = limits.want_cgroup().then(|| self.cgroups.cell(&self.name, limits)).flatten();
    Prepared { grip: self, cell }
  }
}

/// Ready for a process to be started.
#[derive(Debug)]
pub struct Prepared {
  grip: Grip,
  cell: Option<Cell>,
}

impl Prepared {
  /// Whether the process is put into a group of its own at once.
  pub fn has_group(&self) -> bool {
    self.cell.is_some()
  }

  /// Right after the start of the process.
  pub fn start(mut self, leader: Pid) -> Confined {
    let (grip, cell) = (self.grip.clone(), self.cell.take());
    let mut tree = Tree::new(leader, &grip.mark);
    if let Some(since) = grip.orphan_since {
      tree.know_leader(since);
    }
    let next_look = Instant::now() + LOOK_STEP;
    let (usage, step) = (Usage::default(), LOOK_STEP);
    let (last, busy_since, is_settled) = (None, None, false);
    let mut it =
      Confined { grip, leader, tree, cell, usage, next_look, step, is_settled, last, busy_since };
    // The process runs already: what takes no time first.
    if it.grip.limits.are_set() && it.has_leader() {
      it.grip.limits.set_for(leader);
    }
    it.enter();
    it
  }
}

impl Drop for Prepared {
  fn drop(&mut self) {
    // Nothing was started.
    if let Some(cell) = self.cell.take() {
      self.grip.cgroups.give_back(cell);
    }
  }
}

/// A tree of processes under control. Its leader stays unreaped for as long as it is asked
/// anything; when this is dropped, what still lives is let go.
#[derive(Debug)]
pub struct Confined {
  grip: Grip,
  leader: Pid,
  tree: Tree,
  cell: Option<Cell>,
  usage: Usage,
  next_look: Instant,
  step: Duration,
  is_settled: bool,
  /// The last look: when, and the processor time until then.
  last: Option<(Instant, Duration)>,
  /// Since when it uses more processors than it may.
  busy_since: Option<Instant>,
}

impl Confined {
  /// The process lives on after its first moments.
  pub fn settle(&mut self) {
    self.is_settled = true;
    if self.cell.is_none() {
      self.cell = self.grip.cgroups.cell(&self.grip.name, &self.grip.limits);
      self.enter();
    }
    self.measure();
    if self.grip.limits.are_set() {
      self.next_look = Instant::now();
    }
  }

  /// Puts the tree into its group, where it has one.
  fn enter(&mut self) {
    let Some(cell) = self.cell.take() else { return };
    if self.has_leader() && cell.join(self.leader.as_raw_nonzero().get()) {
      self.cell = Some(cell);
      self.gather();
    } else {
      self.grip.cgroups.give_back(cell);
    }
  }

  /// Whether the leader's number is still its own.
  fn has_leader(&self) -> bool {
    self.grip.orphan_since.is_none_or(|since| start_ticks(self.leader) == Some(since))
  }

  /// Takes in what the leader had started before it was in the group itself.
  fn gather(&mut self) {
    let Some(cell) = &self.cell else { return };
    let mut joined = HashSet::from([self.leader.as_raw_nonzero().get()]);
    for _ in 0..GATHER_ROUNDS {
      let mut fresh = false;
      for stat in self.tree.descend() {
        if joined.insert(stat.pid) {
          fresh |= cell.join(stat.pid);
        }
      }
      if !fresh {
        break;
      }
    }
  }

  /// When to call [`Self::look`] next.
  pub fn next_look(&self) -> Instant {
    self.next_look
  }

  /// Measures it; the limit that it has hit, if any.
  pub fn look(&mut self) -> Option<Over> {
    let look = self.measure();
    self.over(look)
  }

  fn measure(&mut self) -> Look {
    let stats: Vec<Stat> = match &self.cell {
      Some(cell) => cell.pids().into_iter().filter_map(Stat::read).collect(),
      None => self.tree.descend(),
    };
    let look = Look::at(&stats);
    let counted = self.cell.as_ref().map_or(Duration::ZERO, Cell::cpu);
    let own = own_peak(self.leader.as_raw_nonzero().get());
    let memory_peak = look.memory.max(own);
    self.usage.raise(Usage { cpu: look.cpu.max(counted), memory_peak, ..Usage::default() });
    let longest = self.grip.look_interval.max(LOOK_STEP);
    self.step = match self.grip.limits.are_set() {
      true if self.must_hurry() => QUICK_STEP,
      true => LOOK_STEP,
      false => (self.step * 2).min(longest),
    };
    self.next_look = Instant::now() + self.step;
    look
  }

  /// Memory and processes grow in no time.
  fn must_hurry(&self) -> bool {
    let (limits, cell) = (&self.grip.limits, self.cell.as_ref());
    limits.memory.is_some() && !cell.is_some_and(Cell::holds_memory)
      || limits.processes.is_some() && !cell.is_some_and(Cell::holds_processes)
  }

  fn over(&mut self, look: Look) -> Option<Over> {
    let limits = self.grip.limits;
    let cell = self.cell.as_ref();
    if let Some(over) = self.held_by_kernel() {
      return Some(over);
    }
    if let Some(limit) = limits.memory.filter(|_| !cell.is_some_and(Cell::holds_memory))
      && look.memory > limit
    {
      return Some(over_memory(look.memory, limit));
    }
    // What was moved into a group is there, whatever its limit.
    if let Some(limit) = limits.processes
      && look.processes > limit
    {
      return Some(over_processes(limit));
    }
    if let Some(limit) = limits.cpu_time
      && self.usage.cpu >= limit
    {
      return Some(over_cpu_time(limit));
    }
    let limit = limits.cpu.filter(|_| !cell.is_some_and(Cell::holds_cpu))?;
    self.over_cpu_share(limit)
  }

  /// Only by looking again and again: too many processors for too long.
  fn over_cpu_share(&mut self, limit: f64) -> Option<Over> {
    let now = Instant::now();
    let used = self.usage.cpu;
    let (then, before) = self.last.replace((now, used))?;
    let share = used.saturating_sub(before).as_secs_f64() / (now - then).as_secs_f64().max(1e-3);
    if share <= limit {
      self.busy_since = None;
      return None;
    }
    let since = *self.busy_since.get_or_insert(then);
    (now - since >= self.grip.limits.sustain).then(|| {
      let secs = (now - since).as_secs_f64();
      let message = format!("used {share:.2} processors, over {limit} for {secs:.0} s");
      Over::limit("cpu", message)
    })
  }

  /// What the kernel has had to do to hold the limits.
  fn held_by_kernel(&self) -> Option<Over> {
    let cell = self.cell.as_ref()?;
    if cell.memory_kills() > 0 {
      let limit = self.grip.limits.memory.unwrap_or(0) as f64 / MIB;
      let message = format!("killed by the kernel: it needed more than its {limit:.0} MiB");
      return Some(Over { reason: "oom_killed".to_owned(), message });
    }
    (cell.refused_starts() > 0).then(|| over_processes(self.grip.limits.processes.unwrap_or(0)))
  }

  /// Whether the kernel has killed a part of it: the rest is of no use then.
  pub fn was_cut(&self) -> bool {
    self.cell.as_ref().is_some_and(|cell| cell.memory_kills() > 0)
  }

  /// What it has used, and the limit that was its end, if any. `reap` reaps the leader and tells
  /// its processor time.
  pub fn note_end(
    &mut self,
    exit: Option<Exit>,
    reap: impl FnOnce() -> Duration,
  ) -> (Usage, Option<Over>) {
    let mut usage = self.usage;
    // Of an end in the first moments nothing else is asked: each question would cost a share of the
    // start itself.
    if self.is_settled || self.grip.limits.are_set() {
      usage.raise(Usage::of_ended(self.leader.as_raw_nonzero().get()));
    }
    usage.raise(Usage { cpu: reap(), ..Usage::default() });
    if let Some(cell) = &self.cell {
      let memory_peak = cell.memory_peak();
      usage.raise(Usage { cpu: cell.cpu(), memory_peak, ..Usage::default() });
    }
    self.usage = usage;
    (usage, exit.and_then(|exit| self.verdict(exit)))
  }

  /// The limit that an end by itself speaks of.
  fn verdict(&self, exit: Exit) -> Option<Over> {
    let limits = &self.grip.limits;
    if !limits.are_set() || exit == Exit::Code(0) {
      return None;
    }
    if let Some(over) = self.held_by_kernel() {
      return Some(over);
    }
    let by =
      |signal: i32| exit == Exit::Signal(signal) || exit == Exit::Code(SHELL_SIGNAL + signal);
    if let Some(bytes) = limits.file_size
      && by(SIGXFSZ)
    {
      return Some(Over::limit("file_size", format!("wrote a file of more than {bytes} bytes")));
    }
    limits.cpu_time.filter(|limit| by(SIGXCPU) || self.usage.cpu >= *limit).map(over_cpu_time)
  }

  /// One signal to the leader's group; false when it is gone.
  pub fn signal(&self, signal: i32) -> bool {
    signal_group(self.leader, signal)
  }

  /// Freezes or thaws all of it; false where nothing of it was found.
  pub fn freeze(&mut self, frozen: bool) -> bool {
    if let Some(cell) = &self.cell {
      if frozen {
        // What got away from the group, too.
        let inside: HashSet<i32> = cell.pids().into_iter().collect();
        let outside = self.tree.sweep();
        let outside = outside.into_iter().filter(|member| !inside.contains(&member.pid));
        outside.for_each(|member| _ = cell.join(member.pid));
      }
      if cell.freeze(frozen) {
        return true;
      }
    }
    if frozen { self.tree.freeze() } else { self.tree.thaw() }
  }

  /// Kills all of it, in its group or not. What is being made meanwhile needs another call.
  pub fn kill(&mut self) {
    if let Some(cell) = &self.cell {
      cell.kill();
    }
    self.tree.kill();
  }

  /// Whether nothing of it lives.
  pub fn is_gone(&mut self) -> bool {
    self.cell.as_ref().is_none_or(Cell::is_empty) && self.tree.is_gone()
  }
}

impl Confined {
  /// The numbers of living processes that may be of it and cannot be told from those of others.
  pub fn escaped(&self) -> Vec<i32> {
    self.tree.unsure().iter().map(|member| member.pid).collect()
  }
}

impl Drop for Confined {
  fn drop(&mut self) {
    // A fault of ours: nobody follows it any more, so nothing of it is let go.
    if std::thread::panicking() {
      self.kill();
    }
    if let Some(cell) = self.cell.take() {
      self.grip.cgroups.give_back(cell);
    }
  }
}

fn over_memory(used: u64, limit: u64) -> Over {
  let (used, limit) = (used as f64 / MIB, limit as f64 / MIB);
  Over::limit("memory", format!("used {used:.0} MiB of memory, {limit:.0} MiB are allowed"))
}

fn over_processes(limit: u32) -> Over {
  Over::limit("pids", format!("wanted more than {limit} processes and threads at once"))
}

fn over_cpu_time(limit: Duration) -> Over {
  Over::limit("cpu", format!("used its {} s of processor time", limit.as_secs_f64()))
}
