//! `/namespaces`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{
  FreezeEntity, NamespaceEntity, NamespaceForCreate, NamespaceForUpdate, Page, PauseRequest,
  ResumeRequest,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of namespaces.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/namespaces", list)
      .summary("List namespaces")
      .paged()
      .answers_page::<NamespaceEntity>(),
    Operation::post("/api/v1/namespaces", create)
      .summary("Make a namespace")
      .body::<NamespaceForCreate>()
      .answers::<NamespaceEntity>()
      .status(201),
    Operation::get("/api/v1/namespaces/{id}", get)
      .summary("Read a namespace")
      .answers::<NamespaceEntity>(),
    Operation::patch("/api/v1/namespaces/{id}", update)
      .summary("Change a namespace")
      .body::<NamespaceForUpdate>()
      .answers::<NamespaceEntity>(),
    Operation::post("/api/v1/namespaces/{id}/pause", pause)
      .summary("No schedule of a namespace fires any more; what runs goes on")
      .optional_body::<PauseRequest>()
      .answers::<FreezeEntity>(),
    Operation::post("/api/v1/namespaces/{id}/resume", resume)
      .summary("The schedules of a namespace fire again")
      .optional_body::<ResumeRequest>()
      .answers::<FreezeEntity>(),
    Operation::delete("/api/v1/namespaces/{id}", delete).summary("Remove an empty namespace"),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<NamespaceEntity>> {
  let page = args.page(Order::Name)?;
  args.finish()?;
  Ok(Json(api.namespaces.list(&caller.0, &page).await?))
}

async fn create(
  State(api): Api,
  caller: Caller,
  JsonBody(new): JsonBody<NamespaceForCreate>,
) -> Result<(StatusCode, Json<NamespaceEntity>), ApiError> {
  let made = api.namespaces.create(&caller.0, new).await?;
  Ok((StatusCode::CREATED, Json(made)))
}

async fn get(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<NamespaceEntity> {
  Ok(Json(api.namespaces.get(&caller.0, &id).await?))
}

async fn update(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(change): JsonBody<NamespaceForUpdate>,
) -> Answer<NamespaceEntity> {
  Ok(Json(api.namespaces.update(&caller.0, &id, &change).await?))
}

async fn pause(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  MaybeJson(request): MaybeJson<PauseRequest>,
) -> Answer<FreezeEntity> {
  let namespace = api.namespaces.get(&caller.0, &id).await?.id;
  Ok(Json(api.freezes.pause(&caller.0, Some(&namespace), &request).await?))
}

async fn resume(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  MaybeJson(request): MaybeJson<ResumeRequest>,
) -> Answer<FreezeEntity> {
  let namespace = api.namespaces.get(&caller.0, &id).await?.id;
  Ok(Json(api.freezes.resume(&caller.0, Some(&namespace), &request).await?))
}

async fn delete(State(api): Api, caller: Caller, Ref(id): Ref) -> Result<StatusCode, ApiError> {
  api.namespaces.delete(&caller.0, &id).await?;
  Ok(StatusCode::NO_CONTENT)
}
