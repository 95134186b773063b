//! The temporary folder of a cluster and the shell that cleans up when we cannot.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A folder and a mark; everything in the one or with the other ends with this value, or with us.
#[derive(Debug)]
pub(super) struct Guard {
  dir: PathBuf,
  marker: (String, String),
  shell: Child,
}

impl Guard {
  /// Makes the folder and starts the shell.
  pub(super) fn new() -> Result<Self> {
    let dir = tempfile::Builder::new().prefix("hetuflow-cluster-").tempdir()?.keep();
    let dir = dir.canonicalize()?;
    let id = uuid::Uuid::now_v7().simple().to_string();
    let marker = ("HETUFLOW_TEST_CLUSTER".to_owned(), id);
    let shell = Command::new("/bin/sh")
      .args(["-c", include_str!("guard.sh"), "guard.sh"])
      .arg(format!("{}={}", marker.0, marker.1))
      .arg(&dir)
      .current_dir("/")
      .stdin(Stdio::piped())
      .stdout(Stdio::null())
      .stderr(Stdio::null())
      .process_group(0)
      .spawn()
      .context("start /bin/sh")?;
    Ok(Self { dir, marker, shell })
  }

  /// The folder.
  pub(super) fn dir(&self) -> &Path {
    &self.dir
  }

  /// The variable that every process of the cluster carries.
  pub(super) fn marker(&self) -> (String, String) {
    self.marker.clone()
  }

  /// The processes of the cluster that live now, as "pid command line".
  pub(super) fn alive(&self) -> Vec<(u32, String)> {
    crate::process::find(&format!("{}={}", self.marker.0, self.marker.1), &self.dir)
  }
}

impl Drop for Guard {
  /// Lets the shell kill what is left and remove the folder.
  fn drop(&mut self) {
    drop(self.shell.stdin.take());
    if let Err(error) = self.shell.wait() {
      eprintln!("the clean-up shell of {}: {error}", self.dir.display());
    }
    if self.dir.exists() {
      eprintln!("kept: {}", self.dir.display());
    }
  }
}

#[cfg(test)]
mod tests {
  use std::os::unix::process::ExitStatusExt;

  use super::*;

  #[test]
  fn kills_what_is_left_and_removes_the_folder() {
    let guard = Guard::new().unwrap();
    let dir = guard.dir().to_owned();
    let (name, value) = guard.marker();
    let mut marked = Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
    let mut inside = Command::new("sleep").arg("60").current_dir(&dir).spawn().unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    // A child carries our environment until it has become `sleep`.
    crate::wait::until_blocking("both", std::time::Duration::from_secs(10), || {
      let alive = guard.alive();
      (alive.len() == 2).then_some(()).ok_or(format!("{alive:?}"))
    })
    .unwrap();
    drop(guard);
    assert_eq!(marked.wait().unwrap().signal(), Some(9));
    assert_eq!(inside.wait().unwrap().signal(), Some(9));
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!dir.exists());
  }
}
