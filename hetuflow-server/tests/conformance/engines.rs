//! A fresh store per test, on either engine.

use hetuflow_server::infra::db::{Db, DbOptions, migrate};
use hetuflow_tests::postgres;

/// A migrated store that is gone when it is dropped.
pub struct TestStore {
  pub db: Db,
  _files: Option<tempfile::TempDir>,
  _database: Option<(postgres::Admin, postgres::Database)>,
}

/// SQLite in a folder of its own.
pub async fn sqlite() -> TestStore {
  let dir = tempfile::tempdir().unwrap();
  let url = format!("sqlite:{}", dir.path().join("test.db").display());
  let db = Db::open(&DbOptions::for_url(url)).await.unwrap();
  migrate(&db).await.unwrap();
  TestStore { db, _files: Some(dir), _database: None }
}

/// A database of its own in the shared cluster.
pub async fn postgres() -> TestStore {
  let admin = postgres::shared().unwrap();
  let database = admin.create_database().await.unwrap();
  let db = Db::open(&DbOptions::for_url(database.url())).await.unwrap();
  migrate(&db).await.unwrap();
  TestStore { db, _files: None, _database: Some((admin, database)) }
}

macro_rules! both_engines {
  ($($module:ident::$name:ident),+ $(,)?) => {
    mod on_sqlite {
      $( #[tokio::test(flavor = "multi_thread")]
      async fn $name() { crate::$module::$name(&crate::engines::sqlite().await).await; } )+
    }
    mod on_postgres {
      $( #[tokio::test(flavor = "multi_thread")]
      async fn $name() { crate::$module::$name(&crate::engines::postgres().await).await; } )+
    }
  };
}
pub(crate) use both_engines;
