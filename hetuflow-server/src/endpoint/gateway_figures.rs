//! `/gateway/stats` and `/gateway/connections`: what the gateway counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hetuflow_core::Role;
use serde_json::Value;

use super::auth::Caller;
use super::error::Answer;
use super::operation::Operation;
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of the gateway's figures.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/gateway/stats", stats)
      .summary("Connections and messages of the gateway")
      .answers_object(),
    Operation::get("/api/v1/gateway/connections", connections)
      .summary("Agents that are connected to this server")
      .answers_object(),
  ]
}

async fn stats(State(api): Api, caller: Caller) -> Answer<Value> {
  caller.0.require_everywhere(Role::Viewer)?;
  Ok(Json((api.gateway_stats)()))
}

async fn connections(State(api): Api, caller: Caller) -> Answer<Value> {
  caller.0.require_everywhere(Role::Viewer)?;
  Ok(Json((api.gateway_connections)()))
}
