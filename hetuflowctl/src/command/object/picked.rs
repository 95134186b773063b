//! A thing that a bulk verb is about: named by a person, or found by a filter.

use serde_json::{Value, json};

use super::kind::Kind;
use crate::client::CtlError;
use crate::command::session::Session;
use crate::output::Record;

/// A thing.
#[derive(Debug, Clone)]
pub struct Picked {
  /// How people name it.
  pub name: String,
  /// How the server finds it.
  pub reference: String,
  kind: Kind,
  value: Value,
}

impl Picked {
  /// By its name.
  pub fn named(kind: Kind, name: &str) -> Self {
    Self { name: name.to_owned(), reference: name.to_owned(), kind, value: json!({ "name": name }) }
  }

  /// From a list.
  pub fn found(kind: Kind, value: Value) -> Self {
    let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let reference = text("id").unwrap_or_default();
    let name = text(kind.name_field()).unwrap_or_else(|| reference.clone());
    Self { name, reference, kind, value }
  }

  /// The namespace that it is in.
  ///
  /// # Errors
  /// When there is no client.
  pub fn namespace(&self, session: &Session) -> Result<String, CtlError> {
    match self.value.get("namespace_id").and_then(Value::as_str) {
      Some(namespace) => Ok(namespace.to_owned()),
      None => Ok(session.client()?.place.namespace.clone()),
    }
  }

  /// For a list of what would be done.
  pub fn record(&self) -> Record {
    Record {
      name: format!("{}/{}", self.kind.word(), self.name),
      value: self.value.clone(),
      manifest: None,
      cells: Vec::new(),
    }
  }
}
