//! `api`: a raw call.

use std::io::Read as _;

use serde_json::Value;

use crate::cli::ApiArgs;
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Format, Outcome, View};

/// Longest body.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// Calls the API.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &ApiArgs) -> Result<Outcome, CtlError> {
  let path = args.path.strip_prefix("/api/v1").unwrap_or(&args.path);
  let (path, query) = path.split_once('?').unwrap_or((path, ""));
  let mut call = Call::any(&args.method, format!("/{}", path.trim_start_matches('/')));
  for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
    call = call.query(&name, value);
  }
  if let Some(data) = &args.data {
    let text = body(data)?;
    let value: Value = serde_json::from_str(&text)
      .map_err(|error| CtlError::usage(format!("the body is no JSON: {error}")))?;
    call = call.json(&value);
  }
  if args.paginate {
    return pages(session, call).await;
  }
  let bytes = session.client()?.bytes(call).await?;
  match serde_json::from_slice::<Value>(&bytes) {
    Ok(value) => {
      let text = serde_json::to_string_pretty(&value).unwrap_or_default();
      Ok(View::text(text, value).into())
    }
    Err(_) if session.look.format == Format::None => Ok(View::Nothing.into()),
    Err(_) => Ok(View::Raw(bytes).into()),
  }
}

/// All pages of a list as one document.
async fn pages(session: &Session, call: Call) -> Result<Outcome, CtlError> {
  let (mut all, mut cursor) = (Vec::new(), None::<String>);
  loop {
    let page: Value =
      session.client()?.fetch(call.clone().query_some("cursor", cursor.take())).await?;
    let Some(rows) = page.get("data").and_then(Value::as_array) else {
      return Err(CtlError::usage("--paginate is for lists; this answer is none"));
    };
    all.extend(rows.iter().cloned());
    match page.pointer("/page/next_cursor").and_then(Value::as_str) {
      Some(next) => cursor = Some(next.to_owned()),
      None => break,
    }
  }
  let value = serde_json::json!({ "data": all });
  let text = serde_json::to_string_pretty(&value).unwrap_or_default();
  Ok(View::text(text, value).into())
}

fn body(data: &str) -> Result<String, CtlError> {
  let read = |reader: Box<dyn std::io::Read>, name: &str| {
    let mut text = String::new();
    reader
      .take(BODY_BYTES_MAX)
      .read_to_string(&mut text)
      .map(|_| text)
      .map_err(|error| CtlError::usage(format!("cannot read {name}: {error}")))
  };
  match data.strip_prefix('@') {
    _ if data == "-" => read(Box::new(std::io::stdin()), "stdin"),
    Some(path) => {
      let file = std::fs::File::open(path)
        .map_err(|error| CtlError::usage(format!("cannot read {path}: {error}")))?;
      read(Box::new(file), path)
    }
    None => Ok(data.to_owned()),
  }
}
