//! Why a server does not start, and what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::infra::db::DbError;
use crate::service::SvcError;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
  /// The data folder cannot be used.
  #[error("cannot use {path}")]
  DataDir {
    /// The folder or file.
    path: PathBuf,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// The store cannot be used.
  #[error("cannot use the database {url}")]
  Database {
    /// Its URL without the password.
    url: String,
    /// Why.
    #[source]
    source: DbError,
  },
  /// The address cannot be had.
  #[error("cannot listen on {address}")]
  Bind {
    /// The address.
    address: SocketAddr,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// Too few open files are allowed.
  #[error("{allowed} open files are allowed here (ulimit -n), the server needs at least {needed}")]
  OpenFiles {
    /// How many are.
    allowed: u64,
    /// How many it takes.
    needed: u64,
  },
  /// Something else that a use case refused.
  #[error("cannot start")]
  Service(#[from] SvcError),
}

impl StartError {
  /// Whether the settings are at fault rather than the world.
  pub fn is_config(&self) -> bool {
    matches!(self, Self::DataDir { .. } | Self::OpenFiles { .. })
      || matches!(self, Self::Database { source: DbError::Unusable(_), .. })
  }

  /// What to do about it.
  pub fn hint(&self) -> Option<&'static str> {
    match self {
      Self::DataDir { .. } => Some("set [server] data_dir to a folder that this user may write"),
      Self::Database { .. } => Some("set [database] url or DATABASE_URL; nothing set means SQLite"),
      Self::Bind { .. } => Some("stop what listens there, or choose another with --bind"),
      Self::OpenFiles { .. } => Some("raise the hard limit, as with LimitNOFILE= of systemd"),
      Self::Service(_) => None,
    }
  }
}
