//! What the handlers stand on: one service per kind of thing.

use std::sync::Arc;

use hetuflow_core::{ServerId, Ts};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::service::{
  AgentCommandSvc, AgentSvc, ApplySvc, ArtifactSvc, BackfillSvc, CalendarSvc, FeedSvc, FreezeSvc,
  JobSvc, ListSvc, LogSvc, NamespaceSvc, ScheduleSvc, SecretSvc, SemaphoreSvc, SimulateSvc,
  SystemSvc, TaskSvc, TokenSvc, V0Svc, WatchSvc,
};

/// Figures that another room keeps and this one shows.
pub type Figures = Arc<dyn Fn() -> Value + Send + Sync>;

/// Everything that a request may need.
pub struct ApiState {
  /// Namespaces.
  pub namespaces: NamespaceSvc,
  /// Jobs.
  pub jobs: JobSvc,
  /// Manifests.
  pub apply: ApplySvc,
  /// Schedules.
  pub schedules: ScheduleSvc,
  /// Schedules run for instants of the past.
  pub backfills: Arc<BackfillSvc>,
  /// Freezes of namespaces and of everything.
  pub freezes: FreezeSvc,
  /// Tasks and attempts.
  pub tasks: Arc<TaskSvc>,
  /// Output.
  pub logs: Arc<LogSvc>,
  /// The feed.
  pub feed: Arc<FeedSvc>,
  /// Lists by a filter and an order.
  pub lists: ListSvc,
  /// Watches.
  pub watches: Arc<WatchSvc>,
  /// Agents.
  pub agents: AgentSvc,
  /// Orders to agents as a whole.
  pub agent_commands: AgentCommandSvc,
  /// Files that attempts have left.
  pub artifacts: Arc<ArtifactSvc>,
  /// Secrets.
  pub secrets: Arc<SecretSvc>,
  /// Calendars by name.
  pub calendars: CalendarSvc,
  /// Semaphores.
  pub semaphores: SemaphoreSvc,
  /// Tokens.
  pub tokens: Arc<TokenSvc>,
  /// The older words for tasks, agents and cron jobs.
  pub v0: V0Svc,
  /// A namespace in virtual time.
  pub simulate: SimulateSvc,
  /// The server itself.
  pub system: SystemSvc,
  /// Counts of the gateway.
  pub gateway_stats: Figures,
  /// Its connections.
  pub gateway_connections: Figures,
  /// No token is asked for: `[auth] mode = off`.
  pub open: bool,
  /// The routes without a version are served: `[compat] v0_api`.
  pub v0_api: bool,
  /// Streams end when this is cancelled, so that a stop need not wait for their readers.
  pub shutdown: CancellationToken,
  /// When the server started.
  pub started_at: Ts,
  /// Which server this is.
  pub server_id: ServerId,
  /// Its version.
  pub version: &'static str,
}
