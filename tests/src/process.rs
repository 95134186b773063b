//! Child processes of a story: started again with the same words, killed, stopped, and looked for
//! when they should be gone.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::wait;

/// How a process is started, each time.
#[derive(Debug, Clone)]
pub struct Recipe {
  /// The name used in messages, `server-0`.
  pub name: String,
  /// The program.
  pub program: PathBuf,
  /// Its arguments.
  pub args: Vec<OsString>,
  /// Its whole environment.
  pub environment: Vec<(String, OsString)>,
  /// Its working directory.
  pub dir: PathBuf,
  /// The file that standard output and error are appended to, over all starts.
  pub log: PathBuf,
}

impl Recipe {
  /// Starts it through another program that takes its place: the words of that one come first.
  pub fn enter(&mut self, words: &[String]) {
    let Some((program, rest)) = words.split_first() else { return };
    let inner = std::mem::replace(&mut self.program, program.into());
    let rest = rest.iter().map(OsString::from).chain([inner.into()]);
    self.args.splice(0..0, rest);
  }
}

/// A process that can be started again.
#[derive(Debug)]
pub struct Process {
  recipe: Recipe,
  child: Child,
  ended: bool,
}

impl Process {
  /// Starts the process in a group of its own, with nothing on standard input.
  ///
  /// # Errors
  /// When it cannot be started.
  pub fn spawn(recipe: Recipe) -> Result<Self> {
    let child = start(&recipe)?;
    Ok(Self { recipe, child, ended: false })
  }

  /// Its name, `server-0`.
  pub fn name(&self) -> &str {
    &self.recipe.name
  }

  /// How it is started.
  pub const fn recipe(&self) -> &Recipe {
    &self.recipe
  }

  /// The process id of the latest start.
  pub fn pid(&self) -> u32 {
    self.child.id()
  }

  /// Whether it still runs.
  pub fn is_running(&mut self) -> bool {
    !self.ended && matches!(self.child.try_wait(), Ok(None))
  }

  /// Starts it again after its end.
  ///
  /// # Errors
  /// When it still runs or cannot be started.
  pub fn restart(&mut self) -> Result<()> {
    if self.is_running() {
      bail!("{} still runs", self.recipe.name);
    }
    self.child = start(&self.recipe)?;
    self.ended = false;
    Ok(())
  }

  /// Sends a signal to the process itself (not to its group).
  ///
  /// # Errors
  /// When it has ended.
  pub fn signal(&mut self, signal: Signal) -> Result<()> {
    if !self.is_running() {
      bail!("{} is not running", self.recipe.name);
    }
    let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("pid")?;
    rustix::process::kill_process(pid, signal).with_context(|| format!("signal {}", self.name()))
  }

  /// Kills it with SIGKILL, at once, and reaps it. What it started is not touched.
  ///
  /// # Errors
  /// When it has ended already.
  pub fn kill9(&mut self) -> Result<()> {
    self.signal(Signal::KILL)?;
    self.child.wait()?;
    self.ended = true;
    Ok(())
  }

  /// Asks it to stop with SIGTERM and waits for its end.
  ///
  /// # Errors
  /// When it has ended already, or has not after `limit`; it is killed then.
  pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
    self.signal(Signal::TERM)?;
    self.wait(limit).inspect_err(|_| drop(self.kill9()))
  }

  /// Waits for its end.
  ///
  /// # Errors
  /// When it has not ended after `limit`.
  pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
    let name = format!("{} to end", self.recipe.name);
    let child = &mut self.child;
    let status = wait::until_blocking(&name, limit, || match child.try_wait() {
      Ok(Some(status)) => Ok(status),
      Ok(None) => Err("still running".to_owned()),
      Err(error) => Err(error.to_string()),
    })?;
    self.ended = true;
    Ok(status)
  }

  /// Everything it has written, over all starts.
  pub fn log(&self) -> String {
    let bytes = std::fs::read(&self.recipe.log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
  }

  /// The last `lines` lines of its log, under a heading.
  pub fn log_tail(&self, lines: usize) -> String {
    let log = self.log();
    let all: Vec<&str> = log.lines().collect();
    let tail = &all[all.len().saturating_sub(lines)..];
    format!("---- {} ({} lines in all)\n{}\n", self.recipe.name, all.len(), tail.join("\n"))
  }
}

impl Drop for Process {
  /// Kills and reaps it if it still runs.
  fn drop(&mut self) {
    if self.is_running() {
      drop(self.kill9());
    }
  }
}

/// Starts a recipe.
fn start(recipe: &Recipe) -> Result<Child> {
  let open = || std::fs::OpenOptions::new().create(true).append(true).open(&recipe.log);
  let log = open().with_context(|| format!("open {}", recipe.log.display()))?;
  Command::new(&recipe.program)
    .args(&recipe.args)
    .env_clear()
    .envs(recipe.environment.iter().map(|(name, value)| (name, value)))
    .current_dir(&recipe.dir)
    .stdin(Stdio::null())
    .stdout(log.try_clone()?)
    .stderr(log)
    // Its own group, so that Ctrl-C on the terminal does not stop it behind the story's back.
    .process_group(0)
    .spawn()
    .with_context(|| format!("start {} ({})", recipe.name, recipe.program.display()))
}

/// The living processes that carry `marker` (`NAME=value`, or nothing) in their environment or work
/// in `dir`: "pid command line" of each. Zombies do not count.
pub fn find(marker: &str, dir: &Path) -> Vec<(u32, String)> {
  let own = std::process::id();
  let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
  let mut found: Vec<(u32, String)> = entries
    .filter_map(|entry| {
      let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
      let path = entry.path();
      let environ = std::fs::read(path.join("environ")).unwrap_or_default();
      // Every environment ends in an empty word; no marker must not mean everybody.
      let mut words = environ.split(|byte| *byte == 0);
      let marked = !marker.is_empty() && words.any(|word| word == marker.as_bytes());
      let inside = std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
      let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
      let line = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned();
      (pid != own && (marked || inside)).then_some((pid, line))
    })
    .collect();
  found.sort();
  found
}

#[cfg(test)]
mod tests {
  use super::*;

  /// A shell script as a process.
  fn shell(dir: &Path, script: &str) -> Process {
    let environment = vec![
      ("PATH".to_owned(), "/usr/bin:/bin".into()),
      ("MARK".to_owned(), dir.as_os_str().to_owned()),
    ];
    Process::spawn(Recipe {
      name: "shell-0".to_owned(),
      program: "/bin/sh".into(),
      args: vec!["-c".into(), script.into()],
      environment,
      dir: "/".into(),
      log: dir.join("shell.log"),
    })
    .unwrap()
  }

  #[test]
  fn stops_restarts_and_keeps_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let mut process = shell(dir.path(), script);
    let up = |process: &Process, times: usize| {
      wait::until_blocking("the line", Duration::from_secs(10), || {
        (process.log().matches("up").count() == times).then_some(()).ok_or("not yet")
      })
      .unwrap();
    };
    up(&process, 1);
    assert!(process.restart().is_err());
    assert_eq!(process.stop(Duration::from_secs(10)).unwrap().code(), Some(3));
    assert!(process.stop(Duration::from_secs(1)).is_err());
    process.restart().unwrap();
    up(&process, 2);
    process.kill9().unwrap();
    assert!(!process.is_running());
    assert!(process.log_tail(1).contains("shell-0 (2 lines in all)\nup"));
  }

  #[test]
  fn a_deaf_process_is_killed_after_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = shell(dir.path(), "trap '' TERM; echo up; while :; do sleep 0.01; done");
    wait::until_blocking("the line", Duration::from_secs(10), || {
      process.log().contains("up").then_some(()).ok_or("not yet")
    })
    .unwrap();
    assert!(process.stop(Duration::from_millis(50)).is_err());
    assert!(!process.is_running());
  }

  #[test]
  fn finds_what_carries_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let marker = format!("MARK={}", dir.path().display());
    let process = shell(dir.path(), "exec sleep 60");
    let pid = process.pid();
    // While the shell becomes another program, its environment reads as empty.
    wait::until_blocking("the marked process", Duration::from_secs(10), || {
      let found: Vec<u32> = find(&marker, dir.path()).into_iter().map(|(pid, _)| pid).collect();
      if found == [pid] { Ok(()) } else { Err(format!("found {found:?}, want {pid}")) }
    })
    .unwrap();
    drop(process);
    assert_eq!(find(&marker, dir.path()), Vec::new());
  }
}
