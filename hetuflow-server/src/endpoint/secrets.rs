//! `/secrets`: values go in and never come out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{Page, SecretEntity, SecretForPut};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::JsonBody;
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of secrets.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/secrets", list)
      .summary("List the secrets of a namespace, without their values")
      .in_namespace()
      .paged()
      .answers_page::<SecretEntity>(),
    Operation::get("/api/v1/secrets/{name}", get)
      .summary("Read about a secret; nothing gives its value back")
      .in_namespace()
      .answers::<SecretEntity>(),
    Operation::put("/api/v1/secrets/{name}", put)
      .summary("Set the value of a secret; makes it where it is new")
      .in_namespace()
      .body::<SecretForPut>()
      .answers::<SecretEntity>(),
    Operation::delete("/api/v1/secrets/{name}", delete)
      .summary("Forget a secret; jobs that name it do not start any more")
      .in_namespace(),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<SecretEntity>> {
  let page = args.page(Order::Name)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.secrets.list(&caller.0, namespace.as_ref(), &page).await?))
}

async fn get(State(api): Api, caller: Caller, Ref(name): Ref, args: Args) -> Answer<SecretEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.secrets.get(&caller.0, (namespace.as_ref(), &name)).await?))
}

async fn put(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
  JsonBody(put): JsonBody<SecretForPut>,
) -> Answer<SecretEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.secrets.put(&caller.0, (namespace.as_ref(), &name), put).await?))
}

async fn delete(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<StatusCode, ApiError> {
  let namespace = args.only_namespace()?;
  api.secrets.delete(&caller.0, (namespace.as_ref(), &name)).await?;
  Ok(StatusCode::NO_CONTENT)
}
