//! A small disk of a story's own, which can be filled. Needs root.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// A file system in memory over a folder; taken away again when it is dropped.
#[derive(Debug)]
pub struct Tmpfs {
  dir: PathBuf,
}

impl Tmpfs {
  /// Lays one of so many bytes over a folder, which is made where it is missing. What was in the
  /// folder is hidden meanwhile.
  ///
  /// # Errors
  /// When this process may not do that.
  pub fn over(dir: &Path, bytes: u64) -> Result<Self> {
    Self::with(dir, &format!("size={bytes},mode=0700"))
  }

  /// Lays one with room for so many files and folders over a folder, itself among them.
  ///
  /// # Errors
  /// As [`Tmpfs::over`].
  pub fn of_files(dir: &Path, files: u32) -> Result<Self> {
    Self::with(dir, &format!("nr_inodes={files},mode=0700"))
  }

  fn with(dir: &Path, options: &str) -> Result<Self> {
    ensure!(
      rustix::process::geteuid().is_root(),
      "disks of their own need root: sudo -E scripts/test"
    );
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    mount(&["-t", "tmpfs", "-o", options, "hetuflow-test"], dir)?;
    Ok(Self { dir: dir.to_owned() })
  }

  /// Its folder.
  pub fn dir(&self) -> &Path {
    &self.dir
  }

  /// Makes empty files until there can be no more.
  ///
  /// # Errors
  /// When one cannot be made for another reason.
  pub fn use_up_files(&self) -> Result<()> {
    std::fs::create_dir(self.ballast())?;
    for number in 0_u64.. {
      match std::fs::File::create(self.ballast().join(number.to_string())) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
        Err(error) => return Err(error.into()),
      }
    }
    Ok(())
  }

  /// Takes all the room that is left, to the last byte.
  ///
  /// # Errors
  /// When the file cannot be made.
  pub fn fill(&self) -> Result<()> {
    let mut file = std::fs::File::create(self.ballast())?;
    // Large pieces first, then what is too small for them.
    for piece in [1 << 16, 1 << 12, 1] {
      let zeros = vec![0; piece];
      loop {
        match file.write_all(&zeros) {
          Ok(()) => {}
          Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
          Err(error) => return Err(error.into()),
        }
      }
    }
    Ok(())
  }

  /// Gives the room back.
  ///
  /// # Errors
  /// When it was not taken.
  pub fn empty(&self) -> Result<()> {
    let ballast = self.ballast();
    if ballast.is_dir() {
      std::fs::remove_dir_all(ballast)?
    } else {
      std::fs::remove_file(ballast)?
    }
    Ok(())
  }

  /// Nothing can be written any more, or all can.
  ///
  /// # Errors
  /// When the system refuses.
  pub fn read_only(&self, read_only: bool) -> Result<()> {
    mount(&["-o", if read_only { "remount,ro" } else { "remount,rw" }], &self.dir)
  }

  fn ballast(&self) -> PathBuf {
    self.dir.join("ballast")
  }
}

impl Drop for Tmpfs {
  fn drop(&mut self) {
    // At once also where something still has it open.
    let _gone = Command::new("umount").arg("-l").arg(&self.dir).status();
  }
}

fn mount(words: &[&str], dir: &Path) -> Result<()> {
  let output = Command::new("mount").args(words).arg(dir).output().context("run mount")?;
  if !output.status.success() {
    bail!("mount {words:?} {}: {}", dir.display(), String::from_utf8_lossy(&output.stderr).trim());
  }
  Ok(())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_disk_is_full_and_empty_again() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("disk");
    let disk = Tmpfs::over(&inner, 1 << 20).unwrap();
    std::fs::write(inner.join("before"), "x").unwrap();
    disk.fill().unwrap();
    assert!(std::fs::write(inner.join("after"), vec![0; 5000]).is_err());
    disk.empty().unwrap();
    std::fs::write(inner.join("after"), vec![0; 5000]).unwrap();
    disk.read_only(true).unwrap();
    assert!(std::fs::write(inner.join("later"), "x").is_err());
    drop(disk);
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0, "it is gone");
    let disk = Tmpfs::of_files(&inner, 10).unwrap();
    disk.use_up_files().unwrap();
    assert!(std::fs::File::create(inner.join("after")).is_err());
    disk.empty().unwrap();
    std::fs::write(inner.join("after"), "x").unwrap();
  }
}
