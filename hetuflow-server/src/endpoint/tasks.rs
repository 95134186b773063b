//! `/tasks`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hetuflow_core::{
  BulkResponse, CancelRequest, ErrorCode, Page, TaskActions, TaskActionsResponse, TaskBulkCreate,
  TaskEntity, TaskFilter, TaskForCreate, TaskForUpdate, TaskInstanceEntity, TaskInstanceFilter,
  TaskStatus, TaskWhy,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{BULK_BYTES_MAX, JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, ListQuery, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;
/// Longest long poll.
const WAIT_SECS_MAX: u64 = 60;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The routes of tasks.
pub(super) fn operations() -> Vec<Operation> {
  let mut all = vec![
    Operation::get("/api/v1/tasks", list)
      .summary("List tasks, newest first")
      .filter::<TaskFilter>()
      .narrowed()
      .paged()
      .answers_page::<TaskEntity>(),
    Operation::post("/api/v1/tasks", create)
      .summary("Run a job, or a command without a job")
      .header("Idempotency-Key", "a second request with this key answers with the first one's task")
      .body::<TaskForCreate>()
      .answers::<TaskEntity>()
      .status(201),
    Operation::post("/api/v1/tasks/bulk", bulk)
      .summary("Make up to 1,000 tasks, each by itself")
      .body::<TaskBulkCreate>()
      .answers::<BulkResponse>(),
    Operation::post("/api/v1/tasks/actions", actions)
      .summary("Cancel, kill or retry up to 1,000 tasks, each by itself")
      .in_namespace()
      .body::<TaskActions>()
      .answers::<TaskActionsResponse>(),
    Operation::post("/api/v1/tasks/query", query)
      .summary("List tasks by a filter in the body")
      .body::<ListQuery<TaskFilter>>()
      .answers_page::<TaskEntity>(),
    Operation::get("/api/v1/tasks/{ref}", get)
      .summary("Read a task; with wait_secs, as soon as it is over")
      .in_namespace()
      .query("wait_secs", "integer", "wait up to so many seconds for the end, at most 60")
      .answers::<TaskEntity>(),
    Operation::patch("/api/v1/tasks/{ref}", update)
      .summary("Change a task that has not started")
      .in_namespace()
      .body::<TaskForUpdate>()
      .answers::<TaskEntity>(),
  ];
  all.extend([
    Operation::post("/api/v1/tasks/{ref}/cancel", cancel)
      .summary("Stop a task: 200 when it is over, 202 while it is being stopped")
      .in_namespace()
      .optional_body::<CancelRequest>()
      .answers::<TaskEntity>(),
    Operation::post("/api/v1/tasks/{ref}/retry", retry)
      .summary("Run a finished task again, as a new task")
      .in_namespace()
      .answers::<TaskEntity>()
      .status(201),
    Operation::get("/api/v1/tasks/{ref}/why", why)
      .summary("Why a task does not run yet, agent by agent")
      .in_namespace()
      .answers::<TaskWhy>(),
    Operation::get("/api/v1/tasks/{ref}/instances", instances)
      .summary("Attempts of a task, newest first")
      .in_namespace()
      .paged()
      .answers_page::<TaskInstanceEntity>(),
  ]);
  all
}

/// The key of the header.
#[derive(Debug)]
pub(super) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
    let text = value.to_str().map_err(|_| {
      let message = "the key is printable ASCII";
      ApiError::new(ErrorCode::BadRequest, "idempotency.key", "Idempotency-Key", message)
    })?;
    Ok(Self(Some(text.to_owned())))
  }
}

impl IdempotencyKey {
  /// Puts the key into the request.
  ///
  /// # Errors
  /// 422 when the body holds another one.
  pub(super) fn into_task(self, mut task: TaskForCreate) -> Result<TaskForCreate, ApiError> {
    match (self.0, &task.idempotency_key) {
      (Some(key), Some(other)) if key != *other => {
        let message = "the header and the body hold different keys";
        let code = ErrorCode::ValidationError;
        Err(ApiError::new(code, "idempotency.key", "/idempotency_key", message))
      }
      (Some(key), _) => {
        task.idempotency_key = Some(key);
        Ok(task)
      }
      (None, _) => Ok(task),
    }
  }
}

/// A new task, or the earlier one of the same key.
pub(super) fn made((task, duplicate): (TaskEntity, bool)) -> Result<Response, ApiError> {
  let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
  let place = format!("/api/v1/tasks/{}", task.id);
  let mut response = (status, Json(task)).into_response();
  if let Ok(place) = HeaderValue::from_str(&place) {
    response.headers_mut().insert(header::LOCATION, place);
  }
  Ok(response)
}

/// States, checked one by one.
pub(super) fn status_filter(args: &mut Args) -> Result<Option<String>, ApiError> {
  let Some(text) = args.text("status") else { return Ok(None) };
  for part in text.split(',').filter(|part| *part != "doing") {
    if let Err(error) = part.parse::<TaskStatus>() {
      let message = error.to_string().chars().flat_map(char::escape_default).collect::<String>();
      return Err(
        ApiError::new(ErrorCode::BadRequest, "filter.value", "?status", message)
          .hint("states, separated by commas; doing is everything on an agent"),
      );
    }
  }
  Ok(Some(text))
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<TaskEntity>> {
  if let Some(wish) = args.wish()? {
    args.finish()?;
    return Ok(Json(api.lists.tasks(&caller.0, &wish).await?));
  }
  let page = args.page(Order::Id)?;
  let filter = TaskFilter {
    namespace_id: args.namespace()?,
    job_id: args.value("job_id")?,
    job: args.text("job"),
    schedule_id: args.value("schedule_id")?,
    status: status_filter(&mut args)?,
    agent_id: args.value("agent_id")?,
    parent_id: args.value("parent_id")?,
  };
  args.finish()?;
  Ok(Json(api.tasks.list(&caller.0, &filter, &page).await?))
}

async fn query(
  State(api): Api,
  caller: Caller,
  JsonBody(query): JsonBody<ListQuery<TaskFilter>>,
) -> Answer<Page<TaskEntity>> {
  let (filter, page) = query.split(Order::Id)?;
  Ok(Json(api.tasks.list(&caller.0, &filter, &page).await?))
}

async fn create(
  State(api): Api,
  caller: Caller,
  key: IdempotencyKey,
  JsonBody(task): JsonBody<TaskForCreate>,
) -> Result<Response, ApiError> {
  made(api.tasks.create(&caller.0, key.into_task(task)?).await?)
}

async fn bulk(
  State(api): Api,
  caller: Caller,
  JsonBody(request): JsonBody<TaskBulkCreate, BULK_BYTES_MAX>,
) -> Answer<BulkResponse> {
  Ok(Json(api.tasks.create_bulk(&caller.0, request.items).await?))
}

async fn actions(
  State(api): Api,
  caller: Caller,
  args: Args,
  JsonBody(request): JsonBody<TaskActions>,
) -> Answer<TaskActionsResponse> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.tasks.act_on_many(&caller.0, namespace.as_ref(), &request).await?))
}

async fn get(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Answer<TaskEntity> {
  let wait: Option<u64> = args.value("wait_secs")?;
  let namespace = args.only_namespace()?;
  let namespace = namespace.as_ref();
  let Some(secs) = wait else {
    return Ok(Json(api.tasks.get(&caller.0, namespace, &name).await?));
  };
  if secs > WAIT_SECS_MAX {
    let message = format!("wait_secs is at most {WAIT_SECS_MAX}");
    return Err(ApiError::new(ErrorCode::BadRequest, "filter.value", "?wait_secs", message));
  }
  let wait = Duration::from_secs(secs);
  tokio::select! {
    task = api.tasks.wait_final(&caller.0, namespace, &name, wait) => Ok(Json(task?)),
    // The answer of a server that stops is the task as it is.
    () = api.shutdown.cancelled() => Ok(Json(api.tasks.get(&caller.0, namespace, &name).await?)),
  }
}

async fn update(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  JsonBody(change): JsonBody<TaskForUpdate>,
) -> Answer<TaskEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.tasks.update(&caller.0, namespace.as_ref(), &name, &change).await?))
}

async fn cancel(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  MaybeJson(request): MaybeJson<CancelRequest>,
) -> Result<(StatusCode, Json<TaskEntity>), ApiError> {
  let namespace = args.only_namespace()?;
  let task = api.tasks.cancel(&caller.0, namespace.as_ref(), &name, &request).await?;
  let over = task.status.is_final();
  Ok((if over { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(task)))
}

async fn retry(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<Response, ApiError> {
  let namespace = args.only_namespace()?;
  made((api.tasks.retry(&caller.0, namespace.as_ref(), &name).await?, false))
}

async fn why(State(api): Api, caller: Caller, Ref(name): Ref, args: Args) -> Answer<TaskWhy> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.tasks.why(&caller.0, namespace.as_ref(), &name).await?))
}

async fn instances(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Answer<Page<TaskInstanceEntity>> {
  let page = args.page(Order::Id)?;
  let namespace = args.only_namespace()?;
  let task = api.tasks.get(&caller.0, namespace.as_ref(), &name).await?;
  let filter = TaskInstanceFilter {
    namespace_id: Some(task.namespace_id),
    task_id: Some(task.id),
    ..TaskInstanceFilter::default()
  };
  Ok(Json(api.tasks.instances(&caller.0, &filter, &page).await?))
}
