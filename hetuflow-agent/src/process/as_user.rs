//! A process that becomes another user before its program is loaded.
//!
//! Between a fork and an exec of a program with threads almost nothing may be done, and the cheap
//! way to start a process allows none of it. So this program itself is started, the cheap way; it
//! is alone in its process, gives up what it has, one step after the other, looks whether it has
//! worked, and loads the task's program in its own place. What it has to do comes through its
//! standard input; how it went goes back the same way, and silence is the sign that it worked.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Gid, Uid};
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::birth::Program;
use super::inherited::keep_inherited_back;
use super::spawned::Spawned;
use super::strays::MARK;
use super::unix::{Launch, SpawnError, born, find_program, stdin_file};

/// The word that makes this program the one that becomes somebody else.
pub const AS_USER: &str = "as-user";
/// Longest time from the start to the load of the program: the host may ask the network who is in
/// which group.
const LIMIT: Duration = Duration::from_secs(30);
/// Said just before the program is loaded.
const READY: &[u8] = b"+";
/// Nobody else may read what a task writes, unless it says so.
const UMASK: u32 = 0o077;

/// What the process between has to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
  user: String,
  uid: u32,
  gid: u32,
  program: OsString,
  /// Its file, where that is not to be searched for.
  file: Option<PathBuf>,
  args: Vec<OsString>,
  environment: Vec<(OsString, OsString)>,
  search: OsString,
  directory: PathBuf,
  stdin: Option<Vec<u8>>,
}

/// What it could not do.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
  path: String,
  errno: Option<i32>,
  message: String,
}

impl Failure {
  fn at(path: impl Into<String>, source: &io::Error) -> Self {
    Self { path: path.into(), errno: source.raw_os_error(), message: source.to_string() }
  }

  fn because(path: &str, why: &str) -> Self {
    Self { path: path.to_owned(), errno: None, message: why.to_owned() }
  }
}

impl From<Failure> for SpawnError {
  fn from(failure: Failure) -> Self {
    let other = || io::Error::other(failure.message.clone());
    let source = failure.errno.map_or_else(other, io::Error::from_raw_os_error);
    Self { path: failure.path, source }
  }
}

/// Starts a process as that user; it blocks until its program is loaded.
///
/// # Errors
/// [`SpawnError`] with what is to blame; nothing of it lives then.
pub fn spawn(launch: &Launch, account: &Account) -> Result<Spawned, SpawnError> {
  let blame = |source| SpawnError { path: format!("a process of {}", account.name), source };
  let order = Order {
    user: account.name.clone(),
    uid: account.uid,
    gid: account.gid,
    program: launch.name.clone(),
    file: Some(launch.program.clone()).filter(|file| !file.as_os_str().is_empty()),
    args: launch.args.clone(),
    environment: launch.environment.clone(),
    search: launch.search.clone(),
    directory: launch.directory.clone(),
    stdin: launch.stdin.clone(),
  };
  let (ours, theirs) = UnixStream::pair().map_err(blame)?;
  // What the task says of its environment must not reach a program that still has our rights: the
  // system's loader obeys some of it. It is enough by which a search finds the attempt.
  let named =
    |(name, _): &&(OsString, OsString)| MARK.strip_suffix(b"=") == Some(name.as_encoded_bytes());
  let mark: Vec<_> = launch.environment.iter().rfind(named).cloned().into_iter().collect();
  let program = Program {
    // What runs now, also when another file has taken its name.
    file: Path::new("/proc/self/exe"),
    name: OsStr::new("hetuflow-agent"),
    args: &[AS_USER.into()],
    environment: &mark,
    directory: Path::new("/"),
  };
  let born = born(&program, Some(theirs.as_fd()), launch.capture);
  let mut spawned = born.map_err(|unborn| blame(unborn.source))?;
  spawned.settle().map_err(|unborn| blame(unborn.source))?;
  drop(theirs);
  let outcome = talk(&ours, &order).map_err(blame);
  if let Some(error) = outcome.unwrap_or_else(Some) {
    spawned.kill();
    return Err(error);
  }
  Ok(spawned)
}

/// Says what to do, and hears what was in the way.
fn talk(link: &UnixStream, order: &Order) -> io::Result<Option<SpawnError>> {
  link.set_read_timeout(Some(LIMIT))?;
  link.set_write_timeout(Some(LIMIT))?;
  let mut said = Vec::new();
  let written = serde_json::to_vec(order)
    .map_err(io::Error::from)
    .and_then(|bytes| (&mut &*link).write_all(&bytes))
    .and_then(|()| link.shutdown(Shutdown::Write));
  let mut reader = link;
  reader.read_to_end(&mut said)?;
  match said.strip_prefix(READY) {
    Some([]) => return Ok(None),
    Some(rest) => said = rest.to_vec(),
    None => written?,
  }
  let failure: Failure = serde_json::from_slice(&said)
    .map_err(|_| io::Error::other("it has ended before its program was loaded"))?;
  Ok(Some(failure.into()))
}

/// The process between: becomes the user that it is told, and loads the program. Returns only when
/// that is not possible; whoever has started it knows why then.
pub fn become_user() {
  // First of all the way back, since its descriptor will be the program's input.
  let Ok(link) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else { return };
  let mut link = UnixStream::from(link);
  let mut bytes = Vec::new();
  let Ok(_read) = link.read_to_end(&mut bytes) else { return };
  let failure = match serde_json::from_slice(&bytes) {
    Ok(order) => load(&order, &mut link),
    Err(error) => Failure::because("an order", &error.to_string()),
  };
  if let Ok(bytes) = serde_json::to_vec(&failure) {
    let _nobody_listens = link.write_all(&bytes);
  }
}

/// Every step in its order; nothing is left of the old rights when the program is searched for.
fn load(order: &Order, link: &mut UnixStream) -> Failure {
  let steps = change(order).and_then(|()| enter(&order.directory)).and_then(|()| feed(order));
  if let Err(failure) = steps {
    return failure;
  }
  let found = order.file.clone().map(Ok);
  let find = || find_program(&order.program, &order.search, &order.directory);
  let program = match found.unwrap_or_else(find) {
    Ok(program) => program,
    Err(error) => return Failure::at(error.path, &error.source),
  };
  if let Err(error) = link.write_all(READY) {
    return Failure::at("the executor", &error);
  }
  let environment = order.environment.iter().map(|(name, value)| (name, value));
  let mut command = Command::new(&program);
  command.arg0(&order.program).args(&order.args).env_clear().envs(environment);
  let error = command.exec();
  let missing = error.kind() == io::ErrorKind::NotFound && program.exists();
  let interpreter = if missing { " (its interpreter)" } else { "" };
  Failure::at(format!("{}{interpreter}", program.display()), &error)
}

/// Groups, group, user, in this order: the other way round the first two would not be allowed any
/// more. Then it is looked at, not believed.
fn change(order: &Order) -> Result<(), Failure> {
  let who = format!("the identity of {}", order.user);
  let failed = |error: nix::Error| Failure::at(who.clone(), &io::Error::from(error));
  let os_failed = |error: rustix::io::Errno| Failure::at(who.clone(), &io::Error::from(error));
  let (uid, gid) = (Uid::from_raw(order.uid), Gid::from_raw(order.gid));
  let name =
    CString::new(order.user.as_bytes()).map_err(|_| Failure::because(&who, "a NUL byte"))?;
  nix::unistd::initgroups(&name, gid).map_err(failed)?;
  nix::unistd::setgid(gid).map_err(failed)?;
  nix::unistd::setuid(uid).map_err(failed)?;
  verify(&name, uid, gid).map_err(|why| Failure::because(&who, why))?;
  rustix::thread::set_no_new_privs(true).map_err(os_failed)?;
  if !rustix::thread::no_new_privs().map_err(os_failed)? {
    return Err(Failure::because(&who, "it could gain rights again"));
  }
  keep_inherited_back().map_err(|error| Failure::at(who.clone(), &error))?;
  rustix::process::umask(Mode::from_raw_mode(UMASK));
  Ok(())
}

fn verify(name: &CString, uid: Uid, gid: Gid) -> Result<(), &'static str> {
  let users = nix::unistd::getresuid().map_err(|_| "its user cannot be asked for")?;
  if [users.real, users.effective, users.saved] != [uid; 3] {
    return Err("it is still somebody else");
  }
  let groups = nix::unistd::getresgid().map_err(|_| "its group cannot be asked for")?;
  if [groups.real, groups.effective, groups.saved] != [gid; 3] {
    return Err("it is still in another group");
  }
  let has = nix::unistd::getgroups().map_err(|_| "its groups cannot be asked for")?;
  let may = nix::unistd::getgrouplist(name, gid).map_err(|_| "its groups are not known")?;
  if has.iter().any(|group| !may.contains(group)) {
    return Err("it has kept a group that is not its own");
  }
  if uid.is_root() {
    return Ok(());
  }
  if nix::unistd::setuid(Uid::from_raw(0)).is_ok() {
    return Err("it can become root again");
  }
  let rights = rustix::thread::capabilities(None).map_err(|_| "its rights are not known")?;
  let none = rustix::thread::CapabilitySet::empty();
  if [rights.effective, rights.permitted] != [none; 2] {
    return Err("it has kept rights of root");
  }
  Ok(())
}

/// As the user, so that the kernel says whether it may be there.
fn enter(directory: &Path) -> Result<(), Failure> {
  std::env::set_current_dir(directory)
    .map_err(|error| Failure::at(directory.display().to_string(), &error))
}

fn feed(order: &Order) -> Result<(), Failure> {
  let input = match &order.stdin {
    Some(bytes) => stdin_file(bytes),
    None => std::fs::File::open("/dev/null").map(OwnedFd::from),
  };
  input
    .and_then(|input| Ok(rustix::stdio::dup2_stdin(input.as_fd())?))
    .map_err(|error| Failure::at("its standard input", &error))
}
