//! One child: started in a group of its own, its lines read, started again when it dies.
//!
//! A small helper, which is this program again, ties the child's life to ours and becomes it: the
//! kernel sends TERM to the child when we die in any way, SIGKILL included.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};
use tokio::process::{Child, Command};

use super::lines::{Lines, Source};
use crate::cli::ChildArgs;
use crate::client::CtlError;

/// The helper: ties its life to its parent's, then becomes the program.
///
/// # Errors
/// When the parent is gone already, or the program cannot be executed.
pub fn run_child(args: &ChildArgs) -> Result<Infallible, CtlError> {
  let told = |error: rustix::io::Errno| {
    CtlError::failure(format!("cannot tie a child to its parent: {error}"))
  };
  set_parent_process_death_signal(Some(Signal::TERM)).map_err(told)?;
  // The parent may have died before the line above.
  if getppid().map(Pid::as_raw_pid) != Some(args.parent) {
    return Err(CtlError::failure("the parent is gone"));
  }
  let (program, words) = args.program.split_first().expect("clap asks for a program");
  let error = std::process::Command::new(program).args(words).exec();
  Err(CtlError::failure(format!("cannot execute {}: {error}", Path::new(program).display())))
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Recipe {
  /// What it is called in the log.
  pub name: String,
  /// The program.
  pub program: PathBuf,
  /// Its arguments.
  pub args: Vec<OsString>,
  /// Its environment, on top of ours.
  pub environment: Vec<(String, OsString)>,
}

/// A child that runs.
#[derive(Debug)]
pub struct Running {
  /// What was started.
  pub recipe: Recipe,
  child: Child,
  pid: Option<Pid>,
}

impl Running {
  /// Starts it.
  ///
  /// # Errors
  /// When it cannot be started.
  pub fn start(recipe: Recipe, lines: &Lines) -> Result<Self, CtlError> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own);
    command
      .arg("__child")
      .arg(std::process::id().to_string())
      .arg("--")
      .arg(&recipe.program)
      .args(&recipe.args)
      .envs(recipe.environment.iter().map(|(key, value)| (key, value)))
      .stdin(Stdio::null())
      .stdout(Stdio::piped())
      .stderr(Stdio::piped())
      .process_group(0)
      .kill_on_drop(true);
    let mut child = command
      .spawn()
      .map_err(|error| CtlError::failure(format!("cannot start {}: {error}", recipe.name)))?;
    if let Some(out) = child.stdout.take() {
      lines.read(&recipe.name, Source::Out, out);
    }
    if let Some(err) = child.stderr.take() {
      lines.read(&recipe.name, Source::Err, err);
    }
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    Ok(Self { recipe, child, pid })
  }

  /// Its process id.
  pub fn pid(&self) -> Option<i32> {
    self.pid.map(Pid::as_raw_pid)
  }

  /// Waits for its end. May be dropped and called again.
  ///
  /// # Errors
  /// When the kernel does not tell.
  pub async fn wait(&mut self) -> Result<ExitStatus, CtlError> {
    Ok(self.child.wait().await?)
  }

  /// Asks it and its group to stop, then makes it.
  pub async fn stop(mut self, grace: Duration) {
    self.signal(Signal::TERM);
    if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
      self.signal(Signal::KILL);
      let _ = self.child.wait().await;
    }
  }

  fn signal(&self, signal: Signal) {
    // A child that was waited for has no group any more; its number may be somebody else's.
    if self.child.id().is_some()
      && let Some(pid) = self.pid
    {
      let _ = kill_process_group(pid, signal);
    }
  }
}
