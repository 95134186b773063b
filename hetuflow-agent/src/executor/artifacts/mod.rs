//! The files that an attempt leaves: found when it has ended, copied once into a folder of the
//! agent, and kept there until a server has each of them.
//!
//! What is copied is what is hashed: a file that changes meanwhile is what it was when it was read.

mod pattern;
mod record;
mod walk;

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hetuflow_core::{
  ARTIFACT_NAME_MAX, ARTIFACTS_MAX, ArtifactNote, ContentHash, ContentHasher, FileUpload, TaskId,
  TaskInstanceId,
};
use pattern::{Patterns, Way};
pub use record::{Record, clear_records};
use serde::{Deserialize, Serialize};
use walk::{Entry, Found, Wish, walk};

/// Their folder in the folder of an attempt that has one.
pub const NAME: &str = "artifacts";
/// In the folder of what is kept: which contents a server must still get.
pub const OWED: &str = "owed.json";
/// Bytes copied in one go.
const COPY_BYTES: usize = 256 << 10;

/// How much an attempt may leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
  /// Bytes of one file.
  pub file: u64,
  /// Bytes of all of them.
  pub total: u64,
}

/// Where an attempt may leave files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Places {
  /// The folder that it was told.
  pub own: PathBuf,
  /// Where it runs, with what is looked for there.
  pub work_dir: PathBuf,
  /// What is looked for there.
  pub patterns: Vec<String>,
  /// In the folder where it runs, what is ours.
  pub ours: Vec<PathBuf>,
  /// As whom it runs, where that is not who we are.
  pub owner: Option<u32>,
}

impl Places {
  /// Whether there may be anything; costs a look.
  pub fn may_hold(&self) -> bool {
    !self.patterns.is_empty() || std::fs::symlink_metadata(&self.own).is_ok()
  }
}

/// Which attempt.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
}

/// Everything below a folder.
struct All;

impl Wish for All {
  type Way = ();
  fn step(&self, (): &(), _name: &str) {}
  fn wants(&self, (): &()) -> bool {
    true
  }
  fn enters(&self, (): &()) -> bool {
    true
  }
}

impl Wish for Patterns {
  type Way = Way;
  fn step(&self, way: &Way, name: &str) -> Way {
    self.step(way, name)
  }
  fn wants(&self, way: &Way) -> bool {
    self.hit(way)
  }
  fn enters(&self, way: &Way) -> bool {
    self.leads_on(way)
  }
}

/// Takes what an attempt has left; says of each file what became of it. Blocks on the disk.
pub fn collect(
  places: &Places,
  (base, limits): (&Path, Limits),
  whose: Whose,
) -> Vec<ArtifactNote> {
  let mut keep = Keep {
    folder: base.join(format!("{}.part", whose.instance_id)),
    made: false,
    limits,
    left: limits.total,
    notes: Vec::new(),
    names: HashSet::new(),
    kept: HashSet::new(),
    owed: Vec::new(),
    whose,
  };
  let walked =
    walk((&places.own, Entry::Own), (&All, &()), places.owner, &mut |name, found, ()| {
      keep.take(name, found);
    });
  if walked.is_err() {
    keep.refuse("HETUFLOW_ARTIFACTS", "no folder that can be read");
  }
  if !places.patterns.is_empty() {
    keep.search(places);
  }
  keep.finish(&base.join(whose.instance_id.to_string()))
}

/// What is taken, while it is.
struct Keep {
  folder: PathBuf,
  made: bool,
  limits: Limits,
  left: u64,
  notes: Vec<ArtifactNote>,
  names: HashSet<String>,
  kept: HashSet<ContentHash>,
  owed: Vec<FileUpload>,
  whose: Whose,
}

impl Keep {
  fn search(&mut self, places: &Places) {
    let patterns = Patterns::new(&places.patterns);
    let ours: Vec<String> = places
      .ours
      .iter()
      .filter_map(|path| path.strip_prefix(&places.work_dir).ok())
      .map(|path| path.to_string_lossy().into_owned())
      .collect();
    let mut hit = vec![false; patterns.len()];
    let root = (places.work_dir.as_path(), Entry::AsNamed);
    let start = patterns.start();
    let walked = walk(root, (&patterns, &start), places.owner, &mut |name, found, way| {
      let is_ours = |own: &String| name == own || name.starts_with(&format!("{own}/"));
      if !ours.iter().any(is_ours) {
        patterns.hits(way).for_each(|index| hit[index] = true);
        self.take(name, found);
      }
    });
    if walked.is_err() {
      self.refuse(".", "the folder that it ran in cannot be read");
    }
    for index in (0..patterns.len()).filter(|index| !hit[*index]) {
      self.refuse(&patterns.text(index), "no file was found");
    }
  }

  fn refuse(&mut self, name: &str, why: &str) {
    self.note(ArtifactNote {
      name: name.to_owned(),
      size: 0,
      hash: None,
      reason: Some(why.to_owned()),
    });
  }

  fn note(&mut self, note: ArtifactNote) {
    if self.notes.len() < ARTIFACTS_MAX {
      self.notes.push(note);
    }
  }

  fn take(&mut self, name: &str, found: Found) {
    if !self.names.insert(name.to_owned()) {
      return;
    }
    if self.notes.len() + 1 >= ARTIFACTS_MAX {
      // The last place tells that there were more.
      if self.notes.len() < ARTIFACTS_MAX {
        self.refuse("…", &format!("more than {ARTIFACTS_MAX} files: the rest was not taken"));
      }
      return;
    }
    let file = match found {
      Found::Refused(why) => return self.refuse(name, why),
      Found::File(file) => file,
    };
    if name.len() > ARTIFACT_NAME_MAX {
      let shown: String = name.chars().take(60).collect();
      return self.refuse(&format!("{shown}…"), "its name is too long");
    }
    match self.copy(file) {
      Ok(Copied { hash, size, changed }) => {
        let reason = changed.then(|| "it changed while it was read".to_owned());
        self.note(ArtifactNote { name: name.to_owned(), size, hash: Some(hash), reason });
      }
      Err(why) => self.refuse(name, &why),
    }
  }

  /// Copies a file to where it is called by its content.
  fn copy(&mut self, mut file: File) -> Result<Copied, String> {
    let before = file.metadata().map_err(|error| error.to_string())?;
    let Limits { file: limit, total } = self.limits;
    let over = |what: &str, bytes: u64| format!("larger than {what} allows: {bytes} bytes");
    if before.len() > limit {
      return Err(over("agent.process.artifact_size_max", limit));
    }
    let room = limit.min(self.left);
    let target = self.target().map_err(|error| format!("there is no room to keep it: {error}"))?;
    let mut copy = (&mut file).take(room.saturating_add(1));
    let copied = copy_hashed(&mut copy, &target);
    let (hash, size) = match copied {
      Ok((_, size)) if size > room => {
        self.discard(&target);
        let all = room < limit;
        let key =
          if all { "agent.process.artifact_total_max" } else { "agent.process.artifact_size_max" };
        return Err(over(key, if all { total } else { limit }));
      }
      Ok(copied) => copied,
      Err(error) => {
        self.discard(&target);
        return Err(format!("it cannot be kept: {error}"));
      }
    };
    let after = file.metadata().map_err(|error| error.to_string())?;
    let stamp = |meta: &std::fs::Metadata| (meta.len(), meta.mtime(), meta.mtime_nsec());
    let changed = stamp(&before) != stamp(&after) || size != after.len();
    if !self.kept.insert(hash) {
      self.discard(&target);
      return Ok(Copied { hash, size, changed });
    }
    if let Err(error) = std::fs::rename(&target, self.folder.join(hash.to_string())) {
      return Err(format!("it cannot be kept: {error}"));
    }
    self.left -= size;
    let Whose { task_id, instance_id, fence } = self.whose;
    self.owed.push(FileUpload { task_id, instance_id, fence, content_hash: hash, file_size: size });
    Ok(Copied { hash, size, changed })
  }

  fn target(&mut self) -> io::Result<PathBuf> {
    if !self.made {
      DirBuilder::new().mode(0o700).recursive(true).create(&self.folder)?;
      self.made = true;
    }
    Ok(self.folder.join("copy"))
  }

  fn discard(&self, target: &Path) {
    let _not_there = std::fs::remove_file(target);
  }

  /// Writes down what is owed, and gives the folder the name under which it is found.
  fn finish(mut self, kept: &Path) -> Vec<ArtifactNote> {
    if !self.made {
      return self.notes;
    }
    let written = (|| {
      if self.owed.is_empty() {
        return std::fs::remove_dir_all(&self.folder);
      }
      let text = serde_json::to_vec(&self.owed).map_err(io::Error::other)?;
      let mut file = private_file(&self.folder.join(OWED))?;
      file.write_all(&text)?;
      // From another executor that ended it, and was not heard.
      let _not_there = std::fs::remove_dir_all(kept);
      std::fs::rename(&self.folder, kept)
    })();
    if let Err(error) = written {
      tracing::warn!(path = %self.folder.display(), %error, "files of an attempt cannot be kept");
      let _gone_anyway = std::fs::remove_dir_all(&self.folder);
      for note in self.notes.iter_mut().filter(|note| note.hash.is_some()) {
        (note.hash, note.reason) = (None, Some(format!("it cannot be kept: {error}")));
      }
    }
    self.notes
  }
}

struct Copied {
  hash: ContentHash,
  size: u64,
  changed: bool,
}

fn private_file(path: &Path) -> io::Result<File> {
  OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn copy_hashed(from: &mut impl Read, to: &Path) -> io::Result<(ContentHash, u64)> {
  let mut target = private_file(to)?;
  let (mut hasher, mut size) = (ContentHasher::default(), 0);
  let mut buffer = vec![0; COPY_BYTES];
  loop {
    match from.read(&mut buffer) {
      Ok(0) => return Ok((hasher.finish(), size)),
      Ok(count) => {
        hasher.add(&buffer[..count]);
        target.write_all(&buffer[..count])?;
        size += count as u64;
      }
      Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
      Err(error) => return Err(error),
    }
  }
}

/// Removes what a killed executor was about to keep.
pub fn clear_parts(base: &Path) {
  for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
    if entry.file_name().to_string_lossy().ends_with(".part") {
      let _gone_anyway = std::fs::remove_dir_all(entry.path());
    }
  }
}

#[cfg(test)]
#[path = "../artifacts_tests.rs"]
mod tests;
