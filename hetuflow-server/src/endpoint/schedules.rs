//! `/schedules`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hetuflow_core::{
  FireEntity, Page, PauseRequest, ResumeRequest, ScheduleEntity, ScheduleFilter, ScheduleForCreate,
  ScheduleForUpdate, SchedulePreview, ScheduleWhy, SkipNextRequest, TaskForCreate, TriggerAnswer,
  Ts,
};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, ListQuery, Order, Ref};
use super::state::ApiState;
use super::tasks::IdempotencyKey;
use super::version_header::{IfMatch, tagged};

type Api = State<Arc<ApiState>>;
/// Instants of a preview that names no count.
const COUNT_DEFAULT: i64 = 5;

/// The routes of schedules.
pub(super) fn operations() -> Vec<Operation> {
  let mut all = crud();
  let switches = [
    Operation::post("/api/v1/schedules/{ref}/enable", enable).summary("Switch a schedule on"),
    Operation::post("/api/v1/schedules/{ref}/disable", disable).summary("Switch a schedule off"),
    Operation::post("/api/v1/schedules/{ref}/pause", pause)
      .summary("Hold a schedule")
      .optional_body::<PauseRequest>(),
    Operation::post("/api/v1/schedules/{ref}/resume", resume)
      .summary("Let a schedule go on, and say what becomes of what the pause held back")
      .optional_body::<ResumeRequest>(),
    Operation::post("/api/v1/schedules/{ref}/skip-next", skip_next)
      .summary("Leave the next instants out; a count of 0 takes the wish back")
      .optional_body::<SkipNextRequest>(),
  ];
  all.extend(switches.map(|one| one.in_namespace().dry_runs().answers::<ScheduleEntity>()));
  let count = "how many, 1 to 1,000";
  let from = "after this instant; now where not said";
  all.extend([
    Operation::post("/api/v1/schedules/preview", preview)
      .summary("The fires that a schedule would have in a namespace; stores nothing")
      .in_namespace()
      .query("count", "integer", count)
      .query("from", "string", from)
      .body::<ScheduleForCreate>()
      .answers::<SchedulePreview>(),
    Operation::post("/api/v1/schedules/{ref}/trigger", trigger)
      .summary("Run the job now, as the schedule would and under its policy of overlap")
      .in_namespace()
      .header("Idempotency-Key", "a second request with this key answers with the first one's task")
      .dry_runs()
      .optional_body::<TaskForCreate>()
      .answers::<TriggerAnswer>(),
    Operation::get("/api/v1/schedules/{ref}/next", next)
      .summary("The next fires of a schedule")
      .in_namespace()
      .query("count", "integer", count)
      .query("from", "string", from)
      .answers::<SchedulePreview>(),
    Operation::get("/api/v1/schedules/{ref}/why", why)
      .summary("What holds the next instant of a schedule back, rule by rule, and when it fires")
      .in_namespace()
      .answers::<ScheduleWhy>(),
    Operation::get("/api/v1/schedules/{ref}/fires", fires)
      .summary("Due instants and what was decided about them, newest first")
      .in_namespace()
      .paged()
      .answers_page::<FireEntity>(),
  ]);
  all
}

fn crud() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/schedules", list)
      .summary("List schedules, newest first")
      .filter::<ScheduleFilter>()
      .narrowed()
      .paged()
      .answers_page::<ScheduleEntity>(),
    Operation::post("/api/v1/schedules", create)
      .summary("Make a schedule of a job")
      .query("job", "string", "the job, where the body does not name it")
      .in_namespace()
      .dry_runs()
      .body::<ScheduleForCreate>()
      .answers::<ScheduleEntity>()
      .status(201),
    Operation::post("/api/v1/schedules/query", query)
      .summary("List schedules by a filter in the body")
      .body::<ListQuery<ScheduleFilter>>()
      .answers_page::<ScheduleEntity>(),
    Operation::get("/api/v1/schedules/{ref}", get)
      .summary("Read a schedule")
      .in_namespace()
      .answers::<ScheduleEntity>(),
    Operation::patch("/api/v1/schedules/{ref}", update)
      .summary("Change a schedule; its planning starts anew at now")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the revision that was seen; 412 when it is another now")
      .body::<ScheduleForUpdate>()
      .answers::<ScheduleEntity>(),
    Operation::delete("/api/v1/schedules/{ref}", delete)
      .summary("Remove a schedule; its fires stay")
      .in_namespace()
      .dry_runs()
      .header("If-Match", "the revision that was seen; 412 when it is another now"),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<ScheduleEntity>> {
  if let Some(wish) = args.wish()? {
    args.finish()?;
    return Ok(Json(api.lists.schedules(&caller.0, &wish).await?));
  }
  let page = args.page(Order::Id)?;
  let filter = ScheduleFilter {
    namespace_id: args.namespace()?,
    job_id: args.value("job_id")?,
    name: args.text("name"),
    status: args.value("status")?,
  };
  args.finish()?;
  Ok(Json(api.schedules.list(&caller.0, &filter, &page).await?))
}

async fn query(
  State(api): Api,
  caller: Caller,
  JsonBody(query): JsonBody<ListQuery<ScheduleFilter>>,
) -> Answer<Page<ScheduleEntity>> {
  let (filter, page) = query.split(Order::Id)?;
  Ok(Json(api.schedules.list(&caller.0, &filter, &page).await?))
}

async fn create(
  State(api): Api,
  caller: Caller,
  mut args: Args,
  JsonBody(new): JsonBody<ScheduleForCreate>,
) -> Result<Response, ApiError> {
  let job = args.text("job");
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let job = (namespace.as_ref(), job.as_deref());
  let made = schedules.create(&caller.0, job, new).await?;
  Ok(tagged(StatusCode::CREATED, &made))
}

async fn get(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<Response, ApiError> {
  let namespace = args.only_namespace()?;
  let schedule = api.schedules.get(&caller.0, (namespace.as_ref(), &name)).await?;
  Ok(tagged(StatusCode::OK, &schedule))
}

async fn update(
  State(api): Api,
  caller: Caller,
  (Ref(name), IfMatch(rev), mut args): (Ref, IfMatch, Args),
  JsonBody(change): JsonBody<ScheduleForUpdate>,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  let schedule = schedules.update(&caller.0, which, change, rev).await?;
  Ok(tagged(StatusCode::OK, &schedule))
}

async fn delete(
  State(api): Api,
  caller: Caller,
  (Ref(name), IfMatch(rev), mut args): (Ref, IfMatch, Args),
) -> Result<StatusCode, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  schedules.delete(&caller.0, (namespace.as_ref(), &name), rev).await?;
  Ok(StatusCode::NO_CONTENT)
}

async fn enable(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(tagged(StatusCode::OK, &schedules.set_enabled(&caller.0, which, true).await?))
}

async fn disable(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(tagged(StatusCode::OK, &schedules.set_enabled(&caller.0, which, false).await?))
}

async fn pause(
  State(api): Api,
  caller: Caller,
  (Ref(name), mut args): (Ref, Args),
  MaybeJson(request): MaybeJson<PauseRequest>,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(tagged(StatusCode::OK, &schedules.pause(&caller.0, which, &request).await?))
}

async fn resume(
  State(api): Api,
  caller: Caller,
  (Ref(name), mut args): (Ref, Args),
  MaybeJson(request): MaybeJson<ResumeRequest>,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(tagged(StatusCode::OK, &schedules.resume(&caller.0, which, &request).await?))
}

async fn skip_next(
  State(api): Api,
  caller: Caller,
  (Ref(name), mut args): (Ref, Args),
  MaybeJson(request): MaybeJson<SkipNextRequest>,
) -> Result<Response, ApiError> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(tagged(StatusCode::OK, &schedules.skip_next(&caller.0, which, &request).await?))
}

async fn trigger(
  State(api): Api,
  caller: Caller,
  (Ref(name), key, mut args): (Ref, IdempotencyKey, Args),
  MaybeJson(task): MaybeJson<TaskForCreate>,
) -> Answer<TriggerAnswer> {
  let schedules = api.schedules.dry(args.dry_run()?);
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(Json(schedules.trigger(&caller.0, which, &key.into_task(task)?).await?))
}

fn span(args: &mut Args) -> Result<(i64, Option<Ts>), ApiError> {
  Ok((args.value("count")?.unwrap_or(COUNT_DEFAULT), args.value("from")?))
}

async fn next(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Answer<SchedulePreview> {
  let span = span(&mut args)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.schedules.next(&caller.0, (namespace.as_ref(), &name), span).await?))
}

async fn preview(
  State(api): Api,
  caller: Caller,
  mut args: Args,
  JsonBody(new): JsonBody<ScheduleForCreate>,
) -> Answer<SchedulePreview> {
  let span = span(&mut args)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.schedules.preview(&caller.0, (namespace.as_ref(), new), span).await?))
}

async fn why(State(api): Api, caller: Caller, Ref(name): Ref, args: Args) -> Answer<ScheduleWhy> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.schedules.why(&caller.0, (namespace.as_ref(), &name)).await?))
}

async fn fires(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  mut args: Args,
) -> Answer<Page<FireEntity>> {
  let page = args.page(Order::Id)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.schedules.fires(&caller.0, (namespace.as_ref(), &name), &page).await?))
}
