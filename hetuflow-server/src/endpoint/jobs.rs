//! `/jobs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hetuflow_core::{
  ApplyRequest, ApplyResponse, ErrorCode, JobEntity, JobFilter, JobForCreate, JobForUpdate,
  JobPlan, JobPlanRequest, JobSpec, JobStatus, Page, TaskEntity, TaskFilter, TaskForCreate,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{BULK_BYTES_MAX, JsonBody, MaybeJson};
use super::openapi::Described;
use super::operation::Operation;
use super::query::{Args, ListQuery, Order, Ref};
use super::state::ApiState;
use super::tasks::{IdempotencyKey, made, status_filter};
use super::version_header::{IfMatch, tagged};

type Api = State<Arc<ApiState>>;

/// The routes of jobs.
pub(super) fn operations() -> Vec<Operation> {
  let mut all = crud();
  all.extend([
    Operation::post("/api/v1/jobs/apply", apply)
      .summary("Make jobs as they are described, all or none")
      .body::<ApplyRequest>()
      .answers::<ApplyResponse>(),
    Operation::post("/api/v1/jobs/plan", plan)
      .summary("The fires that an apply would add, remove and move; changes nothing")
      .body::<JobPlanRequest>()
      .answers::<JobPlan>(),
    Operation::post("/api/v1/jobs/{ref}/enable", enable)
      .summary("Switch a job on")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the version that was seen; 412 when it is another now")
      .answers::<JobEntity>(),
    Operation::post("/api/v1/jobs/{ref}/disable", disable)
      .summary("Switch a job off")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the version that was seen; 412 when it is another now")
      .answers::<JobEntity>(),
    Operation::post("/api/v1/jobs/{ref}/run", run)
      .summary("Run a job now")
      .in_namespace()
      .header("Idempotency-Key", "a second request with this key answers with the first one's task")
      .optional_body::<TaskForCreate>()
      .answers::<TaskEntity>()
      .status(201),
    Operation::get("/api/v1/jobs/{ref}/versions", versions)
      .summary("All versions of a job, newest first")
      .in_namespace()
      .answers_list(Described::object()),
    Operation::get("/api/v1/jobs/{ref}/tasks", tasks)
      .summary("Tasks of a job, newest first")
      .in_namespace()
      .query("status", "string", "states, separated by commas")
      .paged()
      .answers_page::<TaskEntity>(),
  ]);
  all
}

fn crud() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/jobs", list)
      .summary("List jobs, newest first")
      .filter::<JobFilter>()
      .narrowed()
      .paged()
      .answers_page::<JobEntity>(),
    Operation::post("/api/v1/jobs", create)
      .summary("Make a job with its schedules")
      .dry_runs()
      .body::<JobForCreate>()
      .answers::<JobEntity>()
      .status(201),
    Operation::post("/api/v1/jobs/query", query)
      .summary("List jobs by a filter in the body")
      .body::<ListQuery<JobFilter>>()
      .answers_page::<JobEntity>(),
    Operation::get("/api/v1/jobs/{ref}", get)
      .summary("Read a job")
      .in_namespace()
      .answers::<JobEntity>(),
    Operation::patch("/api/v1/jobs/{ref}", update)
      .summary("Change a job; makes a version")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the version that was seen; 412 when it is another now")
      .body::<JobForUpdate>()
      .answers::<JobEntity>(),
    Operation::delete("/api/v1/jobs/{ref}", delete)
      .summary("Remove a job and its schedules; its history stays")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the version that was seen; 412 when it is another now"),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<JobEntity>> {
  if let Some(wish) = args.wish()? {
    args.finish()?;
    return Ok(Json(api.lists.jobs(&caller.0, &wish).await?));
  }
  let page = args.page(Order::Id)?;
  let filter = JobFilter {
    namespace_id: args.namespace()?,
    name: args.text("name"),
    status: args.value("status")?,
  };
  args.finish()?;
  Ok(Json(api.jobs.list(&caller.0, &filter, &page).await?))
}

async fn query(
  State(api): Api,
  caller: Caller,
  JsonBody(query): JsonBody<ListQuery<JobFilter>>,
) -> Answer<Page<JobEntity>> {
  let (filter, page) = query.split(Order::Id)?;
  Ok(Json(api.jobs.list(&caller.0, &filter, &page).await?))
}

async fn create(
  State(api): Api,
  caller: Caller,
  mut args: Args,
  JsonBody(new): JsonBody<JobForCreate>,
) -> Result<Response, ApiError> {
  let dry = args.dry_run()?;
  args.finish()?;
  let made = api.jobs.dry(dry).create(&caller.0, new).await?;
  Ok(tagged(StatusCode::CREATED, &made))
}

async fn get(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<Response, ApiError> {
  let namespace = args.only_namespace()?;
  let job = api.jobs.get(&caller.0, namespace.as_ref(), &name).await?;
  Ok(tagged(StatusCode::OK, &job))
}

async fn update(
  State(api): Api,
  caller: Caller,
  (Ref(name), IfMatch(version), mut args): (Ref, IfMatch, Args),
  JsonBody(change): JsonBody<JobForUpdate>,
) -> Result<Response, ApiError> {
  let dry = args.dry_run()?;
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  let job = api.jobs.dry(dry).update(&caller.0, which, change, version).await?;
  Ok(tagged(StatusCode::OK, &job))
}

async fn delete(
  State(api): Api,
  caller: Caller,
  (Ref(name), IfMatch(version), mut args): (Ref, IfMatch, Args),
) -> Result<StatusCode, ApiError> {
  let dry = args.dry_run()?;
  let namespace = args.only_namespace()?;
  api.jobs.dry(dry).delete(&caller.0, (namespace.as_ref(), &name), version).await?;
  Ok(StatusCode::NO_CONTENT)
}

async fn apply(
  State(api): Api,
  caller: Caller,
  JsonBody(request): JsonBody<ApplyRequest, BULK_BYTES_MAX>,
) -> Answer<ApplyResponse> {
  Ok(Json(api.apply.apply(&caller.0, request).await?))
}

async fn plan(
  State(api): Api,
  caller: Caller,
  JsonBody(request): JsonBody<JobPlanRequest, BULK_BYTES_MAX>,
) -> Answer<JobPlan> {
  Ok(Json(api.apply.fires(&caller.0, request).await?))
}

async fn enable(
  State(api): Api,
  caller: Caller,
  (Ref(name), seen, args): (Ref, IfMatch, Args),
) -> Result<Response, ApiError> {
  switch(&api, &caller, (name, seen, args), JobStatus::Enabled).await
}

async fn disable(
  State(api): Api,
  caller: Caller,
  (Ref(name), seen, args): (Ref, IfMatch, Args),
) -> Result<Response, ApiError> {
  switch(&api, &caller, (name, seen, args), JobStatus::Disabled).await
}

async fn switch(
  api: &ApiState,
  caller: &Caller,
  (name, IfMatch(version), mut args): (String, IfMatch, Args),
  status: JobStatus,
) -> Result<Response, ApiError> {
  let jobs = api.jobs.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  let job = jobs.set_status(&caller.0, which, (status, version)).await?;
  Ok(tagged(StatusCode::OK, &job))
}

async fn run(
  State(api): Api,
  caller: Caller,
  (Ref(name), key, args): (Ref, IdempotencyKey, Args),
  MaybeJson(task): MaybeJson<TaskForCreate>,
) -> Result<Response, ApiError> {
  let namespace = args.only_namespace()?;
  if task.job.is_some() || task.job_id.is_some() {
    let message = "the path names the job already";
    return Err(ApiError::new(ErrorCode::ValidationError, "task.job", "/job", message));
  }
  let job = api.jobs.get(&caller.0, namespace.as_ref(), &name).await?;
  let task = TaskForCreate {
    namespace_id: Some(job.namespace_id),
    job_id: Some(job.id),
    ..key.into_task(task)?
  };
  made(api.tasks.create(&caller.0, task).await?)
}

async fn versions(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Answer<Vec<JobSpec>> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.jobs.versions(&caller.0, namespace.as_ref(), &name).await?))
}

async fn tasks(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Answer<Page<TaskEntity>> {
  let page = args.page(Order::Id)?;
  let status = status_filter(&mut args)?;
  let namespace = args.only_namespace()?;
  let job = api.jobs.get(&caller.0, namespace.as_ref(), &name).await?;
  let filter = TaskFilter {
    namespace_id: Some(job.namespace_id),
    job_id: Some(job.id),
    status,
    ..TaskFilter::default()
  };
  Ok(Json(api.tasks.list(&caller.0, &filter, &page).await?))
}
