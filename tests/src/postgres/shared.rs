//! One cluster for a whole run, or for this process when nobody started one.

use std::sync::Mutex;

use anyhow::{Result, anyhow};

use super::{Admin, Durability, Postgres};

/// The admin URL of the cluster that `hetuflow-test-postgres` started around this run.
pub const ADMIN_VARIABLE: &str = "HETUFLOW_TEST_PG";

/// This process's own cluster. Never dropped: its shell ends it when our end of the pipe closes.
static PRIVATE: Mutex<Option<Postgres>> = Mutex::new(None);

/// The cluster that the tests share: `HETUFLOW_TEST_PG`, else one started for this process.
///
/// Blocks for a second or two when it starts one.
///
/// # Errors
/// When PostgreSQL is not installed (with the line that installs it) or does not start.
pub fn shared() -> Result<Admin> {
  if let Ok(url) = std::env::var(ADMIN_VARIABLE)
    && !url.is_empty()
  {
    return Ok(Admin::new(url));
  }
  let mut private = PRIVATE.lock().map_err(|_| anyhow!("an earlier start panicked"))?;
  if private.is_none() {
    *private = Some(Postgres::start(Durability::Off)?);
  }
  private.as_ref().map(|postgres| postgres.admin().clone()).ok_or_else(|| anyhow!("no cluster"))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn gives_databases_either_way() {
    let database = shared().unwrap().create_database().await.unwrap();
    assert_eq!(database.count("SELECT 40 + 2::bigint").await.unwrap(), 42);
  }
}
