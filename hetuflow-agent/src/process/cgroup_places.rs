//! Where this process stands in the host's control groups. Pure.

use std::path::{Path, PathBuf};

/// One hierarchy, and our own place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
  /// The one hierarchy of version 2, else one of version 1.
  pub(super) v2: bool,
  /// What a hierarchy of version 1 controls.
  pub(super) controllers: Vec<String>,
  /// The folder of our own group.
  pub(super) own: PathBuf,
}

impl Place {
  /// A service manager may have put us into a subgroup of what it has given us: the rest of it is
  /// ours, too, and free of processes.
  pub(super) fn leave_subgroup(&mut self) {
    let above = self.own.parent().filter(|_| self.v2 && self.own.extension().is_none());
    if let Some(above) = above.filter(|path| path.extension().is_some_and(|kind| kind == "service"))
    {
      self.own = above.to_owned();
    }
  }
}

/// All places, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
pub(super) fn places(mounts: &str, groups: &str) -> Vec<Place> {
  let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::read).collect();
  groups.lines().filter_map(|line| place(line, &mounts)).collect()
}

struct Mount<'a> {
  root: &'a str,
  point: String,
  v2: bool,
  options: Vec<&'a str>,
}

impl<'a> Mount<'a> {
  fn read(line: &'a str) -> Option<Self> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let v2 = match back.next()? {
      "cgroup2" => true,
      "cgroup" => false,
      _ => return None,
    };
    let options = back.nth(1)?.split(',').collect();
    let mut front = front.split(' ').skip(3);
    let root = front.next()?;
    // The kernel writes a space as an octal number.
    let point = front.next()?.replace("\\040", " ");
    Some(Self { root, point, v2, options })
  }
}

/// `4:memory:/user/x`, or `0::/user/x` for version 2.
fn place(line: &str, mounts: &[Mount<'_>]) -> Option<Place> {
  let mut parts = line.splitn(3, ':').skip(1);
  let (names, path) = (parts.next()?, parts.next()?);
  let v2 = names.is_empty();
  let controllers: Vec<String> = names.split(',').map(str::to_owned).collect();
  let mount = mounts
    .iter()
    .find(|one| one.v2 == v2 && (v2 || one.options.contains(&controllers[0].as_str())))?;
  // A path with `..` is outside of what this namespace may see.
  let inside = Path::new(path).strip_prefix(mount.root).ok()?;
  if inside.components().any(|part| part.as_os_str() == "..") {
    return None;
  }
  let controllers = if v2 { Vec::new() } else { controllers };
  Some(Place { v2, controllers, own: Path::new(&mount.point).join(inside) })
}

#[cfg(test)]
mod tests {
  use super::*;

  const MOUNTS: &str = "\
    31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
    36 31 0:33 /box /sys/fs/cgroup/cpu\\040x rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

  #[test]
  fn a_host_with_both_versions() {
    let groups = "5:memory:/agents/one\n3:cpu,cpuacct:/box/a\n2:pids:/\n1:name=systemd:/\n0::/\n";
    let found = places(MOUNTS, groups);
    let of = |own: &str, v2, controllers: &[&str]| Place {
      v2,
      controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
      own: own.into(),
    };
    assert_eq!(
      found,
      [
        of("/sys/fs/cgroup/memory/agents/one", false, &["memory"]),
        of("/sys/fs/cgroup/cpu x/a", false, &["cpu", "cpuacct"]),
        of("/sys/fs/cgroup/unified", true, &[]),
      ]
    );
  }

  #[test]
  fn a_subgroup_of_a_service_is_left_and_no_other() {
    for (own, wanted) in [
      ("/x/hetuflow.service/main", "/x/hetuflow.service"),
      ("/x/hetuflow.service", "/x/hetuflow.service"),
      ("/x/user.slice/shell", "/x/user.slice/shell"),
      ("/", "/"),
    ] {
      let mut place = Place { v2: true, controllers: Vec::new(), own: own.into() };
      place.leave_subgroup();
      assert_eq!(place.own, PathBuf::from(wanted), "{own}");
    }
  }

  #[test]
  fn what_is_outside_of_the_namespace_is_not_used() {
    assert_eq!(places(MOUNTS, "0::/../other\n3:cpu,cpuacct:/elsewhere\n"), []);
    assert_eq!(places("", "0::/\n"), []);
  }
}
