//! Starting a process, on Linux.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, kill_process_group, pidfd_open, waitpid};

use super::account::Account;
use super::orphans::Birth;
use super::spawned::Spawned;

/// How long a process that was started may wait for the handle by which its end is seen.
const HANDLE_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries to have it.
const HANDLE_PAUSE: Duration = Duration::from_millis(1);

/// Everything that is needed to start one process.
#[derive(Debug, Default)]
pub struct Launch {
  /// The name it sees as its own.
  pub name: OsString,
  /// The program's file.
  pub program: PathBuf,
  /// Its arguments.
  pub args: Vec<OsString>,
  /// Its whole environment.
  pub environment: Vec<(OsString, OsString)>,
  /// Where it runs.
  pub directory: PathBuf,
  /// What it reads; `/dev/null` where nothing is given.
  pub stdin: Option<Vec<u8>>,
  /// Whether its output is wanted.
  pub capture: bool,
  /// Who it is, where that is not who we are.
  pub account: Option<Account>,
  /// Where its program is searched for by somebody else than us.
  pub search: OsString,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {path}")]
pub struct SpawnError {
  /// The program or the directory that is to blame.
  pub path: String,
  /// What the system said.
  #[source]
  pub source: io::Error,
}

impl SpawnError {
  fn new(path: &Path, source: io::Error) -> Self {
    Self { path: path.display().to_string(), source }
  }

  /// Whether the process ran for a moment all the same: it cannot be told as never started.
  pub fn has_begun(&self) -> bool {
    self.source.get_ref().is_some_and(|inner| inner.is::<Unwatched>())
  }

  /// The system's short name of the error.
  pub fn errno_name(&self) -> String {
    use rustix::io::Errno as E;
    let Some(number) = self.source.raw_os_error() else { return "EINVAL".to_owned() };
    let known = [
      (E::NOENT, "ENOENT"),
      (E::ACCESS, "EACCES"),
      (E::PERM, "EPERM"),
      (E::NOEXEC, "ENOEXEC"),
      (E::NOTDIR, "ENOTDIR"),
      (E::ISDIR, "EISDIR"),
      (E::TOOBIG, "E2BIG"),
      (E::AGAIN, "EAGAIN"),
      (E::NOMEM, "ENOMEM"),
      (E::MFILE, "EMFILE"),
      (E::NFILE, "ENFILE"),
      (E::TXTBSY, "ETXTBSY"),
      (E::LOOP, "ELOOP"),
      (E::NAMETOOLONG, "ENAMETOOLONG"),
      (E::NOSPC, "ENOSPC"),
      (E::INVAL, "EINVAL"),
    ];
    let name = known.iter().find(|(errno, _)| errno.raw_os_error() == number);
    name.map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned())
  }
}

/// Whether this host has run out of something that others give back: files, processes, memory. Then
/// it is not the task that is wrong.
pub fn is_exhausted(error: &io::Error) -> bool {
  use rustix::io::Errno as E;
  let exhausted = [E::MFILE, E::NFILE, E::AGAIN, E::NOMEM].map(E::raw_os_error);
  error.raw_os_error().is_some_and(|number| exhausted.contains(&number))
}

/// A process was started and its end could not have been seen, so it was killed.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses to watch it: {0}")]
struct Unwatched(#[source] io::Error);

/// Finds a program as a shell would: names with a slash are paths, others are searched in `path`.
///
/// # Errors
/// `EACCES` when only files that cannot be run were found, else `ENOENT`.
pub fn find_program(name: &OsStr, path: &OsStr, directory: &Path) -> Result<PathBuf, SpawnError> {
  if name.as_encoded_bytes().contains(&b'/') {
    return Ok(directory.join(name));
  }
  let mut refused = None;
  for folder in std::env::split_paths(path) {
    let candidate = directory.join(folder).join(name);
    match access(&candidate, Access::EXEC_OK) {
      Ok(()) if candidate.is_file() => return Ok(candidate),
      Err(error @ rustix::io::Errno::ACCESS) if candidate.is_file() => refused = Some(error),
      _ => {}
    }
  }
  let error = refused.unwrap_or(rustix::io::Errno::NOENT);
  Err(SpawnError::new(Path::new(name), error.into()))
}

/// Starts a process in a group of its own; it blocks until the program is loaded.
///
/// No `pre_exec` and no user change, so that the standard library takes its `posix_spawn` way:
/// the agent's memory is not copied, and the cost does not grow with the agent. Another user's
/// process changes by itself.
///
/// # Errors
/// [`SpawnError`] with the path that is to blame.
pub fn spawn(launch: &Launch) -> Result<Spawned, SpawnError> {
  if let Some(account) = &launch.account {
    return super::as_user::spawn(launch, account);
  }
  let blame = |source: io::Error| blame(launch, source);
  let stdin = match &launch.stdin {
    None => nothing(),
    Some(bytes) => stdin_file(bytes),
  };
  let stdin = stdin.map_err(blame)?.into();
  let mut command = Command::new(&launch.program);
  command.arg0(&launch.name).args(&launch.args).current_dir(&launch.directory);
  born(command_of(command, launch, stdin)).map_err(blame)
}

/// A command with all that does not depend on who it is for.
pub(super) fn command_of(mut command: Command, launch: &Launch, stdin: Stdio) -> Command {
  let output = || if launch.capture { Stdio::piped() } else { Stdio::null() };
  command
    .env_clear()
    .envs(launch.environment.iter().map(|(key, value)| (key, value)))
    .stdin(stdin)
    .stdout(output())
    .stderr(output())
    .process_group(0);
  command
}

/// An input without a byte; one open file serves all.
fn nothing() -> io::Result<OwnedFd> {
  static NULL: OnceLock<OwnedFd> = OnceLock::new();
  if let Some(file) = NULL.get() {
    return file.try_clone();
  }
  let file = OwnedFd::from(std::fs::File::open("/dev/null")?);
  let copy = file.try_clone()?;
  let _by_another_thread = NULL.set(file);
  Ok(copy)
}

/// Starts it. What it was given is closed here when this returns.
pub(super) fn born(mut command: Command) -> io::Result<Spawned> {
  let birth = Birth::begin();
  let mut child = command.spawn()?;
  let pid = Pid::from_child(&child);
  birth.done(pid);
  let stdout = child.stdout.take().map(OwnedFd::from);
  let stderr = child.stderr.take().map(OwnedFd::from);
  // What it was given to read makes room for its handle. On a host that is short of files it is the
  // start that fails then, and not the watching of something that already runs.
  drop(command);
  follow(pid, stdout, stderr).map_err(|error| {
    // Nobody could hear of its end: better not to have it.
    let _gone = kill_process_group(pid, rustix::process::Signal::KILL);
    super::orphans::forget(pid);
    let _reaped = waitpid(Some(pid), rustix::process::WaitOptions::empty());
    io::Error::other(Unwatched(error))
  })
}

fn follow(pid: Pid, stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> io::Result<Spawned> {
  for pipe in stdout.iter().chain(&stderr) {
    ioctl_fionbio(pipe, true)?;
  }
  Ok(Spawned { pid, handle: handle_of(pid)?, stdout, stderr })
}

/// Another thread may have taken the room that was just given back; it gives some back in turn, and
/// a process that ends meanwhile stays until it is reaped.
fn handle_of(pid: Pid) -> io::Result<OwnedFd> {
  use rustix::io::Errno;
  let begun = Instant::now();
  loop {
    match pidfd_open(pid, PidfdFlags::empty()) {
      Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) if begun.elapsed() < HANDLE_LIMIT => {
        std::thread::sleep(HANDLE_PAUSE);
      }
      other => return Ok(other?),
    }
  }
}

/// The kernel says `ENOENT` for a missing program and for a missing directory alike.
fn blame(launch: &Launch, source: io::Error) -> SpawnError {
  let missing = source.kind() == io::ErrorKind::NotFound;
  match std::fs::metadata(&launch.directory) {
    Err(error) => SpawnError::new(&launch.directory, error),
    Ok(meta) if !meta.is_dir() => {
      SpawnError::new(&launch.directory, rustix::io::Errno::NOTDIR.into())
    }
    // The program is there and still not found: its interpreter is missing.
    Ok(_) if missing && launch.program.exists() => {
      SpawnError { path: format!("{} (its interpreter)", launch.program.display()), source }
    }
    Ok(_) => SpawnError::new(&launch.program, source),
  }
}

/// A file in memory: any size, nothing to feed while the process runs.
pub(super) fn stdin_file(bytes: &[u8]) -> io::Result<OwnedFd> {
  let fd = memfd_create("hetuflow-stdin", MemfdFlags::CLOEXEC)?;
  let mut file = std::fs::File::from(fd);
  file.write_all(bytes)?;
  rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
  Ok(file.into())
}
