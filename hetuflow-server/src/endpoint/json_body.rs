//! Bodies: JSON read strictly, with every mistake named at its place.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use hetuflow_core::{ErrorCode, FieldError, pointer_part};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::ApiError;
use super::json_scan::scan;
use super::json_shape::Shape;

/// Largest body.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body that holds many things.
pub(super) const BULK_BYTES_MAX: usize = 8 << 20;
/// Unknown names that one answer lists.
const UNKNOWN_TOLD_MAX: usize = 100;
/// Longest time for a body to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A body that must be there.
#[derive(Debug)]
pub(super) struct JsonBody<T, const LIMIT: usize = BODY_BYTES_MAX>(pub(super) T);

/// A body that may be left out.
#[derive(Debug)]
pub(super) struct MaybeJson<T>(pub(super) T);

impl<S, T, const LIMIT: usize> FromRequest<S> for JsonBody<T, LIMIT>
where
  S: Send + Sync,
  T: DeserializeOwned + ToSchema + 'static,
{
  type Rejection = ApiError;

  async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
    let (parts, body) = request.into_parts();
    check_headers(&parts.headers)?;
    let bytes = collect(&parts.headers, body, LIMIT).await?;
    read_json(&bytes).map(Self)
  }
}

impl<S, T> FromRequest<S> for MaybeJson<T>
where
  S: Send + Sync,
  T: DeserializeOwned + ToSchema + Default + 'static,
{
  type Rejection = ApiError;

  async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = collect(&parts.headers, body, BODY_BYTES_MAX).await?;
    if bytes.is_empty() {
      return Ok(Self(T::default()));
    }
    check_headers(&parts.headers)?;
    read_json(&bytes).map(Self)
  }
}

/// JSON in UTF-8, unpacked.
fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
  let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
  if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    || (headers.contains_key(header::CONTENT_ENCODING) && text(header::CONTENT_ENCODING).is_none())
  {
    let message = "packed bodies are not read here";
    let code = ErrorCode::UnsupportedMediaType;
    return Err(ApiError::new(code, "encoding.unsupported", "", message));
  }
  if text(header::CONTENT_TYPE).is_some_and(is_json) {
    return Ok(());
  }
  let message = "the body is not sent as application/json in UTF-8";
  Err(
    ApiError::new(ErrorCode::UnsupportedMediaType, "content_type.unsupported", "", message)
      .hint("send Content-Type: application/json"),
  )
}

fn is_json(content_type: &str) -> bool {
  let mut parts = content_type.split(';').map(str::trim);
  let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
  json
    && parts.all(|parameter| match parameter.split_once('=') {
      Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
        value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
      }
      _ => true,
    })
}

/// The whole body, within its bounds of size and time.
async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
  let too_large = || {
    let message = format!("the body is larger than {limit} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, "body.too_large", "", message)
  };
  let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
  if length.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > limit) {
    return Err(too_large());
  }
  let read = async {
    let mut bytes = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
      let chunk = chunk.map_err(|_| {
        ApiError::new(ErrorCode::BadRequest, "body.broken", "", "the body broke off")
      })?;
      if bytes.len() + chunk.len() > limit {
        return Err(too_large());
      }
      bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
  };
  match tokio::time::timeout(BODY_TIME_MAX, read).await {
    Ok(outcome) => outcome,
    Err(_) => {
      let message = format!("the body did not arrive within {} s", BODY_TIME_MAX.as_secs());
      Err(ApiError::new(ErrorCode::BadRequest, "body.slow", "", message))
    }
  }
}

/// Reads a body that arrived.
///
/// # Errors
/// 400 for what is no JSON, 422 for what is not the JSON that is wanted.
pub(super) fn read_json<T: DeserializeOwned + ToSchema + 'static>(
  bytes: &[u8],
) -> Result<T, ApiError> {
  let text = std::str::from_utf8(bytes).map_err(|error| {
    let message = format!("byte {} of the body is not UTF-8", error.valid_up_to());
    ApiError::new(ErrorCode::BadRequest, "json.utf8", "", message)
  })?;
  if text.starts_with('\u{feff}') {
    let message = "the body starts with a byte order mark";
    return Err(ApiError::new(ErrorCode::BadRequest, "json.utf8", "", message));
  }
  let shape = Shape::of::<T>();
  scan(text, &shape).map_err(|broken| refusal(*broken))?;
  let mut unknown = Vec::new();
  let mut json = serde_json::Deserializer::from_str(text);
  let mut ignored = |path: serde_ignored::Path<'_>| unknown.push(pointer(&path));
  let reader = serde_ignored::Deserializer::new(&mut json, &mut ignored);
  let outcome = serde_path_to_error::deserialize(reader);
  let rule = outcome.as_ref().err().map(|error| mistake(error, &shape));
  // A misspelt name and the missing one that it should have been are told together.
  let unknown = unknown.into_iter().take(UNKNOWN_TOLD_MAX);
  let rules: Vec<FieldError> =
    rule.into_iter().chain(unknown.map(|pointer| unknown_field(pointer, &shape))).collect();
  match outcome {
    Ok(value) if rules.is_empty() => Ok(value),
    _ => Err(ApiError::broken(ErrorCode::ValidationError, rules)),
  }
}

fn refusal((code, rule): (ErrorCode, FieldError)) -> ApiError {
  ApiError::broken(code, vec![rule])
}

fn unknown_field(pointer: String, shape: &Shape) -> FieldError {
  let name = pointer.rsplit('/').next().unwrap_or_default();
  let hint = shape.suggest(&pointer).map(|meant| format!("did you mean {meant}?"));
  let rule =
    FieldError::new("json.unknown_field", pointer.clone(), format!("no field \"{name}\" here"));
  match hint {
    Some(hint) => rule.with_hint(hint),
    None => rule,
  }
}

fn pointer(path: &serde_ignored::Path<'_>) -> String {
  use serde_ignored::Path;
  match path {
    Path::Root => String::new(),
    Path::Seq { parent, index } => format!("{}/{index}", pointer(parent)),
    Path::Map { parent, key } => format!("{}/{}", pointer(parent), pointer_part(key)),
    Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
      pointer(parent)
    }
  }
}

/// A value that the wanted type does not take: its place, and which rule it breaks.
fn mistake(error: &serde_path_to_error::Error<serde_json::Error>, shape: &Shape) -> FieldError {
  use serde_path_to_error::Segment;
  let mut place = String::new();
  for segment in error.path() {
    match segment {
      Segment::Seq { index } => place.push_str(&format!("/{index}")),
      Segment::Map { key } => place.push_str(&format!("/{}", pointer_part(key))),
      Segment::Enum { .. } | Segment::Unknown => {}
    }
  }
  let words = error.inner().to_string();
  let mut words = words.split(" at line ").next().unwrap_or_default().to_owned();
  if let Some((found, _)) = words.split_once("expected struct ") {
    // The name of a type of ours says nothing to anybody.
    words = format!("{found}expected an object");
  }
  if let Some(rest) = words.strip_prefix("missing field `") {
    let name = rest.trim_end_matches('`');
    let field = format!("{place}/{name}");
    return FieldError::new("json.missing_field", field, format!("{name} is missing"));
  }
  let code = rule_of(&place, &words, shape);
  FieldError::new(code, place, shorten(&words))
}

fn rule_of(place: &str, words: &str, shape: &Shape) -> &'static str {
  let interval = ["/interval_secs", "/interval_seconds"];
  let wrong_type = words.starts_with("invalid type");
  if interval.iter().any(|name| place.ends_with(name)) {
    return "interval.range";
  }
  if matches!(shape.at(place), Some(Shape::Instant)) {
    return "time.invalid";
  }
  let duration = ["is not a duration", "a time is not negative", "not a time in seconds"];
  if duration.iter().any(|part| words.contains(part)) || words.contains("a time with a unit") {
    return "duration.invalid";
  }
  let number = ["invalid type: floating point", "invalid value: integer", "number out of range"];
  if number.iter().any(|part| words.starts_with(part)) {
    return "number.range";
  }
  let id = ["unknown NamespaceId", "unknown AgentId", "unknown ServerId"];
  if id.iter().any(|part| words.starts_with(part)) {
    return "name.invalid";
  }
  if words.starts_with("unknown ") && words.contains("expected one of") {
    return "value.unknown";
  }
  if wrong_type || words.starts_with("invalid length") { "json.type" } else { "json.value" }
}

fn shorten(words: &str) -> String {
  words.chars().filter(|c| !c.is_control()).take(300).collect()
}
