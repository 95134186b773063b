//! `/agents`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{
  AgentCommandEntity, AgentCommandRequest, AgentEntity, AgentFilter, AgentForUpdate, AgentMetrics,
  DrainRequest, Page, TaskEntity, TaskFilter,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, ListQuery, Order, Ref};
use super::state::ApiState;
use super::tasks::status_filter;

type Api = State<Arc<ApiState>>;

/// The routes of agents.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/agents", list)
      .summary("List agents")
      .filter::<AgentFilter>()
      .narrowed()
      .paged()
      .answers_page::<AgentEntity>(),
    Operation::post("/api/v1/agents/query", query)
      .summary("List agents by a filter in the body")
      .body::<ListQuery<AgentFilter>>()
      .answers_page::<AgentEntity>(),
    Operation::get("/api/v1/agents/{id}", get).summary("Read an agent").answers::<AgentEntity>(),
    Operation::patch("/api/v1/agents/{id}", update)
      .summary("Change an agent's note and the labels that it is given")
      .body::<AgentForUpdate>()
      .answers::<AgentEntity>(),
    Operation::delete("/api/v1/agents/{id}", delete).summary("Forget an agent that is offline"),
    Operation::post("/api/v1/agents/{id}/cordon", cordon)
      .summary("Make an agent take nothing new")
      .answers::<AgentEntity>(),
    Operation::post("/api/v1/agents/{id}/uncordon", uncordon)
      .summary("Let an agent take tasks again")
      .answers::<AgentEntity>(),
    Operation::post("/api/v1/agents/{id}/drain", drain)
      .summary("Empty an agent: nothing new, and a time for what runs")
      .optional_body::<DrainRequest>()
      .answers::<AgentEntity>(),
    Operation::post("/api/v1/agents/{id}/command", command)
      .summary("Give an agent as a whole an order, and wait for its answer")
      .body::<AgentCommandRequest>()
      .answers::<AgentCommandEntity>(),
    Operation::get("/api/v1/agents/{id}/metrics", metrics)
      .summary("Load and health of an agent's host, from its last heartbeat")
      .answers::<AgentMetrics>(),
    Operation::get("/api/v1/agents/{id}/tasks", tasks)
      .summary("Tasks of an agent, newest first")
      .query("status", "string", "states, separated by commas")
      .paged()
      .answers_page::<TaskEntity>(),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<AgentEntity>> {
  if let Some(wish) = args.wish()? {
    args.finish()?;
    return Ok(Json(api.lists.agents(&caller.0, &wish).await?));
  }
  let page = args.page(Order::Name)?;
  let filter = AgentFilter { status: args.value("status")? };
  args.finish()?;
  Ok(Json(api.agents.list(&caller.0, &filter, &page).await?))
}

async fn query(
  State(api): Api,
  caller: Caller,
  JsonBody(query): JsonBody<ListQuery<AgentFilter>>,
) -> Answer<Page<AgentEntity>> {
  let (filter, page) = query.split(Order::Name)?;
  Ok(Json(api.agents.list(&caller.0, &filter, &page).await?))
}

async fn get(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<AgentEntity> {
  Ok(Json(api.agents.get(&caller.0, &id).await?))
}

async fn update(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(change): JsonBody<AgentForUpdate>,
) -> Answer<AgentEntity> {
  Ok(Json(api.agents.update(&caller.0, &id, &change).await?))
}

async fn delete(State(api): Api, caller: Caller, Ref(id): Ref) -> Result<StatusCode, ApiError> {
  api.agents.delete(&caller.0, &id).await?;
  Ok(StatusCode::NO_CONTENT)
}

async fn cordon(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<AgentEntity> {
  Ok(Json(api.agents.set_cordoned(&caller.0, &id, true).await?))
}

async fn uncordon(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<AgentEntity> {
  Ok(Json(api.agents.set_cordoned(&caller.0, &id, false).await?))
}

async fn drain(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  MaybeJson(request): MaybeJson<DrainRequest>,
) -> Answer<AgentEntity> {
  Ok(Json(api.agents.drain(&caller.0, &id, &request).await?))
}

async fn command(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(request): JsonBody<AgentCommandRequest>,
) -> Answer<AgentCommandEntity> {
  Ok(Json(api.agent_commands.run(&caller.0, &id, &request).await?))
}

async fn metrics(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<AgentMetrics> {
  Ok(Json(api.agents.metrics(&caller.0, &id).await?))
}

async fn tasks(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  mut args: Args,
) -> Answer<Page<TaskEntity>> {
  let page = args.page(Order::Id)?;
  let status = status_filter(&mut args)?;
  args.finish()?;
  let agent = api.agents.get(&caller.0, &id).await?;
  let filter = TaskFilter { agent_id: Some(agent.id), status, ..TaskFilter::default() };
  Ok(Json(api.tasks.list(&caller.0, &filter, &page).await?))
}
