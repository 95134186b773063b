//! Processes that have left everything by which a tree is held together: the control group, the session,
//! the environment, and their parents are dead. Only root can do that where groups are in force. All
//! that is left is that they came to us when their parents died, and what was running then.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::stat::{Member, Stat};

/// How groups of ours are named, as `/proc/PID/cgroup` shows them.
const GROUP: &str = "/hetuflow-";
/// What tasks have in their environment.
pub(super) const MARK: &[u8] = b"HETUFLOW_INSTANCE_ID=";
/// Leaders that ended so long before a stray was seen may have been its ancestors: longer than the time
/// between two looks.
const RECENT: Duration = Duration::from_secs(3);

/// Who may have been the ancestor of a process that has come to us.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
  /// This one: it still carried its mark, or was in its group.
  Marked(Vec<u8>),
  /// One of these leaders.
  Among(BTreeSet<i32>),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Strays {
  known: Option<HashMap<Member, Origin>>,
  /// In the order of their ends.
  ended: VecDeque<(i32, Instant)>,
}

impl Strays {
  pub(super) const fn new() -> Self {
    Self { known: None, ended: VecDeque::new() }
  }

  /// A leader has ended.
  pub(super) fn note_end(&mut self, leader: i32, leaders: &BTreeSet<i32>) {
    let now = Instant::now();
    while self.ended.front().is_some_and(|(_, at)| now.duration_since(*at) >= RECENT) {
      self.ended.pop_front();
    }
    // Nothing can have strayed from processes that come and go faster than anybody looks, unless
    // there is something here that did.
    if self.known.is_some() || leaders.len() < 64 {
      self.ended.push_back((leader, now));
    }
  }

  /// Looks at all children of ours that live and are no leaders; `some_start` says that a process may
  /// be there whose number nobody has been told.
  pub(super) fn look(&mut self, children: &[Stat], leaders: &BTreeSet<i32>, some_start: bool) {
    if children.is_empty() {
      self.known = None;
      return;
    }
    let before = self.known.take().unwrap_or_default();
    let mut known = HashMap::new();
    for stat in children {
      // On its way to become a task: it has no mark yet.
      if !before.contains_key(&stat.member()) && is_newborn(stat.pid, some_start) {
        continue;
      }
      let origin = match before.get(&stat.member()) {
        Some(origin @ Origin::Marked(_)) => origin.clone(),
        found => match (mark_of(stat.pid), found) {
          (Some(mark), _) => Origin::Marked(mark),
          (None, Some(origin)) => origin.clone(),
          (None, None) => Origin::Among(self.possible(stat, leaders)),
        },
      };
      known.insert(stat.member(), origin);
    }
    self.known = Some(known);
  }

  fn possible(&self, stray: &Stat, leaders: &BTreeSet<i32>) -> BTreeSet<i32> {
    let older = |leader: &i32| Stat::read(*leader).is_none_or(|one| one.start <= stray.start);
    let living = leaders.iter().copied().filter(older);
    let now = Instant::now();
    let recent = self.ended.iter().filter(|(_, at)| now - *at < RECENT).map(|(leader, _)| *leader);
    living.chain(recent).collect()
  }

  /// Those that can only have come of this leader; and those that may have.
  pub(super) fn of(&self, leader: i32, mark: &[u8]) -> (Vec<Member>, Vec<Member>) {
    let (mut sure, mut unsure) = (Vec::new(), Vec::new());
    for (member, origin) in self.known.iter().flatten() {
      match origin {
        Origin::Marked(own) if own == mark => sure.push(*member),
        Origin::Among(few) if few.contains(&leader) => {
          if few.len() == 1 {
            sure.push(*member)
          } else {
            unsure.push(*member)
          }
        }
        _ => {}
      }
    }
    (sure, unsure)
  }
}

/// Whether a child has not yet become the program that it was made for, or may not have.
fn is_newborn(pid: i32, some_start: bool) -> bool {
  let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe"));
  match program(&pid.to_string()) {
    Ok(found) => program("self").is_ok_and(|own| own == found),
    // While it has our memory it is as closed to us as we are to others.
    Err(error) => some_start && error.kind() == std::io::ErrorKind::PermissionDenied,
  }
}

/// The mark of the attempt whose environment or group a process still has.
fn mark_of(pid: i32) -> Option<Vec<u8>> {
  let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
  if let Some(mark) = environ.split(|byte| *byte == 0).find(|word| word.starts_with(MARK)) {
    return Some(mark.to_vec());
  }
  let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
  let name = groups.lines().find_map(|line| line.rsplit_once(GROUP)?.1.split_once('/'))?.1;
  let instance = name.split('/').next()?;
  Some([MARK, instance.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
  use super::*;

  fn stat(pid: i32) -> Stat {
    Stat::read(pid).expect("it lives")
  }

  #[test]
  fn what_strays_belongs_to_whoever_ran_then() {
    let mut child =
      std::process::Command::new("sleep").arg("60").env_clear().spawn().expect("sleep");
    let pid = i32::try_from(child.id()).expect("small");
    let own = i32::try_from(std::process::id()).expect("small");
    let mut strays = Strays::new();
    strays.look(&[stat(pid)], &BTreeSet::from([own]), false);
    assert_eq!(strays.of(own, b"x"), (vec![stat(pid).member()], Vec::new()));
    assert_eq!(strays.of(own + 1, b"x"), (Vec::new(), Vec::new()));
    // Whoever comes later is not to blame.
    strays.look(&[stat(pid)], &BTreeSet::from([own, 1]), false);
    assert_eq!(strays.of(own, b"x").0.len(), 1);

    let mut strays = Strays::new();
    strays.note_end(77, &BTreeSet::new());
    strays.look(&[stat(pid)], &BTreeSet::from([own]), false);
    for leader in [own, 77] {
      assert_eq!(strays.of(leader, b"x"), (Vec::new(), vec![stat(pid).member()]), "{leader}");
    }
    strays.look(&[], &BTreeSet::new(), false);
    assert_eq!(strays.of(own, b"x"), (Vec::new(), Vec::new()));
    child.kill().expect("killed");
    child.wait().expect("reaped");
  }

  #[test]
  fn a_mark_names_the_only_one() {
    let mut command = std::process::Command::new("sleep");
    let mut child = command.arg("60").env("HETUFLOW_INSTANCE_ID", "abc").spawn().expect("sleep");
    let pid = i32::try_from(child.id()).expect("small");
    // A moment after its program is loaded its environment still reads as empty.
    while mark_of(pid).is_none() && stat(pid).lives() {
      std::thread::yield_now();
    }
    let mut strays = Strays::new();
    strays.look(&[stat(pid)], &BTreeSet::from([1, 2, 3]), false);
    assert_eq!(strays.of(1, b"HETUFLOW_INSTANCE_ID=abc").0, [stat(pid).member()]);
    assert_eq!(strays.of(1, b"HETUFLOW_INSTANCE_ID=abd"), (Vec::new(), Vec::new()));
    child.kill().expect("killed");
    child.wait().expect("reaped");
  }
}
