//! A whole hetuflow for one story: real servers, real agents, one temporary folder.
//!
//! ```text
//! let mut cluster = Cluster::builder().postgres().servers(2).agents(4).start().await?;
//! cluster.kill9_server(0)?;
//! cluster.restart_server(0).await?;
//! cluster.finish()?;
//! ```
//!
//! Dropping a cluster stops everything. A story that panicked or left early with `?` gets the ends
//! of all logs printed; a story that passed must leave no process behind, else the drop panics.

mod builder;
mod config;
mod guard;
mod node;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use builder::{ClusterBuilder, Engine};
use guard::Guard;
pub use node::{AgentNode, ServerNode};

use crate::api::Api;
use crate::binaries::Binaries;
use crate::postgres::Database;
use crate::wait;

/// How long a server or agent may take to start on a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// How long an orderly stop may take: the promise is 10 s, the rest is for the machine.
pub const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long what servers and agents have left to itself may take to end on its own.
const GONE_LIMIT: Duration = Duration::from_secs(5);

/// How long a command of hetuflowctl may take.
const CTL_LIMIT: Duration = Duration::from_secs(120);

/// Lines of each log that a failed story shows.
const LOG_LINES: usize = 80;

/// Servers and agents of one story. Fields drop in order: processes, folder, database.
#[derive(Debug)]
pub struct Cluster {
  agents: Vec<AgentNode>,
  servers: Vec<ServerNode>,
  guard: Guard,
  binaries: Binaries,
  environment: Vec<(String, std::ffi::OsString)>,
  token: String,
  database_url: String,
  finished: bool,
  _database: Option<Database>,
}

impl Cluster {
  /// A cluster to describe; by default one server on SQLite and one agent with four slots.
  pub fn builder() -> ClusterBuilder {
    ClusterBuilder::default()
  }

  /// The folder of the cluster.
  pub fn dir(&self) -> &Path {
    self.guard.dir()
  }

  /// The database that the servers use.
  pub fn database_url(&self) -> &str {
    &self.database_url
  }

  /// The bootstrap token.
  pub fn token(&self) -> &str {
    &self.token
  }

  /// The `i`-th server.
  pub fn server(&mut self, i: usize) -> &mut ServerNode {
    &mut self.servers[i]
  }

  /// The `i`-th agent.
  pub fn agent(&mut self, i: usize) -> &mut AgentNode {
    &mut self.agents[i]
  }

  /// The REST API of the first server, as the bootstrap administrator.
  pub fn api(&self) -> Api {
    self.api_of(0)
  }

  /// The REST API of the `i`-th server, as the bootstrap administrator.
  pub fn api_of(&self, i: usize) -> Api {
    Api::new(self.servers[i].url(), &self.token)
  }

  /// Kills the `i`-th server with SIGKILL.
  ///
  /// # Errors
  /// When it was not running.
  pub fn kill9_server(&mut self, i: usize) -> Result<()> {
    self.servers[i].process().kill9()
  }

  /// Stops the `i`-th server with SIGTERM; it must exit with 0 within [`STOP_LIMIT`].
  ///
  /// # Errors
  /// When it was not running, did not stop in time or failed.
  pub fn stop_server(&mut self, i: usize) -> Result<()> {
    stop(self.servers[i].process())
  }

  /// Starts the `i`-th server again, on the address it had, and waits until it listens.
  ///
  /// # Errors
  /// When it still runs or does not start.
  pub async fn restart_server(&mut self, i: usize) -> Result<()> {
    self.servers[i].restart().await
  }

  /// Kills the `i`-th agent with SIGKILL; its tasks live on.
  ///
  /// # Errors
  /// When it was not running.
  pub fn kill9_agent(&mut self, i: usize) -> Result<()> {
    self.agents[i].process().kill9()
  }

  /// Stops the `i`-th agent with SIGTERM; it must exit with 0 within [`STOP_LIMIT`].
  ///
  /// # Errors
  /// When it was not running, did not stop in time or failed.
  pub fn stop_agent(&mut self, i: usize) -> Result<()> {
    stop(self.agents[i].process())
  }

  /// Starts the `i`-th agent again. Does not wait for it to register: the server may be down.
  ///
  /// # Errors
  /// When it still runs or does not start.
  pub fn restart_agent(&mut self, i: usize) -> Result<()> {
    self.agents[i].process().restart()
  }

  /// Waits until the first server sees the `i`-th agent as ready for work.
  ///
  /// # Errors
  /// When that takes longer than [`START_LIMIT`], or the agent has ended.
  pub async fn wait_agent(&mut self, i: usize) -> Result<()> {
    let api = self.api();
    self.agents[i].wait_ready(&api).await
  }

  /// Runs hetuflowctl against the first server, as the bootstrap administrator.
  ///
  /// # Errors
  /// When it cannot be started or takes longer than two minutes; an exit code is no error.
  pub async fn ctl<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<Output> {
    let mut command = tokio::process::Command::new(&self.binaries.ctl);
    command.args(args).env_clear().envs(self.environment.iter().cloned());
    command.env("HETUFLOW_SERVER", self.servers[0].url());
    command.env("HETUFLOW_TOKEN_FILE", self.dir().join("admin.token"));
    command.current_dir(self.dir()).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(CTL_LIMIT, command.output()).await;
    output.context("hetuflowctl took longer than two minutes")?.context("run hetuflowctl")
  }

  /// The ends of all logs, for a failure's text.
  pub fn log_tails(&mut self) -> String {
    let servers = self.servers.iter_mut().map(ServerNode::process);
    let agents = self.agents.iter_mut().map(AgentNode::process);
    servers.chain(agents).map(|process| process.log_tail(LOG_LINES)).collect()
  }

  /// Stops everything in order and checks that nothing is left: how a story that passed ends.
  ///
  /// # Errors
  /// When a running server or agent does not exit with 0 in time, or a process is left.
  pub fn finish(mut self) -> Result<()> {
    let stopped = self.stop_all();
    self.finished = stopped.is_ok();
    if stopped.is_err() {
      eprintln!("{}", self.log_tails());
      // Reported by the error; the drop need not say it again.
      self.finished = true;
    }
    stopped
  }

  /// Stops agents, then servers, then looks for leftovers.
  fn stop_all(&mut self) -> Result<()> {
    let started = Instant::now();
    let mut problems = Vec::new();
    // An agent that a story has left dead may rightly have left tasks alive.
    let abandoned = self.agents.iter_mut().any(|agent| !agent.process().is_running());
    let agents = self.agents.iter_mut().map(AgentNode::process);
    let servers = self.servers.iter_mut().map(ServerNode::process);
    for process in agents.chain(servers) {
      if process.is_running()
        && let Err(error) = stop(process)
      {
        problems.push(format!("{error:#}"));
      }
    }
    if !abandoned {
      let gone = wait::until_blocking("all processes to be gone", GONE_LIMIT, || {
        let alive = self.guard.alive();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
      });
      problems.extend(gone.err().map(|error| format!("{error:#}")));
    }
    if !problems.is_empty() {
      bail!("the cluster did not end well after {:?}: {}", started.elapsed(), problems.join("; "));
    }
    Ok(())
  }
}

impl Drop for Cluster {
  /// Stops everything; panics about leftovers unless the story has failed already.
  fn drop(&mut self) {
    if self.finished {
      return;
    }
    eprintln!("{}", self.log_tails());
    if std::thread::panicking() {
      return; // the fields' own drops kill what is left
    }
    if let Err(error) = self.stop_all() {
      panic!("{error:#}");
    }
  }
}

/// Stops a process in order; it must succeed.
fn stop(process: &mut crate::process::Process) -> Result<()> {
  let status = process.stop(STOP_LIMIT)?;
  ensure!(status.success(), "{} ended with {status} after SIGTERM", process.name());
  Ok(())
}
