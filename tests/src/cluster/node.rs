//! One server and one agent of a cluster.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use toml::Table;

use super::START_LIMIT;
use super::config::{AgentFile, ServerFile};
use crate::api::Api;
use crate::process::{Process, Recipe};
use crate::wait;

/// What a server writes to `<data>/server.json` once it listens.
#[derive(Debug, Clone, Deserialize)]
struct Listening {
  pid: u32,
  bind: String,
  url: String,
}

/// One server of a cluster.
#[derive(Debug)]
pub struct ServerNode {
  process: Process,
  file: ServerFile,
  config_path: PathBuf,
  extra: Table,
  url: String,
}

/// One agent of a cluster.
#[derive(Debug)]
pub struct AgentNode {
  process: Process,
  id: String,
  state_dir: PathBuf,
}

impl ServerNode {
  /// Writes the config, starts the server and waits until it listens.
  pub(super) async fn start(recipe: Recipe, file: ServerFile, extra: Table) -> Result<Self> {
    let config_path = recipe.dir.join(format!("{}.toml", recipe.name));
    std::fs::create_dir_all(&file.data_dir)?;
    file.write(&config_path, &extra)?;
    let process = Process::spawn(recipe)?;
    let mut node = Self { process, file, config_path, extra, url: String::new() };
    node.wait_listening().await?;
    Ok(node)
  }

  /// Where it answers, `http://127.0.0.1:PORT`.
  pub fn url(&self) -> &str {
    &self.url
  }

  /// Its process.
  pub fn process(&mut self) -> &mut Process {
    &mut self.process
  }

  /// Its data folder.
  pub fn data_dir(&self) -> &std::path::Path {
    &self.file.data_dir
  }

  /// Starts it again on the address it had, and waits until it listens.
  pub(super) async fn restart(&mut self) -> Result<()> {
    let _ = std::fs::remove_file(self.listening_path());
    self.file.write(&self.config_path, &self.extra)?;
    self.process.restart()?;
    self.wait_listening().await
  }

  /// The file that says where the server listens.
  fn listening_path(&self) -> PathBuf {
    self.file.data_dir.join("server.json")
  }

  /// Waits for `server.json` of this very process, and remembers the address.
  async fn wait_listening(&mut self) -> Result<()> {
    let path = self.listening_path();
    let what = format!("{} to listen", self.process.name());
    let process = &mut self.process;
    let listening = wait::until_ok(&what, START_LIMIT, || {
      let pid = process.pid();
      let look = match std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
        _ if !process.is_running() => Ok(None),
        Ok(Ok(Listening { pid: theirs, .. })) if theirs != pid => {
          Err(format!("server.json is of pid {theirs}, not {pid}"))
        }
        Ok(Ok(listening)) => Ok(Some(listening)),
        Ok(Err(error)) => Err(format!("server.json: {error}")),
        Err(error) => Err(format!("{}: {error}", path.display())),
      };
      std::future::ready(look)
    })
    .await;
    match listening.with_context(|| process.log_tail(40))? {
      Some(listening) => {
        self.file.bind_address = listening.bind;
        self.url = listening.url;
        Ok(())
      }
      None => bail!("{} ended while it started\n{}", process.name(), process.log_tail(40)),
    }
  }
}

impl AgentNode {
  /// Gets a token for the agent, writes its config and starts it; does not wait for it.
  pub(super) async fn start(
    recipe: Recipe,
    file: AgentFile,
    extra: &Table,
    api: &Api,
  ) -> Result<Self> {
    let config_path = recipe.dir.join(format!("{}.toml", recipe.name));
    file.write(&config_path, extra)?;
    std::fs::write(file.token_file(), agent_token(api, &file.agent_id).await?)?;
    let state_dir = file.dir.join("state");
    Ok(Self { process: Process::spawn(recipe)?, id: file.agent_id, state_dir })
  }

  /// Its id.
  pub fn id(&self) -> &str {
    &self.id
  }

  /// Its process.
  pub fn process(&mut self) -> &mut Process {
    &mut self.process
  }

  /// What it must not forget.
  pub fn state_dir(&self) -> &std::path::Path {
    &self.state_dir
  }

  /// The process id of its executor, as far as it has had one.
  ///
  /// # Errors
  /// When it never had one.
  pub fn executor_pid(&self) -> Result<u32> {
    let path = self.state_dir.join("executor.lock");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.trim().parse().with_context(|| format!("{}: {text}", path.display()))
  }

  /// Kills its executor with SIGKILL and waits until it is gone; the tasks live on.
  ///
  /// # Errors
  /// When it does not run.
  pub fn kill9_executor(&self) -> Result<()> {
    let number = self.executor_pid()?;
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).context("pid")?;
    rustix::process::kill_process(pid, Signal::KILL).context("kill the executor")?;
    wait::until_blocking("the executor to be gone", START_LIMIT, || {
      let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
      let alive = !stat.is_empty() && !stat.contains(") Z ");
      if alive { Err(stat) } else { Ok(()) }
    })
  }

  /// Waits until the server behind `api` sees it as ready for work.
  pub(super) async fn wait_ready(&mut self, api: &Api) -> Result<()> {
    let path = format!("/agents/{}", self.id);
    let what = format!("{} to be ready", self.id);
    let process = &mut self.process;
    let ready = wait::until_ok(&what, START_LIMIT, || {
      let running = process.is_running();
      let path = &path;
      async move {
        if !running {
          return Ok(false);
        }
        match api.get(path).await {
          Ok((_, agent)) if is_ready(agent["status"].as_str()) => Ok(true),
          Ok((status, body)) => Err(format!("{status} {body}")),
          Err(error) => Err(format!("{error:#}")),
        }
      }
    })
    .await;
    if !ready.with_context(|| process.log_tail(40))? {
      bail!("{} ended while it started\n{}", process.name(), process.log_tail(40));
    }
    Ok(())
  }
}

/// Whether an agent of this status takes tasks.
fn is_ready(status: Option<&str>) -> bool {
  matches!(status, Some("idle" | "busy" | "online"))
}

/// Makes a join token that only this agent will use.
async fn agent_token(api: &Api, agent_id: &str) -> Result<String> {
  let body = serde_json::json!({ "name": agent_id, "kind": "agent" });
  let answer = api.post_ok("/auth/tokens", &body).await?;
  let secret = answer["secret"].as_str().context("the answer about the token has no secret")?;
  Ok(secret.to_owned())
}
