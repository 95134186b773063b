//! Folders that one attempt has for itself, and what is left of them after a crash.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hetuflow_core::TaskInstanceId;

use super::ExecutorSettings;
use crate::process::{Account, SpawnError, own_uid};

const RUNS: &str = "runs";
const SECRETS: &str = "secrets";
/// Ends the name of a folder for files of an attempt that has no folder else.
const ARTIFACTS: &str = ".artifacts";

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
  /// An attempt runs in it.
  Run,
  /// Its secrets lie in it.
  Secrets,
}

/// The folder of one attempt. Nobody but its user looks into it.
#[derive(Debug)]
pub struct Folder {
  path: PathBuf,
  owner: Option<(u32, u32)>,
}

impl Folder {
  /// Makes the folder of an attempt: beside the agent's own things, or where other users can reach
  /// it, and secrets where nothing gets to a disk.
  ///
  /// # Errors
  /// With the path that is to blame.
  pub fn make(
    settings: &ExecutorSettings,
    id: TaskInstanceId,
    (purpose, account): (Purpose, Option<&Account>),
  ) -> Result<Self, SpawnError> {
    let owner = account.map(|account| (account.uid, account.gid));
    let base = match (purpose, account) {
      (Purpose::Run, None) => settings.run_base_dir.clone(),
      (Purpose::Run, Some(_)) => settings.runtime_dir.join(RUNS),
      (Purpose::Secrets, _) => settings.runtime_dir.join(SECRETS),
    };
    let made = if base == settings.run_base_dir { private(&base) } else { reachable(&base) };
    made.map_err(|source| SpawnError { path: base.display().to_string(), source })?;
    let path = base.join(id.to_string());
    private(&path).map_err(|source| SpawnError { path: path.display().to_string(), source })?;
    Ok(Self { path, owner })
  }

  /// Where it is.
  pub fn path(&self) -> &Path {
    &self.path
  }

  /// Writes a new file into it.
  ///
  /// # Errors
  /// With the path that is to blame.
  pub fn file(&self, name: &str, bytes: &[u8], mode: u32) -> Result<PathBuf, SpawnError> {
    let path = self.path.join(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options.open(&path).and_then(|mut file| file.write_all(bytes));
    match written.and_then(|()| self.hand_over(&path)) {
      Ok(()) => Ok(path),
      Err(source) => Err(SpawnError { path: path.display().to_string(), source }),
    }
  }

  /// Makes a folder in it.
  ///
  /// # Errors
  /// With the path that is to blame.
  pub fn folder(&self, name: &str) -> Result<PathBuf, SpawnError> {
    let path = self.path.join(name);
    match private(&path).and_then(|()| self.hand_over(&path)) {
      Ok(()) => Ok(path),
      Err(source) => Err(SpawnError { path: path.display().to_string(), source }),
    }
  }

  /// Lets its user in, when everything is in its place: until then nobody else could have put a
  /// link where we write.
  ///
  /// # Errors
  /// With the path that is to blame.
  pub fn open_to_user(&self) -> Result<(), SpawnError> {
    self
      .hand_over(&self.path)
      .map_err(|source| SpawnError { path: self.path.display().to_string(), source })
  }

  fn hand_over(&self, path: &Path) -> io::Result<()> {
    match self.owner {
      Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
      None => Ok(()),
    }
  }
}

fn private(path: &Path) -> io::Result<()> {
  DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// A folder that others may pass through and only we may change.
fn reachable(path: &Path) -> io::Result<()> {
  // The place of all agents, the place of this one, and this.
  let mut above: Vec<&Path> = path.ancestors().take(3).collect();
  above.reverse();
  for path in above {
    DirBuilder::new().mode(0o711).recursive(true).create(path)?;
    check_ours(path)?;
  }
  Ok(())
}

fn check_ours(path: &Path) -> io::Result<()> {
  let meta = std::fs::symlink_metadata(path)?;
  if meta.is_dir() && meta.uid() == own_uid() && meta.mode() & 0o022 == 0 {
    // Our own umask may have taken the way through it from the others.
    return match meta.mode() & 0o111 {
      0o111 => Ok(()),
      _ => std::fs::set_permissions(path, std::fs::Permissions::from_mode(meta.mode() | 0o711)),
    };
  }
  Err(io::Error::new(
    io::ErrorKind::PermissionDenied,
    format!("{} must be a folder of the agent's user that nobody else can write", path.display()),
  ))
}

/// Every place where folders of attempts are made.
fn bases(settings: &ExecutorSettings) -> [PathBuf; 3] {
  let runtime = &settings.runtime_dir;
  [settings.run_base_dir.clone(), runtime.join(RUNS), runtime.join(SECRETS)]
}

/// Removes what an executor that was killed has left, but for attempts that still live.
pub fn clear(settings: &ExecutorSettings, living: &HashSet<TaskInstanceId>) {
  for base in bases(settings) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
      let id = entry.file_name().to_str().and_then(|name| {
        name.strip_suffix(ARTIFACTS).unwrap_or(name).parse::<TaskInstanceId>().ok()
      });
      if id.is_some_and(|id| !living.contains(&id)) {
        remove(&[entry.path()]);
      }
    }
  }
}

/// Removes what an executor that leaves has made for its attempts, as far as nothing is in it.
pub fn tidy(settings: &ExecutorSettings) {
  let runtime = &settings.runtime_dir;
  for folder in [runtime.join(RUNS), runtime.join(SECRETS), runtime.clone()] {
    let _not_there_or_in_use = std::fs::remove_dir(folder);
  }
}

/// The folder that an attempt runs in, where it has one.
pub fn run_folder(settings: &ExecutorSettings, id: TaskInstanceId) -> Option<PathBuf> {
  let [own, users, _secrets] = bases(settings);
  [own, users].map(|base| base.join(id.to_string())).into_iter().find(|path| path.is_dir())
}

/// Removes the folders of an attempt that has ended without us seeing it.
pub fn clear_one(settings: &ExecutorSettings, id: TaskInstanceId) {
  remove(&bases(settings).map(|base| base.join(id.to_string())));
  remove(&[artifacts_beside(settings, id)]);
}

/// Where an attempt without a folder of its own may leave files, if it makes that folder.
pub fn artifacts_beside(settings: &ExecutorSettings, id: TaskInstanceId) -> PathBuf {
  settings.run_base_dir.join(format!("{id}{ARTIFACTS}"))
}

/// Removes the folders of an attempt that has ended, as far as they are there.
pub fn remove(folders: &[PathBuf]) {
  for dir in folders {
    if let Err(error) = std::fs::remove_dir_all(dir)
      && error.kind() != io::ErrorKind::NotFound
    {
      tracing::warn!(path = %dir.display(), %error, "cannot remove the folder of an ended attempt");
    }
  }
}
