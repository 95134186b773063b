//! The reading end of a process's output: non-blocking, bytes only.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ioctl_fionread, read};
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::watch::watch;

/// First reads of a task: most tasks say little.
const SMALL_READ: usize = 4 << 10;
/// Reads of a task that says much.
const LARGE_READ: usize = 64 << 10;
/// What the pipe of a task that says much is widened to.
const WIDE_PIPE: usize = 256 << 10;

/// What one look at a pipe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
  /// This many bytes were added.
  Bytes(usize),
  /// Nothing there now.
  Empty,
  /// Nobody holds the other end any more.
  Closed,
}

/// The reading end of a pipe.
#[derive(Debug)]
pub struct Pipe {
  fd: AsyncFd<OwnedFd>,
  talkative: AtomicBool,
}

/// A pipe that had something to read when it was looked at.
#[derive(Debug)]
pub struct ReadyPipe<'a> {
  pipe: &'a Pipe,
  guard: Option<AsyncFdReadyGuard<'a, OwnedFd>>,
}

impl Pipe {
  /// Takes over a reading end that never blocks; only inside a runtime.
  ///
  /// # Errors
  /// When the kernel refuses to watch it.
  pub fn new(fd: OwnedFd) -> io::Result<Self> {
    Ok(Self { fd: watch(fd)?, talkative: AtomicBool::new(false) })
  }

  /// Bytes that wait in it.
  pub fn waiting(&self) -> u64 {
    // A pipe always knows.
    ioctl_fionread(self.fd.get_ref()).unwrap_or(0)
  }

  /// Waits until there is something to read, or the other end is closed. Cancelling loses nothing.
  pub async fn ready(&self) -> ReadyPipe<'_> {
    // An error of the watch shows in the read that follows.
    ReadyPipe { pipe: self, guard: self.fd.readable().await.ok() }
  }
}

impl ReadyPipe<'_> {
  /// Adds at most `room` waiting bytes to `buffer`, without waiting.
  pub fn read(self, buffer: &mut Vec<u8>, room: usize) -> ReadOutcome {
    let Some(mut guard) = self.guard else { return ReadOutcome::Closed };
    // Reading nothing looks like the end.
    if room == 0 {
      return ReadOutcome::Empty;
    }
    let talkative = self.pipe.talkative.load(Ordering::Relaxed);
    let wanted = room.min(if talkative { LARGE_READ } else { SMALL_READ });
    let before = buffer.len();
    buffer.resize(before + wanted, 0);
    let outcome = guard.try_io(|fd| {
      loop {
        match read(fd.get_ref(), &mut buffer[before..]) {
          Err(Errno::INTR) => {}
          other => return other.map_err(io::Error::from),
        }
      }
    });
    let (count, outcome) = match outcome {
      Err(_would_block) => (0, ReadOutcome::Empty),
      Ok(Ok(0) | Err(_)) => (0, ReadOutcome::Closed),
      Ok(Ok(count)) => (count, ReadOutcome::Bytes(count)),
    };
    buffer.truncate(before + count);
    if !talkative && count == SMALL_READ {
      self.pipe.talkative.store(true, Ordering::Relaxed);
      // Only saves wake-ups; refused over the user's pipe limit.
      let _refused = fcntl_setpipe_size(self.pipe.fd.get_ref(), WIDE_PIPE);
    }
    outcome
  }
}

/// Adds at most `room` waiting bytes to `buffer`, without waiting, as a first read of a task does.
pub(super) fn read_small(fd: &OwnedFd, buffer: &mut Vec<u8>, room: usize) -> ReadOutcome {
  if room == 0 {
    return ReadOutcome::Empty;
  }
  let before = buffer.len();
  buffer.resize(before + room.min(SMALL_READ), 0);
  let outcome = loop {
    match read(fd, &mut buffer[before..]) {
      Err(Errno::INTR) => {}
      other => break other,
    }
  };
  let (count, outcome) = match outcome {
    Err(Errno::AGAIN) => (0, ReadOutcome::Empty),
    Ok(0) | Err(_) => (0, ReadOutcome::Closed),
    Ok(count) => (count, ReadOutcome::Bytes(count)),
  };
  buffer.truncate(before + count);
  outcome
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn without_room_a_pipe_is_not_taken_for_closed() {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&reader, true).expect("an option");
    let mut buffer = Vec::new();
    rustix::io::write(&writer, b"abc").expect("room");
    assert_eq!(read_small(&reader, &mut buffer, 0), ReadOutcome::Empty);
    assert_eq!(read_small(&reader, &mut buffer, 9), ReadOutcome::Bytes(3));
    assert_eq!(read_small(&reader, &mut buffer, 9), ReadOutcome::Empty);
    drop(writer);
    assert_eq!(read_small(&reader, &mut buffer, 0), ReadOutcome::Empty);
    assert_eq!(read_small(&reader, &mut buffer, 9), ReadOutcome::Closed);
  }
}
