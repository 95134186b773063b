//! Looking into the database from outside, without going through a server.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, PgConnection, SqliteConnection};
use uuid::Uuid;

/// One connection.
#[derive(Debug)]
pub enum Store {
  /// PostgreSQL.
  Postgres(PgConnection),
  /// SQLite.
  Sqlite(SqliteConnection),
}

impl Store {
  /// Connects; makes the file on SQLite.
  ///
  /// # Errors
  /// When the database cannot be reached.
  pub async fn open(url: &str) -> Result<Self> {
    if url.starts_with("sqlite:") {
      return Ok(Self::Sqlite(sqlite_options(url)?.connect().await.context("open SQLite")?));
    }
    Ok(Self::Postgres(PgConnection::connect(url).await.context("connect to PostgreSQL")?))
  }

  /// Brings an empty database to the schema of the repository.
  ///
  /// # Errors
  /// When a migration fails.
  pub async fn migrate(&mut self) -> Result<()> {
    let folder = |engine: &str| {
      std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(engine)
    };
    match self {
      Self::Postgres(conn) => {
        sqlx::migrate::Migrator::new(folder("postgres")).await?.run(conn).await?;
      }
      Self::Sqlite(conn) => {
        sqlx::migrate::Migrator::new(folder("sqlite")).await?.run(conn).await?;
      }
    }
    Ok(())
  }

  /// Runs statements.
  ///
  /// # Errors
  /// When the database refuses.
  pub async fn execute(&mut self, sql: &str) -> Result<()> {
    match self {
      Self::Postgres(conn) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop),
      Self::Sqlite(conn) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop),
    }
    .with_context(|| sql.to_owned())
  }

  /// All rows of a query.
  ///
  /// # Errors
  /// When the database refuses or the types differ.
  pub async fn rows<T>(&mut self, sql: &str) -> Result<Vec<T>>
  where
    T: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow>,
  {
    match self {
      Self::Postgres(conn) => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(conn).await,
      Self::Sqlite(conn) => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(conn).await,
    }
    .with_context(|| sql.to_owned())
  }

  /// The single integer that a query gives; no value is 0.
  ///
  /// # Errors
  /// As [`Store::rows`].
  pub async fn number(&mut self, sql: &str) -> Result<i64> {
    let rows: Vec<(Option<i64>,)> = self.rows(sql).await?;
    Ok(rows.first().and_then(|row| row.0).unwrap_or(0))
  }

  /// The single text that a query gives.
  ///
  /// # Errors
  /// As [`Store::rows`].
  pub async fn text(&mut self, sql: &str) -> Result<String> {
    let rows: Vec<(String,)> = self.rows(sql).await?;
    rows.into_iter().next().map(|row| row.0).with_context(|| format!("no row: {sql}"))
  }

  /// An id as SQL of this engine.
  pub fn id(&self, id: Uuid) -> String {
    match self {
      Self::Postgres(_) => format!("'{id}'::uuid"),
      Self::Sqlite(_) => format!("x'{}'", id.simple()),
    }
  }

  /// An instant's column as SQL for microseconds since 1970.
  pub fn micros(&self, column: &str) -> String {
    match self {
      Self::Postgres(_) => format!("(extract(epoch from {column}) * 1000000)::bigint"),
      Self::Sqlite(_) => column.to_owned(),
    }
  }
}

/// SQLite as the server opens it: WAL, and a commit waits for the disk.
pub fn sqlite_options(url: &str) -> Result<SqliteConnectOptions> {
  let options = SqliteConnectOptions::from_str(url)?
    .create_if_missing(true)
    .journal_mode(SqliteJournalMode::Wal)
    .synchronous(SqliteSynchronous::Full)
    .busy_timeout(Duration::from_secs(10))
    .pragma("cache_size", "-16384")
    .pragma("wal_autocheckpoint", "4000");
  Ok(options)
}
