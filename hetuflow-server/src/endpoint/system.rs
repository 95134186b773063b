//! `/system` and `/servers`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{ErrorCode, FreezeEntity, Page, PauseRequest, ResumeRequest, ServerEntity};
use serde_json::{Value, json};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::MaybeJson;
use super::operation::{Door, Operation};
use super::query::{Args, Order};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of the system.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/system/live", live)
      .summary("The process answers")
      .door(Door::Public)
      .answers_object(),
    Operation::get("/api/v1/system/ready", ready)
      .summary("The server can serve: 503 until it can, and while it stops")
      .door(Door::Public)
      .answers_object(),
    Operation::get("/api/v1/system/version", version)
      .summary("Version and protocol")
      .door(Door::Public)
      .answers_object(),
    Operation::get("/api/v1/system/health", health)
      .summary("State of the parts: 503 when the whole is not healthy")
      .answers_object(),
    Operation::get("/api/v1/system/info", info)
      .summary("Which server this is and what it stands on")
      .answers_object(),
    Operation::post("/api/v1/system/pause", pause)
      .summary("No schedule fires any more; what runs goes on")
      .optional_body::<PauseRequest>()
      .answers::<FreezeEntity>(),
    Operation::post("/api/v1/system/resume", resume)
      .summary("Schedules fire again, and what was missed is decided by their own rules")
      .optional_body::<ResumeRequest>()
      .answers::<FreezeEntity>(),
    Operation::get("/api/v1/servers", servers)
      .summary("List servers")
      .paged()
      .answers_page::<ServerEntity>(),
  ]
}

async fn live() -> Json<Value> {
  Json(json!({ "status": "live" }))
}

async fn ready(State(api): Api) -> Answer<Value> {
  if api.shutdown.is_cancelled() {
    return Err(ApiError::new(ErrorCode::Unavailable, "", "", "the server stops"));
  }
  api.system.ready().await?;
  Ok(Json(json!({ "status": "ready" })))
}

async fn version(State(api): Api) -> Json<Value> {
  Json(api.system.version())
}

async fn health(State(api): Api, caller: Caller) -> Result<(StatusCode, Json<Value>), ApiError> {
  let (healthy, mut body) = api.system.health(&caller.0).await?;
  body["paused"] = json!(api.freezes.active(&caller.0).await.unwrap_or_default());
  Ok((if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body)))
}

async fn info(State(api): Api, caller: Caller) -> Answer<Value> {
  Ok(Json(api.system.info(&caller.0)?))
}

async fn pause(
  State(api): Api,
  caller: Caller,
  MaybeJson(request): MaybeJson<PauseRequest>,
) -> Answer<FreezeEntity> {
  Ok(Json(api.freezes.pause(&caller.0, None, &request).await?))
}

async fn resume(
  State(api): Api,
  caller: Caller,
  MaybeJson(request): MaybeJson<ResumeRequest>,
) -> Answer<FreezeEntity> {
  Ok(Json(api.freezes.resume(&caller.0, None, &request).await?))
}

async fn servers(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<ServerEntity>> {
  let page = args.page(Order::Name)?;
  args.finish()?;
  Ok(Json(api.system.servers(&caller.0, &page).await?))
}
