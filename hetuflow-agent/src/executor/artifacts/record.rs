//! Where an attempt may leave files, written down for as long as it runs: the executor that started
//! it may not be the one that sees its end.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use hetuflow_core::TaskInstanceId;
use serde::{Deserialize, Serialize};

use super::{NAME, Places, private_file};
use crate::executor::ExecutorSettings;
use crate::executor::folder::{artifacts_beside, run_folder};
use crate::process::own_uid;

/// Ends the name of what is written down.
const PLACES: &str = ".places";

/// What must be known at the end of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
  /// Where it may leave files.
  pub places: Places,
  /// How long its job wants them to be kept, in seconds.
  pub keep_secs: Option<u64>,
}

impl Record {
  /// Writes it down.
  ///
  /// # Errors
  /// When it cannot be written.
  pub fn write(&self, base: &Path, id: TaskInstanceId) -> io::Result<PathBuf> {
    let text = serde_json::to_vec(self).map_err(io::Error::other)?;
    DirBuilder::new().mode(0o700).recursive(true).create(base)?;
    let path = path(base, id);
    private_file(&path)?.write_all(&text)?;
    Ok(path)
  }

  /// What is known of an attempt that another executor has started: what it wrote down, else where
  /// every attempt may leave files.
  pub fn of_orphan(settings: &ExecutorSettings, id: TaskInstanceId) -> Self {
    let written = std::fs::read(path(&settings.artifact_dir, id)).ok();
    if let Some(record) = written.and_then(|text| serde_json::from_slice(&text).ok()) {
      return record;
    }
    let folder = run_folder(settings, id);
    let own = match &folder {
      Some(folder) => folder.join(NAME),
      None => artifacts_beside(settings, id),
    };
    let uid =
      folder.and_then(|folder| std::fs::symlink_metadata(folder).ok()).map(|meta| meta.uid());
    let owner = uid.filter(|uid| *uid != own_uid());
    let (patterns, ours) = (Vec::new(), Vec::new());
    let places = Places { work_dir: own.clone(), own, patterns, ours, owner };
    Self { places, keep_secs: None }
  }

  /// It is not needed any more.
  pub fn forget(base: &Path, id: TaskInstanceId) {
    let _not_there = std::fs::remove_file(path(base, id));
  }
}

fn path(base: &Path, id: TaskInstanceId) -> PathBuf {
  base.join(format!("{id}{PLACES}"))
}

/// Removes what was written down of attempts that nobody follows any more.
pub fn clear_records(base: &Path, living: impl Fn(TaskInstanceId) -> bool) {
  for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
    let name = entry.file_name();
    let id = name.to_str().and_then(|name| name.strip_suffix(PLACES)?.parse().ok());
    if id.is_some_and(|id| !living(id)) {
      let _gone_anyway = std::fs::remove_file(entry.path());
    }
  }
}
