//! Files that tasks of this agent find when they start, each once under its content; bounded, the
//! longest unused go first.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hetuflow_core::{ContentHash, FILE_PIECE_BYTES};

/// Ends the name of a file that is not whole.
const PART: &str = ".part";

/// A folder of files that are called by their content.
#[derive(Debug)]
pub struct FileCache {
  dir: PathBuf,
  bytes_max: u64,
}

/// A file in the folder.
#[derive(Debug)]
struct Cached {
  path: PathBuf,
  hash: ContentHash,
  bytes: u64,
  used: SystemTime,
}

impl FileCache {
  /// A folder, which is made when there is something to keep.
  pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
    Self { dir, bytes_max }
  }

  /// Whether a content is here, whole. It counts as used now.
  pub fn has(&self, hash: ContentHash, bytes: u64) -> bool {
    let path = self.dir.join(hash.to_string());
    let Ok(file) = OpenOptions::new().write(true).open(&path) else { return false };
    match file.metadata() {
      Ok(meta) if meta.is_file() && meta.len() == bytes => {
        let _only_evicted_sooner = file.set_modified(SystemTime::now());
        true
      }
      _ => {
        let _replaced_later = std::fs::remove_file(&path);
        false
      }
    }
  }

  /// Opens what has come of a content so far, and says where the next piece begins.
  ///
  /// # Errors
  /// When the folder or the file cannot be written.
  pub fn open_part(&self, hash: ContentHash) -> io::Result<(File, u64)> {
    DirBuilder::new().mode(0o700).recursive(true).create(&self.dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(self.part(hash))?;
    let bytes = file.metadata()?.len();
    let whole = bytes - bytes % FILE_PIECE_BYTES as u64;
    file.set_len(whole)?;
    Ok((file, whole))
  }

  /// All of a content is here, and is what it should be.
  ///
  /// # Errors
  /// When it cannot get its name.
  pub fn admit(&self, hash: ContentHash) -> io::Result<()> {
    std::fs::rename(self.part(hash), self.dir.join(hash.to_string()))
  }

  /// Nobody wants a content any more that is not whole.
  pub fn drop_part(&self, hash: ContentHash) {
    let _not_there = std::fs::remove_file(self.part(hash));
  }

  /// Removes the longest unused files until all have room; what is in use stays.
  pub fn evict(&self, in_use: impl Fn(&ContentHash) -> bool) {
    let mut all = files(&self.dir);
    let mut sum: u64 = all.iter().map(|one| one.bytes).sum();
    all.sort_by_key(|one| one.used);
    for one in all.iter().filter(|one| !in_use(&one.hash)) {
      if sum <= self.bytes_max {
        return;
      }
      match std::fs::remove_file(&one.path) {
        Ok(()) => sum -= one.bytes,
        Err(error) => {
          tracing::warn!(path = %one.path.display(), %error, "cannot remove a file that was fetched");
        }
      }
    }
  }

  fn part(&self, hash: ContentHash) -> PathBuf {
    self.dir.join(format!("{hash}{PART}"))
  }
}

/// Removes every file that is not in use; returns how many went and how many could not.
pub fn clear(dir: &Path, in_use: &[ContentHash]) -> (u64, u64) {
  let (mut removed, mut failed) = (0, 0);
  for one in files(dir).iter().filter(|one| !in_use.contains(&one.hash)) {
    match std::fs::remove_file(&one.path) {
      Ok(()) => removed += 1,
      Err(_) => failed += 1,
    }
  }
  (removed, failed)
}

/// What lies in the folder and is called as we call files.
fn files(dir: &Path) -> Vec<Cached> {
  let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
  let cached = entries.filter_map(|entry| {
    let name = entry.file_name();
    let name = name.to_str()?;
    let hash = name.strip_suffix(PART).unwrap_or(name).parse().ok()?;
    let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(Cached { path: entry.path(), hash, bytes: meta.len(), used })
  });
  cached.collect()
}

#[cfg(test)]
mod tests {
  use std::time::Duration;

  use hetuflow_core::ContentHasher;

  use super::*;

  fn put(dir: &Path, bytes: &[u8], age: u64) -> ContentHash {
    let mut hasher = ContentHasher::default();
    hasher.add(bytes);
    let hash = hasher.finish();
    let path = dir.join(hash.to_string());
    std::fs::write(&path, bytes).expect("written");
    let file = OpenOptions::new().write(true).open(&path).expect("there");
    file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("a time");
    hash
  }

  #[test]
  fn the_longest_unused_go_first_and_what_is_in_use_stays() {
    let dir = tempfile::tempdir().expect("dir");
    let cache = FileCache::new(dir.path().to_owned(), 250);
    let (old, used, young) = (
      put(dir.path(), &[1; 100], 300),
      put(dir.path(), &[2; 100], 200),
      put(dir.path(), &[3; 100], 100),
    );
    let other = dir.path().join("not ours");
    std::fs::write(&other, [0; 1000]).expect("written");
    cache.evict(|hash| *hash == old);
    assert!(cache.has(old, 100) && !cache.has(used, 100) && cache.has(young, 100));
    cache.evict(|_| false);
    assert!(cache.has(old, 100) && cache.has(young, 100), "they have room");
    // Another length is another content.
    assert!(!cache.has(old, 99) && !cache.has(old, 100));
    assert_eq!(clear(dir.path(), &[young]), (0, 0));
    assert_eq!(clear(dir.path(), &[]), (1, 0));
    assert!(other.exists(), "what we have not made is not ours to remove");
  }

  #[test]
  fn a_part_goes_on_where_a_piece_begins() {
    let dir = tempfile::tempdir().expect("dir");
    let cache = FileCache::new(dir.path().join("new"), 1 << 20);
    let hash = put(dir.path(), b"x", 0);
    let (file, at) = cache.open_part(hash).expect("made");
    assert_eq!(at, 0);
    file.set_len(2 * FILE_PIECE_BYTES as u64 + 7).expect("longer");
    assert_eq!(cache.open_part(hash).expect("there").1, 2 * FILE_PIECE_BYTES as u64);
    cache.admit(hash).expect("named");
    assert!(cache.has(hash, 2 * FILE_PIECE_BYTES as u64));
  }
}
