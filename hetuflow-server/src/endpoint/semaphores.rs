//! `/semaphores`: named limits and who has slots of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{Page, SemaphoreEntity, SemaphoreForPut, SemaphoreUsage};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::JsonBody;
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of semaphores.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/semaphores", list)
      .summary("List the semaphores of a namespace")
      .in_namespace()
      .paged()
      .answers_page::<SemaphoreEntity>(),
    Operation::get("/api/v1/semaphores/{name}", get)
      .summary("Read a semaphore")
      .in_namespace()
      .answers::<SemaphoreEntity>(),
    Operation::get("/api/v1/semaphores/{name}/usage", usage)
      .summary("Read who has slots of a semaphore, by key")
      .in_namespace()
      .answers::<SemaphoreUsage>(),
    Operation::put("/api/v1/semaphores/{name}", put)
      .summary("Make a semaphore or set its slots and its rate; what runs is never stopped")
      .in_namespace()
      .body::<SemaphoreForPut>()
      .answers::<SemaphoreEntity>(),
    Operation::delete("/api/v1/semaphores/{name}", delete)
      .summary("Delete a semaphore that nothing needs")
      .in_namespace(),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<SemaphoreEntity>> {
  let page = args.page(Order::Name)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.semaphores.list(&caller.0, namespace.as_ref(), &page).await?))
}

async fn get(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Answer<SemaphoreEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.semaphores.get(&caller.0, (namespace.as_ref(), &name)).await?))
}

async fn usage(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Answer<SemaphoreUsage> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.semaphores.usage(&caller.0, (namespace.as_ref(), &name)).await?))
}

async fn put(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
  JsonBody(put): JsonBody<SemaphoreForPut>,
) -> Answer<SemaphoreEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.semaphores.put(&caller.0, (namespace.as_ref(), &name), put).await?))
}

async fn delete(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<StatusCode, ApiError> {
  let namespace = args.only_namespace()?;
  api.semaphores.delete(&caller.0, (namespace.as_ref(), &name)).await?;
  Ok(StatusCode::NO_CONTENT)
}
