//! Looking through a folder that is a task's: from one open folder to the next, never along a path,
//! never through a link, never onto another file system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

/// Folders below each other; what lies deeper is not looked at.
const DEPTH_MAX: usize = 32;
/// Names that are looked at in one folder with all below it.
const NAMES_MAX: usize = 20_000;

/// What was found.
#[derive(Debug)]
pub enum Found {
  /// A file, open.
  File(File),
  /// Something that is not handed on, and why.
  Refused(&'static str),
}

/// What somebody looks for.
pub trait Wish {
  /// Where it stands on its way to a name.
  type Way;
  /// One name further down.
  fn step(&self, way: &Self::Way, name: &str) -> Self::Way;
  /// Whether a file with this way is meant.
  fn wants(&self, way: &Self::Way) -> bool;
  /// Whether a folder with this way is to be entered.
  fn enters(&self, way: &Self::Way) -> bool;
}

/// A look through one folder.
pub struct Walk<'a, W: Wish> {
  wish: &'a W,
  /// Files of other users are not the task's to hand on.
  owner: Option<u32>,
  device: u64,
  names_left: usize,
  each: &'a mut dyn FnMut(&str, Found, &W::Way),
}

/// Whether the folder itself may be a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
  /// It may: somebody has named it.
  AsNamed,
  /// It may not: it was made for this.
  Own,
}

/// Looks through a folder and says what there is; none where there is no such folder.
///
/// # Errors
/// When the folder itself cannot be read, or is none.
pub fn walk<W: Wish>(
  (root, entry): (&Path, Entry),
  (wish, start): (&W, &W::Way),
  owner: Option<u32>,
  each: &mut dyn FnMut(&str, Found, &W::Way),
) -> io::Result<()> {
  let follow = if entry == Entry::Own { OFlags::NOFOLLOW } else { OFlags::empty() };
  let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
  let root = match openat(CWD, root, flags, Mode::empty()) {
    Ok(root) => root,
    Err(rustix::io::Errno::NOENT) => return Ok(()),
    Err(error) => return Err(error.into()),
  };
  let device = fstat(&root)?.st_dev;
  let mut walk = Walk { wish, owner, device, names_left: NAMES_MAX, each };
  walk.folder(&root, ("", 0), start);
  Ok(())
}

impl<W: Wish> Walk<'_, W> {
  fn folder(&mut self, folder: &OwnedFd, (above, depth): (&str, usize), way: &W::Way) {
    let Ok(entries) = Dir::read_from(folder) else {
      return (self.each)(above, Found::Refused("a folder that cannot be read"), way);
    };
    let mut names: Vec<_> =
      entries.flatten().map(|entry| entry.file_name().to_owned()).take(NAMES_MAX).collect();
    names.retain(|name| !matches!(name.to_bytes(), b"." | b".."));
    // The same files are taken in the same order wherever there is no room for all.
    names.sort_unstable();
    for name in names {
      let shown = shown(name.to_bytes());
      let path = if above.is_empty() { shown.clone() } else { format!("{above}/{shown}") };
      let way = self.wish.step(way, &shown);
      if self.names_left == 0 {
        return (self.each)(&path, Found::Refused("too many files to look at"), &way);
      }
      self.names_left -= 1;
      let Ok(seen) = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
      match FileType::from_raw_mode(seen.st_mode) {
        FileType::Directory if self.wish.enters(&way) => {
          self.enter((folder.as_fd(), &name), (&path, depth + 1), &way);
        }
        FileType::Directory => {}
        _ if !self.wish.wants(&way) => {}
        FileType::RegularFile => {
          let found = self.open(folder.as_fd(), &name, &seen);
          (self.each)(&path, found, &way);
        }
        FileType::Symlink => (self.each)(&path, Found::Refused("a link"), &way),
        _ => (self.each)(&path, Found::Refused("no plain file"), &way),
      }
    }
  }

  fn enter(
    &mut self,
    (above, name): (BorrowedFd<'_>, &std::ffi::CStr),
    (path, depth): (&str, usize),
    way: &W::Way,
  ) {
    if depth > DEPTH_MAX {
      return (self.each)(path, Found::Refused("too many folders below each other"), way);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(above, name, flags, Mode::empty()) {
      Ok(folder) if fstat(&folder).is_ok_and(|seen| seen.st_dev == self.device) => {
        self.folder(&folder, (path, depth), way);
      }
      Ok(_) => (self.each)(path, Found::Refused("on another file system"), way),
      Err(_) => (self.each)(path, Found::Refused("a folder that cannot be read"), way),
    }
  }

  /// Opens what was seen to be a plain file, and looks again: it may be another one by now.
  fn open(&self, folder: BorrowedFd<'_>, name: &std::ffi::CStr, seen: &Stat) -> Found {
    if self.owner.is_some_and(|owner| owner != seen.st_uid) {
      return Found::Refused("a file of another user");
    }
    let flags =
      OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = openat(folder, name, flags, Mode::empty()) else {
      return Found::Refused("a file that cannot be read");
    };
    let file = File::from(file);
    let Ok(meta) = file.metadata() else {
      return Found::Refused("a file that cannot be read");
    };
    if !meta.is_file() || self.owner.is_some_and(|owner| owner != meta.uid()) {
      return Found::Refused("another thing by the time it was opened");
    }
    if meta.dev() != self.device {
      return Found::Refused("on another file system");
    }
    Found::File(file)
  }
}

/// A name that can be shown and stored: no control characters, nothing that is no text.
fn shown(name: &[u8]) -> String {
  let text = String::from_utf8_lossy(name);
  text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
