//! What the server says of itself: alive, ready, healthy, and which servers there are.

use hetuflow_core::{AgentFilter, AgentStatus, Page, Role, ServerEntity, ServerId, Ts};
use serde_json::{Value, json};

use super::store::{PageArgs, Store};
use super::{Actor, SvcResult};
use crate::infra::bmc::{agent_bmc, server_bmc};

/// Agents that the health report counts.
const AGENTS_COUNTED_MAX: i64 = 10_000;

/// Use cases of the system.
#[derive(Clone)]
pub struct SystemSvc {
  store: Store,
  server_id: ServerId,
  version: &'static str,
  started_at: Ts,
}

impl SystemSvc {
  /// For this server over its store.
  pub fn new(store: Store, (server_id, version): (ServerId, &'static str), started_at: Ts) -> Self {
    Self { store, server_id, version, started_at }
  }

  /// Version and protocol; no secret, for everyone.
  pub fn version(&self) -> Value {
    json!({
      "name": "hetuflow-server",
      "version": self.version,
      "api": "v1",
      "protocol_version": hetuflow_core::PROTOCOL_VERSION,
    })
  }

  /// Which server this is and what it stands on.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub fn info(&self, actor: &Actor) -> SvcResult<Value> {
    actor.require_role(Role::Viewer)?;
    let now = Ts::now();
    let engine = self.engine();
    Ok(json!({
      "server_id": self.server_id,
      "version": self.version,
      "protocol_version": hetuflow_core::PROTOCOL_VERSION,
      "started_at": self.started_at,
      "uptime_secs": now.since(self.started_at).as_secs(),
      "database": { "engine": engine, "url": self.store.db.url() },
      "os": std::env::consts::OS,
      "arch": std::env::consts::ARCH,
      "pid": std::process::id(),
      "timestamp": now,
    }))
  }

  fn engine(&self) -> &'static str {
    if self.store.db.is_sqlite() { "sqlite" } else { "postgres" }
  }

  /// Ready to serve: the database answers.
  ///
  /// # Errors
  /// 503 when it does not.
  pub async fn ready(&self) -> SvcResult<()> {
    let mut conn = self.store.read().await?;
    server_bmc::store_epoch(&mut conn).await?;
    Ok(())
  }

  /// The state of the parts, and whether the whole is healthy: agents do not count.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn health(&self, actor: &Actor) -> SvcResult<(bool, Value)> {
    actor.require_role(Role::Viewer)?;
    let now = Ts::now();
    let agents = self.agents().await;
    let healthy = agents.is_ok();
    let up = |fine: bool| if fine { "healthy" } else { "unhealthy" };
    let body = json!({
      "status": up(healthy),
      "timestamp": now,
      "version": self.version,
      "uptime": now.since(self.started_at).as_secs(),
      "database": { "status": up(healthy), "engine": self.engine() },
      "agents": agents.unwrap_or(Value::Null),
    });
    Ok((healthy, body))
  }

  async fn agents(&self) -> SvcResult<Value> {
    let mut conn = self.store.read().await?;
    let page = PageArgs::first(AGENTS_COUNTED_MAX);
    let agents = agent_bmc::list(&mut conn, &AgentFilter::default(), &page).await?.data;
    let online = agents.iter().filter(|agent| agent.status != AgentStatus::Offline).count();
    Ok(json!({ "total": agents.len(), "online": online }))
  }

  /// The servers on this store.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn servers(&self, actor: &Actor, page: &PageArgs) -> SvcResult<Page<ServerEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    Ok(server_bmc::list(&mut conn, page).await?)
  }
}
