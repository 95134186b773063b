//! The files that an attempt finds: copied from the agent's cache to where the attempt looks for them,
//! before it or anybody else can reach that folder, and compared with their hashes on the way.
//!
//! Every step goes from one open folder to the next: a path never leads out, whatever lies there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hetuflow_core::{ContentHasher, InputNote};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, mkdirat, openat};

use super::Cause;
use super::prepare::{no_capacity, no_disk};
use crate::process::{Account, is_disk, is_exhausted};

/// The folder for them where the attempt runs somewhere else than in its own.
pub const NAME: &str = "inputs";
/// Bytes copied in one go.
const COPY_BYTES: usize = 256 << 10;

/// Why a file is not where it should be.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
  /// The path cannot be taken.
  #[error("its path cannot be taken: {0}")]
  Path(&'static str),
  /// It is not in the cache any more.
  #[error("it is not in the agent's cache any more")]
  Gone,
  /// It is another one.
  #[error("what is in the agent's cache is not what it should be; it is fetched anew next time")]
  Differs,
  /// The system says no.
  #[error("{0}: {1}")]
  System(&'static str, #[source] io::Error),
}

impl PlaceError {
  fn reason(&self) -> &'static str {
    match self {
      Self::Path(_) => "input_path",
      Self::Gone => "input_missing",
      Self::Differs => "input_differs",
      Self::System(..) => "input_failed",
    }
  }
}

/// Puts all files of an attempt below a folder that is still ours alone. Blocks on the disk.
///
/// # Errors
/// The cause with which the attempt ends without having been started.
pub fn place(
  root: &Path,
  inputs: &[InputNote],
  (cache, account): (&Path, Option<&Account>),
) -> Result<(), Cause> {
  for input in inputs {
    place_one(root, input, (cache, account)).map_err(|error| {
      let message = format!("the file for {}: {error}", input.to.escape_debug());
      match &error {
        PlaceError::System(_, source) if is_exhausted(source) => no_capacity(message),
        PlaceError::System(_, source) if is_disk(source) => no_disk(message),
        _ => Cause::NotStarted { reason: format!("not_started({})", error.reason()), message },
      }
    })?;
  }
  Ok(())
}

/// A file of an attempt has the name of its script.
pub fn in_the_way(script: &str) -> Cause {
  Cause::NotStarted {
    reason: "not_started(input_path)".to_owned(),
    message: format!(
      "the file for {script}: the task's own script has this name; give it another with to:"
    ),
  }
}

fn place_one(
  root: &Path,
  input: &InputNote,
  (cache, account): (&Path, Option<&Account>),
) -> Result<(), PlaceError> {
  let hash = input.content_hash.ok_or(PlaceError::Gone)?;
  let kept = cache.join(hash.to_string());
  let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
  let mut source = match openat(CWD, &kept, flags, Mode::empty()) {
    Ok(file) => File::from(file),
    Err(rustix::io::Errno::NOENT) => return Err(PlaceError::Gone),
    Err(error) => return Err(PlaceError::System("the agent's cache cannot be read", error.into())),
  };
  let (folder, name) = folder_of(root, &input.to, account)?;
  let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
  let target = openat(&folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(not_taken)?;
  let mut target = File::from(target);
  let failed = |error| PlaceError::System("it cannot be written", error);
  let (came, bytes) = copy_hashed(&mut source, &mut target).map_err(failed)?;
  if came != hash || bytes != input.file_size {
    let _replaced_later = std::fs::remove_file(&kept);
    return Err(PlaceError::Differs);
  }
  hand_over(&target, account)?;
  let mode = Mode::from_raw_mode(input.mode & 0o777);
  fchmod(&target, mode).map_err(|error| failed(error.into()))
}

/// Opens the folder of a target, and makes what is missing on the way; gives its last name back.
fn folder_of<'a>(
  root: &Path,
  target: &'a str,
  account: Option<&Account>,
) -> Result<(OwnedFd, &'a str), PlaceError> {
  let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
  let opened = openat(CWD, root, flags, Mode::empty());
  let mut folder =
    opened.map_err(|error| PlaceError::System("its folder cannot be opened", error.into()))?;
  let mut parts: Vec<&str> = target.split('/').collect();
  if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('\0')) {
    return Err(PlaceError::Path("it leads out of its folder"));
  }
  let name = parts.pop().ok_or(PlaceError::Path("it is empty"))?;
  for part in parts {
    let made = mkdirat(&folder, part, Mode::RWXU);
    if let Err(error) = made
      && error != rustix::io::Errno::EXIST
    {
      return Err(PlaceError::System("its folder cannot be made", error.into()));
    }
    let below = openat(&folder, part, flags, Mode::empty()).map_err(not_taken)?;
    if made.is_ok() {
      hand_over(&below, account)?;
    }
    folder = below;
  }
  Ok((folder, name))
}

/// What stands in the way is not followed and not replaced.
fn not_taken(error: rustix::io::Errno) -> PlaceError {
  use rustix::io::Errno;
  match error {
    Errno::LOOP => PlaceError::Path("there is a link in its way"),
    Errno::NOTDIR => PlaceError::Path("there is a file in its way"),
    Errno::EXIST | Errno::ISDIR => PlaceError::Path("something is there already"),
    error => PlaceError::System("it cannot be made", error.into()),
  }
}

/// It is its user's from now on.
fn hand_over(thing: impl AsFd, account: Option<&Account>) -> Result<(), PlaceError> {
  let Some(account) = account else { return Ok(()) };
  let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
  fchown(thing, Some(uid), Some(gid))
    .map_err(|error| PlaceError::System("it cannot be given to its user", error.into()))
}

fn copy_hashed(from: &mut File, to: &mut File) -> io::Result<(hetuflow_core::ContentHash, u64)> {
  let (mut hasher, mut bytes) = (ContentHasher::default(), 0);
  let mut buffer = vec![0; COPY_BYTES];
  loop {
    match from.read(&mut buffer) {
      Ok(0) => return Ok((hasher.finish(), bytes)),
      Ok(count) => {
        hasher.add(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        bytes += count as u64;
      }
      Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
      Err(error) => return Err(error),
    }
  }
}

#[cfg(test)]
mod tests {
  use std::os::unix::fs::{PermissionsExt, symlink};

  use super::*;

  struct Bench {
    _dir: tempfile::TempDir,
    cache: std::path::PathBuf,
    root: std::path::PathBuf,
  }

  fn bench() -> Bench {
    let dir = tempfile::tempdir().expect("dir");
    let (cache, root) = (dir.path().join("cache"), dir.path().join("root"));
    std::fs::create_dir(&cache).and_then(|()| std::fs::create_dir(&root)).expect("made");
    Bench { _dir: dir, cache, root }
  }

  impl Bench {
    fn note(&self, to: &str, bytes: &[u8]) -> InputNote {
      let mut hasher = ContentHasher::default();
      hasher.add(bytes);
      let hash = hasher.finish();
      std::fs::write(self.cache.join(hash.to_string()), bytes).expect("cached");
      let (to, file_size) = (to.to_owned(), bytes.len() as u64);
      InputNote { to, content_hash: Some(hash), file_size, mode: 0o644, reason: None }
    }

    fn place(&self, inputs: &[InputNote]) -> Result<(), String> {
      place(&self.root, inputs, (&self.cache, None)).map_err(|cause| match cause {
        Cause::NotStarted { reason, message } => format!("{reason} {message}"),
        other => format!("{other:?}"),
      })
    }
  }

  #[test]
  fn bytes_and_rights_are_as_they_were_told() {
    let bench = bench();
    let odd = "a b/\u{fc}/-rf *.txt";
    let mut script = bench.note("run.sh", b"#!/bin/sh\n");
    script.mode = 0o755;
    bench.place(&[bench.note(odd, b"odd"), bench.note("a b/empty", b""), script]).expect("placed");
    assert_eq!(std::fs::read(bench.root.join(odd)).expect("there"), b"odd");
    assert_eq!(std::fs::read(bench.root.join("a b/empty")).expect("there"), b"");
    let mode = |name: &str| {
      std::fs::metadata(bench.root.join(name)).expect("there").permissions().mode() & 0o7777
    };
    assert_eq!((mode("run.sh"), mode(odd), mode("a b")), (0o755, 0o644, 0o700));
  }

  #[test]
  fn nothing_leads_out() {
    let bench = bench();
    let outside = bench.root.with_file_name("outside");
    std::fs::create_dir(&outside).expect("made");
    symlink(&outside, bench.root.join("link")).expect("made");
    symlink(outside.join("new"), bench.root.join("file")).expect("made");
    std::fs::write(bench.root.join("plain"), b"mine").expect("made");
    for (to, why) in [
      (
        "../out",
        "not_started(input_path) the file for ../out: its path cannot be taken: it leads out",
      ),
      ("/etc/x", "leads out of its folder"),
      ("a/../../x", "leads out of its folder"),
      ("a//x", "leads out of its folder"),
      ("link/x", "in its way"),
      ("file", "something is there already"),
      ("plain", "something is there already"),
      ("plain/x", "a file in its way"),
    ] {
      let words = bench.place(&[bench.note(to, b"x")]).expect_err(to);
      assert!(words.starts_with("not_started(input_path)") && words.contains(why), "{words}");
    }
    assert_eq!(std::fs::read_dir(&outside).expect("there").count(), 0);
    assert_eq!(std::fs::read(bench.root.join("plain")).expect("there"), b"mine");
  }

  #[test]
  fn what_is_not_what_it_should_be_is_refused_and_forgotten() {
    let bench = bench();
    let note = bench.note("x", b"right");
    let kept = bench.cache.join(note.content_hash.expect("known").to_string());
    std::fs::write(&kept, b"wrong").expect("changed");
    let words = bench.place(std::slice::from_ref(&note)).expect_err("differs");
    assert!(words.starts_with("not_started(input_differs)"), "{words}");
    assert!(!kept.exists());
    std::fs::remove_file(bench.root.join("x")).expect("a rest");
    let words = bench.place(&[note]).expect_err("gone");
    assert!(words.starts_with("not_started(input_missing)"), "{words}");
  }
}
