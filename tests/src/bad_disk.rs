//! A disk that fails: what is written to it does not get there, and its flush says so, once. A real
//! file system on a loop device over a file with holes, for which there is no room when it is to
//! fail. Needs root, `mkfs.ext4` and a loop device; a device mapper would do, but not every kernel has
//! one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tmpfs::Tmpfs;

/// Bytes that the file system seems to have.
const SEEMING: u64 = 64 << 20;
/// Bytes that there is room for.
const ROOM: u64 = 32 << 20;
/// Files whose places in the table of files are written before it fails, so that the disk fails with
/// what is in files and not with the files.
const FILES: usize = 300;

/// A file system that can be made to fail; taken away again when it is dropped.
#[derive(Debug)]
pub struct BadDisk {
  dir: PathBuf,
  room: Tmpfs,
}

impl BadDisk {
  /// Lays one over a folder, which is made where it is missing; it is good so far.
  ///
  /// # Errors
  /// When this process may not do that, or the machine has no loop device left.
  pub fn over(dir: &Path) -> Result<Self> {
    let below = dir.with_extension("below");
    let room = Tmpfs::over(&below, ROOM)?;
    let image = below.join("image");
    std::fs::File::create(&image)?.set_len(SEEMING)?;
    std::fs::create_dir_all(dir)?;
    let image = image.to_string_lossy().into_owned();
    let features = ["-q", "-F", "-b", "4096", "-m", "0", "-N", "1024", "-O", "^has_journal"];
    run("mkfs.ext4", features.iter().copied().chain([image.as_str()]))?;
    let place = dir.to_string_lossy().into_owned();
    run("mount", ["-o", "loop,errors=continue,noatime", &image, &place])?;
    let disk = Self { dir: dir.to_owned(), room };
    disk.use_places()?;
    Ok(disk)
  }

  fn use_places(&self) -> Result<()> {
    let dir = self.dir.join("places");
    std::fs::create_dir(&dir)?;
    for number in 0..FILES {
      std::fs::File::create(dir.join(number.to_string()))?;
    }
    run("sync", ["-f", &self.dir.to_string_lossy()])?;
    std::fs::remove_dir_all(&dir)?;
    std::fs::remove_dir(self.dir.join("lost+found"))?;
    run("sync", ["-f", &self.dir.to_string_lossy()])
  }

  /// From now on what has no place yet cannot be written.
  ///
  /// # Errors
  /// When that cannot be done.
  pub fn fail(&self) -> Result<()> {
    run("sync", ["-f", &self.dir.to_string_lossy()])?;
    self.room.fill()
  }

  /// It is good again; what was lost is lost.
  ///
  /// # Errors
  /// When it did not fail.
  pub fn heal(&self) -> Result<()> {
    self.room.empty()
  }
}

impl Drop for BadDisk {
  fn drop(&mut self) {
    // At once also where something still has it open.
    let _gone = Command::new("umount").arg("-l").arg(&self.dir).status();
  }
}

fn run<'a>(program: &str, words: impl IntoIterator<Item = &'a str>) -> Result<()> {
  let words: Vec<&str> = words.into_iter().collect();
  let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
  let output = Command::new(program).args(&words).env("PATH", path).output();
  let output = output.with_context(|| format!("{program}: apt-get install -y e2fsprogs"))?;
  if !output.status.success() {
    bail!("{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
  }
  Ok(())
}

#[cfg(test)]
mod tests {
  use std::io::Write;

  use super::*;

  #[test]
  fn a_flush_fails_once_and_the_next_one_lies() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::over(&dir.path().join("disk")).unwrap();
    let mut file = std::fs::File::create(dir.path().join("disk/file")).unwrap();
    file.write_all(&[1; 8192]).unwrap();
    file.sync_data().unwrap();
    disk.fail().unwrap();
    file.write_all(&[2; 8192]).unwrap();
    // The loop device tells its own lack of room, or EIO, as the kernel happens to see it.
    let told = file.sync_data().unwrap_err().raw_os_error();
    assert!(matches!(told, Some(5 | 28)), "EIO or ENOSPC: {told:?}");
    file.sync_data().unwrap();
    disk.heal().unwrap();
    std::fs::write(dir.path().join("disk/other"), vec![3; 8192]).unwrap();
    let other = std::fs::File::open(dir.path().join("disk/other")).unwrap();
    other.sync_data().unwrap();
    drop((file, other, disk));
    assert!(!dir.path().join("disk/file").exists());
  }
}
