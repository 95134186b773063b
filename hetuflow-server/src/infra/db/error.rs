//! What can go wrong with a statement, in words that services can decide on.

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
  /// A unique key is taken; names the key.
  #[error("unique key {constraint} is taken")]
  Unique {
    /// The constraint or index.
    constraint: String,
  },
  /// A row that must exist does not.
  #[error("{thing} does not exist")]
  Missing {
    /// What was looked for.
    thing: String,
  },
  /// What the caller had in memory is no longer so; nothing was written.
  #[error("{thing} has changed meanwhile")]
  Outdated {
    /// What has changed.
    thing: String,
  },
  /// Two transactions waited for each other, or the file was busy: the same work may succeed.
  #[error("transaction must be tried again")]
  Retry(#[source] sqlx::Error),
  /// The database cannot be reached, or no connection was free in time.
  #[error("database cannot be reached")]
  Unreachable(#[source] sqlx::Error),
  /// The database is not one that this server can use.
  #[error("{0}")]
  Unusable(String),
  /// A stored value breaks a rule of the schema.
  #[error("stored value is bad: {0}")]
  BadData(String),
  /// Anything else.
  #[error("database statement failed")]
  Other(#[source] sqlx::Error),
}

impl DbError {
  /// Whether the same transaction may succeed when it is run again.
  pub fn is_retry(&self) -> bool {
    matches!(self, Self::Retry(_))
  }

  /// Whether the connection ended under the statement, so that nobody knows what became of it.
  pub fn is_broken_link(&self) -> bool {
    matches!(self, Self::Unreachable(sqlx::Error::Io(_) | sqlx::Error::Database(_)))
  }
}

impl From<sqlx::Error> for DbError {
  fn from(error: sqlx::Error) -> Self {
    match &error {
      sqlx::Error::Database(inner) => {
        if inner.is_unique_violation() {
          let constraint = inner.constraint().map_or_else(
            || inner.message().trim_start_matches("UNIQUE constraint failed: ").to_owned(),
            str::to_owned,
          );
          return Self::Unique { constraint };
        }
        match inner.code().as_deref() {
          // serialization_failure, deadlock_detected; SQLITE_BUSY and its relatives
          Some("40001" | "40P01" | "5" | "261" | "517" | "6") => Self::Retry(error),
          Some("57P01" | "57P02" | "57P03" | "53300") => Self::Unreachable(error),
          _ => Self::Other(error),
        }
      }
      sqlx::Error::RowNotFound => Self::Missing { thing: "row".to_owned() },
      sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
        Self::Unreachable(error)
      }
      _ => Self::Other(error),
    }
  }
}
