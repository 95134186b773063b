//! Starting a process, on Linux.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::io::ioctl_fionbio;
use rustix::pipe::{PipeFlags, pipe_with};

use super::account::Account;
use super::birth::{Program, Step, Unborn, begin};
use super::orphans::Birth;
use super::spawned::Spawned;

/// Everything that is needed to start one process.
#[derive(Debug, Default)]
pub struct Launch {
  /// The name it sees as its own.
  pub name: OsString,
  /// The program's file; empty where another user's rights decide which it is.
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
      (E::DQUOT, "EDQUOT"),
      (E::ROFS, "EROFS"),
      (E::IO, "EIO"),
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

/// Whether a disk of this host is full, cannot be written, or fails.
pub fn is_disk(error: &io::Error) -> bool {
  use rustix::io::Errno as E;
  let disk = [E::NOSPC, E::DQUOT, E::ROFS, E::IO].map(E::raw_os_error);
  error.raw_os_error().is_some_and(|number| disk.contains(&number))
}

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

/// Starts a process in a group of its own; [`Spawned::loaded`] tells whether its program could be loaded.
/// The agent's memory is not copied, so the cost does not grow with the agent. Another user's process
/// changes by itself.
///
/// # Errors
/// [`SpawnError`] with the path that is to blame; there is no process then.
pub fn spawn(launch: &Launch) -> Result<Spawned, SpawnError> {
  if let Some(account) = &launch.account {
    return super::as_user::spawn(launch, account);
  }
  let stdin = launch.stdin.as_deref().map(stdin_file).transpose();
  let stdin = stdin.map_err(|error| SpawnError::new(&launch.program, error))?;
  let program = Program {
    file: &launch.program,
    name: &launch.name,
    args: &launch.args,
    environment: &launch.environment,
    directory: &launch.directory,
  };
  let stdin = stdin.as_ref().map(AsFd::as_fd);
  born(&program, stdin, launch.capture).map_err(|unborn| blame(launch, unborn))
}

/// Starts a program that reads this, or nothing, and whose output is wanted or not. It may not be loaded
/// yet.
pub(super) fn born(
  program: &Program<'_>,
  stdin: Option<BorrowedFd<'_>>,
  capture: bool,
) -> Result<Spawned, Unborn> {
  let nothing = nothing().map_err(Unborn::at_birth)?;
  let pipe = || capture.then(output_pipe).transpose().map_err(Unborn::at_birth);
  let (stdout, stderr) = (pipe()?.unzip(), pipe()?.unzip());
  let [out, err] = [&stdout.1, &stderr.1].map(|end| end.as_ref().unwrap_or(&nothing.1).as_fd());
  let birth = Birth::begin();
  let stdio = [stdin.unwrap_or(nothing.0.as_fd()), out, err];
  let (pid, handle, loading) = begin(program, stdio)?;
  birth.done(pid);
  Ok(Spawned::new((pid, handle, loading), (stdout.0, stderr.0)))
}

/// An input without a byte and an output that nobody reads; two open files serve all.
fn nothing() -> io::Result<&'static (OwnedFd, OwnedFd)> {
  static NULL: OnceLock<(OwnedFd, OwnedFd)> = OnceLock::new();
  if let Some(files) = NULL.get() {
    return Ok(files);
  }
  let mut writing = std::fs::OpenOptions::new();
  let input = OwnedFd::from(std::fs::File::open("/dev/null")?);
  let output = OwnedFd::from(writing.write(true).open("/dev/null")?);
  Ok(NULL.get_or_init(|| (input, output)))
}

/// Our end of a pipe, which never blocks, and the end of a process.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
  let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
  ioctl_fionbio(&ours, true)?;
  Ok((ours, theirs))
}

/// What is to blame for a step that the kernel has refused.
pub(super) fn blame(launch: &Launch, Unborn { step, source }: Unborn) -> SpawnError {
  let missing = source.kind() == io::ErrorKind::NotFound;
  match step {
    Step::Directory => SpawnError::new(&launch.directory, source),
    // The program is there and still not found: its interpreter is missing.
    Step::Program if missing && launch.program.exists() => {
      SpawnError { path: format!("{} (its interpreter)", launch.program.display()), source }
    }
    Step::Program | Step::Birth => SpawnError::new(&launch.program, source),
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
