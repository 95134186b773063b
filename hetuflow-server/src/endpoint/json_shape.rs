//! The shape that a body should have, from the same schema that the documentation shows: which
//! names are known where, and where an object must stand.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hetuflow_core::config_text::nearest;
use serde_json::Value;
use utoipa::ToSchema;

use super::openapi::components_of;

/// No schema of ours is nested deeper.
const LEVELS_MAX: usize = 10;
/// Longer names are no misspelt ones.
const NAME_BYTES_MAX: usize = 64;

/// What may stand at a place of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
  /// An object with these names.
  Struct(BTreeMap<String, Shape>),
  /// An object with any names.
  Map(Box<Shape>),
  /// A list.
  List(Box<Shape>),
  /// An instant.
  Instant,
  /// A value, or something that only its reader knows.
  Other,
}

type Known = RwLock<HashMap<TypeId, Arc<Shape>>>;

impl Shape {
  /// The shape of a type, made once.
  pub(super) fn of<T: ToSchema + 'static>() -> Arc<Self> {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(Known::default);
    let key = TypeId::of::<T>();
    if let Some(shape) = known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
      return Arc::clone(shape);
    }
    let mut components = Vec::new();
    T::schemas(&mut components);
    let components: BTreeMap<String, Value> = components_of(components);
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    let shape = Arc::new(read(&schema, &components, 0));
    known.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&shape));
    shape
  }

  /// What may stand under a name here.
  pub(super) fn member(&self, name: &str) -> Option<&Self> {
    match self {
      Self::Struct(members) => members.get(name),
      Self::Map(value) => Some(value),
      _ => None,
    }
  }

  /// What may stand in a list here.
  pub(super) fn item(&self) -> Option<&Self> {
    match self {
      Self::List(item) => Some(item),
      _ => None,
    }
  }

  /// What may stand at a pointer.
  pub(super) fn at(&self, pointer: &str) -> Option<&Self> {
    pointer.split('/').skip(1).try_fold(self, |shape, part| match shape {
      Self::List(_) => shape.item(),
      shape => shape.member(part),
    })
  }

  /// The known name that a pointer to an unknown one may have meant: beside it, or anywhere.
  pub(super) fn suggest(&self, pointer: &str) -> Option<String> {
    let (parent, name) = pointer.rsplit_once('/')?;
    if name.len() > NAME_BYTES_MAX {
      return None;
    }
    if let Some(Self::Struct(members)) = self.at(parent)
      && let Some(near) = nearest(name, members.keys().map(String::as_str))
    {
      return Some(near.to_owned());
    }
    let mut all = Vec::new();
    self.collect("", &mut all);
    let near = nearest(name, all.iter().map(|(name, _)| name.as_str()))?;
    all.iter().find(|(name, _)| name == near).map(|(_, pointer)| pointer.clone())
  }

  fn collect(&self, pointer: &str, all: &mut Vec<(String, String)>) {
    match self {
      Self::Struct(members) => {
        for (name, shape) in members {
          let here = format!("{pointer}/{name}");
          all.push((name.clone(), here.clone()));
          shape.collect(&here, all);
        }
      }
      Self::List(item) => item.collect(&format!("{pointer}/0"), all),
      _ => {}
    }
  }
}

fn read(schema: &Value, components: &BTreeMap<String, Value>, level: usize) -> Shape {
  if level > LEVELS_MAX {
    return Shape::Other;
  }
  let next = |schema: &Value| read(schema, components, level + 1);
  if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
    return components.get(name).map_or(Shape::Other, next);
  }
  // An optional thing is "nothing, or the thing".
  for key in ["oneOf", "anyOf", "allOf"] {
    if let Some(choices) = schema[key].as_array() {
      let shapes = choices.iter().map(next);
      return shapes.into_iter().find(|shape| *shape != Shape::Other).unwrap_or(Shape::Other);
    }
  }
  if let Some(members) = schema["properties"].as_object() {
    let members = members.iter().map(|(name, schema)| (name.clone(), next(schema)));
    return Shape::Struct(members.collect());
  }
  if schema["items"].is_object() {
    return Shape::List(Box::new(next(&schema["items"])));
  }
  if schema["additionalProperties"].is_object() {
    return Shape::Map(Box::new(next(&schema["additionalProperties"])));
  }
  if schema["format"] == "date-time" { Shape::Instant } else { Shape::Other }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{ApplyRequest, JobForCreate};

  use super::*;

  #[test]
  fn shapes_follow_the_types() {
    let shape = Shape::of::<ApplyRequest>();
    assert!(matches!(shape.at("/jobs/3/config"), Some(Shape::Struct(_))));
    assert!(matches!(shape.at("/jobs/3/schedules/0/start_time"), Some(Shape::Instant)));
    assert!(matches!(shape.at("/jobs/0/labels"), Some(Shape::Map(_))));
    assert_eq!(shape.at("/nothing"), None);
  }

  #[test]
  fn misspelt_names_are_found_here_or_elsewhere() {
    let shape = Shape::of::<JobForCreate>();
    for (pointer, meant) in [
      ("/nmae", Some("name")),
      ("/config/comand", Some("command")),
      ("/comand", Some("/config/command")),
      ("/schedules/0/timezon", Some("timezone")),
      ("/qqqqqqqq", None),
    ] {
      assert_eq!(shape.suggest(pointer).as_deref(), meant, "{pointer}");
    }
  }
}
