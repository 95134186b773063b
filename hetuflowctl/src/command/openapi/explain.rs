//! A field of a schema in words: type, meaning, and what is inside.

use hetuflow_core::config_text::nearest;
use serde_json::{Map, Value, json};

use crate::client::{CtlError, Exit};
use crate::output::visible;

/// The text of a field, and the same for programs. An empty path is the kind itself.
///
/// # Errors
/// Not found, with the nearest field.
pub fn field(root: &Value, kind: &str, path: &str) -> Result<(String, Value), CtlError> {
  let mut here = root;
  let mut walked = kind.to_owned();
  for part in path.split('.').filter(|part| !part.is_empty()) {
    let inside = properties(root, here);
    let next = inside.and_then(|fields| fields.get(part)).or_else(|| any_name(root, here));
    here = next.ok_or_else(|| {
      let error =
        CtlError::new(Exit::NotFound, format!("{walked} has no field \"{}\"", part.escape_debug()));
      let names: Vec<&str> =
        inside.map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default();
      match nearest(part, names.iter().copied()) {
        Some(near) => {
          error.help(format!("did you mean  {near} ?   hetuflowctl explain {walked}.{near}"))
        }
        None => error.help(format!("its fields: {}", names.join(", "))),
      }
    })?;
    walked = format!("{walked}.{part}");
  }
  let words = meaning(root, here);
  let mut text = format!("{walked}  {}\n", type_of(root, here));
  if !words.is_empty() {
    text.push_str(&format!("  {}\n", visible(&words)));
  }
  let mut fields = Map::new();
  for (name, one) in properties(root, here).into_iter().flatten() {
    let (kind, words) = (type_of(root, one), meaning(root, one));
    text.push_str(&format!(
      "  {name:<22} {kind:<12} {}\n",
      visible(words.lines().next().unwrap_or_default())
    ));
    fields.insert(name.clone(), json!({ "type": kind, "meaning": words }));
  }
  let value =
    json!({ "field": walked, "type": type_of(root, here), "meaning": words, "fields": fields });
  Ok((text, value))
}

/// Behind references, and the one real choice among several.
fn target<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
  let mut here = schema;
  for _ in 0..8 {
    let choices = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| here.get(*word)?.as_array());
    let named =
      here.get("$ref").and_then(Value::as_str).and_then(|one| one.strip_prefix("#/$defs/"));
    let next = match (named, choices) {
      (Some(name), _) => root.get("$defs").and_then(|defs| defs.get(name)),
      (None, Some(list)) => list.iter().find(|one| one["type"] != "null"),
      (None, None) => None,
    };
    match next {
      Some(next) => here = next,
      None => break,
    }
  }
  if here["type"] == "array" || here["type"][0] == "array" {
    return here.get("items").map_or(here, |items| target(root, items));
  }
  here
}

fn properties<'v>(root: &'v Value, schema: &'v Value) -> Option<&'v Map<String, Value>> {
  target(root, schema).get("properties")?.as_object()
}

/// The value of a map, whatever the key.
fn any_name<'v>(root: &'v Value, schema: &'v Value) -> Option<&'v Value> {
  target(root, schema).get("additionalProperties").filter(|one| one.is_object())
}

fn type_of(root: &Value, schema: &Value) -> String {
  let list = schema["type"] == "array" || schema["type"][0] == "array";
  let inner = target(root, schema);
  let words = match (&inner["enum"], &inner["type"]) {
    (Value::Array(values), _) => values
      .iter()
      .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
      .collect::<Vec<_>>()
      .join("|"),
    (_, Value::String(name)) => name.clone(),
    (_, Value::Array(names)) => names
      .iter()
      .filter_map(Value::as_str)
      .filter(|name| *name != "null")
      .collect::<Vec<_>>()
      .join("|"),
    _ => inner
      .get("const")
      .map_or("any".to_owned(), |one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)),
  };
  if list { format!("list of {words}") } else { words }
}

fn meaning(root: &Value, schema: &Value) -> String {
  let of = |one: &Value| one.get("description").and_then(Value::as_str).map(str::to_owned);
  of(schema).or_else(|| of(target(root, schema))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn fields_in_words() {
    let root = json!({
      "properties": {
        "retry": { "oneOf": [{ "type": "null" }, { "$ref": "#/$defs/Retry" }], "description": "How retries wait" },
        "labels": { "type": "object", "additionalProperties": { "type": "string", "description": "A value" } },
        "list": { "type": "array", "items": { "$ref": "#/$defs/Retry" } },
      },
      "$defs": { "Retry": { "type": "object", "properties": { "max": { "type": ["integer", "null"], "description": "Most of them" } } } },
    });
    let (text, _) = field(&root, "job", "retry").expect("a field");
    assert_eq!(
      text,
      "job.retry  object\n  How retries wait\n  max                    integer      Most of them\n"
    );
    assert_eq!(
      field(&root, "job", "retry.max").expect("a field").0,
      "job.retry.max  integer\n  Most of them\n"
    );
    assert_eq!(
      field(&root, "job", "labels.any").expect("a value").0,
      "job.labels.any  string\n  A value\n"
    );
    assert!(field(&root, "job", "list.max").is_ok());
    assert!(field(&root, "job", "retry.maxx").expect_err("unknown").help[0].contains("max"));
  }
}
