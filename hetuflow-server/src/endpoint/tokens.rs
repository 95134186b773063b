//! `/auth`: who I am, and the tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{Page, TokenCreated, TokenEntity, TokenForCreate};
use serde_json::{Value, json};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::JsonBody;
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of tokens.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/auth/me", me).summary("Who the token is").answers_object(),
    Operation::get("/api/v1/auth/tokens", list)
      .summary("List tokens, newest first; secrets are not kept")
      .paged()
      .answers_page::<TokenEntity>(),
    Operation::post("/api/v1/auth/tokens", create)
      .summary("Make a token; its secret is shown this once")
      .body::<TokenForCreate>()
      .answers::<TokenCreated>()
      .status(201),
    Operation::delete("/api/v1/auth/tokens/{id}", revoke).summary("Revoke a token"),
  ]
}

async fn me(State(api): Api, Caller(actor): Caller, args: Args) -> Answer<Value> {
  args.finish()?;
  Ok(Json(json!({
    "token_id": actor.token_id,
    "name": actor.name,
    "kind": actor.kind,
    "role": actor.role,
    "namespace_id": actor.namespace_id,
    "agent_id": actor.agent_id,
    "open": api.open,
  })))
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<TokenEntity>> {
  let page = args.page(Order::Id)?;
  args.finish()?;
  Ok(Json(api.tokens.list(&caller.0, &page).await?))
}

async fn create(
  State(api): Api,
  caller: Caller,
  JsonBody(new): JsonBody<TokenForCreate>,
) -> Result<(StatusCode, Json<TokenCreated>), ApiError> {
  let made = api.tokens.create(&caller.0, new).await?;
  Ok((StatusCode::CREATED, Json(made)))
}

async fn revoke(State(api): Api, caller: Caller, Ref(id): Ref) -> Result<StatusCode, ApiError> {
  api.tokens.revoke(&caller.0, &id).await?;
  Ok(StatusCode::NO_CONTENT)
}
