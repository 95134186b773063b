//! All that has come of one process, however it tried to get away: children, their children, its
//! group, and whatever carries the mark in its environment.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rustix::process::{Pid, Signal};

use super::orphans::strays_of;
use super::stat::{Member, Stat, everyone, numbers};

/// How often a tree is looked through for newcomers before the kill falls all the same.
const STOP_ROUNDS: usize = 30;
/// The parent of all kernel threads.
const KERNEL: i32 = 2;

/// The tree of one process. The caller keeps that process unreaped for as long as this is asked,
/// so that neither its number nor its group's can belong to a stranger.
#[derive(Debug)]
pub struct Tree {
  leader: i32,
  /// When the leader was started, where its number may be a stranger's later.
  since: Option<u64>,
  mark: Vec<u8>,
  known: HashSet<Member>,
  /// Processes that may be of it, or of another tree.
  unsure: Vec<Member>,
}

impl Tree {
  /// The tree of a process; `mark` is a `NAME=value` that it has in its environment and nobody
  /// else has.
  pub fn new(leader: Pid, mark: &str) -> Self {
    let leader = leader.as_raw_nonzero().get();
    let (known, unsure) = (HashSet::new(), Vec::new());
    Self { leader, since: None, mark: mark.as_bytes().to_vec(), known, unsure }
  }

  /// The leader is somebody else's child, so its number is not kept for us: who has it later is of
  /// this tree only if it was started when the leader was.
  pub fn know_leader(&mut self, since: u64) {
    self.since = Some(since);
  }

  /// Whether the leader's number is somebody else's by now. Then its group is empty, too: a number is
  /// not given away while a group has it.
  fn is_stranger(&self, stat: &Stat) -> bool {
    stat.pid == self.leader && self.since.is_some_and(|since| stat.start != since)
  }

  /// Every process that can be reached from parent to child, the leader too. Costs a few reads for
  /// each of them, whatever else runs on the host.
  pub(super) fn descend(&mut self) -> Vec<Stat> {
    let mut queue = vec![self.leader];
    queue.extend(self.known.iter().map(|member| member.pid));
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Some(pid) = queue.pop() {
      if !seen.insert(pid) {
        continue;
      }
      let Some(stat) = Stat::read(pid) else { continue };
      // One that was known may have ended, and its number may be a stranger's now.
      let was_known = |one: &Member| one.pid == pid && one.start != stat.start;
      let is_stranger = self.is_stranger(&stat) || self.known.iter().any(was_known);
      if is_stranger || !stat.lives() {
        continue;
      }
      queue.extend(children(pid));
      found.push(stat);
    }
    self.known = found.iter().map(Stat::member).collect();
    found
  }

  /// Every living process of the tree. Reads the whole of `/proc`, so it is for stops and freezes.
  pub(super) fn sweep(&mut self) -> Vec<Member> {
    let all = everyone();
    let leader = || all.iter().find(|stat| stat.pid == self.leader).map_or(0, |stat| stat.start);
    let since = self.since.unwrap_or_else(leader);
    let own = Pid::as_raw(Some(rustix::process::getpid()));
    let mut below: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for stat in &all {
      below.entry(stat.parent).or_default().push(stat);
    }
    let children: Vec<Stat> = all.iter().filter(|stat| stat.parent == own).copied().collect();
    let (strays, unsure) = strays_of(&children, (self.leader, &self.mark));
    self.unsure = unsure;
    let known =
      |stat: &Stat| self.known.contains(&stat.member()) || strays.contains(&stat.member());
    let is_ours = !all.iter().any(|stat| self.is_stranger(stat));
    let mine = |stat: &&Stat| {
      is_ours && (stat.pid == self.leader || stat.group == self.leader)
        || known(stat)
        || self.is_marked(stat, since)
    };
    let mut queue: Vec<&Stat> = all.iter().filter(mine).collect();
    let mut members = HashMap::new();
    while let Some(stat) = queue.pop() {
      if stat.pid != own && members.insert(stat.pid, *stat).is_none() {
        queue.extend(below.get(&stat.pid).into_iter().flatten());
      }
    }
    let living: Vec<Member> =
      members.values().filter(|stat| stat.lives()).map(Stat::member).collect();
    self.known = living.iter().copied().collect();
    living
  }

  fn is_marked(&self, stat: &Stat, since: u64) -> bool {
    let candidate =
      stat.lives() && stat.start >= since && stat.parent != KERNEL && stat.pid != KERNEL;
    candidate
      && std::fs::read(format!("/proc/{}/environ", stat.pid))
        .is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == self.mark))
  }

  /// Living processes that may have come of it, or of another one that ran beside it: they have left
  /// all that held them, and nobody can tell any more.
  pub fn unsure(&self) -> &[Member] {
    &self.unsure
  }

  /// Whether nothing of it lives. Two looks, since a process can be made behind the first one.
  pub fn is_gone(&mut self) -> bool {
    self.sweep().is_empty() && self.sweep().is_empty()
  }

  /// Stops all of it, so that nothing new is made; false when there was nothing.
  pub fn freeze(&mut self) -> bool {
    !self.stop_all().is_empty()
  }

  /// Lets all of it go on.
  pub fn thaw(&mut self) -> bool {
    let members = self.sweep();
    members.iter().for_each(|member| _ = member.signal(Signal::CONT));
    !members.is_empty()
  }

  /// Kills all of it.
  pub fn kill(&mut self) {
    self.stop_all().into_iter().for_each(|member| _ = member.signal(Signal::KILL));
  }

  /// Stops whatever is found until nothing new is.
  fn stop_all(&mut self) -> HashSet<Member> {
    let mut stopped = HashSet::new();
    for _ in 0..STOP_ROUNDS {
      let mut fresh = false;
      for member in self.sweep() {
        if stopped.insert(member) {
          fresh = true;
          member.signal(Signal::STOP);
        }
      }
      if !fresh {
        break;
      }
    }
    stopped
  }
}

/// The children of a process, of all its threads.
pub(super) fn children(pid: i32) -> Vec<i32> {
  let folder = format!("/proc/{pid}/task");
  let lists = numbers(Path::new(&folder))
    .filter_map(|thread| std::fs::read_to_string(format!("{folder}/{thread}/children")).ok());
  lists
    .flat_map(|list| {
      list.split_ascii_whitespace().filter_map(|one| one.parse().ok()).collect::<Vec<i32>>()
    })
    .collect()
}
