//! `/backfills`: schedules run for instants that lie in the past.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{
  BackfillCancel, BackfillEntity, BackfillFilter, BackfillForCreate, Page, PauseRequest,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of backfills.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::post("/api/v1/schedules/{ref}/backfill", create)
      .summary("Run a schedule for instants of the past; dry_run in the body only counts them")
      .in_namespace()
      .body::<BackfillForCreate>()
      .answers::<BackfillEntity>()
      .status(201),
    Operation::get("/api/v1/backfills", list)
      .summary("List backfills, newest first")
      .filter::<BackfillFilter>()
      .paged()
      .answers_page::<BackfillEntity>(),
    Operation::get("/api/v1/backfills/{ref}", get)
      .summary("Read a backfill and how far it is")
      .answers::<BackfillEntity>(),
    Operation::post("/api/v1/backfills/{ref}/cancel", cancel)
      .summary("End a backfill, and its tasks unless they are to go on")
      .optional_body::<BackfillCancel>()
      .answers::<BackfillEntity>(),
    Operation::post("/api/v1/backfills/{ref}/pause", pause)
      .summary("Make no more tasks of a backfill until it goes on")
      .optional_body::<PauseRequest>()
      .answers::<BackfillEntity>(),
    Operation::post("/api/v1/backfills/{ref}/resume", resume)
      .summary("Let a backfill go on")
      .answers::<BackfillEntity>(),
  ]
}

async fn create(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  JsonBody(new): JsonBody<BackfillForCreate>,
) -> Result<(StatusCode, Json<BackfillEntity>), ApiError> {
  let namespace = args.only_namespace()?;
  let row = api.backfills.create(&caller.0, (namespace.as_ref(), &name), &new).await?;
  let status = if new.dry_run { StatusCode::OK } else { StatusCode::CREATED };
  Ok((status, Json(row)))
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<BackfillEntity>> {
  let page = args.page(Order::Id)?;
  let filter = BackfillFilter {
    namespace_id: args.namespace()?,
    schedule_id: args.value("schedule_id")?,
    state: args.value("state")?,
  };
  args.finish()?;
  Ok(Json(api.backfills.list(&caller.0, &filter, &page).await?))
}

async fn get(State(api): Api, caller: Caller, Ref(id): Ref, args: Args) -> Answer<BackfillEntity> {
  args.finish()?;
  Ok(Json(api.backfills.get(&caller.0, &id).await?))
}

async fn cancel(
  State(api): Api,
  caller: Caller,
  (Ref(id), args): (Ref, Args),
  MaybeJson(how): MaybeJson<BackfillCancel>,
) -> Answer<BackfillEntity> {
  args.finish()?;
  Ok(Json(api.backfills.cancel(&caller.0, &id, &how).await?))
}

async fn pause(
  State(api): Api,
  caller: Caller,
  (Ref(id), args): (Ref, Args),
  MaybeJson(request): MaybeJson<PauseRequest>,
) -> Answer<BackfillEntity> {
  args.finish()?;
  if request.until.is_some() {
    let message = "a backfill is held until somebody lets it go on";
    return Err(ApiError::new(
      hetuflow_core::ErrorCode::ValidationError,
      "backfill.until",
      "/until",
      message,
    ));
  }
  Ok(Json(api.backfills.pause(&caller.0, &id, request.reason).await?))
}

async fn resume(
  State(api): Api,
  caller: Caller,
  (Ref(id), args): (Ref, Args),
) -> Answer<BackfillEntity> {
  args.finish()?;
  Ok(Json(api.backfills.resume(&caller.0, &id).await?))
}
