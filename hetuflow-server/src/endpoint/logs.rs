//! `/task-instances/{id}/logs`: output as bytes, whole or from an offset, ended or still growing.

use std::pin::pin;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hetuflow_core::{ErrorCode, LogVerification, OutputFrame, Stream};

use super::auth::{Caller, StreamRight};
use super::error::{Answer, ApiError};
use super::operation::Operation;
use super::query::{Args, Ref};
use super::state::ApiState;
use super::task_instances::instance_id;
use crate::service::{GrepWish, LogRange, LogReader};

type Api = State<Arc<ApiState>>;
/// Records of frames: `u32` little-endian length, then the frame; length 0 ends a complete log.
const FRAMED: &str = "application/vnd.hetuflow.output";
/// Matches of one answer where nothing is said.
const GREP_LIMIT: u64 = 100;
const RAW: &str = "application/octet-stream";

/// The route of output.
pub(super) fn operations() -> Vec<Operation> {
  vec![
    Operation::get("/api/v1/task-instances/{id}/logs", read)
      .summary("Output of an attempt; as records with Accept: application/vnd.hetuflow.output")
      .query("from_offset", "integer", "begin at this byte of the merged output")
      .query("follow", "boolean", "go on until the attempt is over")
      .query("stream", "string", "only stdout, stderr or system")
      .query("tail_bytes", "integer", "begin so many bytes before the end")
      .query("grep", "string", "answer with the lines that fit this expression, as JSON")
      .query("ignore_case", "boolean", "with grep: capitals do not matter")
      .query("invert", "boolean", "with grep: lines that do not fit")
      .query("context", "integer", "with grep: lines around each, at most 20")
      .query("limit", "integer", "with grep: matches, 1 to 1,000; 100 where not said")
      .query("cursor", "string", "with grep: go on where the answer before ended")
      .answers_bytes(RAW),
    Operation::get("/api/v1/task-instances/{id}/verify", verify)
      .summary("Compare the stored output of an attempt with what was captured")
      .answers::<LogVerification>(),
  ]
}

async fn read(
  State(api): Api,
  caller: Caller,
  (Ref(id), right, headers): (Ref, StreamRight, HeaderMap),
  mut args: Args,
) -> Result<Response, ApiError> {
  if let Some(pattern) = args.text("grep") {
    return grep(&api, &caller, (&id, pattern), args).await;
  }
  let range = LogRange {
    from_offset: args.value("from_offset")?.unwrap_or(0),
    follow: args.value("follow")?.unwrap_or(false),
    stream: args.text("stream").map(|name| stream_of(&name)).transpose()?,
    tail_bytes: args.value("tail_bytes")?,
  };
  args.finish()?;
  let reader = api.logs.open(&caller.0, instance_id(&id)?, range).await?;
  let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
  let framed = accept.is_some_and(|accept| accept.contains(FRAMED));
  let flow = Flow { reader, right, framed };
  let body =
    Body::from_stream(stream::unfold(Some(flow), |flow| async move { flow?.step().await }));
  let content = if framed { FRAMED } else { RAW };
  let headers = [(header::CONTENT_TYPE, content), (header::CACHE_CONTROL, "no-store")];
  Ok((headers, body).into_response())
}

async fn verify(
  State(api): Api,
  caller: Caller,
  Ref(id): Ref,
  args: Args,
) -> Answer<LogVerification> {
  args.finish()?;
  Ok(Json(api.logs.verify(&caller.0, instance_id(&id)?).await?))
}

/// A bounded search, answered with lines.
async fn grep(
  api: &ApiState,
  caller: &Caller,
  (id, pattern): (&str, String),
  mut args: Args,
) -> Result<Response, ApiError> {
  let wish = GrepWish {
    pattern,
    ignore_case: args.value("ignore_case")?.unwrap_or(false),
    invert: args.value("invert")?.unwrap_or(false),
    context: args.value("context")?.unwrap_or(0),
    limit: args.value("limit")?.unwrap_or(GREP_LIMIT),
    stream: args.text("stream").map(|name| stream_of(&name)).transpose()?,
    from_offset: args.value("from_offset")?.unwrap_or(0),
    cursor: args.text("cursor"),
  };
  args.finish()?;
  let found = api.logs.grep(&caller.0, instance_id(id)?, &wish).await?;
  Ok(([(header::CACHE_CONTROL, "no-store")], Json(found)).into_response())
}

fn stream_of(name: &str) -> Result<Stream, ApiError> {
  match name {
    "stdout" | "out" => Ok(Stream::Stdout),
    "stderr" | "err" => Ok(Stream::Stderr),
    "system" => Ok(Stream::System),
    _ => {
      let message = "stream is one of stdout, stderr, system";
      Err(ApiError::new(ErrorCode::BadRequest, "filter.value", "?stream", message))
    }
  }
}

/// An output on its way to a reader.
struct Flow {
  reader: LogReader,
  right: StreamRight,
  framed: bool,
}

/// Why a body ends before its end: the reader sees a broken transfer, not a complete log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

type Piece = Result<Bytes, BrokenOff>;

impl Flow {
  /// The next piece of the body, and what is left; the last piece leaves nothing.
  async fn step(mut self) -> Option<(Piece, Option<Self>)> {
    let next = {
      let mut next = pin!(self.reader.next());
      tokio::select! {
        frame = &mut next => frame.map_err(|error| {
          tracing::warn!(error = %error, "output could not be read on");
          BrokenOff("output cannot be read".to_owned())
        }),
        why = self.right.ended() => Err(BrokenOff(why.to_owned())),
      }
    };
    match next {
      Ok(Some(frame)) => match self.pack(frame) {
        Ok(bytes) => Some((Ok(bytes), Some(self))),
        Err(error) => Some((Err(error), None)),
      },
      // Length 0: all there is was sent.
      Ok(None) if self.framed => Some((Ok(Bytes::from_static(&[0; 4])), None)),
      Ok(None) => None,
      Err(error) => Some((Err(error), None)),
    }
  }

  fn pack(&self, frame: OutputFrame) -> Piece {
    if !self.framed {
      let raw = frame.unpack().map_err(|error| BrokenOff(error.to_string()))?;
      return Ok(Bytes::from(raw));
    }
    let frame = frame.encode();
    let length = u32::try_from(frame.len()).map_err(|error| BrokenOff(error.to_string()))?;
    let mut record = Vec::with_capacity(frame.len() + 4);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&frame);
    Ok(Bytes::from(record))
  }
}
