//! What the routes work with.

use std::sync::Arc;

use hetuflow_core::{ServerId, Ts};

use crate::endpoint::ApiState;
use crate::gateway::GatewayState;
use crate::service::{
  AgentSvc, ApplySvc, BackfillSvc, CalendarSvc, FeedSvc, FreezeSvc, JobSvc, ListSvc, LogSvc,
  NamespaceSvc, OwnFigures, ScheduleSvc, SecretSvc, SemaphoreSvc, SimulateSvc, Store, SystemSvc,
  TaskSvc, TokenSvc, V0Svc, WatchSvc,
};

/// Every service that a route calls.
pub(super) fn api_state(
  (store, server): (&Store, &ServerId),
  (open, v0_api): (bool, bool),
  (tasks, tokens, feed, secrets): (&Arc<TaskSvc>, &Arc<TokenSvc>, &Arc<FeedSvc>, &Arc<SecretSvc>),
  (gateway, backfills): (&Arc<GatewayState>, &Arc<BackfillSvc>),
) -> Arc<ApiState> {
  let started_at = Ts::now();
  let version = env!("CARGO_PKG_VERSION");
  let stats = gateway.clone();
  let connections = gateway.clone();
  Arc::new(ApiState {
    namespaces: NamespaceSvc::new(store.clone()),
    jobs: JobSvc::new(store.clone()),
    apply: ApplySvc::new(store.clone()),
    schedules: ScheduleSvc::new(store.clone()),
    backfills: backfills.clone(),
    freezes: FreezeSvc::new(store.clone()),
    tasks: tasks.clone(),
    logs: Arc::new(LogSvc::new(store.clone())),
    feed: feed.clone(),
    lists: ListSvc::new(store.clone()),
    watches: WatchSvc::new(store.clone(), feed.clone(), (server.clone(), own_figures(gateway))),
    agents: AgentSvc::new(store.clone()),
    agent_commands: gateway.commands.clone(),
    v0: V0Svc::new(store.clone(), tasks.clone()),
    v0_api,
    tokens: tokens.clone(),
    artifacts: gateway.artifacts.clone(),
    secrets: secrets.clone(),
    calendars: CalendarSvc::new(store.clone()),
    semaphores: SemaphoreSvc::new(store.clone()),
    simulate: SimulateSvc::new(store.clone()),
    system: SystemSvc::new(store.clone(), (server.clone(), version), started_at),
    gateway_stats: Arc::new(move || stats.stats.to_json(&stats.roster)),
    gateway_connections: Arc::new(move || connections_json(&connections)),
    open,
    shutdown: gateway.stop.clone(),
    started_at,
    server_id: server.clone(),
    version,
  })
}

/// What this server counts, for its row in the list of servers.
fn own_figures(gateway: &Arc<GatewayState>) -> OwnFigures {
  let gateway = gateway.clone();
  Box::new(move || {
    let counters = gateway.stats.to_json(&gateway.roster);
    let fields = counters.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
  })
}

fn connections_json(gateway: &GatewayState) -> serde_json::Value {
  let list: Vec<serde_json::Value> = gateway
    .roster
    .list()
    .into_iter()
    .map(|(member, credits)| {
      serde_json::json!({
        "agent_id": member.agent_id, "agent_epoch": member.agent_epoch,
        "connection_epoch": member.connection_epoch, "labels": member.labels,
        "cordoned": member.cordoned, "credits": credits,
      })
    })
    .collect();
  serde_json::Value::Array(list)
}
