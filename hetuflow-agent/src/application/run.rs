//! The agent as a whole, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hetuflow_core::AgentMetrics;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::identity::introduction;
use super::{metrics, wiring};
use crate::config::Settings;
use crate::connection::{self, Connection};
use crate::executor::{self, BaseEnvironment, Command, Executor, SteadyClock};
use crate::scheduler::{self, Counters, Order, Scheduler};

/// What the end of running tasks may take beyond the grace.
const STOP_LIMIT: Duration = Duration::from_millis(2500);
/// What the last reports may take.
const FLUSH_LIMIT: Duration = Duration::from_millis(2300);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
  /// The kernel has refused a timer or a signal handler.
  #[error("the system refuses what every agent needs")]
  System(#[from] std::io::Error),
  /// One of the parts has ended by itself.
  #[error("the {0} has ended by itself; this is a fault of the agent")]
  PartEnded(&'static str),
}

/// An agent that runs. Every task it spawns is owned by its tracker.
pub struct Agent {
  tracker: TaskTracker,
  orders: UnboundedSender<Order>,
  commands: UnboundedSender<Command>,
  leave_wanted: CancellationToken,
  all_reported: CancellationToken,
  stop_sampling: CancellationToken,
  grace: Duration,
  scheduler: JoinHandle<()>,
  connection: JoinHandle<()>,
}

impl Agent {
  /// Starts everything; only inside a runtime.
  ///
  /// # Errors
  /// When the kernel has no timer left.
  pub fn start(settings: &Settings, agent_id: &str) -> Result<Self, RunError> {
    let clock = SteadyClock::start();
    let tracker = TaskTracker::new();
    let counters = Arc::new(Counters::default());
    let tick = Arc::new(AtomicU64::new(0));
    let (orders, from_server) = unbounded_channel();
    let (commands, to_executor) = unbounded_channel();
    let (events, from_executor) = unbounded_channel();
    let (reports, to_server) = unbounded_channel();
    let (grants, granted) = watch::channel(scheduler::Grant::default());
    let (passed, grants_to_server) = watch::channel(connection::Grant::default());
    let (sampled, health) = watch::channel(AgentMetrics::default());
    let [leave_wanted, all_reported, stop_sampling] = [(); 3].map(|()| CancellationToken::new());

    let memory = usize::try_from(settings.process.output_buffer).unwrap_or(usize::MAX);
    let executor = Executor::new(executor::Parts {
      settings: wiring::executor_settings(settings),
      base: BaseEnvironment::new(std::env::vars_os()),
      clock,
      memory: Arc::new(Semaphore::new(memory.min(Semaphore::MAX_PERMITS))),
      tracker: tracker.clone(),
      commands: to_executor,
      events,
      tick: Arc::clone(&tick),
    });
    let scheduler = Scheduler::new(scheduler::Parts {
      settings: wiring::scheduler_settings(settings),
      clock,
      orders: from_server,
      events: from_executor,
      commands: commands.clone(),
      reports: wiring::reports(reports),
      grants,
      counters: Arc::clone(&counters),
    })?;
    let connection = Connection::new(connection::Parts {
      settings: wiring::connection_settings(settings),
      introduction: introduction(settings, agent_id, clock.now_us()),
      tell: wiring::tell(orders.clone(), leave_wanted.clone()),
      reports: to_server,
      grants: grants_to_server,
      metrics: health,
      tick,
      clock: wiring::host_clock(clock),
      leave: all_reported.clone(),
    });
    tracker.spawn(executor.run());
    tracker.spawn(wiring::pass_grants(granted, passed));
    tracker.spawn(metrics::sample(
      settings.connection.heartbeat_interval,
      settings.agent.work_dir.clone(),
      counters,
      sampled,
      stop_sampling.clone(),
    ));
    Ok(Self {
      scheduler: tracker.spawn(scheduler.run()),
      connection: tracker.spawn(connection.run()),
      tracker,
      orders,
      commands,
      leave_wanted,
      all_reported,
      stop_sampling,
      grace: settings.agent.shutdown_grace,
    })
  }

  /// Cancelled when a server has asked the agent to leave.
  pub fn leave_wanted(&self) -> CancellationToken {
    self.leave_wanted.clone()
  }

  /// Resolves when a part has ended that never ends by itself.
  async fn part_ended(&mut self) -> RunError {
    tokio::select! {
      _ = &mut self.scheduler => RunError::PartEnded("scheduler"),
      _ = &mut self.connection => RunError::PartEnded("connection"),
    }
  }

  /// Takes nothing new, waits for what runs, ends the rest, sends the last reports, leaves.
  pub async fn leave(mut self) {
    let _already_gone = self.orders.send(Order::Leave { grace: self.grace });
    let limit = self.grace + STOP_LIMIT;
    if tokio::time::timeout(limit, &mut self.scheduler).await.is_err() {
      tracing::error!("tasks are still alive after their kill; leaving without them");
      self.scheduler.abort();
    }
    self.all_reported.cancel();
    if tokio::time::timeout(FLUSH_LIMIT, &mut self.connection).await.is_err() {
      self.connection.abort();
    }
    self.stop_sampling.cancel();
    let _executor_gone = self.commands.send(Command::KillAll);
    drop(self.commands);
    self.tracker.close();
    let _leftover = tokio::time::timeout(Duration::from_millis(200), self.tracker.wait()).await;
  }

  /// Kills every group at once and waits for nothing.
  pub async fn die(&self) {
    let _executor_gone = self.commands.send(Command::KillAll);
    tokio::time::sleep(Duration::from_millis(100)).await;
  }
}

/// Runs an agent until a signal or a server ends it. A second signal ends it at once.
///
/// # Errors
/// [`RunError`] when it cannot run, or when one of its parts has failed.
pub async fn run(settings: &Settings, agent_id: &str) -> Result<(), RunError> {
  let mut terminate = signal(SignalKind::terminate())?;
  let mut interrupt = signal(SignalKind::interrupt())?;
  let mut agent = Agent::start(settings, agent_id)?;
  let wanted = agent.leave_wanted();
  let failed = tokio::select! {
    _ = terminate.recv() => None,
    _ = interrupt.recv() => None,
    () = wanted.cancelled() => None,
    error = agent.part_ended() => Some(error),
  };
  if let Some(error) = failed {
    agent.die().await;
    return Err(error);
  }
  tracing::info!("leaving: nothing new is taken, running tasks get their grace");
  let commands = agent.commands.clone();
  tokio::select! {
    () = agent.leave() => tracing::info!("left"),
    _ = terminate.recv() => kill_all(&commands).await,
    _ = interrupt.recv() => kill_all(&commands).await,
  }
  Ok(())
}

async fn kill_all(commands: &UnboundedSender<Command>) {
  tracing::warn!("a second signal: running tasks are killed");
  let _executor_gone = commands.send(Command::KillAll);
  tokio::time::sleep(Duration::from_millis(100)).await;
}
