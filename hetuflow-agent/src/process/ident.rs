//! Which process, for certain: its number together with when it was started and under which boot.

use rustix::process::Pid;

/// The boot of this host; empty where the kernel does not say.
pub fn boot_id() -> String {
  let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
  text.trim().to_owned()
}

/// When a process was started, in clock ticks since the boot: no two processes of one number and
/// one boot share it. `None` when there is no such process, or only its zombie.
pub fn start_ticks(pid: Pid) -> Option<u64> {
  let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
  ticks_of(&stat)
}

/// State and start of a `/proc/PID/stat` line; the name in it may hold anything.
fn ticks_of(stat: &[u8]) -> Option<u64> {
  let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
  let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
  let mut words = rest.split(' ');
  if matches!(words.next()?, "Z" | "X") {
    return None;
  }
  words.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn our_own_start_is_known_and_lies_in_the_past() {
    let own = start_ticks(rustix::process::getpid()).expect("we live");
    let ours = std::process::Command::new("sleep").arg("5").spawn();
    let mut child = ours.expect("started");
    let later = start_ticks(Pid::from_child(&child)).expect("it lives");
    assert!(own <= later, "{own} {later}");
    child.kill().expect("killed");
    let zombie = Pid::from_child(&child);
    while rustix::process::test_kill_process(zombie).is_ok() && start_ticks(zombie).is_some() {
      std::thread::yield_now();
    }
    child.wait().expect("reaped");
    assert_eq!(start_ticks(zombie), None);
    assert!(!boot_id().is_empty());
  }

  #[test]
  fn a_name_with_brackets_does_not_confuse() {
    let line = b"12 (a) b) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2";
    assert_eq!(ticks_of(line), Some(777));
    assert_eq!(ticks_of(b"12 (a) Z 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2"), None);
    assert_eq!(ticks_of(b"12 (a"), None);
  }
}
