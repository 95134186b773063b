//! A real agent with its executor, in a folder of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use super::fake_server::FakeServer;
use crate::binaries::Binaries;
use crate::process::{Process, Recipe};

/// Marks everything that belongs to a bench.
const MARK: (&str, &str) = ("HETUFLOW_TEST_CLUSTER", "bench-agent");

/// An agent that dials a fake server.
#[derive(Debug)]
pub(super) struct Host {
  dir: tempfile::TempDir,
  process: Process,
}

impl Host {
  /// Starts it; `toml` is laid beside the essentials.
  pub(super) fn start(server: &FakeServer, toml: &str) -> Result<Self> {
    let dir = tempfile::Builder::new().prefix("hetuflow-bench-").tempdir()?;
    let config = dir.path().join("agent.toml");
    let quick = "agent.connection.heartbeat_interval = '500ms'\n";
    let beat = if toml.contains("heartbeat_interval") { "" } else { quick };
    let text = format!(
      "agent.agent_id = 'bench'\nagent.state_dir = '{0}/state'\nagent.work_dir = '{0}'\n\
       agent.connection.server_base_url = '{1}'\nagent.connection.reconnect_base = '10ms'\n\
       agent.connection.reconnect_max = '50ms'\n{beat}\
       log.level = 'warn'\nagent.allow_root_tasks = true\n{toml}\n",
      dir.path().display(),
      server.url()
    );
    std::fs::write(&config, text)?;
    let recipe = Recipe {
      name: "agent".to_owned(),
      program: Binaries::find()?.agent,
      args: vec!["start".into(), "--config".into(), config.into()],
      environment: vec![
        ("PATH".to_owned(), "/usr/bin:/bin".into()),
        (MARK.0.to_owned(), MARK.1.into()),
      ],
      dir: dir.path().to_owned(),
      log: dir.path().join("agent.log"),
    };
    Ok(Self { process: Process::spawn(recipe)?, dir })
  }

  /// The agent's own process.
  pub(super) fn process(&mut self) -> &mut Process {
    &mut self.process
  }

  /// Its folder.
  pub(super) fn dir(&self) -> &Path {
    self.dir.path()
  }

  /// The process of its executor.
  pub(super) fn executor_pid(&self) -> Result<u32> {
    let path = self.dir.path().join("state/executor.lock");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.trim().parse()?)
  }

  /// Kills the agent with SIGKILL and starts it again; the executor stays.
  pub(super) fn kill_and_restart(&mut self) -> Result<()> {
    self.process.kill9()?;
    self.process.restart()
  }
}

impl Drop for Host {
  fn drop(&mut self) {
    let executor = self.executor_pid().ok().and_then(|pid| i32::try_from(pid).ok());
    if self.process.is_running() {
      drop(self.process.stop(Duration::from_secs(10)));
    }
    // It leaves by itself; a bench that failed half-way may have left it with work.
    if let Some(pid) = executor.and_then(Pid::from_raw) {
      let _gone = rustix::process::kill_process(pid, Signal::TERM);
    }
    for (pid, _) in crate::process::find(&format!("{}={}", MARK.0, MARK.1), self.dir.path()) {
      if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = rustix::process::kill_process(pid, Signal::KILL);
      }
    }
  }
}
