//! Watching a descriptor for something to read.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch a descriptor; only inside a runtime.
///
/// # Errors
/// When the kernel refuses to watch it.
#[expect(
  deprecated,
  reason = "its successor is unsafe, for descriptors that somebody else may close; an OwnedFd is ours alone"
)]
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
  AsyncFd::with_interest(fd, Interest::READABLE)
}
