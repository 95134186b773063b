//! One running cluster.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::database::{Admin, Database};
use super::install::{Install, Unprivileged};
use crate::wait;

/// How long a cluster may take from `initdb` to its first answer on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How long an immediate shutdown may take; PostgreSQL kills its own children after 5 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How often a port that somebody else took first is replaced by another.
const PORT_TRIES: usize = 5;

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
  /// `fsync` off: quick, for everything but crash tests and figures.
  Off,
  /// PostgreSQL's defaults.
  Default,
}

/// A running cluster on a free port of 127.0.0.1 and a Unix socket; dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
  admin: Admin,
  child: Child,
  dir: PathBuf,
}

impl Postgres {
  /// Makes and starts a cluster; blocks for a second or two.
  ///
  /// # Errors
  /// When PostgreSQL is not installed (with the line that installs it) or does not start (with the
  /// end of its log).
  pub fn start(durability: Durability) -> Result<Self> {
    let install = Install::find()?;
    let user = Unprivileged::needed()?;
    let mut tries = 0;
    loop {
      tries += 1;
      match Self::start_on(free_port()?, &install, user, durability) {
        Err(error)
          if tries < PORT_TRIES && error.to_string().contains("Address already in use") => {}
        outcome => return outcome,
      }
    }
  }

  /// The connection for making databases.
  pub fn admin(&self) -> &Admin {
    &self.admin
  }

  /// A fresh, empty database; dropped with the value.
  ///
  /// # Errors
  /// When PostgreSQL refuses.
  pub async fn create_database(&self) -> Result<Database> {
    self.admin.create_database().await
  }

  /// The folder with the data (`data`), the socket and the log (`postgres.log`).
  pub fn dir(&self) -> &Path {
    &self.dir
  }

  /// One attempt to start on `port`.
  fn start_on(
    port: u16,
    install: &Install,
    user: Option<Unprivileged>,
    durability: Durability,
  ) -> Result<Self> {
    let dir = make_dir(user)?;
    let child = spawn(port, install, user, durability, &dir);
    let child = child.inspect_err(|_| drop(std::fs::remove_dir_all(&dir)))?;
    // From here on a failure drops `postgres`, which ends the child and removes the folder.
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut postgres = Self { admin: Admin::new(url), child, dir };
    postgres.wait_ready()?;
    Ok(postgres)
  }

  /// Waits until PostgreSQL writes "ready" into its pid file.
  fn wait_ready(&mut self) -> Result<()> {
    let pid_file = self.dir.join("data/postmaster.pid");
    // The shell removes the folder when PostgreSQL has ended; an open file can still be read.
    let mut file = std::fs::File::open(self.dir.join("postgres.log"))?;
    let mut log = String::new();
    let ready = wait::until_blocking("PostgreSQL to start", START_LIMIT, || {
      let ended = self.child.try_wait().map_err(|error| error.to_string())?;
      file.read_to_string(&mut log).map_err(|error| error.to_string())?;
      if let Some(status) = ended {
        return Ok(Err(status));
      }
      match std::fs::read_to_string(&pid_file) {
        Ok(text) if text.lines().nth(7).is_some_and(|line| line.trim() == "ready") => Ok(Ok(())),
        _ => Err(log.lines().last().unwrap_or("no log yet").to_owned()),
      }
    })?;
    if let Err(status) = ready {
      bail!("PostgreSQL did not start ({status}):\n{log}");
    }
    Ok(())
  }
}

impl Drop for Postgres {
  /// Ends the cluster at once and removes its data.
  fn drop(&mut self) {
    drop(self.child.stdin.take());
    let ended = wait::until_blocking("PostgreSQL to stop", STOP_LIMIT, || {
      self.child.try_wait().map_err(|error| error.to_string())?.ok_or("still running".to_owned())
    });
    if let Err(error) = ended {
      eprintln!("{error:#}");
    }
    // The shell removes the folder too; this is for a shell that could not.
    drop(std::fs::remove_dir_all(&self.dir));
  }
}

/// Makes the cluster's folder, owned by the user who will run it.
fn make_dir(user: Option<Unprivileged>) -> Result<PathBuf> {
  // Root's TMPDIR may be closed to everybody else; /tmp never is.
  let base = if user.is_some() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
  let dir = tempfile::Builder::new().prefix("hetuflow-pg-").tempdir_in(base)?.keep();
  if let Some(user) = user {
    std::os::unix::fs::chown(&dir, Some(user.uid), Some(user.gid))
      .with_context(|| format!("give {} to uid {}", dir.display(), user.uid))?;
  }
  Ok(dir)
}

/// Starts the shell that makes and holds the cluster.
fn spawn(
  port: u16,
  install: &Install,
  user: Option<Unprivileged>,
  durability: Durability,
  dir: &Path,
) -> Result<Child> {
  let log = std::fs::File::create(dir.join("postgres.log"))?;
  let mut command = Command::new("/bin/sh");
  command.args(["-c", include_str!("cluster.sh"), "cluster.sh"]).arg(dir).arg(&install.initdb);
  command.arg(&install.postgres).arg("-D").arg(dir.join("data"));
  for setting in settings(port, durability, dir) {
    command.arg("-c").arg(setting);
  }
  command.current_dir(dir).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
  // Its own group, so that Ctrl-C on the terminal reaches us first and not the database.
  command.process_group(0);
  if let Some(user) = user {
    command.uid(user.uid).gid(user.gid);
  }
  command.spawn().context("start /bin/sh for PostgreSQL")
}

/// The settings given on PostgreSQL's command line.
fn settings(port: u16, durability: Durability, dir: &Path) -> Vec<String> {
  let mut settings = vec![
    format!("port={port}"),
    "listen_addresses=127.0.0.1".to_owned(),
    format!("unix_socket_directories={}", dir.display()),
    "max_connections=400".to_owned(),
    "timezone=UTC".to_owned(),
  ];
  if durability == Durability::Off {
    let off = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
    settings.extend(off.map(str::to_owned));
  }
  settings
}

/// A TCP port that nobody listens on right now.
fn free_port() -> Result<u16> {
  let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
  Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn databases_are_apart_and_nothing_is_left_behind() {
    let postgres = Postgres::start(Durability::Off).unwrap();
    let dir = postgres.dir().to_owned();
    let pid_text = std::fs::read_to_string(dir.join("data/postmaster.pid")).unwrap();
    let pid = pid_text.lines().next().unwrap().to_owned();
    let one = postgres.create_database().await.unwrap();
    let two = postgres.create_database().await.unwrap();
    assert_ne!(one.url(), two.url());
    one.execute("CREATE TABLE t (x int)").await.unwrap();
    assert_eq!(one.count("SELECT count(*) FROM t").await.unwrap(), 0);
    assert!(two.count("SELECT count(*) FROM t").await.is_err());
    let fsync = "SELECT count(*) FROM pg_settings WHERE name = 'fsync' AND setting = 'off'";
    assert_eq!(one.count(fsync).await.unwrap(), 1);
    let name = one.name().to_owned();
    drop(one);
    let named = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(two.count(&named).await.unwrap(), 0);
    drop((two, postgres));
    assert!(!dir.exists(), "{} is left", dir.display());
    assert!(!Path::new("/proc").join(pid).exists(), "the postmaster lives");
  }

  #[test]
  fn a_taken_port_is_reported_with_the_log() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let install = Install::find().unwrap();
    let user = Unprivileged::needed().unwrap();
    let error = Postgres::start_on(port, &install, user, Durability::Default).unwrap_err();
    assert!(error.to_string().contains("Address already in use"), "{error:#}");
  }
}
