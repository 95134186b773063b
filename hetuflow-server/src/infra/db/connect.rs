//! Opening a store: pools, session options, and the checks that refuse an unusable one.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::Ts;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, PgPool, SqlitePool};

use super::clock::DbClock;
use super::guard::{Conn, Engine};
use super::lease::FileLease;
use super::{DbError, Row1};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct DbOptions {
  /// `postgres://…` or `sqlite:PATH`.
  pub url: String,
  /// Most connections to PostgreSQL.
  pub max_connections: u32,
  /// Longest wait for a connection.
  pub acquire_timeout: Duration,
  /// Longest run of one statement.
  pub statement_timeout: Duration,
}

impl DbOptions {
  /// Options with the defaults for a URL.
  pub fn for_url(url: impl Into<String>) -> Self {
    Self {
      url: url.into(),
      max_connections: 20,
      acquire_timeout: Duration::from_secs(10),
      statement_timeout: Duration::from_secs(30),
    }
  }
}

#[derive(Clone)]
enum Pools {
  Pg { pool: PgPool, hot: PgPool },
  Sqlite { write: SqlitePool, read: SqlitePool, _lease: Arc<FileLease> },
}

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Db {
  pools: Pools,
  url: Arc<str>,
  clock: Arc<DbClock>,
}

impl Db {
  /// Opens a store.
  ///
  /// # Errors
  /// [`DbError::Unusable`] says what is wrong with the URL, the file or the server.
  pub async fn open(options: &DbOptions) -> Result<Self, DbError> {
    let url = options.url.as_str();
    let pools = match url.split_once(':').map(|(scheme, _)| scheme) {
      Some("postgres" | "postgresql") => open_pg(options).await?,
      Some("sqlite") => open_sqlite(options).await?,
      _ => {
        return Err(DbError::Unusable(format!(
          "\"{}\" is not a database URL: use postgres://user@host/name or sqlite:/path/to/file",
          hetuflow_core::config_text::mask_url(url)
        )));
      }
    };
    let url = hetuflow_core::config_text::mask_url(url).into();
    let db = Self { pools, url, clock: Arc::default() };
    // A server whose own clock is wrong must know it before anything counts on it.
    if db.pg_pool().is_some() {
      db.read().await?.now().await?;
    }
    Ok(db)
  }

  /// Makes [`Conn::now`] tell another time, so that a test can stand at any instant and step the
  /// clock that decides. Statements that read the clock themselves do not see it.
  pub fn shift_clock(&self, micros: i64) {
    self.clock.shift(micros);
  }

  /// The clock that decides, as far as is known without asking.
  pub fn clock(&self) -> &Arc<DbClock> {
    &self.clock
  }

  /// Now on that clock; [`Conn::now`] is exact, this costs nothing.
  pub fn now(&self) -> Ts {
    self.clock.now()
  }

  fn conn(&self, engine: Engine) -> Conn {
    Conn::new(engine, Arc::clone(&self.clock))
  }

  /// The URL without its password.
  pub fn url(&self) -> &str {
    &self.url
  }

  /// Whether this is SQLite.
  pub fn is_sqlite(&self) -> bool {
    matches!(self.pools, Pools::Sqlite { .. })
  }

  /// The PostgreSQL pool, for LISTEN.
  pub fn pg_pool(&self) -> Option<&PgPool> {
    match &self.pools {
      Pools::Pg { pool, .. } => Some(pool),
      Pools::Sqlite { .. } => None,
    }
  }

  /// A connection for reading.
  ///
  /// # Errors
  /// [`DbError::Unreachable`] when none is free in time.
  pub async fn read(&self) -> Result<Conn, DbError> {
    Ok(self.conn(match &self.pools {
      Pools::Pg { pool, .. } => Engine::Pg(pool.acquire().await?),
      Pools::Sqlite { read, .. } => Engine::Sqlite(read.acquire().await?),
    }))
  }

  /// A transaction.
  ///
  /// # Errors
  /// [`DbError::Unreachable`] when no connection is free in time.
  pub async fn begin(&self) -> Result<Conn, DbError> {
    let engine = match &self.pools {
      Pools::Pg { pool, .. } => Engine::Pg(pool.acquire().await?),
      Pools::Sqlite { write, .. } => Engine::Sqlite(write.acquire().await?),
    };
    self.conn(engine).begin().await
  }

  /// A transaction of the hot path: few connections, whose planner settings keep to the indexes.
  ///
  /// # Errors
  /// [`DbError::Unreachable`] when no connection is free in time.
  pub async fn begin_hot(&self) -> Result<Conn, DbError> {
    let engine = match &self.pools {
      Pools::Pg { hot, .. } => Engine::Pg(hot.acquire().await?),
      Pools::Sqlite { write, .. } => Engine::Sqlite(write.acquire().await?),
    };
    self.conn(engine).begin().await
  }

  /// A connection of the hot path for one statement that is a transaction by itself: PostgreSQL
  /// spares the round trips of BEGIN and COMMIT, SQLite begins one.
  ///
  /// # Errors
  /// [`DbError::Unreachable`] when no connection is free in time.
  pub async fn begin_single(&self) -> Result<Conn, DbError> {
    match &self.pools {
      Pools::Pg { hot, .. } => Ok(self.conn(Engine::Pg(hot.acquire().await?))),
      Pools::Sqlite { .. } => self.begin_hot().await,
    }
  }

  /// The one connection that writes to SQLite, outside a transaction.
  ///
  /// # Errors
  /// [`DbError::Unreachable`] when it is not free in time.
  pub async fn write_connection(&self) -> Result<Conn, DbError> {
    match &self.pools {
      Pools::Pg { pool, .. } => Ok(self.conn(Engine::Pg(pool.acquire().await?))),
      Pools::Sqlite { write, .. } => Ok(self.conn(Engine::Sqlite(write.acquire().await?))),
    }
  }

  /// Closes all connections; waits for those in use.
  pub async fn close(&self) {
    match &self.pools {
      Pools::Pg { pool, hot } => {
        hot.close().await;
        pool.close().await;
      }
      Pools::Sqlite { write, read, .. } => {
        read.close().await;
        write.close().await;
      }
    }
  }
}

/// Planner settings of hot connections (HOTPATH rule 2): fresh tables and cached generic plans
/// would otherwise settle on hash joins and sequential scans.
const HOT_SETTINGS: &str = "set enable_seqscan = off; set enable_hashjoin = off; \
  set enable_mergejoin = off; set plan_cache_mode = force_generic_plan";

/// Connections of the hot path: two report lanes, two submit lanes, one claim, two to spare.
const HOT_CONNECTIONS_MAX: u32 = 7;

async fn open_pg(options: &DbOptions) -> Result<Pools, DbError> {
  let connect = PgConnectOptions::from_str(&options.url)
    .map_err(|error| DbError::Unusable(format!("database URL is not readable: {error}")))?
    .application_name("hetuflow-server")
    .options([
      ("statement_timeout", options.statement_timeout.as_millis().to_string()),
      ("lock_timeout", "10000".to_owned()),
      ("idle_in_transaction_session_timeout", "30000".to_owned()),
      ("timezone", "UTC".to_owned()),
      ("client_min_messages", "warning".to_owned()),
    ]);
  // The pool would try until its time is up and then only say that; one try tells why.
  let first = sqlx::postgres::PgConnection::connect_with(&connect);
  let first = tokio::time::timeout(options.acquire_timeout, first).await;
  let slow = || DbError::Unreachable(sqlx::Error::PoolTimedOut);
  sqlx::Connection::close(first.map_err(|_| slow())??).await?;
  // No ping before each use: it would double the round trips of short work. A connection that died
  // shows in its first statement, is closed by its guard, and the work is asked for again.
  let pool = PgPoolOptions::new()
    .test_before_acquire(false)
    .max_connections(options.max_connections)
    .acquire_timeout(options.acquire_timeout)
    .connect_with(connect.clone())
    .await?;
  let hot = PgPoolOptions::new()
    .test_before_acquire(false)
    .max_connections(HOT_CONNECTIONS_MAX.min(options.max_connections))
    .acquire_timeout(options.acquire_timeout)
    .after_connect(|conn, _| Box::pin(async move { conn.execute(HOT_SETTINGS).await.map(drop) }))
    .connect_lazy_with(connect);
  check_pg(&pool).await?;
  Ok(Pools::Pg { pool, hot })
}

async fn check_pg(pool: &PgPool) -> Result<(), DbError> {
  let mut conn = Conn::new(Engine::Pg(pool.acquire().await?), Arc::default());
  let sql = "select current_setting('server_version_num')::bigint, pg_is_in_recovery(), \
    current_setting('server_encoding')";
  let rows: Vec<(i64, bool, String)> = conn.fetch_sql(sql, Vec::new()).await?;
  match rows.first() {
    Some((version, _, _)) if *version < 140_000 => {
      Err(DbError::Unusable(format!("PostgreSQL 14 or newer is needed, this is {version}")))
    }
    Some((_, true, _)) => {
      Err(DbError::Unusable("the database is a read-only replica; name the primary".to_owned()))
    }
    Some((_, _, encoding)) if encoding != "UTF8" => {
      Err(DbError::Unusable(format!("the database is in {encoding}; it must be in UTF8")))
    }
    _ => Ok(()),
  }
}

async fn open_sqlite(options: &DbOptions) -> Result<Pools, DbError> {
  let path = sqlite_path(&options.url)?;
  let lease = Arc::new(FileLease::take(&path)?);
  let connect = SqliteConnectOptions::new()
    .filename(&path)
    .create_if_missing(true)
    .journal_mode(SqliteJournalMode::Wal)
    .synchronous(SqliteSynchronous::Full)
    .busy_timeout(Duration::from_secs(5))
    .foreign_keys(true)
    .pragma("cache_size", "-16384")
    .pragma("wal_autocheckpoint", "4000");
  let write = SqlitePoolOptions::new()
    .test_before_acquire(false)
    .max_connections(1)
    .min_connections(1)
    .max_lifetime(None)
    .idle_timeout(None)
    .acquire_timeout(options.acquire_timeout)
    .connect_with(connect.clone())
    .await
    .map_err(|error| unusable_file(&path, &error))?;
  let read = SqlitePoolOptions::new()
    .test_before_acquire(false)
    .max_connections(4)
    .acquire_timeout(options.acquire_timeout)
    .connect_lazy_with(connect.pragma("query_only", "1"));
  let mut conn = Conn::new(Engine::Sqlite(write.acquire().await?), Arc::default());
  let check: Result<Vec<Row1<i64>>, DbError> =
    conn.fetch_sql("select count(*) from sqlite_master", Vec::new()).await;
  drop(conn);
  if let Err(DbError::Other(error)) = check {
    return Err(unusable_file(&path, &error));
  }
  Ok(Pools::Sqlite { write, read, _lease: lease })
}

fn sqlite_path(url: &str) -> Result<PathBuf, DbError> {
  let rest = url.trim_start_matches("sqlite:");
  let path = rest.strip_prefix("//").unwrap_or(rest);
  if path.is_empty() || path.starts_with(":memory:") {
    return Err(DbError::Unusable(
      "a SQLite store needs a file: a store in memory would be lost at the first restart"
        .to_owned(),
    ));
  }
  let path = PathBuf::from(path);
  match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
    Some(dir) if !dir.is_dir() => {
      Err(DbError::Unusable(format!("folder {} does not exist", dir.display())))
    }
    _ => Ok(path),
  }
}

fn unusable_file(path: &Path, error: &sqlx::Error) -> DbError {
  DbError::Unusable(format!("cannot use {} as a SQLite store: {error}", path.display()))
}
