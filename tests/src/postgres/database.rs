//! Databases inside a cluster, one for each test.

use std::path::Path;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::install::Unprivileged;

/// A connection string that may create and drop databases.
#[derive(Debug, Clone)]
pub struct Admin {
  url: String,
}

/// A database of one test; dropping the value drops it, connections and all.
#[derive(Debug)]
pub struct Database {
  admin: Admin,
  name: String,
  url: String,
}

impl Admin {
  /// Wraps the URL of a superuser; its path names the database to be in meanwhile.
  pub(crate) fn new(url: String) -> Self {
    Self { url }
  }

  /// The URL itself.
  pub fn url(&self) -> &str {
    &self.url
  }

  /// A fresh, empty database; dropped with the value.
  ///
  /// # Errors
  /// When PostgreSQL cannot be reached or refuses.
  pub async fn create_database(&self) -> Result<Database> {
    self.create_in("pg_default").await
  }

  /// A place for databases in a folder, which must be empty: for disks of a story's own.
  ///
  /// # Errors
  /// When PostgreSQL refuses, or the folder cannot be given to it.
  pub async fn tablespace(&self, folder: &Path) -> Result<Tablespace> {
    if let Some(user) = Unprivileged::needed()? {
      std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid))?;
    }
    let name = format!("s_{}", uuid::Uuid::now_v7().simple());
    let folder = folder.display();
    let sql = format!("CREATE TABLESPACE {name} LOCATION '{folder}'");
    execute(&self.url, &sql).await.with_context(|| sql.clone())?;
    Ok(Tablespace { admin: self.clone(), name })
  }

  async fn create_in(&self, space: &str) -> Result<Database> {
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 TABLESPACE {space}");
    execute(&self.url, &sql).await.with_context(|| format!("create database {name}"))?;
    let url = with_database(&self.url, &name)?;
    Ok(Database { admin: self.clone(), name, url })
  }
}

/// A place for databases; dropping the value drops it, after all that is in it.
#[derive(Debug)]
pub struct Tablespace {
  admin: Admin,
  name: String,
}

impl Tablespace {
  /// A fresh, empty database in it.
  ///
  /// # Errors
  /// When PostgreSQL refuses.
  pub async fn create_database(&self) -> Result<Database> {
    self.admin.create_in(&self.name).await
  }
}

impl Drop for Tablespace {
  fn drop(&mut self) {
    drop_now(&self.admin.url, &format!("DROP TABLESPACE IF EXISTS {}", self.name), &self.name);
  }
}

impl Database {
  /// `postgres://…/NAME`.
  pub fn url(&self) -> &str {
    &self.url
  }

  /// The database's name.
  pub fn name(&self) -> &str {
    &self.name
  }

  /// Runs statements.
  ///
  /// # Errors
  /// When PostgreSQL refuses.
  pub async fn execute(&self, sql: &str) -> Result<()> {
    execute(&self.url, sql).await
  }

  /// The single integer that a query gives.
  ///
  /// # Errors
  /// When PostgreSQL refuses or the answer is no `bigint`.
  pub async fn count(&self, sql: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(&self.url).await?;
    let count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
  }
}

impl Drop for Database {
  /// Drops the database; `HETUFLOW_TEST_KEEP` keeps it for a look.
  fn drop(&mut self) {
    if std::env::var_os("HETUFLOW_TEST_KEEP").is_some() {
      eprintln!("kept: {}", self.url);
      return;
    }
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
    drop_now(&self.admin.url, &sql, &self.name);
  }
}

fn drop_now(url: &str, sql: &str, name: &str) {
  let (url, sql) = (url.to_owned(), sql.to_owned());
  // A thread of its own, because `drop` may run inside a runtime that must not be blocked on.
  let dropped = std::thread::spawn(move || -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(execute(&url, &sql))
  });
  match dropped.join() {
    Ok(Ok(())) => {}
    // The cluster goes away with its databases: nothing to do but say so.
    Ok(Err(error)) => eprintln!("{name} was not dropped: {error:#}"),
    Err(_) => eprintln!("{name} was not dropped"),
  }
}

/// Runs statements on a connection of their own.
async fn execute(url: &str, sql: &str) -> Result<()> {
  let mut connection = PgConnection::connect(url).await.context("connect to PostgreSQL")?;
  sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
  connection.close().await?;
  Ok(())
}

/// The same URL with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
  let mut url: reqwest::Url = url.parse().context("parse the admin URL")?;
  url.set_path(name);
  Ok(url.into())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn only_the_path_of_the_url_changes() {
    let url = with_database("postgres://u:p@127.0.0.1:5432/postgres?sslmode=disable", "t_1");
    assert_eq!(url.unwrap(), "postgres://u:p@127.0.0.1:5432/t_1?sslmode=disable");
  }
}
