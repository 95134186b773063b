//! The database that a bench runs on, and fresh places in it.

use std::path::Path;

use anyhow::{Context, Result};

use super::args::Db;
use super::store::Store;
use crate::postgres::{Admin, Database, Durability, Postgres};

/// `f_type` of a file system that lives in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// An engine, started if need be.
#[derive(Debug)]
pub struct Target {
  admin: Option<Admin>,
  _postgres: Option<Postgres>,
}

/// An empty database or folder for one part of a bench; gone when dropped.
#[derive(Debug)]
pub struct Fresh {
  url: String,
  _database: Option<Database>,
  _dir: Option<tempfile::TempDir>,
}

impl Fresh {
  /// `postgres://…` or `sqlite:…`; migrated by nobody yet.
  pub fn url(&self) -> &str {
    &self.url
  }
}

impl Target {
  /// Starts PostgreSQL where that was asked for.
  ///
  /// # Errors
  /// When PostgreSQL is missing or does not start.
  pub fn open(db: &Db) -> Result<Self> {
    Ok(match db {
      Db::Sqlite => Self { admin: None, _postgres: None },
      Db::Url(url) => Self { admin: Some(Admin::new(url.clone())), _postgres: None },
      Db::Postgres => {
        let postgres = Postgres::start(Durability::Default)?;
        Self { admin: Some(postgres.admin().clone()), _postgres: Some(postgres) }
      }
    })
  }

  /// Whether this is PostgreSQL.
  pub fn is_postgres(&self) -> bool {
    self.admin.is_some()
  }

  /// An empty database: a new one in PostgreSQL, a file in a folder of its own on SQLite.
  ///
  /// # Errors
  /// When PostgreSQL refuses or the folder cannot be made.
  pub async fn fresh(&self) -> Result<Fresh> {
    if let Some(admin) = &self.admin {
      let database = admin.create_database().await?;
      return Ok(Fresh { url: database.url().to_owned(), _database: Some(database), _dir: None });
    }
    let dir = tempfile::Builder::new().prefix("hetuflow-bench-").tempdir()?;
    let url = format!("sqlite:{}", dir.path().join("bench.db").display());
    Ok(Fresh { url, _database: None, _dir: Some(dir) })
  }

  /// Engine, version and how durable a commit is.
  ///
  /// # Errors
  /// When PostgreSQL does not answer.
  pub async fn describe(&self) -> Result<String> {
    let Some(admin) = &self.admin else {
      let fresh = self.fresh().await?;
      let mut store = Store::open(fresh.url()).await?;
      return Ok(format!(
        "SQLite {} (WAL, synchronous full)",
        store.text("select sqlite_version()").await?
      ));
    };
    let mut store = Store::open(admin.url()).await?;
    let version = store.text("select current_setting('server_version')").await?;
    let mut settings = Vec::new();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
      let value = store.text(&format!("select current_setting('{name}')")).await?;
      settings.push(format!("{name} {value}"));
    }
    let version = version.split(' ').next().unwrap_or_default();
    Ok(format!("PostgreSQL {version} ({})", settings.join(", ")))
  }

  /// What makes the figures mean less than they seem to.
  pub fn warnings(&self) -> Vec<String> {
    let dir = std::env::temp_dir();
    if self.is_postgres() || !in_memory(&dir).unwrap_or(false) {
      return Vec::new();
    }
    vec![format!("{} lives in memory: commits are not durable; set TMPDIR", dir.display())]
  }
}

/// Whether a folder is on a file system that lives in memory.
fn in_memory(dir: &Path) -> Result<bool> {
  let stat = rustix::fs::statfs(dir).with_context(|| format!("statfs {}", dir.display()))?;
  Ok(stat.f_type == TMPFS_MAGIC)
}
