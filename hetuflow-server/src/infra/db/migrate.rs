//! Migrations: embedded, reversible, and run under a lock.

use sqlx::migrate::Migrator;

use super::{Db, DbError};

static PG: Migrator = sqlx::migrate!("../migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");

/// What a store has and what this build knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
  /// Applied in the store.
  pub applied: Vec<i64>,
  /// Known to this build.
  pub known: Vec<i64>,
}

impl MigrationState {
  /// Known and not applied.
  pub fn pending(&self) -> Vec<i64> {
    self.known.iter().filter(|version| !self.applied.contains(version)).copied().collect()
  }
}

fn migrator(db: &Db) -> &'static Migrator {
  if db.is_sqlite() { &SQLITE } else { &PG }
}

/// Brings the store up to date. On PostgreSQL the runs of several servers wait for each other;
/// a SQLite file belongs to one server anyway.
///
/// # Errors
/// [`DbError::Unusable`] when the store is newer than this build or a migration was changed.
pub async fn migrate(db: &Db) -> Result<(), DbError> {
  let mut conn = db.write_connection().await?;
  let unusable = |error: sqlx::migrate::MigrateError| {
    DbError::Unusable(format!("cannot migrate the store: {error}"))
  };
  let migrator = migrator(db);
  if let Some(pg) = conn.pg() {
    migrator.run(pg).await.map_err(unusable)?;
  } else if let Some(sqlite) = conn.sqlite() {
    migrator.run(sqlite).await.map_err(unusable)?;
  }
  conn.done();
  Ok(())
}

/// Takes the store back to an older version; 0 is empty. For tests of the way back; what the
/// dropped tables held is gone.
///
/// # Errors
/// [`DbError::Unusable`] when a migration cannot be reverted.
pub async fn revert(db: &Db, version: i64) -> Result<(), DbError> {
  let mut conn = db.write_connection().await?;
  let unusable = |error: sqlx::migrate::MigrateError| {
    DbError::Unusable(format!("cannot revert the store: {error}"))
  };
  let migrator = migrator(db);
  if let Some(pg) = conn.pg() {
    migrator.undo(pg, version).await.map_err(unusable)?;
  } else if let Some(sqlite) = conn.sqlite() {
    migrator.undo(sqlite, version).await.map_err(unusable)?;
  }
  conn.done();
  Ok(())
}

/// Reads which migrations are applied.
///
/// # Errors
/// [`DbError`] when the store cannot be read.
pub async fn migration_state(db: &Db) -> Result<MigrationState, DbError> {
  let known = migrator(db)
    .iter()
    .filter(|one| !one.migration_type.is_down_migration())
    .map(|one| one.version)
    .collect();
  let mut conn = db.read().await?;
  let applied: Result<Vec<(i64,)>, DbError> =
    conn.fetch_sql("select version from _sqlx_migrations order by version", Vec::new()).await;
  Ok(MigrationState {
    applied: applied.unwrap_or_default().into_iter().map(|row| row.0).collect(),
    known,
  })
}
