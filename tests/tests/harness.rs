//! The harness against itself, with stand-ins for the binaries: it must start, kill, restart and
//! stop what it is given, and must notice what is left behind.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::{Cluster, ClusterBuilder};
use hetuflow_tests::process;

/// A cluster of stand-ins.
fn fake() -> Result<ClusterBuilder> {
  let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
  Ok(Cluster::builder().binaries(Binaries::in_dir(&dir)?))
}

#[tokio::test]
async fn starts_kills_restarts_and_leaves_nothing() -> Result<()> {
  let mut cluster = fake()?.agents(2).start().await?;
  let dir = cluster.dir().to_owned();
  let url = cluster.server(0).url().to_owned();
  assert_eq!(cluster.token(), "bootstrap");
  let shown = cluster.ctl(&["ls", "jobs"]).await?;
  assert_eq!(String::from_utf8(shown.stdout)?, format!("{url} bootstrap ls jobs\n"));

  cluster.kill9_server(0)?;
  assert!(cluster.kill9_server(0).is_err());
  assert!(cluster.api().get("/agents/agent-0").await.is_err());
  cluster.restart_server(0).await?;
  assert_eq!(cluster.server(0).url(), url);
  cluster.kill9_agent(1)?;
  cluster.restart_agent(1)?;
  cluster.wait_agent(1).await?;
  assert_eq!(cluster.log_tails().matches("fake server listens").count(), 2);
  // The stand-in agents have a `sleep` of their own now and then.
  assert!(process::find("no=mark", &dir).len() >= 3);

  cluster.finish()?;
  assert!(!dir.exists());
  Ok(())
}

#[tokio::test]
async fn notices_what_an_agent_leaves_behind() -> Result<()> {
  let cluster = fake()?.environment("LEAVE", "1").start().await?;
  let dir = cluster.dir().to_owned();
  let error = cluster.finish().unwrap_err().to_string();
  assert!(error.contains("sleep 300"), "{error}");
  assert_eq!(process::find("no=mark", &dir), Vec::new());
  Ok(())
}

#[tokio::test]
async fn a_server_that_ends_at_once_shows_its_log() -> Result<()> {
  let outcome = fake()?.server_settings("[server]\nbind_address = 'nonsense'").start().await;
  let error = format!("{:#}", outcome.unwrap_err());
  assert!(error.contains("server-0 ended while it started"), "{error}");
  assert!(error.contains("ValueError"), "{error}");
  Ok(())
}

#[test]
fn the_postgres_command_hands_over_the_url_and_the_exit_code() -> Result<()> {
  let run = |script: &str| {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetuflow-test-postgres"));
    command.args(["--", "sh", "-c", script]).env_remove("HETUFLOW_TEST_PG").output()
  };
  let output = run("echo $HETUFLOW_TEST_PG; exit 7")?;
  assert_eq!(output.status.code(), Some(7));
  assert!(String::from_utf8(output.stdout)?.starts_with("postgres://postgres@127.0.0.1:"));
  assert_eq!(run("kill -9 $$")?.status.code(), Some(137));
  Ok(())
}
