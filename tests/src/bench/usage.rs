//! What processes take: CPU time and memory, read from `/proc`.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// What one line of `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
  name: String,
  parent: u32,
  /// Own time, in clock ticks.
  own: u64,
  /// Time of children that have ended and were waited for.
  reaped: u64,
}

/// CPU time of this very process, without children, in microseconds.
///
/// # Errors
/// When `/proc` is not there.
pub fn own_cpu_us() -> Result<u64> {
  Ok(micros(read(std::process::id()).context("/proc/self/stat")?.own))
}

/// CPU time of a process and everything below it, ended children included, in microseconds.
///
/// Two looks at the same tree can be subtracted as long as nobody in it loses its parent.
pub fn tree_cpu_us(root: u32) -> u64 {
  let all = processes();
  let total = below(root, &all).into_iter().filter_map(|pid| all.get(&pid));
  micros(total.map(|stat| stat.own + stat.reaped).sum())
}

/// CPU time of a process and everything below it that lives, in microseconds, from the scheduler's
/// own count: ticks of 10 ms say nothing about a process at rest.
pub fn tree_cpu_fine_us(root: u32) -> u64 {
  let all = processes();
  below(root, &all).into_iter().map(threads_ns).sum::<u64>() / 1000
}

fn threads_ns(pid: u32) -> u64 {
  let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
  let ran = threads.filter_map(|thread| {
    let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse::<u64>().ok()
  });
  ran.sum()
}

/// Resident memory of a process and everything below it, in bytes.
pub fn tree_rss_bytes(root: u32) -> u64 {
  let all = processes();
  below(root, &all).into_iter().map(rss_bytes).sum()
}

/// Resident memory of one process, in bytes.
pub fn rss_of(pid: u32) -> u64 {
  rss_bytes(pid)
}

/// The parent of a process, if it lives here and has this name.
pub fn parent_of(pid: u32, name: &str) -> Option<u32> {
  let stat = read(pid)?;
  (stat.name == name).then_some(stat.parent)
}

/// Every process that can be seen.
fn processes() -> HashMap<u32, Stat> {
  let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
  let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
  pids.filter_map(|pid| Some((pid, read(pid)?))).collect()
}

/// A process and everything below it.
fn below(root: u32, all: &HashMap<u32, Stat>) -> Vec<u32> {
  let mut found = vec![root];
  let mut next = 0;
  while let Some(&parent) = found.get(next) {
    let children = all.iter().filter(|(pid, stat)| stat.parent == parent && !found.contains(pid));
    let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
    found.extend(children);
    next += 1;
  }
  found
}

/// Reads one process.
fn read(pid: u32) -> Option<Stat> {
  parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a stat line; the name is in parentheses and may hold anything, even a `)`.
fn parse(line: &str) -> Option<Stat> {
  let (head, tail) = line.rsplit_once(')')?;
  let (_, name) = head.split_once('(')?;
  let fields: Vec<&str> = tail.split_whitespace().collect();
  let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
  Some(Stat {
    name: name.to_owned(),
    parent: fields.get(1)?.parse().ok()?,
    own: ticks(11)? + ticks(12)?,
    reaped: ticks(13)? + ticks(14)?,
  })
}

/// Resident memory of one process.
fn rss_bytes(pid: u32) -> u64 {
  let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
  let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
  let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok());
  kib.unwrap_or(0_u64) * 1024
}

/// Clock ticks as microseconds.
fn micros(ticks: u64) -> u64 {
  ticks * 1_000_000 / rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn reads_a_stat_line_with_an_odd_name() {
    let line = "7 (a ) b) S 3 7 7 0 -1 0 1 2 3 4 50 6 700 80 20 0 1 0 9 0 0";
    let expected = Stat { name: "a ) b".to_owned(), parent: 3, own: 56, reaped: 780 };
    assert_eq!(parse(line), Some(expected));
  }

  #[test]
  fn sees_ourselves_and_our_children() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let all = processes();
    assert!(below(std::process::id(), &all).contains(&child.id()));
    assert!(tree_rss_bytes(std::process::id()) > 1024 * 1024);
    assert_eq!(parent_of(child.id(), "nobody"), None);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(own_cpu_us().is_ok());
  }
}
