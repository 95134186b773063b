//! One process as `/proc` tells it.

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A line of `/proc/PID/stat`, as far as it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
  pub(super) pid: i32,
  pub(super) state: u8,
  pub(super) parent: i32,
  pub(super) group: i32,
  /// Processor time of its own, in clock ticks.
  pub(super) own_ticks: u64,
  /// Processor time of children that it has waited for.
  pub(super) waited_ticks: u64,
  pub(super) threads: u32,
  /// When it was started, in clock ticks since boot: with the number it names a process for good.
  pub(super) start: u64,
}

impl Stat {
  pub(super) fn read(pid: i32) -> Option<Self> {
    Self::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
  }

  /// The name in it may hold anything, brackets and spaces too.
  fn parse(line: &[u8]) -> Option<Self> {
    let pid = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?.parse().ok()?;
    let after_name = line.iter().rposition(|byte| *byte == b')')? + 2;
    let rest = std::str::from_utf8(line.get(after_name..)?).ok()?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| words.get(index)?.parse::<i64>().ok();
    let positive = |index: usize| u64::try_from(number(index)?).ok();
    Some(Self {
      pid,
      state: *words.first()?.as_bytes().first()?,
      parent: i32::try_from(number(1)?).ok()?,
      group: i32::try_from(number(2)?).ok()?,
      own_ticks: positive(11)? + positive(12)?,
      waited_ticks: positive(13)? + positive(14)?,
      threads: u32::try_from(number(17)?).ok()?,
      start: positive(19)?,
    })
  }

  /// Zombies do not live.
  pub(super) fn lives(&self) -> bool {
    !matches!(self.state, b'Z' | b'X')
  }

  pub(super) fn member(&self) -> Member {
    Member { pid: self.pid, start: self.start }
  }
}

/// Every process of this host.
pub(super) fn everyone() -> Vec<Stat> {
  numbers(Path::new("/proc")).filter_map(Stat::read).collect()
}

/// The entries of a folder whose names are numbers.
pub(super) fn numbers(folder: &Path) -> impl Iterator<Item = i32> {
  let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
  entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Member {
  pub(super) pid: i32,
  pub(super) start: u64,
}

impl Member {
  /// Sends it a signal; false when it is gone, whoever has its number now.
  pub(super) fn signal(self, signal: Signal) -> bool {
    let Some(pid) = Pid::from_raw(self.pid) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    // The handle holds whoever had the number just now; was it the one that is meant?
    let is_it = Stat::read(self.pid).is_some_and(|stat| stat.start == self.start);
    is_it && pidfd_send_signal(&handle, signal).is_ok()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_name_with_brackets_does_not_confuse() {
    let line = b"12 (a) b) c) S 1 77 70 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 999 1000 10 0";
    let stat = Stat::parse(line).expect("a line");
    assert_eq!((stat.pid, stat.state, stat.parent, stat.group), (12, b'S', 1, 77));
    assert_eq!((stat.own_ticks, stat.waited_ticks, stat.threads, stat.start), (11, 15, 3, 999));
    assert_eq!(Stat::parse(b"12 (a"), None);
  }

  #[test]
  fn another_start_is_another_process() {
    let own = i32::try_from(std::process::id()).expect("small");
    let stat = Stat::read(own).expect("ours");
    assert!(stat.member().signal(Signal::CONT));
    let stranger = Member { start: stat.start + 1, ..stat.member() };
    assert!(!stranger.signal(Signal::CONT), "the number alone is not enough");
  }
}
