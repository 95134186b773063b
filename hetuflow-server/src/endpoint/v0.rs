//! The routes without a version: `/api/tasks`, `/api/agents`, `/api/cron-jobs`. They are served as
//! long as `[compat] v0_api` is on, and every answer carries `Deprecation: true`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hetuflow_core::{
  ErrorCode, TaskId, TaskStatus, V0Agent, V0AgentForCreate, V0CronJob, V0CronJobForCreate,
  V0CronJobForUpdate, V0Task, V0TaskForCreate,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::JsonBody;
use super::openapi::Described;
use super::operation::Operation;
use super::query::{Args, Ref};
use super::state::ApiState;
use super::tasks::status_filter;
use crate::service::V0TaskWish;

type Api = State<Arc<ApiState>>;

/// Rows of a list where nothing is said, and at most.
const LIMIT: (u64, u64) = (100, 1000);
/// Where these routes lie.
const BELOW: &str = "/api/";

/// Whether a path is one of the older interface.
pub(super) fn is_older(path: &str) -> bool {
  path.starts_with(BELOW) && !path.starts_with("/api/v1/")
}

/// What became of a cancel.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct V0Cancelled {
  /// The task.
  pub id: TaskId,
  /// Where it stands: `cancelled`, or `cancelling` while something of it lives.
  pub status: TaskStatus,
}

/// The routes of the older interface.
pub(super) fn operations() -> Vec<Operation> {
  let mut all = vec![
    Operation::post("/api/tasks", create_task)
      .summary("Make a task by its type")
      .body::<V0TaskForCreate>()
      .answers::<V0Task>()
      .status(201),
    Operation::get("/api/tasks", list_tasks)
      .summary("List tasks, newest first")
      .query("status", "string", "states, separated by commas")
      .query("task_type", "string", "of this type")
      .query("limit", "integer", "rows, 1 to 1,000; 100 where not said")
      .query("offset", "integer", "first row")
      .answers_list(Described::of::<V0Task>()),
    Operation::get("/api/tasks/{id}", get_task)
      .summary("Read a task with what it gave")
      .answers::<V0Task>(),
    Operation::delete("/api/tasks/{id}", cancel_task)
      .summary("Cancel a task: 200 when it is over, 202 while it is being stopped")
      .answers::<V0Cancelled>()
      .status(200),
    Operation::get("/api/agents", list_agents)
      .summary("List agents")
      .query("online", "boolean", "only those that are connected")
      .answers_list(Described::of::<V0Agent>()),
    Operation::post("/api/agents", create_agent)
      .summary("Make an agent known before it connects")
      .body::<V0AgentForCreate>()
      .answers::<V0Agent>()
      .status(201),
  ];
  all.extend(cron_jobs());
  all.into_iter().map(Operation::older).collect()
}

fn cron_jobs() -> Vec<Operation> {
  vec![
    Operation::post("/api/cron-jobs", create_cron_job)
      .summary("Make a job with a cron schedule")
      .body::<V0CronJobForCreate>()
      .answers::<V0CronJob>()
      .status(201),
    Operation::get("/api/cron-jobs", list_cron_jobs)
      .summary("List cron schedules with their jobs")
      .answers_list(Described::of::<V0CronJob>()),
    Operation::get("/api/cron-jobs/{id}", get_cron_job)
      .summary("Read a cron schedule with its job")
      .answers::<V0CronJob>(),
    Operation::put("/api/cron-jobs/{id}", replace_cron_job)
      .summary("Write a cron schedule and its job anew")
      .body::<V0CronJobForCreate>()
      .answers::<V0CronJob>(),
    Operation::patch("/api/cron-jobs/{id}", update_cron_job)
      .summary("Change a cron schedule and its job")
      .body::<V0CronJobForUpdate>()
      .answers::<V0CronJob>(),
    Operation::delete("/api/cron-jobs/{id}", delete_cron_job)
      .summary("Remove a cron schedule, and its job where it was made here"),
  ]
}

async fn create_task(
  State(api): Api,
  caller: Caller,
  JsonBody(new): JsonBody<V0TaskForCreate>,
) -> Result<(StatusCode, Json<V0Task>), ApiError> {
  Ok((StatusCode::CREATED, Json(api.v0.create_task(&caller.0, new).await?)))
}

async fn list_tasks(State(api): Api, caller: Caller, mut args: Args) -> Result<Response, ApiError> {
  let limit = args.value::<u64>("limit")?.unwrap_or(LIMIT.0);
  if !(1..=LIMIT.1).contains(&limit) {
    let message = format!("limit is 1 to {}, not {limit}", LIMIT.1);
    return Err(ApiError::new(ErrorCode::BadRequest, "page.limit", "?limit", message));
  }
  let status = status_filter(&mut args)?;
  let task_type = args.text("task_type");
  let offset = args.value::<u64>("offset")?.unwrap_or(0).min(1 << 40);
  args.finish()?;
  let wish = V0TaskWish { status, task_type, offset, limit };
  let (rows, total) = api.v0.list_tasks(&caller.0, &wish).await?;
  let mut response = Json(rows).into_response();
  let headers = response.headers_mut();
  headers.insert("x-total-count", HeaderValue::from(total));
  if let Some(link) = links(&wish, total) {
    headers.insert(header::LINK, link);
  }
  Ok(response)
}

/// Where the windows beside this one lie.
fn links(wish: &V0TaskWish, total: u64) -> Option<HeaderValue> {
  let at = |offset: u64, rel: &str| {
    let mut query = format!("limit={}&offset={offset}", wish.limit);
    let escape = |text: &str| {
      text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
          b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => {
            out.push(char::from(byte));
          }
          _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
      })
    };
    for (name, value) in [("status", &wish.status), ("task_type", &wish.task_type)] {
      if let Some(value) = value {
        query.push_str(&format!("&{name}={}", escape(value)));
      }
    }
    format!("</api/tasks?{query}>; rel=\"{rel}\"")
  };
  let next = wish.offset.saturating_add(wish.limit);
  let next = (next < total).then(|| at(next, "next"));
  let back = (wish.offset > 0).then(|| at(wish.offset.saturating_sub(wish.limit), "prev"));
  let all: Vec<String> = next.into_iter().chain(back).collect();
  if all.is_empty() { None } else { HeaderValue::from_str(&all.join(", ")).ok() }
}

async fn get_task(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<V0Task> {
  Ok(Json(api.v0.get_task(&caller.0, &id).await?))
}

async fn cancel_task(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
) -> Result<(StatusCode, Json<V0Cancelled>), ApiError> {
  let task = api.v0.cancel_task(&caller.0, &id).await?;
  let status = if task.status.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
  Ok((status, Json(V0Cancelled { id: task.id, status: task.status })))
}

async fn list_agents(State(api): Api, caller: Caller, mut args: Args) -> Answer<Vec<V0Agent>> {
  let online = args.value::<bool>("online")?.unwrap_or(false);
  args.finish()?;
  Ok(Json(api.v0.list_agents(&caller.0, online).await?))
}

async fn create_agent(
  State(api): Api,
  caller: Caller,
  JsonBody(new): JsonBody<V0AgentForCreate>,
) -> Result<(StatusCode, Json<V0Agent>), ApiError> {
  Ok((StatusCode::CREATED, Json(api.v0.create_agent(&caller.0, &new).await?)))
}

async fn create_cron_job(
  State(api): Api,
  caller: Caller,
  JsonBody(new): JsonBody<V0CronJobForCreate>,
) -> Result<(StatusCode, Json<V0CronJob>), ApiError> {
  Ok((StatusCode::CREATED, Json(api.v0.create_cron_job(&caller.0, new).await?)))
}

async fn list_cron_jobs(State(api): Api, caller: Caller, args: Args) -> Answer<Vec<V0CronJob>> {
  args.finish()?;
  Ok(Json(api.v0.list_cron_jobs(&caller.0).await?))
}

async fn get_cron_job(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<V0CronJob> {
  Ok(Json(api.v0.get_cron_job(&caller.0, &id).await?))
}

async fn replace_cron_job(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(new): JsonBody<V0CronJobForCreate>,
) -> Answer<V0CronJob> {
  let change = V0CronJobForUpdate {
    cron_expression: Some(new.cron_expression),
    task_type: Some(new.task_type),
    name: Some(new.name),
    payload: Some(new.payload),
    enabled: Some(new.enabled.unwrap_or(true)),
    timezone: new.timezone,
  };
  Ok(Json(api.v0.update_cron_job(&caller.0, &id, change).await?))
}

async fn update_cron_job(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  JsonBody(change): JsonBody<V0CronJobForUpdate>,
) -> Answer<V0CronJob> {
  Ok(Json(api.v0.update_cron_job(&caller.0, &id, change).await?))
}

async fn delete_cron_job(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
) -> Result<StatusCode, ApiError> {
  api.v0.delete_cron_job(&caller.0, &id).await?;
  Ok(StatusCode::NO_CONTENT)
}
