//! Processes whose parents have ended come to us: they are reaped here, and nothing that somebody
//! else waits for is touched.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};

use super::stat::{Member, Stat};
use super::strays::Strays;
use super::tree::children;

/// The processes that were started here, and starts that are under way.
#[derive(Debug)]
struct Ours {
  next: u64,
  starting: BTreeSet<u64>,
  leaders: BTreeSet<i32>,
  strays: Strays,
}

/// The children of a process are one set for all of it, so is this.
static OURS: Mutex<Ours> = Mutex::new(Ours {
  next: 0,
  starting: BTreeSet::new(),
  leaders: BTreeSet::new(),
  strays: Strays::new(),
});

fn ours() -> MutexGuard<'static, Ours> {
  OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A start that is under way: until it is dropped no child is taken for an orphan that may be its.
#[derive(Debug)]
pub(super) struct Birth(u64);

impl Birth {
  pub(super) fn begin() -> Self {
    let mut ours = ours();
    ours.next += 1;
    let number = ours.next;
    ours.starting.insert(number);
    Self(number)
  }

  /// It has become this process, for which somebody waits.
  pub(super) fn done(self, pid: Pid) {
    ours().leaders.insert(pid.as_raw_nonzero().get());
  }
}

impl Drop for Birth {
  fn drop(&mut self) {
    ours().starting.remove(&self.0);
  }
}

/// The one who waited for a process is about to reap it.
pub(super) fn forget(pid: Pid) {
  let mut ours = ours();
  let Ours { leaders, strays, .. } = &mut *ours;
  let leader = pid.as_raw_nonzero().get();
  leaders.remove(&leader);
  strays.note_end(leader, leaders);
}

/// Processes that have left all that held them, of these living children of ours: those that can only
/// have come of this leader, and those that may have.
pub(super) fn strays_of(
  children: &[Stat],
  (leader, mark): (i32, &[u8]),
) -> (Vec<Member>, Vec<Member>) {
  let mut ours = ours();
  // Without starts of ours, as in most tests, whose they are cannot be told.
  if !ours.leaders.contains(&leader) {
    return (Vec::new(), Vec::new());
  }
  ours.look(children);
  ours.strays.of(leader, mark)
}

impl Ours {
  fn look(&mut self, children: &[Stat]) {
    let Self { leaders, strays, starting, .. } = self;
    let strangers = children.iter().filter(|one| one.lives() && !leaders.contains(&one.pid));
    strays.look(&strangers.copied().collect::<Vec<_>>(), leaders, !starting.is_empty());
  }
}

/// Adopts and reaps orphans.
#[derive(Debug, Default)]
pub struct Orphans {
  /// Zombies that nobody here has started, and the starts that were begun when they were seen.
  suspects: HashMap<i32, u64>,
}

impl Orphans {
  /// From now on orphans of our descendants come to us, not to the first process of the host.
  pub fn adopt() -> Self {
    if let Err(error) = set_child_subreaper(Some(getpid())) {
      tracing::warn!(%error, "orphaned processes of tasks go to the system's first process");
    }
    Self::default()
  }

  /// Reaps zombies that nobody waits for; call it about once a second.
  ///
  /// One look is not enough: a process that has just been started may be dead before the thread
  /// that has started it says that it is ours.
  pub fn reap(&mut self) {
    let mut suspects = HashMap::new();
    let strangers: HashSet<i32> = {
      let children = children(Pid::as_raw(Some(getpid())));
      let ours = ours();
      children.into_iter().filter(|pid| !ours.leaders.contains(pid)).collect()
    };
    let mut living = Vec::new();
    for pid in &strangers {
      let Some(stat) = Stat::read(*pid) else { continue };
      if stat.lives() {
        living.push(stat);
        continue;
      }
      let ours = ours();
      if ours.leaders.contains(pid) {
        continue;
      }
      match self.suspects.get(pid) {
        Some(begun) if ours.starting.first().is_none_or(|oldest| oldest > begun) => {
          if let Some(pid) = Pid::from_raw(*pid) {
            let _reaped = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
          }
        }
        Some(begun) => _ = suspects.insert(*pid, *begun),
        None => _ = suspects.insert(*pid, ours.next),
      }
    }
    ours().look(&living);
    self.suspects = suspects;
  }
}
