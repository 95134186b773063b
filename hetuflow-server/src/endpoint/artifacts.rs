//! `/artifacts`: files that attempts have left, and their bytes.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hetuflow_core::{ArtifactEntity, ArtifactFilter, ErrorCode, Page};

use super::auth::Caller;
use super::error::{Answer, ApiError};
use super::operation::Operation;
use super::query::{Args, Order, Ref};
use super::state::ApiState;
use super::task_instances::instance_id;
use crate::service::ArtifactReader;

type Api = State<Arc<ApiState>>;

/// The routes of files.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/artifacts", list)
      .summary("List files that attempts have left, newest first")
      .filter::<ArtifactFilter>()
      .paged()
      .answers_page::<ArtifactEntity>(),
    Operation::get("/api/v1/task-instances/{id}/artifacts", of_attempt)
      .summary("List the files that an attempt has left")
      .paged()
      .answers_page::<ArtifactEntity>(),
    Operation::get("/api/v1/artifacts/{id}", get)
      .summary("Read about a file")
      .answers::<ArtifactEntity>(),
    Operation::get("/api/v1/artifacts/{id}/content", content)
      .summary("Read the bytes of a file, or a range of them")
      .header("Range", "bytes=FROM-TO: one range")
      .answers_bytes("application/octet-stream"),
    Operation::delete("/api/v1/artifacts/{id}", delete)
      .summary("Forget a file; its bytes go when no other file has them"),
  ]
}

async fn list(State(api): Api, caller: Caller, mut args: Args) -> Answer<Page<ArtifactEntity>> {
  let page = args.page(Order::Id)?;
  let filter = ArtifactFilter {
    namespace_id: args.namespace()?,
    job_id: args.value("job_id")?,
    task_id: args.value("task_id")?,
    instance_id: args.value("instance_id")?,
    state: args.value("state")?,
  };
  args.finish()?;
  Ok(Json(api.artifacts.list(&caller.0, &filter, &page).await?))
}

async fn of_attempt(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  mut args: Args,
) -> Answer<Page<ArtifactEntity>> {
  let page = args.page(Order::Id)?;
  args.finish()?;
  Ok(Json(api.artifacts.of_attempt(&caller.0, instance_id(&id)?, &page).await?))
}

async fn get(State(api): Api, caller: Caller, Ref(id): Ref) -> Answer<ArtifactEntity> {
  Ok(Json(api.artifacts.get(&caller.0, &id).await?))
}

async fn delete(State(api): Api, caller: Caller, Ref(id): Ref) -> Result<StatusCode, ApiError> {
  api.artifacts.delete(&caller.0, &id).await?;
  Ok(StatusCode::NO_CONTENT)
}

async fn content(
  State(api): Api,
  caller: Caller,
  (Ref(id), headers): (Ref, HeaderMap),
  args: Args,
) -> Result<Response, ApiError> {
  args.finish()?;
  let (file, reader) = api.artifacts.open(&caller.0, &id).await?;
  let size = reader.size();
  let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
  let wanted = range.map_or(Wanted::All, |range| wanted(range, size));
  let (status, from, end) = match wanted {
    Wanted::All => (StatusCode::OK, 0, size),
    Wanted::Part(from, end) => (StatusCode::PARTIAL_CONTENT, from, end),
    Wanted::Nothing => {
      let message = format!("the file has {size} bytes; the range is beyond");
      return Err(
        ApiError::new(ErrorCode::BadRequest, "artifact.range", "Range", message)
          .with_status(StatusCode::RANGE_NOT_SATISFIABLE),
      );
    }
  };
  let flow = stream::unfold(Some(reader.cut(from, end)), step);
  let mut response = (status, Body::from_stream(flow)).into_response();
  let headers = response.headers_mut();
  let mut set = |name, value: &str| {
    if let Ok(value) = HeaderValue::from_str(value) {
      headers.insert(name, value);
    }
  };
  set(header::CONTENT_TYPE, "application/octet-stream");
  // A page that was left by a task must not run in a browser with the rights of who looks at it.
  set(header::CONTENT_DISPOSITION, "attachment");
  set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
  set(header::ACCEPT_RANGES, "bytes");
  set(header::CONTENT_LENGTH, &(end - from).to_string());
  set(header::ETAG, &format!("\"{}\"", file.content_hash.unwrap_or_default()));
  if status == StatusCode::PARTIAL_CONTENT {
    set(header::CONTENT_RANGE, &format!("bytes {from}-{}/{size}", end - 1));
  }
  Ok(response)
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be read")]
struct BrokenOff;

type Step = Option<(Result<Bytes, BrokenOff>, Option<ArtifactReader>)>;

async fn step(reader: Option<ArtifactReader>) -> Step {
  let mut reader = reader?;
  match reader.next().await {
    Ok(Some(bytes)) => Some((Ok(Bytes::from(bytes)), Some(reader))),
    Ok(None) => None,
    Err(error) => {
      tracing::warn!(%error, "a file could not be read on");
      Some((Err(BrokenOff), None))
    }
  }
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
  /// All of it, also where the header is none that we know.
  All,
  /// From this byte to before that one.
  Part(u64, u64),
  /// Nothing that is there.
  Nothing,
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`; several ranges are answered with the whole.
fn wanted(range: &str, size: u64) -> Wanted {
  let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
  else {
    return Wanted::All;
  };
  let (from, to) = (from.trim(), to.trim());
  let part = match (from.parse::<u64>(), to.parse::<u64>()) {
    (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(size)),
    (Ok(from), Err(_)) if to.is_empty() => (from, size),
    (Err(_), Ok(last)) if from.is_empty() && last > 0 => (size.saturating_sub(last), size),
    (Err(_), Ok(0)) if from.is_empty() => return Wanted::Nothing,
    _ => return Wanted::All,
  };
  if part.0 < part.1 { Wanted::Part(part.0, part.1) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn ranges_are_read_as_browsers_write_them() {
    for (range, expected) in [
      ("bytes=0-0", Wanted::Part(0, 1)),
      ("bytes=2-", Wanted::Part(2, 10)),
      ("bytes=-3", Wanted::Part(7, 10)),
      ("bytes=-30", Wanted::Part(0, 10)),
      ("bytes=5-500", Wanted::Part(5, 10)),
      ("bytes=10-", Wanted::Nothing),
      ("bytes=-0", Wanted::Nothing),
      ("bytes=5-2", Wanted::All),
      ("bytes=0-1,4-5", Wanted::All),
      ("lines=1-2", Wanted::All),
      ("bytes=-", Wanted::All),
      ("bytes=18446744073709551615-18446744073709551615", Wanted::Nothing),
    ] {
      assert_eq!(wanted(range, 10), expected, "{range}");
    }
    assert_eq!(wanted("bytes=0-0", 0), Wanted::Nothing);
  }
}
