//! Orders to the agent as a whole: does them and says what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hetuflow_core::{
  AckMessage, AckStatus, AgentCapabilities, AgentCommand, AgentMetrics, CommandKind,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::live_settings::LiveSettings;
use super::restart;
use crate::config::{Settings, TasksOnStop};
use crate::connection::{Report, clear_file_cache};
use crate::scheduler::{InHand, Order};

/// How long the executor may take to show that it moves.
const EXECUTOR_LIMIT: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// What a [`Commander`] is made of.
pub struct Parts {
  /// As they were at the start.
  pub settings: Settings,
  /// What the agent has told about itself.
  pub capabilities: AgentCapabilities,
  /// To the scheduler.
  pub orders: UnboundedSender<Order>,
  /// To the server.
  pub reports: UnboundedSender<Report>,
  /// Load and health.
  pub metrics: watch::Receiver<AgentMetrics>,
  /// Proof that the executor moves.
  pub tick: Arc<AtomicU64>,
  /// Asks the agent to leave.
  pub leave: CancellationToken,
  /// Asks that it comes back; none where it holds its tasks itself.
  pub restart: Option<CancellationToken>,
}

/// Does orders to the agent as a whole, one after the other.
pub struct Commander {
  settings: Settings,
  live: LiveSettings,
  orders: UnboundedSender<Order>,
  reports: UnboundedSender<Report>,
  metrics: watch::Receiver<AgentMetrics>,
  tick: Arc<AtomicU64>,
  leave: CancellationToken,
  restart: Option<CancellationToken>,
}

/// What came of an order; the words of an error are for people.
type Outcome = Result<Value, String>;

impl Commander {
  /// A commander of an agent that has just started.
  pub fn new(parts: Parts) -> Self {
    let Parts { settings, capabilities, orders, reports, metrics, tick, leave, restart } = parts;
    let live = LiveSettings::new(&settings, capabilities);
    Self { settings, live, orders, reports, metrics, tick, leave, restart }
  }

  /// Whether it does orders of this kind.
  pub fn knows(kind: CommandKind) -> bool {
    use CommandKind as K;
    matches!(
      kind,
      K::Shutdown
        | K::Restart
        | K::UpdateConfig
        | K::ClearCache
        | K::FetchMetrics
        | K::ReloadTasks
        | K::HealthCheck
    )
  }

  /// Works until the agent has no more use for it.
  pub async fn run(mut self, mut commands: Receiver<AgentCommand>) {
    while let Some(command) = commands.recv().await {
      let (kind, message_id) = (command.command_type, command.command_id);
      let outcome = self.obey(&command).await;
      match &outcome {
        Ok(_) => tracing::info!(%kind, "an order of the server was done"),
        Err(why) => tracing::warn!(%kind, %why, "an order of the server was refused"),
      }
      let (status, details) = match outcome {
        Ok(result) => (AckStatus::Ok, result.to_string()),
        Err(why) => (AckStatus::Rejected, why),
      };
      let answer = AckMessage { message_id, status, details: Some(details), seq: None };
      if self.reports.send(Report::Answered(answer)).is_err() {
        return;
      }
      // Only now: the answer must come before the end of the connection.
      if status == AckStatus::Ok {
        self.follow_up(kind);
      }
    }
  }

  fn follow_up(&self, kind: CommandKind) {
    match kind {
      CommandKind::Shutdown => self.leave.cancel(),
      CommandKind::Restart => {
        if let Some(restart) = &self.restart {
          restart.cancel();
        }
        self.leave.cancel();
      }
      CommandKind::ReloadTasks => {
        let _connection_gone = self.reports.send(Report::Renew);
      }
      _ => {}
    }
  }

  async fn obey(&mut self, command: &AgentCommand) -> Outcome {
    match command.command_type {
      CommandKind::Shutdown => Ok(self.shutdown().await),
      CommandKind::Restart => self.prepare_restart().await,
      CommandKind::UpdateConfig => self.update_config(command),
      CommandKind::ClearCache => self.clear_cache().await,
      CommandKind::FetchMetrics => {
        serde_json::to_value(self.metrics.borrow().clone()).map_err(|error| error.to_string())
      }
      CommandKind::ReloadTasks => {
        let in_hand = self.in_hand().await?;
        Ok(json!({ "in_hand": in_hand.attempts.len(), "running": in_hand.running }))
      }
      CommandKind::HealthCheck => self.health().await,
      other => Err(format!("{other} is not done here")),
    }
  }

  async fn shutdown(&self) -> Value {
    let goes_on = self.settings.agent.tasks_on_stop == TasksOnStop::Keep && self.restart.is_some();
    let running = self.in_hand().await.map_or(0, |in_hand| in_hand.running);
    let tasks = if goes_on { "they go on" } else { "they are stopped" };
    json!({ "leaving": true, "running": running, "tasks": tasks })
  }

  async fn prepare_restart(&self) -> Outcome {
    if self.restart.is_none() {
      return Err("this agent holds its tasks itself; they would not outlive it".to_owned());
    }
    let program = restart::try_program().await?;
    let running = self.in_hand().await?.running;
    Ok(json!({
      "restarting": true, "program": program.display().to_string(), "running": running,
      "version": env!("CARGO_PKG_VERSION"),
    }))
  }

  fn update_config(&mut self, command: &AgentCommand) -> Outcome {
    let change = self.live.change(&command.parameters)?;
    if let Some(settings) = change.slots {
      self.orders.send(Order::Slots(settings)).map_err(|_| GONE)?;
    }
    if let Some(capabilities) = change.capabilities {
      self.reports.send(Report::Capabilities(Box::new(capabilities))).map_err(|_| GONE)?;
    }
    Ok(json!({ "changed": change.changed, "until": "the agent starts anew" }))
  }

  /// Removes the folders of attempts that are in nobody's hand any more, and the files that were
  /// fetched for tasks and that none waits for.
  async fn clear_cache(&self) -> Outcome {
    let dir = self.settings.process.run_base_dir.clone();
    // First the folders, then the attempts: a folder that is made in between is not looked at.
    let folders = folders_of(dir.clone()).await?;
    let in_hand = self.in_hand().await?;
    let cache = self.settings.input_dir();
    let clearing = tokio::task::spawn_blocking(move || clear_file_cache(&cache, &in_hand.inputs));
    let (files, kept) = clearing.await.map_err(|error| error.to_string())?;
    let names: Vec<String> = in_hand.attempts.iter().map(ToString::to_string).collect();
    let (mut removed, mut failed) = (0_u64, kept);
    for (name, path) in folders {
      if names.contains(&name) {
        continue;
      }
      match tokio::fs::remove_dir_all(&path).await {
        Ok(()) => removed += 1,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
          tracing::warn!(path = %path.display(), %error, "cannot remove what an attempt has left");
          failed += 1;
        }
      }
    }
    Ok(json!({
      "removed": removed, "files": files, "failed": failed, "folder": dir.display().to_string(),
    }))
  }

  async fn health(&self) -> Outcome {
    let in_hand = self.in_hand().await?;
    let agent = &self.settings.agent;
    let mut problems = Vec::new();
    if !self.executor_moves().await {
      problems.push(format!("the executor has not moved for {EXECUTOR_LIMIT:?}"));
    }
    for dir in [&agent.work_dir, &agent.state_dir, &self.settings.process.run_base_dir] {
      if let Err(error) = writable(dir.clone()).await {
        problems.push(format!("{} cannot be written: {error}", dir.display()));
      }
    }
    let metrics = self.metrics.borrow().clone();
    if metrics.disk_usage > DISK_FULL {
      problems.push(format!("the disk of {} is full", agent.work_dir.display()));
    }
    Ok(json!({
      "healthy": problems.is_empty(), "problems": problems, "running": in_hand.running,
      "waiting": in_hand.waiting, "slots": self.live.slots(), "uptime": metrics.uptime,
      "version": env!("CARGO_PKG_VERSION"),
    }))
  }

  async fn executor_moves(&self) -> bool {
    let before = self.tick.load(Ordering::Relaxed);
    // Says nothing that was not known, but has to be read.
    if self.orders.send(Order::Contact(i64::MIN)).is_err() {
      return false;
    }
    let moved = async {
      while self.tick.load(Ordering::Relaxed) == before {
        tokio::time::sleep(LOOK).await;
      }
    };
    tokio::time::timeout(EXECUTOR_LIMIT, moved).await.is_ok()
  }

  async fn in_hand(&self) -> Result<InHand, String> {
    let (reply, answer) = oneshot::channel();
    self.orders.send(Order::InHand(reply)).map_err(|_| GONE)?;
    answer.await.map_err(|_| GONE.to_owned())
  }
}

/// The scheduler or the connection has ended.
const GONE: &str = "the agent is leaving";
/// Share of a disk in use from which on it counts as full.
const DISK_FULL: f64 = 99.5;

/// The folders of attempts below this one, by the attempt's id.
async fn folders_of(dir: PathBuf) -> Result<Vec<(String, PathBuf)>, String> {
  let failed = |error: std::io::Error| error.to_string();
  let mut found = Vec::new();
  let mut entries = tokio::fs::read_dir(dir).await.map_err(failed)?;
  while let Some(entry) = entries.next_entry().await.map_err(failed)? {
    let name = entry.file_name().to_string_lossy().into_owned();
    let is_folder = entry.file_type().await.is_ok_and(|kind| kind.is_dir());
    // What we have not made is not ours to remove.
    if is_folder && name.parse::<uuid::Uuid>().is_ok() {
      found.push((name, entry.path()));
    }
  }
  Ok(found)
}

async fn writable(dir: PathBuf) -> std::io::Result<()> {
  let path = dir.join(format!(".health-{}", std::process::id()));
  tokio::fs::write(&path, b"").await?;
  tokio::fs::remove_file(&path).await
}
