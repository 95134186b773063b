//! The document that says what the routes take and give, made from the same table that serves
//! them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::operation::{Door, Operation};

/// A type in the document: how to point at it, and the types that it needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
  /// Its schema, or a pointer to it.
  pub(super) schema: Value,
  components: BTreeMap<String, Value>,
}

impl Described {
  /// A type of the document.
  pub(super) fn of<T: ToSchema>() -> Self {
    let name = T::name().into_owned();
    let mut all = Vec::new();
    T::schemas(&mut all);
    all.push((name.clone(), <T as PartialSchema>::schema()));
    Self { schema: pointer_to(&name), components: components_of(all) }
  }

  /// A list of it.
  pub(super) fn list(mut self) -> Self {
    self.schema = json!({ "type": "array", "items": self.schema });
    self
  }

  /// A page of it.
  pub(super) fn page(mut self) -> Self {
    let info = Self::of::<hetuflow_core::PageInfo>();
    self.components.extend(info.components);
    self.schema = json!({
      "type": "object",
      "required": ["data", "page"],
      "properties": {
        "data": { "type": "array", "items": self.schema },
        "page": info.schema,
      },
    });
    self
  }

  /// Text or bytes.
  pub(super) fn text() -> Self {
    Self { schema: json!({ "type": "string" }), components: BTreeMap::new() }
  }

  /// Any object.
  pub(super) fn object() -> Self {
    Self { schema: json!({ "type": "object" }), components: BTreeMap::new() }
  }
}

fn pointer_to(name: &str) -> Value {
  json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Schemas by name, as JSON.
pub(super) fn components_of(all: Vec<(String, RefOr<Schema>)>) -> BTreeMap<String, Value> {
  let all = all.into_iter();
  all.filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?))).collect()
}

/// The whole document.
pub(super) fn document(operations: &[Operation], version: &str) -> Value {
  let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
  let error = Described::of::<hetuflow_core::ErrorResponse>();
  let mut components = error.components.clone();
  let mut tags = BTreeSet::new();
  for operation in operations {
    let described = [&operation.body, &operation.answer];
    for described in described.into_iter().flatten() {
      components.extend(described.components.clone());
    }
    tags.insert(operation.tag);
    let method = operation.method.as_str().to_ascii_lowercase();
    paths.entry(operation.path).or_default().insert(method, one(operation, &error.schema));
  }
  let tags: Vec<Value> = tags.into_iter().map(|tag| json!({ "name": tag })).collect();
  json!({
    "openapi": "3.1.0",
    "info": {
      "title": "hetuflow",
      "description": "Runs commands on many machines, on time.",
      "license": { "name": "Apache-2.0" },
      "version": version,
    },
    "servers": [{ "url": "/" }],
    "tags": tags,
    "security": [{ "token": [] }],
    "paths": paths,
    "components": {
      "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
      "schemas": components,
    },
  })
}

fn one(operation: &Operation, error: &Value) -> Value {
  let mut parameters: Vec<Value> = path_parameters(operation.path);
  parameters.extend(operation.parameters.iter().cloned());
  let mut good = json!({ "description": "done" });
  if let Some(answer) = &operation.answer {
    good["content"] = json!({ operation.content: { "schema": answer.schema } });
  }
  let mut value = json!({
    "summary": operation.summary,
    "tags": [operation.tag],
    "operationId": operation_id(operation),
    "parameters": parameters,
    "responses": {
      operation.status.to_string(): good,
      "default": {
        "description": "an error",
        "content": { "application/json": { "schema": error } },
      },
    },
  });
  if let Some(body) = &operation.body {
    value["requestBody"] = json!({
      "required": operation.body_required,
      "content": { operation.body_content: { "schema": body.schema } },
    });
  }
  if operation.older {
    value["deprecated"] = json!(true);
  }
  if matches!(operation.door, Door::Public) {
    value["security"] = json!([]);
  }
  value
}

fn path_parameters(path: &str) -> Vec<Value> {
  let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
  names
    .map(|name| {
      let description = if name == "ref" { "id or name" } else { "id" };
      json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": { "type": "string" },
      })
    })
    .collect()
}

fn operation_id(operation: &Operation) -> String {
  let path = operation.path.trim_start_matches("/api/v1");
  let words = path.split(['/', '-', '.']).map(|part| part.trim_matches(['{', '}']));
  let words = words.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
  format!("{}_{words}", operation.method.as_str().to_ascii_lowercase())
}
