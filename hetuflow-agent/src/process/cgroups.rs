//! The control groups that this host lets us make: found once, with what each can do.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Access, access};
use rustix::process::getpid;

use super::cell::{Cell, Folder};
use super::cgroup_places::{Place, places};
use super::limits::Limits;
use super::stat::Stat;
use crate::config::CgroupChoice;

/// Folders of ours begin so; the number and the start time of their maker follow.
const PREFIX: &str = "hetuflow-";
/// Where our own processes stand aside, since a group with processes cannot control its children.
const ASIDE: &str = "hetuflow-self";
/// What limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// What is in force on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
  /// What holds a tree of processes together: `v2`, `v1` or `none`.
  pub keeper: &'static str,
  /// Limits that the kernel holds; the others are held by looking again and again.
  pub limits: Vec<&'static str>,
}

impl InForce {
  /// How each limit is held, as `memory:cgroup,pids:cgroup,cpu:sampled,file_size:rlimit`.
  pub fn words(&self) -> String {
    let by_kernel = |name: &str| if self.limits.contains(&name) { "cgroup" } else { "sampled" };
    let held = CONTROLLERS.map(|name| format!("{name}:{}", by_kernel(name)));
    format!("{},file_size:rlimit", held.join(","))
  }
}

/// The groups below which each tree of processes gets its own.
#[derive(Debug, Default)]
pub struct Cgroups {
  keeper: Option<Folder>,
  memory: Option<Folder>,
  pids: Option<Folder>,
  cpu: Option<Folder>,
  /// Groups of trees that are no longer ours and still live.
  left: Mutex<Vec<Cell>>,
  /// Folders of dead makers in which something lives still.
  stale: Mutex<Vec<PathBuf>>,
}

impl Cgroups {
  /// Finds what works here and makes a group for our trees.
  pub fn open(choice: CgroupChoice) -> Self {
    let groups = Self::below(&usable(choice), &own_name());
    let in_force = groups.in_force();
    let (keeper, limits) = (in_force.keeper, in_force.words());
    if keeper == "none" {
      tracing::warn!(
        %limits,
        "no control groups here: a task that detaches and clears its environment can outlive a stop"
      );
    } else {
      tracing::info!(%limits, "tasks are held together by control groups ({keeper})");
    }
    groups
  }

  fn below(places: &[Place], name: &str) -> Self {
    let mut groups = Self::default();
    for place in places {
      groups
        .stale
        .get_mut()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(remove_stale(&place.own));
      let folder = Folder { v2: place.v2, path: place.own.join(name) };
      match fs::create_dir(&folder.path) {
        Ok(()) => {}
        // Ours already: this process has begun anew with another program.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(_) => continue,
      }
      let controls: Vec<String> =
        if place.v2 { delegate(&place.own, &folder.path) } else { place.controllers.clone() };
      let mut used = place.v2 && groups.keeper.is_none();
      if used {
        groups.keeper = Some(folder.clone());
      }
      for (controller, role) in
        [("memory", &mut groups.memory), ("pids", &mut groups.pids), ("cpu", &mut groups.cpu)]
      {
        if role.is_none() && controls.iter().any(|one| one == controller) {
          *role = Some(folder.clone());
          used = true;
        }
      }
      // The freezer can do what version 2 does for all of a group at once.
      if controls.iter().any(|one| one == "freezer") && groups.keeper.is_none() {
        groups.keeper = Some(folder.clone());
        used = true;
      }
      if !used {
        let _left_empty = fs::remove_dir(&folder.path);
      }
    }
    if groups.keeper.is_none() {
      groups.keeper = groups.pids.clone().or_else(|| groups.memory.clone());
    }
    groups
  }

  /// What is in force.
  pub fn in_force(&self) -> InForce {
    let keeper = match &self.keeper {
      Some(folder) if folder.v2 => "v2",
      Some(_) => "v1",
      None => "none",
    };
    let roles = [("memory", &self.memory), ("pids", &self.pids), ("cpu", &self.cpu)];
    let limits = roles.iter().filter(|(_, role)| role.is_some()).map(|(name, _)| *name).collect();
    InForce { keeper, limits }
  }

  /// A group for one tree, with its limits; none where nothing works.
  pub fn cell(&self, name: &str, limits: &Limits) -> Option<Cell> {
    let keeper = self.keeper.as_ref()?.below(name)?;
    let role = |wanted: bool, folder: &Option<Folder>| {
      let folder = folder.as_ref().filter(|_| wanted)?;
      folder.below(name)
    };
    let mut cell = Cell::new(keeper);
    cell.limit_memory(limits.memory, role(limits.memory.is_some(), &self.memory));
    cell.limit_processes(limits.processes, role(limits.processes.is_some(), &self.pids));
    cell.limit_cpu(limits.cpu, role(limits.cpu.is_some(), &self.cpu));
    Some(cell)
  }

  /// Gives a group back: removed now, or as soon as nothing lives in it.
  pub fn give_back(&self, cell: Cell) {
    if !cell.remove() {
      self.left.lock().unwrap_or_else(PoisonError::into_inner).push(cell);
    }
  }

  /// Removes groups that were given back and are empty by now.
  pub fn tidy(&self) {
    self.left.lock().unwrap_or_else(PoisonError::into_inner).retain(|cell| !cell.remove());
    self.stale.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| !remove_folder(path));
  }
}

impl Drop for Cgroups {
  fn drop(&mut self) {
    self.tidy();
    for folder in [&self.keeper, &self.memory, &self.pids, &self.cpu].into_iter().flatten() {
      // Where something lives on, the next start removes it.
      let _still_used = fs::remove_dir(&folder.path);
    }
  }
}

/// What could be in force here, found without a change to anything.
pub fn in_force_here(choice: CgroupChoice) -> InForce {
  let places = usable(choice);
  let v2 = places.iter().find(|place| place.v2);
  let v1 = |name: &str| places.iter().any(|one| one.controllers.iter().any(|has| has == name));
  let keeper = match v2 {
    Some(_) => "v2",
    None if ["freezer", "pids", "memory"].into_iter().any(v1) => "v1",
    None => "none",
  };
  let given = v2.and_then(|place| fs::read_to_string(place.own.join("cgroup.controllers")).ok());
  let given = given.unwrap_or_default();
  let has = |name: &&str| v1(name) || given.split_whitespace().any(|one| one == *name);
  InForce { keeper, limits: CONTROLLERS.into_iter().filter(has).collect() }
}

/// The places that may be used and can be written to, version 2 first.
fn usable(choice: CgroupChoice) -> Vec<Place> {
  let read = |path| fs::read_to_string(path).unwrap_or_default();
  let mut found = places(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
  found.iter_mut().for_each(Place::leave_subgroup);
  found.retain(|place| {
    let allowed = match choice {
      CgroupChoice::Auto => true,
      CgroupChoice::V2 => place.v2,
      CgroupChoice::V1 => !place.v2,
      CgroupChoice::Off => false,
    };
    let wanted = ["freezer", "memory", "pids", "cpu"];
    let of_use = place.v2 || place.controllers.iter().any(|one| wanted.contains(&one.as_str()));
    allowed && of_use && can_make(place)
  });
  found.sort_by_key(|place| !place.v2);
  found
}

/// To move a process in version 2 the group above both places must be writable, too.
fn can_make(place: &Place) -> bool {
  let writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
  let kills = || rustix::system::uname().release().to_str().is_ok_and(can_kill);
  writable(&place.own) && (!place.v2 || (writable(&place.own.join("cgroup.procs")) && kills()))
}

/// Whether a kernel has `cgroup.kill`: 5.14 and later.
fn can_kill(release: &str) -> bool {
  let mut numbers =
    release.split(|c: char| !c.is_ascii_digit()).map(|one| one.parse().unwrap_or(0));
  let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
  version >= (5, 14)
}

/// Has a group hand its controllers down to ours; gives those that arrive.
fn delegate(own: &Path, ours: &Path) -> Vec<String> {
  let given = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
  let wanted: Vec<&str> =
    given.split_whitespace().filter(|one| CONTROLLERS.contains(one)).collect();
  if wanted.is_empty() {
    return Vec::new();
  }
  let order: String = wanted.iter().map(|one| format!("+{one} ")).collect();
  let hand_down = |group: &Path| fs::write(group.join("cgroup.subtree_control"), order.trim_end());
  if hand_down(own).is_err() && !(step_aside(own) && hand_down(own).is_ok()) {
    return Vec::new();
  }
  if hand_down(ours).is_err() {
    return Vec::new();
  }
  wanted.into_iter().map(str::to_owned).collect()
}

/// Moves the processes of our own group one down, if all of them are of our own program.
///
/// Never out of a group that systemd has made: it could not start the service again while ours
/// controls its children. There `DelegateSubgroup=` does the same.
fn step_aside(own: &Path) -> bool {
  if own
    .extension()
    .is_some_and(|kind| ["service", "scope", "slice"].iter().any(|one| kind == *one))
  {
    return false;
  }
  let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
  let Some(ours) = program("self") else { return false };
  let there = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
  if there.lines().any(|pid| program(pid).is_none_or(|path| path != ours)) {
    return false;
  }
  let aside = own.join(ASIDE);
  let _there_already = fs::create_dir(&aside);
  there.lines().all(|pid| fs::write(aside.join("cgroup.procs"), pid).is_ok())
}

/// Our own name among the groups: nobody else's, whenever it lived.
fn own_name() -> String {
  let pid = getpid().as_raw_nonzero().get();
  let start = Stat::read(pid).map_or(0, |stat| stat.start);
  format!("{PREFIX}{pid}-{start}")
}

/// Removes groups whose maker is dead; gives those in which something lives.
fn remove_stale(own: &Path) -> Vec<PathBuf> {
  let mut living = Vec::new();
  let entries = fs::read_dir(own).into_iter().flatten().flatten();
  for entry in entries {
    let name = entry.file_name();
    let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
    let Some((pid, start)) = maker else { continue };
    let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>()) else { continue };
    if Stat::read(pid).is_none_or(|stat| stat.start != start) {
      // All that is empty in it goes, whatever else lives.
      let path = entry.path();
      let attempts = fs::read_dir(&path).into_iter().flatten().flatten();
      let folders = attempts.filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir()));
      folders.for_each(|one| _ = remove_folder(&one.path()));
      if !remove_folder(&path) {
        living.push(path);
      }
    }
  }
  living
}

/// Removes a group and all below it; false where something lives in it.
pub(super) fn remove_folder(path: &Path) -> bool {
  let gone = |result: std::io::Result<()>| match result {
    Ok(()) => true,
    Err(error) => error.kind() == ErrorKind::NotFound,
  };
  if gone(fs::remove_dir(path)) {
    return true;
  }
  let entries = fs::read_dir(path).into_iter().flatten().flatten();
  let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
  let below: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
  !below.is_empty() && below.iter().all(|one| remove_folder(one)) && gone(fs::remove_dir(path))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn kernels_that_can_kill_a_group() {
    for (release, can) in [("5.13.9", false), ("5.14.0-x", true), ("6.1", true), ("4.19", false)] {
      assert_eq!(can_kill(release), can, "{release}");
    }
  }

  #[test]
  fn nothing_is_taken_where_nothing_can_be_made() {
    let place = Place { v2: true, controllers: Vec::new(), own: PathBuf::from("/nowhere/at/all") };
    let groups = Cgroups::below(&[place], "hetuflow-1-1");
    assert_eq!(groups.in_force(), InForce { keeper: "none", limits: Vec::new() });
    assert!(groups.cell("x", &Limits::default()).is_none());
    assert_eq!(in_force_here(CgroupChoice::Off).keeper, "none");
  }

  #[test]
  fn a_group_of_a_dead_maker_goes_and_that_of_a_living_one_stays() {
    let dir = tempfile::tempdir().expect("dir");
    let living = own_name();
    for name in ["hetuflow-1-0/attempt", &living, "hetuflow-self", "other"] {
      fs::create_dir_all(dir.path().join(name)).expect("made");
    }
    assert_eq!(remove_stale(dir.path()), Vec::<PathBuf>::new());
    let mut left: Vec<_> = fs::read_dir(dir.path())
      .expect("readable")
      .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
      .collect();
    left.sort_unstable();
    let mut wanted = [living, "hetuflow-self".to_owned(), "other".to_owned()];
    wanted.sort_unstable();
    assert_eq!(left, wanted);
  }
}
