//! Connections that are closed, not given back, unless they ended clean.

use std::sync::Arc;

use hetuflow_core::Ts;
use sea_query::{PostgresQueryBuilder, QueryStatementWriter, SqliteQueryBuilder, Value};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, Sqlite, SqliteConnection};

use super::binder::{pg_arguments, sqlite_arguments};
use super::clock::DbClock;
use super::{AnyRow, DbError, Row1};

/// The connection inside a guard.
pub enum Engine {
  /// PostgreSQL.
  Pg(PoolConnection<Postgres>),
  /// SQLite.
  Sqlite(PoolConnection<Sqlite>),
}

/// One connection, in a transaction or not.
pub struct Conn {
  engine: Option<Engine>,
  in_transaction: bool,
  busy: bool,
  /// Learns from what the database says.
  clock: Arc<DbClock>,
}

impl Conn {
  pub(super) fn new(engine: Engine, clock: Arc<DbClock>) -> Self {
    Self { engine: Some(engine), in_transaction: false, busy: false, clock }
  }

  pub(super) async fn begin(mut self) -> Result<Self, DbError> {
    self.in_transaction = true;
    match self.engine() {
      Engine::Pg(conn) => conn.execute("BEGIN").await.map(drop)?,
      Engine::Sqlite(conn) => conn.execute("BEGIN IMMEDIATE").await.map(drop)?,
    }
    Ok(self)
  }

  /// Begins a transaction on a connection that is in none.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn into_transaction(self) -> Result<Self, DbError> {
    if self.in_transaction { Ok(self) } else { self.begin().await }
  }

  fn engine(&mut self) -> &mut Engine {
    self.engine.as_mut().expect("the engine is only taken by end and drop")
  }

  /// Whether this is SQLite; for the few statements that differ.
  pub fn is_sqlite(&self) -> bool {
    matches!(self.engine, Some(Engine::Sqlite(_)))
  }

  /// Commits on `Ok`, rolls back on `Err`, and passes the outcome on.
  ///
  /// # Errors
  /// The given error, or that of the commit.
  pub async fn end<T, E: From<DbError>>(mut self, outcome: Result<T, E>) -> Result<T, E> {
    if !self.in_transaction {
      return outcome;
    }
    let word = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = match self.engine() {
      Engine::Pg(conn) => conn.execute(word).await.map(drop),
      Engine::Sqlite(conn) => conn.execute(word).await.map(drop),
    };
    match ended {
      Ok(()) => {
        self.in_transaction = false;
        outcome
      }
      Err(error) => outcome.and(Err(E::from(DbError::from(error)))),
    }
  }

  /// The PostgreSQL connection, for statements of that engine alone. The guard counts as busy
  /// until [`Conn::done`].
  pub fn pg(&mut self) -> Option<&mut PgConnection> {
    self.busy = true;
    match self.engine() {
      Engine::Pg(conn) => Some(conn),
      Engine::Sqlite(_) => None,
    }
  }

  /// The SQLite connection, for statements of that engine alone. The guard counts as busy until
  /// [`Conn::done`].
  pub fn sqlite(&mut self) -> Option<&mut SqliteConnection> {
    self.busy = true;
    match self.engine() {
      Engine::Sqlite(conn) => Some(conn),
      Engine::Pg(_) => None,
    }
  }

  /// The statement begun by [`Conn::pg`] or [`Conn::sqlite`] has ended.
  pub fn done(&mut self) {
    self.busy = false;
  }

  /// Runs a built statement and reads its rows.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn fetch<T: AnyRow>(
    &mut self,
    statement: &impl QueryStatementWriter,
  ) -> Result<Vec<T>, DbError> {
    let (sql, values) = self.build(statement);
    self.fetch_text(sql, values).await
  }

  /// As [`Conn::fetch`], for at most one row.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn fetch_optional<T: AnyRow>(
    &mut self,
    statement: &impl QueryStatementWriter,
  ) -> Result<Option<T>, DbError> {
    Ok(self.fetch(statement).await?.into_iter().next())
  }

  /// Runs a built statement and counts the rows that it changed.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn execute(&mut self, statement: &impl QueryStatementWriter) -> Result<u64, DbError> {
    let (sql, values) = self.build(statement);
    self.execute_text(sql, values).await
  }

  fn build(&self, statement: &impl QueryStatementWriter) -> (String, Vec<Value>) {
    let (sql, values) = if self.is_sqlite() {
      statement.build(SqliteQueryBuilder)
    } else {
      statement.build(PostgresQueryBuilder)
    };
    (sql, values.0)
  }

  /// Runs a text that both engines read (`$1` …) and reads its rows.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn fetch_sql<T: AnyRow>(
    &mut self,
    sql: &'static str,
    values: Vec<Value>,
  ) -> Result<Vec<T>, DbError> {
    self.fetch_text(sql.to_owned(), values).await
  }

  /// Runs a text that both engines read (`$1` …) and counts the rows that it changed.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn execute_sql(
    &mut self,
    sql: &'static str,
    values: Vec<Value>,
  ) -> Result<u64, DbError> {
    self.execute_text(sql.to_owned(), values).await
  }

  /// Runs a text that a file of statements put together from its own constants; whatever came from
  /// outside is in the values (`$1` …).
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(in crate::infra) async fn fetch_text<T: AnyRow>(
    &mut self,
    sql: String,
    values: Vec<Value>,
  ) -> Result<Vec<T>, DbError> {
    self.busy = true;
    let rows = match self.engine() {
      Engine::Pg(conn) => {
        let arguments = pg_arguments(values)?;
        sqlx::query_as_with(AssertSqlSafe(sql), arguments).fetch_all(&mut **conn).await
      }
      Engine::Sqlite(conn) => {
        let arguments = sqlite_arguments(values)?;
        sqlx::query_as_with(AssertSqlSafe(sql), arguments).fetch_all(&mut **conn).await
      }
    };
    self.busy = false;
    Ok(rows?)
  }

  /// As [`Conn::fetch_text`], and counts the rows that it changed.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(in crate::infra) async fn execute_text(
    &mut self,
    sql: String,
    values: Vec<Value>,
  ) -> Result<u64, DbError> {
    self.busy = true;
    let changed = match self.engine() {
      Engine::Pg(conn) => {
        let arguments = pg_arguments(values)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        query.execute(&mut **conn).await.map(|done| done.rows_affected())
      }
      Engine::Sqlite(conn) => {
        let arguments = sqlite_arguments(values)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        query.execute(&mut **conn).await.map(|done| done.rows_affected())
      }
    };
    self.busy = false;
    Ok(changed?)
  }

  /// Now, on the clock that decides: the database's where several servers share it.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn now(&mut self) -> Result<Ts, DbError> {
    if self.is_sqlite() {
      return Ok(self.clock.shifted(Ts::now()));
    }
    let asked = Ts::now();
    let rows: Vec<Row1<Ts>> = self.fetch_sql("select clock_timestamp()", Vec::new()).await?;
    let Some(Row1(told)) = rows.into_iter().next() else {
      return Err(DbError::Missing { thing: "now".to_owned() });
    };
    self.clock.note((asked, Ts::now()), told);
    Ok(self.clock.shifted(told))
  }
}

impl Drop for Conn {
  fn drop(&mut self) {
    if !(self.busy || self.in_transaction) {
      return;
    }
    match self.engine.take() {
      Some(Engine::Pg(conn)) => drop(conn.detach()),
      Some(Engine::Sqlite(conn)) => drop(conn.detach()),
      None => {}
    }
  }
}
