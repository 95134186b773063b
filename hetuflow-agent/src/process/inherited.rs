//! What this process was given by whoever started it must not go on to what it starts.

use std::io;

/// The first descriptor that is no standard one.
const FIRST: u32 = 3;

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
