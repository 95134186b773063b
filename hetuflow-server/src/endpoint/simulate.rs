//! `/simulate`: a namespace in virtual time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hetuflow_core::{SimulateRequest, Simulation};

use super::auth::Caller;
use super::error::Answer;
use super::json_body::{BULK_BYTES_MAX, JsonBody};
use super::operation::Operation;
use super::query::Args;
use super::state::ApiState;

/// The route of simulations.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::post("/api/v1/simulate", simulate)
      .summary("What would happen in virtual time: load, overlaps, lateness; changes nothing")
      .body::<SimulateRequest>()
      .answers::<Simulation>(),
  ]
}

async fn simulate(
  State(api): State<Arc<ApiState>>,
  caller: Caller,
  args: Args,
  JsonBody(request): JsonBody<SimulateRequest, BULK_BYTES_MAX>,
) -> Answer<Simulation> {
  args.finish()?;
  Ok(Json(api.simulate.run(&caller.0, request).await?))
}
