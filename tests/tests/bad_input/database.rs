//! B100 on PostgreSQL: databases that cannot be used, each with its own sentence.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::postgres;

use crate::settings::{Program, refused};

#[tokio::test]
async fn b100_databases_that_cannot_be_used() -> Result<()> {
  let admin = postgres::shared()?;
  let dir = tempfile::tempdir()?;
  let mut wrong = Vec::new();
  let mut check = async |what: &str, url: &str, code: i32, words: &[&str]| {
    let environment = [
      ("HETUFLOW__DATABASE__URL", url),
      ("HETUFLOW__SERVER__BIND_ADDRESS", "127.0.0.1:0"),
      ("HETUFLOW__DATABASE__ACQUIRE_TIMEOUT", "3s"),
    ];
    let start: (Program, &[&str]) = (Program::Server, &["start"]);
    if let Err(error) = refused(start, dir.path(), &environment, (code, words)).await {
      wrong.push(format!("{what}: {error:#}"));
    }
  };
  let with = |url: &str, change: &dyn Fn(&mut reqwest::Url)| -> Result<String> {
    let mut url: reqwest::Url = url.parse()?;
    change(&mut url);
    Ok(url.into())
  };
  let database = admin.create_database().await?;
  let user = format!("u_{}", database.name());
  database.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 's3cret'")).await?;

  // As it is by itself from PostgreSQL 15 on.
  database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await?;

  let absent = with(database.url(), &|url| url.set_path("nowhere"))?;
  check("missing", &absent, 69, &["database \"nowhere\" does not exist"]).await;
  let nobody = with(database.url(), &|url| {
    let _set = url.set_username("nobody_at_all");
  })?;
  check("no such user", &nobody, 69, &["role \"nobody_at_all\" does not exist"]).await;
  let weak = with(database.url(), &|url| {
    let _set = (url.set_username(&user), url.set_password(Some("s3cret")));
  })?;
  check("no rights", &weak, 78, &["permission denied"]).await;

  let name = database.name();
  database
    .execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
    .await?;
  check("read-only", database.url(), 78, &["read-only"]).await;

  let ascii = format!("{name}_ascii");
  let sql = format!("CREATE DATABASE {ascii} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
  admin.create_database().await?.execute(&sql).await.context("a database without UTF-8")?;
  let url = with(database.url(), &|url| url.set_path(&ascii))?;
  check("no UTF-8", &url, 78, &["UTF"]).await;

  let other = admin.create_database().await?;
  other.execute(&format!("DROP DATABASE {ascii} WITH (FORCE)")).await?;
  other.execute(&format!("DROP ROLE {user}")).await?;
  ensure!(wrong.is_empty(), "{} databases:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}
