//! Databases inside a cluster, one for each test.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

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
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    execute(&self.url, &format!("CREATE DATABASE {name} TEMPLATE template0"))
      .await
      .with_context(|| format!("create database {name}"))?;
    let url = with_database(&self.url, &name)?;
    Ok(Database { admin: self.clone(), name, url })
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
    let (url, name) = (self.admin.url.clone(), self.name.clone());
    // A thread of its own, because `drop` may run inside a runtime that must not be blocked on.
    let dropped = std::thread::spawn(move || -> Result<()> {
      let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
      let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
      runtime.block_on(execute(&url, &sql))
    });
    match dropped.join() {
      Ok(Ok(())) => {}
      // The cluster goes away with its databases: nothing to do but say so.
      Ok(Err(error)) => eprintln!("database {} was not dropped: {error:#}", self.name),
      Err(_) => eprintln!("database {} was not dropped", self.name),
    }
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
