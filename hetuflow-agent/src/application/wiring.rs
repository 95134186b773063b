//! Translates between the rooms, which do not know each other.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{AgentCommand, CommandKind};
use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::watch;

use super::commander::Commander;
use crate::config::Settings;
use crate::connection::{self, OnStored, Told};
use crate::executor::{
  BaseEnvironment, DefaultLimits, ExecutorSettings, SteadyClock, Surroundings,
};
use crate::scheduler::{self, Order};

/// What the server says becomes orders to the scheduler, or to the agent as a whole.
pub fn tell(orders: UnboundedSender<Order>, commands: Sender<AgentCommand>) -> connection::Tell {
  Box::new(move |told| {
    let order = match told {
      Told::Connected { connection_epoch, reply } => Order::Connected { connection_epoch, reply },
      Told::Tasks { message_id, connection_epoch, answer } => {
        Order::Tasks { message_id, connection_epoch, answer }
      }
      Told::Unreadable { connection_epoch, update } => {
        Order::Unreadable { connection_epoch, update }
      }
      Told::Control { message_id, control } => Order::Control { message_id, control },
      Told::Reconcile(verdicts) => Order::Reconcile(verdicts),
      Told::Doubt => Order::Doubt,
      Told::Contact(at_us) => Order::Contact(at_us),
      Told::Clock(offset) => Order::Clock(offset),
      Told::Drift(ppm) => Order::Drift(ppm),
      Told::Settings(config) => Order::Limits(DefaultLimits {
        time: Duration::from_secs(config.task_timeout),
        output_bytes: config.max_output_size,
      }),
      Told::Fetched(connection::Fetched { instance_id, content_hash, outcome }) => {
        let outcome = outcome.map_err(|connection::NotFetched { reason, message }| {
          scheduler::NotFetched { reason, message }
        });
        Order::Fetched { instance_id, content_hash, outcome }
      }
      Told::Command(command) => match command.command_type {
        CommandKind::Drain => Order::GiveBack,
        kind if Commander::knows(kind) => return commands.try_send(command).is_ok(),
        _ => return false,
      },
    };
    orders.send(order).is_ok()
  })
}

/// What the scheduler reports goes to the connection.
pub fn reports(
  to: UnboundedSender<connection::Report>,
) -> Box<dyn Fn(scheduler::Report) + Send + Sync> {
  Box::new(move |report| {
    let report = match report {
      scheduler::Report::Update(update) => connection::Report::Update(update, OnStored::nothing()),
      scheduler::Report::End(update, hold) => {
        connection::Report::Update(update, OnStored::then(|| hold.release()))
      }
      scheduler::Report::Output(frame, hold) => {
        connection::Report::Output(frame, OnStored::then(|| hold.release()))
      }
      scheduler::Report::Fetch(files) => {
        let wanted = files.into_iter().map(|file| connection::WantedFile {
          task_id: file.task_id,
          instance_id: file.instance_id,
          fence: file.fence,
          content_hash: file.content_hash,
          file_size: file.file_size,
        });
        connection::Report::Fetch(wanted.collect())
      }
      scheduler::Report::Renew => connection::Report::Renew,
      scheduler::Report::LetGo(instance_id) => connection::Report::LetGo(instance_id),
      scheduler::Report::Refused { message_id, code, message } => {
        connection::Report::Refused { message_id, code, message }
      }
    };
    let _connection_gone = to.send(report);
  })
}

/// Passes grants on until the scheduler has ended.
pub async fn pass_grants(
  mut from: watch::Receiver<scheduler::Grant>,
  to: watch::Sender<connection::Grant>,
) {
  while from.changed().await.is_ok() {
    let scheduler::Grant { connection_epoch, poll } = from.borrow_and_update().clone();
    to.send_replace(connection::Grant { connection_epoch, poll });
  }
}

/// The clock of the executor, as the connection needs it.
pub struct HostClock(pub SteadyClock);

impl connection::Clock for HostClock {
  fn steady_us(&self) -> i64 {
    self.0.now_us()
  }
  fn wall_delta_us(&self) -> i64 {
    self.0.wall_delta_us()
  }
}

/// The settings of each room.
pub fn connection_settings(settings: &Settings) -> connection::ConnectionSettings {
  let section = settings.connection.clone();
  connection::ConnectionSettings {
    servers: section.servers,
    token: settings.agent.token.clone(),
    connect_timeout: section.connect_timeout,
    heartbeat_interval: section.heartbeat_interval,
    reconnect_base: section.reconnect_base,
    reconnect_max: section.reconnect_max,
    artifact_dir: settings.artifact_dir(),
    input_dir: settings.input_dir(),
    input_cache_max: settings.process.input_cache_max,
  }
}

/// See [`connection_settings`].
pub fn surroundings(settings: &Settings) -> Surroundings {
  Surroundings {
    settings: executor_settings(settings),
    base: BaseEnvironment::new(std::env::vars_os()),
    output_buffer: settings.process.output_buffer,
  }
}

fn executor_settings(settings: &Settings) -> ExecutorSettings {
  ExecutorSettings {
    work_dir: settings.agent.work_dir.clone(),
    run_base_dir: settings.process.run_base_dir.clone(),
    runtime_dir: settings.process.runtime_dir.clone(),
    allow_root_tasks: settings.agent.allow_root_tasks,
    run_as_allow: settings.agent.run_as_allow.clone(),
    commands_allow: settings.agent.commands_allow.clone(),
    flush_interval: settings.process.output_flush_interval,
    confine: settings.process.confine.clone(),
    task_types: settings.task_types.clone(),
    journal_sync: settings.process.journal_sync,
    log_policy: settings.process.log_policy,
    result_size_max: settings.process.result_size_max,
    mask_secrets: settings.process.mask_secrets,
    input_dir: settings.input_dir(),
    artifact_dir: settings.artifact_dir(),
    artifact_size_max: settings.process.artifact_size_max,
    artifact_total_max: settings.process.artifact_total_max,
    noop: settings.process.noop,
  }
}

/// See [`connection_settings`].
pub fn scheduler_settings(settings: &Settings) -> scheduler::SchedulerSettings {
  scheduler::SchedulerSettings {
    max_concurrent: settings.polling.max_concurrent_tasks,
    queue_depth_max: settings.polling.queue_depth_max,
    takeover_grace: settings.connection.takeover_grace,
    inputs: scheduler::InputLimits {
      file_bytes: settings.process.input_size_max,
      total_bytes: settings.process.input_total_max,
      wait: settings.process.input_fetch_timeout,
    },
  }
}

/// The host's clock, shared.
pub fn host_clock(clock: SteadyClock) -> Arc<dyn connection::Clock> {
  Arc::new(HostClock(clock))
}
