//! `/task-instances`: attempts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hetuflow_core::{
  CancelRequest, ErrorCode, Page, TaskControlKind, TaskInstanceEntity, TaskInstanceFilter,
  TaskInstanceId, TaskInstanceOutput,
};

use super::auth::Caller;
use super::control::{ControlRequest, SignalRequest, order};
use super::error::{Answer, ApiError};
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, ListQuery, Order, Ref};
use super::state::ApiState;
use crate::service::ControlOrder;

type Api = State<Arc<ApiState>>;

/// The routes of attempts.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/task-instances", list)
      .summary("List attempts, newest first")
      .filter::<TaskInstanceFilter>()
      .paged()
      .answers_page::<TaskInstanceEntity>(),
    Operation::post("/api/v1/task-instances/query", query)
      .summary("List attempts by a filter in the body")
      .body::<ListQuery<TaskInstanceFilter>>()
      .answers_page::<TaskInstanceEntity>(),
    Operation::get("/api/v1/task-instances/{id}", get)
      .summary("Read an attempt")
      .answers::<TaskInstanceEntity>(),
    Operation::get("/api/v1/task-instances/{id}/output", output)
      .summary("Read what an attempt has handed on through its result file")
      .answers::<TaskInstanceOutput>(),
    Operation::post("/api/v1/task-instances/{id}/control", control)
      .summary("Stop, kill, skip, hold, start anew or signal an attempt")
      .body::<ControlRequest>()
      .answers::<TaskInstanceEntity>(),
    Operation::post("/api/v1/task-instances/{id}/cancel", cancel)
      .summary("Stop an attempt: signal, grace, kill")
      .optional_body::<CancelRequest>()
      .answers::<TaskInstanceEntity>(),
    Operation::post("/api/v1/task-instances/{id}/kill", kill)
      .summary("Kill an attempt at once")
      .optional_body::<CancelRequest>()
      .answers::<TaskInstanceEntity>(),
    Operation::post("/api/v1/task-instances/{id}/signal", signal)
      .summary("Send a signal to an attempt")
      .body::<SignalRequest>()
      .answers::<TaskInstanceEntity>(),
  ]
}

/// The attempt that a path names; what is no id names none.
pub(super) fn instance_id(text: &str) -> Result<TaskInstanceId, ApiError> {
  text.parse().map_err(|_| {
    let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
    ApiError::new(ErrorCode::NotFound, "", "", format!("no attempt \"{shown}\""))
  })
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<TaskInstanceEntity>> {
  let page = args.page(Order::Id)?;
  let filter = TaskInstanceFilter {
    namespace_id: args.namespace()?,
    task_id: args.value("task_id")?,
    job_id: args.value("job_id")?,
    agent_id: args.value("agent_id")?,
  };
  args.finish()?;
  Ok(Json(api.tasks.instances(&caller.0, &filter, &page).await?))
}

async fn query(
  State(api): Api,
  caller: Caller,
  JsonBody(query): JsonBody<ListQuery<TaskInstanceFilter>>,
) -> Answer<Page<TaskInstanceEntity>> {
  let (filter, page) = query.split(Order::Id)?;
  Ok(Json(api.tasks.instances(&caller.0, &filter, &page).await?))
}

async fn get(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<TaskInstanceEntity> {
  Ok(Json(api.tasks.instance(&caller.0, instance_id(&id)?).await?))
}

async fn output(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<TaskInstanceOutput> {
  let one = api.tasks.instance(&caller.0, instance_id(&id)?).await?;
  let TaskInstanceEntity { id, task_id, attempt, status, outputs, .. } = one;
  Ok(Json(TaskInstanceOutput { instance_id: id, task_id, attempt, status, outputs }))
}

async fn control(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(request): JsonBody<ControlRequest>,
) -> Answer<TaskInstanceEntity> {
  steer(&api, &caller, &id, request.order()).await
}

async fn cancel(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  MaybeJson(request): MaybeJson<CancelRequest>,
) -> Answer<TaskInstanceEntity> {
  steer(&api, &caller, &id, order(TaskControlKind::Stop, request)).await
}

async fn kill(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  MaybeJson(request): MaybeJson<CancelRequest>,
) -> Answer<TaskInstanceEntity> {
  let request = CancelRequest { force: true, ..request };
  steer(&api, &caller, &id, order(TaskControlKind::Kill, request)).await
}

async fn signal(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(request): JsonBody<SignalRequest>,
) -> Answer<TaskInstanceEntity> {
  steer(&api, &caller, &id, request.order()).await
}

async fn steer(
  api: &ApiState,
  caller: &Caller,
  id: &str,
  order: ControlOrder,
) -> Answer<TaskInstanceEntity> {
  Ok(Json(api.tasks.control(&caller.0, instance_id(id)?, &order).await?))
}
