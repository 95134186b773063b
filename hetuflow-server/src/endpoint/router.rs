//! The table of all routes, and the router that it makes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use super::auth::{authenticate, authenticate_stream};
use super::middleware::{around, no_method, no_route};
use super::operation::{Door, Operation};
use super::state::ApiState;
use super::{
  agents, artifact_put, artifacts, backfills, calendars, control, docs, events, gateway_figures,
  jobs, logs, namespaces, schedules, secrets, semaphores, simulate, system, task_instances, tasks,
  tokens, v0,
};

/// Every route of this room.
pub(super) fn operations() -> Vec<Operation> {
  let rooms = [
    namespaces::operations(),
    jobs::operations(),
    schedules::operations(),
    backfills::operations(),
    simulate::operations(),
    tasks::operations(),
    control::operations(),
    task_instances::operations(),
    logs::operations(),
    artifacts::operations(),
    artifact_put::operations(),
    agents::operations(),
    tokens::operations(),
    secrets::operations(),
    semaphores::operations(),
    calendars::operations(),
    system::operations(),
    gateway_figures::operations(),
    events::operations(),
    docs::operations(),
    v0::operations(),
  ];
  rooms.into_iter().flatten().collect()
}

/// The router of the HTTP API. The socket of agents is another room's; what is merged with this
/// router afterwards is not guarded by it.
pub fn router(state: Arc<ApiState>) -> Router {
  let mut public = Router::new();
  let mut token = Router::new();
  let mut stream = Router::new();
  for operation in operations().into_iter().filter(|one| state.v0_api || !one.older) {
    let door = match operation.door {
      Door::Public => &mut public,
      Door::Token => &mut token,
      Door::Stream => &mut stream,
    };
    *door = std::mem::take(door).route(operation.path, operation.handler);
  }
  let token = token.route_layer(from_fn_with_state(Arc::clone(&state), authenticate));
  let stream = stream.route_layer(from_fn_with_state(Arc::clone(&state), authenticate_stream));
  public
    .merge(token)
    .merge(stream)
    .method_not_allowed_fallback(no_method)
    .fallback(no_route)
    .layer(from_fn(around))
    .with_state(state)
}
