//! The agent as a whole, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hetuflow_core::AgentMetrics;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, channel, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commander::Commander;
use super::identity::{introduction, next_epoch};
use super::{commander, metrics, wiring};
use crate::config::{Settings, TasksOnStop};
use crate::connection::{self, Connection, Superseded};
use crate::executor::{self, Command, Executor, Launcher, Remote, SteadyClock};
use crate::scheduler::{self, Counters, Order, Scheduler};

/// Orders to the agent as a whole that may wait; more are refused.
const COMMANDS_MAX: usize = 16;
/// What the end of running tasks may take beyond the grace.
const STOP_LIMIT: Duration = Duration::from_millis(2500);
/// What tasks get when this agent has no right to them any more.
const GIVE_UP_GRACE: Duration = Duration::from_secs(5);
/// What the last reports may take.
const FLUSH_LIMIT: Duration = Duration::from_millis(2300);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
  /// The kernel has refused a timer or a signal handler.
  #[error("the system refuses what every agent needs")]
  System(#[from] std::io::Error),
  /// There is no executor, and nothing can be run without one.
  #[error(transparent)]
  Executor(#[from] executor::RemoteError),
  /// Another process has this agent's place: the machine or its state folder was copied.
  #[error(
    "this agent is superseded: {0}; if this is a copy of another machine, delete its state folder"
  )]
  Superseded(String),
  /// One of the parts has ended by itself.
  #[error("the {0} has ended by itself; this is a fault of the agent")]
  PartEnded(&'static str),
}

/// Where an agent's executor lives.
#[derive(Debug)]
pub enum ExecutorHome {
  /// In the agent's own process: it ends with it. For benchmarks and tests.
  Inside,
  /// In a process of its own, which is started like this where none runs.
  Apart(Launcher),
}

/// An agent that runs. Every task it spawns is owned by its tracker.
pub struct Agent {
  tracker: TaskTracker,
  orders: UnboundedSender<Order>,
  commands: UnboundedSender<Command>,
  leave_wanted: CancellationToken,
  restart_wanted: CancellationToken,
  all_reported: CancellationToken,
  stop_sampling: CancellationToken,
  let_go: CancellationToken,
  /// What running tasks get when the agent leaves; none leaves them to the executor.
  grace: Option<Duration>,
  scheduler: JoinHandle<()>,
  connection: JoinHandle<Option<Superseded>>,
}

impl Agent {
  /// Starts everything; only inside a runtime.
  ///
  /// # Errors
  /// When the kernel has no timer left, or there is no executor.
  pub async fn start(
    settings: &Settings,
    agent_id: &str,
    home: ExecutorHome,
  ) -> Result<Self, RunError> {
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
    let (agent_commands, to_commander) = channel(COMMANDS_MAX);
    let [leave_wanted, restart_wanted, all_reported, stop_sampling, let_go] =
      [(); 5].map(|()| CancellationToken::new());
    let restart = matches!(home, ExecutorHome::Apart(_)).then(|| restart_wanted.clone());

    let surroundings = wiring::surroundings(settings);
    let found = match home {
      ExecutorHome::Inside => {
        let clock = SteadyClock::start();
        let parts =
          executor::Inside { clock, commands: to_executor, events, tick: Arc::clone(&tick) };
        tracker.spawn(Executor::run_inside(surroundings, tracker.clone(), parts));
        Found { clock, journal_id: String::new(), held: Vec::new() }
      }
      ExecutorHome::Apart(launcher) => {
        let place = executor::Place::new(&settings.agent.state_dir);
        let mut attached = executor::Attached::attach(place, launcher, surroundings).await?;
        let found = Found {
          clock: SteadyClock::with_shift(attached.welcome.shift_us),
          journal_id: attached.welcome.journal_id.clone(),
          held: std::mem::take(&mut attached.welcome.held),
        };
        let ends = (Arc::clone(&tick), let_go.clone());
        tracker.spawn(Remote::new(attached, to_executor, events, ends).run());
        found
      }
    };
    let Found { clock, journal_id, held } = found;
    if !held.is_empty() {
      tracing::info!(attempts = held.len(), "found tasks of an earlier agent; they go on");
    }
    let scheduler = Scheduler::new(scheduler::Parts {
      settings: wiring::scheduler_settings(settings),
      clock,
      orders: from_server,
      events: from_executor,
      commands: commands.clone(),
      reports: wiring::reports(reports.clone()),
      grants,
      counters: Arc::clone(&counters),
      held,
    })?;
    let epoch = next_epoch(settings, clock.now_us());
    let introduction = introduction(settings, agent_id, epoch, journal_id);
    let commander = Commander::new(commander::Parts {
      settings: settings.clone(),
      capabilities: introduction.capabilities.clone(),
      orders: orders.clone(),
      reports,
      metrics: health.clone(),
      tick: Arc::clone(&tick),
      leave: leave_wanted.clone(),
      restart,
    });
    tracker.spawn(commander.run(to_commander));
    let connection = Connection::new(connection::Parts {
      settings: wiring::connection_settings(settings),
      introduction,
      tell: wiring::tell(orders.clone(), agent_commands),
      reports: to_server,
      grants: grants_to_server,
      metrics: health,
      tick,
      clock: wiring::host_clock(clock),
      leave: all_reported.clone(),
    });
    tracker.spawn(wiring::pass_grants(granted, passed));
    tracker.spawn(metrics::sample(
      settings.connection.heartbeat_interval,
      settings.agent.work_dir.clone(),
      counters,
      sampled,
      stop_sampling.clone(),
    ));
    let stops = settings.agent.tasks_on_stop == TasksOnStop::Stop;
    Ok(Self {
      scheduler: tracker.spawn(scheduler.run()),
      connection: tracker.spawn(connection.run()),
      tracker,
      orders,
      commands,
      leave_wanted,
      restart_wanted,
      all_reported,
      stop_sampling,
      let_go,
      grace: stops.then_some(settings.agent.shutdown_grace),
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
      end = &mut self.connection => match end {
        Ok(Some(Superseded(reason))) => RunError::Superseded(reason),
        _ => RunError::PartEnded("connection"),
      },
    }
  }

  /// Takes nothing new, ends what runs or leaves it to the executor, sends the last reports.
  pub async fn leave(mut self) {
    let _already_gone = self.orders.send(Order::Leave { grace: self.grace });
    let limit = self.grace.unwrap_or_default() + STOP_LIMIT;
    if tokio::time::timeout(limit, &mut self.scheduler).await.is_err() {
      tracing::error!("tasks are still alive after their kill; leaving without them");
      self.scheduler.abort();
    }
    self.all_reported.cancel();
    if tokio::time::timeout(FLUSH_LIMIT, &mut self.connection).await.is_err() {
      self.connection.abort();
    }
    self.stop_sampling.cancel();
    if self.grace.is_some() {
      let _executor_gone = self.commands.send(Command::KillAll);
    }
    self.let_go.cancel();
    drop(self.commands);
    self.tracker.close();
    let _leftover = tokio::time::timeout(Duration::from_millis(500), self.tracker.wait()).await;
  }

  /// Ends everything within the grace, and tells nobody.
  async fn give_up(mut self) {
    let grace = self.grace.unwrap_or(GIVE_UP_GRACE);
    let _already_gone = self.orders.send(Order::Leave { grace: Some(grace) });
    let _in_time = tokio::time::timeout(grace + STOP_LIMIT, &mut self.scheduler).await;
    let _executor_gone = self.commands.send(Command::Abandon);
    self.let_go.cancel();
    self.stop_sampling.cancel();
    self.tracker.close();
    let _leftover = tokio::time::timeout(Duration::from_millis(500), self.tracker.wait()).await;
  }

  /// Kills every group at once and waits for nothing.
  pub async fn die(&self) {
    let _executor_gone = self.commands.send(Command::KillAll);
    tokio::time::sleep(Duration::from_millis(100)).await;
  }
}

/// How an agent has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
  /// For good.
  Stopped,
  /// To be started anew at once.
  Restart,
}

/// What an executor brings along.
struct Found {
  clock: SteadyClock,
  journal_id: String,
  held: Vec<executor::Held>,
}

/// Runs an agent until a signal or a server ends it. A second signal ends it at once.
///
/// # Errors
/// [`RunError`] when it cannot run, or when one of its parts has failed.
pub async fn run(
  settings: &Settings,
  agent_id: &str,
  home: ExecutorHome,
) -> Result<Left, RunError> {
  let mut terminate = signal(SignalKind::terminate())?;
  let mut interrupt = signal(SignalKind::interrupt())?;
  let mut agent = Agent::start(settings, agent_id, home).await?;
  let wanted = agent.leave_wanted();
  let failed = tokio::select! {
    _ = terminate.recv() => None,
    _ = interrupt.recv() => None,
    () = wanted.cancelled() => None,
    error = agent.part_ended() => Some(error),
  };
  let restarts = agent.restart_wanted.is_cancelled();
  if restarts {
    // It is back in a moment: nothing that runs has to end for that.
    agent.grace = None;
  }
  let stops = agent.grace.is_some();
  if let Some(error) = failed {
    // Its attempts are not its own any more: nobody would ever stop them.
    if let RunError::Superseded(_) = error {
      agent.give_up().await;
      return Err(error);
    }
    // An executor of its own goes on; the next agent finds its tasks.
    if stops {
      agent.die().await;
    }
    return Err(error);
  }
  let what = if stops { "running tasks get their grace" } else { "running tasks go on" };
  tracing::info!("leaving: nothing new is taken, {what}");
  let commands = stops.then(|| agent.commands.clone());
  tokio::select! {
    () = agent.leave() => tracing::info!("left"),
    _ = terminate.recv() => kill_all(commands).await,
    _ = interrupt.recv() => kill_all(commands).await,
  }
  Ok(if restarts { Left::Restart } else { Left::Stopped })
}

async fn kill_all(commands: Option<UnboundedSender<Command>>) {
  let Some(commands) = commands else { return };
  tracing::warn!("a second signal: running tasks are killed");
  let _executor_gone = commands.send(Command::KillAll);
  tokio::time::sleep(Duration::from_millis(100)).await;
}
