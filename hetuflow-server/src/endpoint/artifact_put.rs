//! `POST /artifacts`: a file that is put there by hand; its bytes are written while they come.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use hetuflow_core::{ArtifactEntity, ErrorCode, TaskInputEntity, parse_duration};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::openapi::Described;
use super::operation::Operation;
use super::query::{Args, Ref};
use super::state::ApiState;
use crate::service::{ArtifactForPut, Incoming};

/// Longest wait for the next bytes.
const NEXT_BYTES_MAX: Duration = Duration::from_secs(30);

type Api = State<Arc<ApiState>>;

/// The routes of files that tasks find.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::post("/api/v1/artifacts", put)
      .summary("Put a file there, for tasks to find; the body is its bytes")
      .in_namespace()
      .query("name", "string", "how it is called: a path that leads down, at most 400 bytes")
      .query(
        "retention",
        "string",
        "how long it is kept, as 7d; artifacts.retention where not said",
      )
      .query("content_hash", "string", "the SHA-256 that the bytes must come to, in hexadecimal")
      .takes_bytes()
      .answers::<ArtifactEntity>()
      .status(201),
    Operation::get("/api/v1/tasks/{ref}/inputs", inputs)
      .summary("The files that a task finds when it starts, once it was handed out")
      .in_namespace()
      .answers_list(Described::of::<TaskInputEntity>()),
  ]
}

async fn inputs(
  State(api): Api,
  caller: Caller,
  Ref(reference): Ref,
  args: Args,
) -> Answer<Vec<TaskInputEntity>> {
  let namespace = args.only_namespace()?;
  Ok(Json(api.artifacts.inputs_of(&caller.0, namespace.as_ref(), &reference).await?))
}

async fn put(
  State(api): Api,
  caller: Caller,
  mut args: Args,
  (headers, body): (HeaderMap, Body),
) -> Result<(StatusCode, Json<ArtifactEntity>), ApiError> {
  let put = ArtifactForPut {
    namespace_id: args.namespace()?,
    name: args.text("name").unwrap_or_default(),
    size: length(&headers)?,
    content_hash: args.value("content_hash")?,
    retention: retention(args.text("retention"))?,
  };
  args.finish()?;
  let mut incoming = api.artifacts.begin_put(&caller.0, put).await?;
  let content = incoming.content();
  let outcome = match take(&api, &mut incoming, body).await {
    Ok(()) => api.artifacts.end_put(incoming).await.map_err(ApiError::from),
    Err(error) => Err(error),
  };
  if outcome.is_err() {
    api.artifacts.drop_put(content).await;
  }
  Ok((StatusCode::CREATED, Json(outcome?)))
}

async fn take(api: &ApiState, incoming: &mut Incoming, body: Body) -> Result<(), ApiError> {
  let mut stream = body.into_data_stream();
  loop {
    let next = tokio::time::timeout(NEXT_BYTES_MAX, stream.next()).await.map_err(|_| {
      let message = format!("nothing of the body came for {} s", NEXT_BYTES_MAX.as_secs());
      ApiError::new(ErrorCode::BadRequest, "body.slow", "", message)
    })?;
    let Some(bytes) = next else { return Ok(()) };
    let bytes = bytes
      .map_err(|_| ApiError::new(ErrorCode::BadRequest, "body.broken", "", "the body broke off"))?;
    api.artifacts.put_bytes(incoming, &bytes).await?;
  }
}

/// Room is made for all of it before the first byte.
fn length(headers: &HeaderMap) -> Result<u64, ApiError> {
  let text = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
  text.and_then(|text| text.parse().ok()).ok_or_else(|| {
    let message = "how many bytes come must be said before them";
    ApiError::new(ErrorCode::BadRequest, "body.length", "Content-Length", message)
      .hint("send the file with its length, as curl --data-binary @FILE does")
      .with_status(StatusCode::LENGTH_REQUIRED)
  })
}

fn retention(text: Option<String>) -> Result<Option<Duration>, ApiError> {
  text.map(|text| parse_duration(&text)).transpose().map_err(|error| {
    let message = format!("retention: {error}");
    ApiError::new(ErrorCode::BadRequest, "duration.invalid", "?retention", message)
      .hint("retention=7d")
  })
}
