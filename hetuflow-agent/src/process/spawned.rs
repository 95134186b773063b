//! A process in its first moments, watched by the thread that started it: no runtime is asked, so a
//! process that ends at once costs nothing but itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
  Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpid,
};
use tokio::io::unix::AsyncFd;
use wait4::try_wait4_pid;

use super::birth::{Loading, Unborn};
use super::orphans::forget;
use super::pipe::{Pipe, ReadOutcome, read_small};
use super::unix::{Launch, SpawnError, blame};
use super::watch::watch;

/// A process that was started and that nobody watches yet.
#[derive(Debug)]
pub struct Spawned {
  /// Its number, which is also its group's.
  pub pid: Pid,
  /// Readable when it has ended.
  pub handle: OwnedFd,
  /// Its standard output; never blocks.
  pub stdout: Option<OwnedFd>,
  /// Its standard error; never blocks.
  pub stderr: Option<OwnedFd>,
  /// Its program may not be loaded yet.
  loading: Option<Loading>,
  unreaped: Unreaped,
}

/// A process that was started and not yet reaped, watched by the runtime.
#[derive(Debug)]
pub struct Process {
  /// Its number, which is also its group's.
  pub pid: Pid,
  watch: AsyncFd<OwnedFd>,
  /// Its standard output.
  pub stdout: Option<Pipe>,
  /// Its standard error.
  pub stderr: Option<Pipe>,
  unreaped: Unreaped,
}

/// A process that is ours to reap. Whoever lets go of it otherwise leaves it to the housekeeping; and
/// a fault of ours lets nothing live that nobody follows.
#[derive(Debug)]
struct Unreaped {
  pid: Pid,
  is_over: bool,
}

impl Unreaped {
  fn reap(&mut self) -> Duration {
    self.is_over = true;
    forget(self.pid);
    let number = u32::try_from(self.pid.as_raw_nonzero().get()).unwrap_or_default();
    let used = try_wait4_pid(number).ok().flatten().map(|ended| ended.rusage);
    used.map_or(Duration::ZERO, |used| used.utime + used.stime)
  }

  /// Kills its group and waits for its own end, which is close.
  fn kill(&mut self) {
    self.is_over = true;
    let _gone = kill_process_group(self.pid, Signal::KILL);
    forget(self.pid);
    let _reaped = waitpid(Some(self.pid), WaitOptions::empty());
  }
}

impl Drop for Unreaped {
  fn drop(&mut self) {
    if self.is_over {
      return;
    }
    if std::thread::panicking() {
      let _gone = kill_process_group(self.pid, Signal::KILL);
    }
    forget(self.pid);
  }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
  /// By itself, with this code.
  Code(i32),
  /// By this signal.
  Signal(i32),
}

/// What has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
  /// Standard output can be read, or is closed.
  pub stdout: bool,
  /// Standard error can be read, or is closed.
  pub stderr: bool,
  /// The process has ended.
  pub ended: bool,
}

impl Ready {
  /// What a process leaves that has ended.
  pub const CLOSED: Self = Self { stdout: true, stderr: true, ended: false };
}

impl Spawned {
  /// A process that was just started.
  pub(super) fn new(
    (pid, handle, loading): (Pid, OwnedFd, Loading),
    (stdout, stderr): (Option<OwnedFd>, Option<OwnedFd>),
  ) -> Self {
    let (loading, unreaped) = (Some(loading), Unreaped { pid, is_over: false });
    Self { pid, handle, stdout, stderr, loading, unreaped }
  }

  /// Ends it at once.
  pub(super) fn kill(mut self) {
    self.unreaped.kill();
  }

  /// Waits until its program is loaded, which it is in a moment; blocks on the disk.
  ///
  /// # Errors
  /// [`SpawnError`] with the path that is to blame; nothing of it is left then.
  pub fn loaded(&mut self, launch: &Launch) -> Result<(), SpawnError> {
    self.settle().map_err(|unborn| blame(launch, unborn))
  }

  /// As [`Self::loaded`], with the step that has failed.
  pub(super) fn settle(&mut self) -> Result<(), Unborn> {
    let loaded = self.loading.take().map_or(Ok(()), Loading::wait);
    loaded.inspect_err(|_| self.unreaped.kill())
  }

  /// Waits on this thread for its end alone, whatever it writes meanwhile; whether it has ended.
  pub fn wait_end(&self, longest: Duration) -> bool {
    let longest = Timespec::try_from(longest).ok();
    let mut watched = [PollFd::new(&self.handle, PollFlags::IN)];
    // An interrupted wait is a wait that saw nothing.
    poll(&mut watched, longest.as_ref()).is_ok_and(|count| count > 0)
  }

  /// Waits on this thread until something happens; nothing does when the time is up.
  pub fn wait(&self, ended_is_known: bool, longest: Duration) -> Ready {
    let sources = [
      self.stdout.as_ref().map(AsFd::as_fd),
      self.stderr.as_ref().map(AsFd::as_fd),
      (!ended_is_known).then(|| self.handle.as_fd()),
    ];
    let mut watched: Vec<PollFd<'_>> =
      sources.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let longest = Timespec::try_from(longest).ok();
    // An interrupted wait is a wait that saw nothing.
    let _interrupted = poll(&mut watched, longest.as_ref());
    let mut seen = watched.iter().map(|fd| !fd.revents().is_empty());
    let mut look = |source: Option<BorrowedFd<'_>>| source.is_some() && seen.next() == Some(true);
    Ready { stdout: look(sources[0]), stderr: look(sources[1]), ended: look(sources[2]) }
  }

  /// Adds at most `room` waiting bytes of a pipe to `buffer`; a closed pipe is let go.
  pub fn read(pipe: &mut Option<OwnedFd>, buffer: &mut Vec<u8>, room: usize) -> ReadOutcome {
    let outcome = pipe.as_ref().map_or(ReadOutcome::Closed, |fd| read_small(fd, buffer, room));
    if outcome == ReadOutcome::Closed {
      *pipe = None;
    }
    outcome
  }

  /// How it ended, without waiting. Its number stays its own.
  pub fn exit(&self) -> Option<Exit> {
    exit_of(&self.handle)
  }

  /// Gives its number back to the system, once it has ended; the processor time that it and all
  /// children it has waited for have used.
  pub fn reap(&mut self) -> Duration {
    self.unreaped.reap()
  }

  /// Hands it over to the runtime; only inside one.
  ///
  /// # Errors
  /// When the kernel refuses to watch it; it is killed then.
  pub fn follow(self) -> io::Result<Process> {
    let Self { pid, handle, stdout, stderr, loading, mut unreaped } = self;
    drop(loading);
    let watched = watch(handle).and_then(|watch| {
      let stdout = stdout.map(Pipe::new).transpose()?;
      Ok((watch, stdout, stderr.map(Pipe::new).transpose()?))
    });
    match watched {
      Ok((watch, stdout, stderr)) => Ok(Process { pid, watch, stdout, stderr, unreaped }),
      Err(error) => {
        unreaped.kill();
        Err(error)
      }
    }
  }
}

impl Process {
  /// Waits until the process has ended. Cancelling loses nothing.
  pub async fn ended(&self) {
    let _guard = self.watch.readable().await;
  }

  /// As [`Spawned::exit`].
  pub fn exit(&self) -> Option<Exit> {
    exit_of(self.watch.get_ref())
  }

  /// As [`Spawned::reap`].
  pub fn reap(&mut self) -> Duration {
    self.unreaped.reap()
  }
}

fn exit_of(handle: &OwnedFd) -> Option<Exit> {
  let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
  match waitid(WaitId::PidFd(handle.as_fd()), options) {
    Ok(Some(status)) => {
      status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
    }
    Ok(None) => None,
    // Reaped by somebody else: cannot happen while nobody else waits; do not wait for ever.
    Err(_) => Some(Exit::Code(-1)),
  }
}

#[cfg(test)]
mod tests {
  use std::ffi::OsString;
  use std::path::PathBuf;

  use super::*;
  use crate::process::{Launch, spawn};

  #[test]
  fn a_fault_lets_nothing_live() {
    let launch = Launch {
      name: "sleep".into(),
      program: PathBuf::from("/bin/sleep"),
      args: vec![OsString::from("60")],
      directory: PathBuf::from("/"),
      ..Launch::default()
    };
    let spawned = spawn(&launch).expect("started");
    let handle = spawned.handle.try_clone().expect("a copy");
    let thread = std::thread::spawn(move || {
      let _held = spawned;
      panic!("as it is meant to");
    });
    assert!(thread.join().is_err());
    let mut watched = [PollFd::new(&handle, PollFlags::IN)];
    let limit = Timespec::try_from(Duration::from_secs(20)).ok();
    assert_eq!(poll(&mut watched, limit.as_ref()), Ok(1), "it is dead");
    assert_eq!(exit_of(&handle), Some(Exit::Signal(9)));
  }
}
