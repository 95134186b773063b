//! What the API says about itself: the document, the schema of a kind, a field in words.

mod explain;
mod schema;

use serde_json::{Value, json};

use crate::cli::{FieldArgs, SchemaArgs};
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// The OpenAPI document of the server.
///
/// # Errors
/// What the server says.
pub async fn document(session: &Session) -> Result<Value, CtlError> {
  session.client()?.fetch(Call::get("/docs/openapi.json")).await
}

/// `openapi`.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session) -> Result<Outcome, CtlError> {
  let document = document(session).await?;
  let text = serde_json::to_string_pretty(&document).unwrap_or_default();
  Ok(View::text(text, document).into())
}

/// `schema KIND`.
///
/// # Errors
/// What the server says; not found, for an unknown kind.
pub async fn schema(session: &Session, args: &SchemaArgs) -> Result<Outcome, CtlError> {
  let schema = schema::of_kind(&document(session).await?, &args.kind)?;
  let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
  Ok(View::text(text, schema).into())
}

/// `explain FIELD`.
///
/// # Errors
/// What the server says; not found, with the nearest field.
pub async fn explain(session: &Session, args: &FieldArgs) -> Result<Outcome, CtlError> {
  let (kind, rest) = args.field.split_once('.').unwrap_or((&args.field, ""));
  let document = document(session).await?;
  let object = schema::of_object(&document, kind);
  let schema = match (object, rest) {
    // A field of the manifest is looked for there.
    (_, rest) if rest == "spec" || rest.starts_with("spec.") || rest.starts_with("metadata") => {
      schema::of_kind(&document, kind)?
    }
    (Ok(object), _) => object,
    (Err(error), _) => return Err(error),
  };
  let (text, value) = explain::field(&schema, kind, rest)?;
  Ok(View::text(text, json!(value)).into())
}
