//! `/calendars`: days and hours by name, and windows in which nothing fires.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{CalendarEntity, CalendarForPut, JobPlan, Page};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::json_body::{BULK_BYTES_MAX, JsonBody};
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;

type Api = State<Arc<ApiState>>;

/// The routes of calendars.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/calendars", list)
      .summary("List the calendars of a namespace")
      .in_namespace()
      .paged()
      .answers_page::<CalendarEntity>(),
    Operation::get("/api/v1/calendars/{name}", get)
      .summary("Read a calendar")
      .in_namespace()
      .answers::<CalendarEntity>(),
    Operation::put("/api/v1/calendars/{name}", put)
      .summary("Make a calendar or set its rules; a blackout holds every schedule while it covers")
      .in_namespace()
      .body::<CalendarForPut>()
      .answers::<CalendarEntity>(),
    Operation::post("/api/v1/calendars/{name}/plan", plan)
      .summary("The fires that a calendar would add and remove if it was set so; stores nothing")
      .in_namespace()
      .query("days", "integer", "how far, 1 to 366; 90 where not said")
      .body::<CalendarForPut>()
      .answers::<JobPlan>(),
    Operation::delete("/api/v1/calendars/{name}", delete)
      .summary("Delete a calendar that no schedule names")
      .in_namespace(),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<CalendarEntity>> {
  let page = args.page(Order::Name)?;
  let namespace = args.only_namespace()?;
  Ok(Json(api.calendars.list(&caller.0, namespace.as_ref(), &page).await?))
}

async fn get(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Answer<CalendarEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.calendars.get(&caller.0, (namespace.as_ref(), &name)).await?))
}

async fn put(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
  JsonBody(put): JsonBody<CalendarForPut, BULK_BYTES_MAX>,
) -> Answer<CalendarEntity> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.calendars.put(&caller.0, (namespace.as_ref(), &name), put).await?))
}

async fn plan(
  State(api): Api,
  caller: Caller,
  (Ref(name), mut args): (Ref, Args),
  JsonBody(put): JsonBody<CalendarForPut, BULK_BYTES_MAX>,
) -> Answer<JobPlan> {
  let days = args.value("days")?;
  let namespace = args.only_namespace()?;
  let which = (namespace.as_ref(), name.as_str());
  Ok(Json(api.calendars.plan(&caller.0, which, (put, days)).await?))
}

async fn delete(
  State(api): Api,
  caller: Caller,
  Ref(name): Ref,
  args: Args,
) -> Result<StatusCode, ApiError> {
  let namespace = args.only_namespace()?;
  api.calendars.delete(&caller.0, (namespace.as_ref(), &name)).await?;
  Ok(StatusCode::NO_CONTENT)
}
