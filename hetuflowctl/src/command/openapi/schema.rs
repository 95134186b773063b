//! JSON Schemas out of the OpenAPI document, whole: what they refer to comes along.

use std::collections::{BTreeMap, BTreeSet};

use hetuflow_core::API_VERSION;
use hetuflow_core::config_text::nearest;
use serde_json::{Value, json};

use crate::client::{CtlError, Exit};

const REF: &str = "#/components/schemas/";
/// Kinds, and the schema of their objects.
const OBJECTS: [(&str, &str); 12] = [
  ("job", "JobEntity"),
  ("schedule", "ScheduleEntity"),
  ("task", "TaskEntity"),
  ("attempt", "TaskInstanceEntity"),
  ("instance", "TaskInstanceEntity"),
  ("agent", "AgentEntity"),
  ("namespace", "NamespaceEntity"),
  ("server", "ServerEntity"),
  ("token", "TokenEntity"),
  ("event", "FeedEvent"),
  ("error", "ErrorResponse"),
  ("fire", "FireEntity"),
];

/// The schema that an editor wants: of the manifest, for kinds that have one.
///
/// # Errors
/// Not found, with the nearest kind.
pub fn of_kind(document: &Value, kind: &str) -> Result<Value, CtlError> {
  let one = kind.to_ascii_lowercase();
  match one.trim_end_matches('s') {
    "job" => {
      let spec = without(&resolve(document, "JobForCreate")?, &["name", "namespace_id", "labels"]);
      Ok(manifest(document, "Job", spec))
    }
    "namespace" => {
      let spec = without(&resolve(document, "NamespaceForCreate")?, &["id"]);
      Ok(manifest(document, "Namespace", spec))
    }
    _ => of_object(document, kind),
  }
}

/// The schema of an object as the API gives it; any name in the document is taken too.
///
/// # Errors
/// Not found, with the nearest kind.
pub fn of_object(document: &Value, kind: &str) -> Result<Value, CtlError> {
  let one = kind.to_ascii_lowercase();
  let known = OBJECTS.iter().find(|(name, _)| *name == one || format!("{name}s") == one);
  let name = known.map_or(kind, |(_, name)| name);
  let Ok(schema) = resolve(document, name) else {
    let error = CtlError::new(Exit::NotFound, format!("no kind \"{}\"", kind.escape_debug()));
    let names = OBJECTS.iter().map(|(name, _)| *name);
    return Err(match nearest(&one, names.clone()) {
      Some(near) => error.help(format!("did you mean  {near} ?")),
      None => error.help(format!("kinds: {}", names.collect::<Vec<_>>().join(", "))),
    });
  };
  Ok(whole(document, schema))
}

fn resolve(document: &Value, name: &str) -> Result<Value, CtlError> {
  let found = document.pointer("/components/schemas").and_then(|all| all.get(name));
  found.cloned().ok_or_else(|| {
    CtlError::new(Exit::NotFound, format!("the server's document has no schema {name}"))
      .help("hetuflowctl version --check-server")
  })
}

fn without(schema: &Value, fields: &[&str]) -> Value {
  let mut schema = schema.clone();
  if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
    fields.iter().for_each(|field| drop(properties.remove(*field)));
  }
  if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
    required.retain(|one| !one.as_str().is_some_and(|one| fields.contains(&one)));
  }
  schema
}

fn manifest(document: &Value, kind: &str, spec: Value) -> Value {
  let text = json!({ "type": "string" });
  let schema = json!({
    "title": format!("{kind} manifest"),
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": false,
    "properties": {
      "apiVersion": { "const": API_VERSION, "description": "The version of the form" },
      "kind": { "const": kind, "description": "The kind" },
      "metadata": {
        "type": "object",
        "description": "Name, namespace and labels",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
          "name": { "type": "string", "description": "Unique in its namespace" },
          "namespace": { "type": "string", "description": "The namespace; the one of the context where none is named" },
          "labels": { "type": "object", "description": "Labels", "additionalProperties": text },
        },
      },
      "spec": spec,
      "status": { "description": "What a server wrote; apply leaves it alone" },
    },
  });
  whole(document, schema)
}

/// Puts everything that is referred to under `$defs`.
fn whole(document: &Value, mut schema: Value) -> Value {
  let mut wanted = BTreeSet::new();
  refer(&mut schema, &mut wanted);
  let mut defs: BTreeMap<String, Value> = BTreeMap::new();
  while let Some(name) = wanted.pop_first() {
    if defs.contains_key(&name) {
      continue;
    }
    let mut one = resolve(document, &name).unwrap_or_else(|_| json!({}));
    refer(&mut one, &mut wanted);
    defs.insert(name, one);
  }
  if let Some(fields) = schema.as_object_mut() {
    fields.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    if !defs.is_empty() {
      fields.insert("$defs".into(), json!(defs));
    }
  }
  schema
}

fn refer(value: &mut Value, wanted: &mut BTreeSet<String>) {
  match value {
    Value::Object(fields) => {
      if let Some(name) =
        fields.get("$ref").and_then(Value::as_str).and_then(|one| one.strip_prefix(REF))
      {
        let name = name.to_owned();
        fields.insert("$ref".into(), json!(format!("#/$defs/{name}")));
        wanted.insert(name);
      }
      fields.values_mut().for_each(|one| refer(one, wanted));
    }
    Value::Array(items) => items.iter_mut().for_each(|one| refer(one, wanted)),
    _ => {}
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_is_referred_to_comes_along() {
    let document = json!({ "components": { "schemas": {
      "JobForCreate": { "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string" }, "config": { "$ref": "#/components/schemas/TaskConfig" } } },
      "TaskConfig": { "type": "object", "properties": { "retry": { "$ref": "#/components/schemas/Retry" } } },
      "Retry": { "type": "object", "properties": { "again": { "$ref": "#/components/schemas/Retry" } } },
      "Unused": {},
    }}});
    let schema = of_kind(&document, "jobs").expect("a kind");
    assert_eq!(schema["properties"]["spec"]["properties"]["config"]["$ref"], "#/$defs/TaskConfig");
    assert_eq!(schema["properties"]["spec"]["properties"]["name"], Value::Null);
    let names: Vec<&String> = schema["$defs"].as_object().expect("defs").keys().collect();
    assert_eq!(names, ["Retry", "TaskConfig"]);
    assert_eq!(of_kind(&document, "tsk").expect_err("unknown").exit, 3);
  }
}
