//! What this process was given, and what it knows, must not go on to what it starts.

use std::io;

/// The first descriptor that is no standard one.
const FIRST: u32 = 3;

/// Nobody but root looks into this process from now on: neither with a debugger nor by a core dump.
/// Tasks of the same user would otherwise find each other's secrets, and the agent's token. A program
/// that is started can be looked into as ever.
pub fn keep_memory_back() {
  let behaviour = rustix::process::DumpableBehavior::NotDumpable;
  if let Err(error) = rustix::process::set_dumpable_behavior(behaviour) {
    tracing::warn!(%error, "processes of this user can look into this one");
  }
}

/// From now on no descriptor but the standard ones is handed on to a program that is started.
/// What is opened later is closed at a start anyway, as the standard library does it.
///
/// # Errors
/// When the kernel refuses, also the slow way.
#[expect(unsafe_code, reason = "no safe crate marks descriptors that it does not own")]
pub fn keep_inherited_back() -> io::Result<()> {
  // SAFETY: only a flag of descriptors is set, that they are closed at an exec. None is closed, made
  // or used here, so whoever owns one does not notice.
  let done =
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
  if done == 0 {
    return Ok(());
  }
  // Kernels before 5.11.
  for entry in std::fs::read_dir("/proc/self/fd")? {
    let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
      continue;
    };
    if fd >= FIRST.cast_signed() {
      // SAFETY: as above. One that is closed by now gives an error that means nothing.
      let _closed = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
  }
  Ok(())
}
