//! Process groups: signals to all of it, and whether anything of it lives.

use rustix::process::{Pid, Signal, kill_process_group};

/// Sends a signal to every process of a group; false when the group is gone.
///
/// The caller holds the leader unreaped, so that its number cannot belong to a stranger.
pub fn signal_group(group: Pid, signal: i32) -> bool {
  let Some(signal) = Signal::from_named_raw(signal) else { return false };
  kill_process_group(group, signal).is_ok()
}

/// Whether a process of the group runs; zombies do not count.
///
/// Reads the whole of `/proc`, so it is for stops only: `kill(-pgid, 0)` would count the leader's
/// own zombie, which is kept so that the number is not used again.
pub fn group_is_alive(group: Pid) -> bool {
  let Ok(entries) = std::fs::read_dir("/proc") else { return false };
  let wanted = group.as_raw_nonzero().get();
  entries.flatten().any(|entry| {
    let name = entry.file_name();
    let is_process = name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    is_process
      && std::fs::read(entry.path().join("stat"))
        .is_ok_and(|stat| matches!(state_and_group(&stat), Some((state, g)) if g == wanted && !matches!(state, b'Z' | b'X')))
  })
}

/// State and process group of a `/proc/PID/stat` line; the name in it may hold anything.
fn state_and_group(stat: &[u8]) -> Option<(u8, i32)> {
  let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
  let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
  let mut words = rest.split(' ');
  let state = *words.next()?.as_bytes().first()?;
  let group = words.nth(1)?.parse().ok()?;
  Some((state, group))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_name_with_brackets_does_not_confuse() {
    assert_eq!(state_and_group(b"12 (a) b) c) S 1 77 77 0 -1"), Some((b'S', 77)));
    assert_eq!(state_and_group(b"12 (a"), None);
  }
}
