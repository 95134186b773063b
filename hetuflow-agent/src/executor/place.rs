//! Where the executor of an agent is found: a socket in the state folder, and who may be it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const SOCKET: &str = "executor.sock";
const LOCK: &str = "executor.lock";

/// The folder of an executor: its journal, its socket, its lock.
#[derive(Debug, Clone)]
pub struct Place {
  folder: PathBuf,
}

/// Why a place cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
  /// Another executor lives in it.
  #[error("another executor has the folder {0}")]
  Taken(String),
  /// The folder cannot be used.
  #[error("cannot use the folder {path}")]
  Folder {
    /// Which.
    path: String,
    /// Why.
    #[source]
    source: io::Error,
  },
}

/// A place as one executor's own, for as long as this lives.
#[derive(Debug)]
pub struct Taken {
  /// Where agents come in.
  pub listener: UnixListener,
  /// Given back by the kernel, whatever becomes of the process.
  pub lock: File,
}

impl Place {
  /// The place below a state folder, which must exist.
  pub fn new(state_dir: &Path) -> Self {
    Self { folder: state_dir.to_owned() }
  }

  /// The folder.
  pub fn folder(&self) -> &Path {
    &self.folder
  }

  /// Takes the place for this process; only inside a runtime.
  ///
  /// # Errors
  /// [`PlaceError::Taken`] while another executor lives in it.
  pub fn take(&self) -> Result<Taken, PlaceError> {
    let failed = |source| PlaceError::Folder { path: self.folder.display().to_string(), source };
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut lock = options.open(self.folder.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
      Ok(()) => {}
      Err(std::fs::TryLockError::WouldBlock) => {
        return Err(PlaceError::Taken(self.folder.display().to_string()));
      }
      Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
    // A dead executor has left it; the lock says that none lives.
    match std::fs::remove_file(self.folder.join(SOCKET)) {
      Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
      _ => {}
    }
    let listener = self.by_short_name(|path| UnixListener::bind(path)).map_err(failed)?;
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(self.folder.join(SOCKET), own).map_err(failed)?;
    Ok(Taken { listener, lock })
  }

  /// Dials the executor of this place.
  ///
  /// # Errors
  /// When none listens.
  pub async fn dial(&self) -> io::Result<UnixStream> {
    let folder = File::open(&self.folder)?;
    UnixStream::connect(short_name(&folder)).await
  }

  fn by_short_name<T>(&self, bind: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let folder = File::open(&self.folder)?;
    bind(short_name(&folder))
  }
}

/// Names of sockets have 107 bytes at most, folders any number.
fn short_name(folder: &File) -> PathBuf {
  PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}
