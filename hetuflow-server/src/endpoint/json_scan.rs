//! The first look at a body: what JSON allows and we do not. Keys given twice, nesting without
//! end, numbers that other programs cannot hold, lists where an object must stand.

use std::collections::HashSet;
use std::fmt;

use hetuflow_core::{ErrorCode, FieldError, pointer_part};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json_shape::Shape;

/// Deepest nesting.
pub(super) const DEPTH_MAX: usize = 32;
/// The largest integer that every JSON reader keeps exact (RFC 7493).
const INTEGER_MAX: u64 = 1 << 53;

/// A broken rule, with the kind of answer it gets.
pub(super) type Broken = Box<(ErrorCode, FieldError)>;

/// Looks at a whole text; `shape` says where objects must stand.
///
/// # Errors
/// The first broken rule.
pub(super) fn scan(text: &str, shape: &Shape) -> Result<(), Broken> {
  let mut found = Found::default();
  let mut reader = serde_json::Deserializer::from_str(text);
  let node = Node { found: &mut found, shape: Some(shape), depth: 0, free: false };
  let outcome = node.deserialize(&mut reader).and_then(|()| reader.end());
  let Err(error) = outcome else {
    // What is JSON, and not the JSON that is wanted.
    return found.later.map_or(Ok(()), Err);
  };
  let place = format!("line {}, column {}", error.line(), error.column());
  if let Some(mut broken) = found.broken {
    broken.1.message = format!("{} at {place}", broken.1.message);
    return Err(broken);
  }
  Err(syntax(text, &error, (found.pointer, place)))
}

/// What the JSON reader itself did not take.
fn syntax(text: &str, error: &serde_json::Error, (pointer, place): (String, String)) -> Broken {
  let words = error.to_string();
  let words = words.split(" at line ").next().unwrap_or_default();
  let number = words.contains("number out of range") || stands_for_no_number(text, error);
  if number {
    let message = format!("not a number that JSON can hold, at {place}");
    let rule = FieldError::new("number.range", pointer, message);
    return Box::new((ErrorCode::ValidationError, rule));
  }
  if words.contains("surrogate") || words.contains("hex escape") || words.contains("unicode") {
    let message = format!("half a character (a lone surrogate) at {place}");
    return Box::new((ErrorCode::BadRequest, FieldError::new("json.utf8", pointer, message)));
  }
  let message = if text.trim().is_empty() {
    "the body is empty, at line 1, column 1".to_owned()
  } else {
    format!("{words} at {place}")
  };
  Box::new((ErrorCode::BadRequest, FieldError::new("json.syntax", pointer, message)))
}

/// `NaN` and `Infinity` are words of other languages.
fn stands_for_no_number(text: &str, error: &serde_json::Error) -> bool {
  let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
  let start = error.column().saturating_sub(2);
  let near = line.as_bytes().get(start..).unwrap_or_default();
  let near = near.iter().take(4).map(|byte| char::from(*byte)).collect::<String>();
  near.contains("NaN") || near.contains("Inf")
}

#[derive(Default)]
struct Found {
  pointer: String,
  broken: Option<Broken>,
  later: Option<Broken>,
}

/// One value on the way through the text.
struct Node<'a, 's> {
  found: &'a mut Found,
  shape: Option<&'s Shape>,
  depth: usize,
  /// Inside free JSON, whose numbers are its owner's affair.
  free: bool,
}

impl Node<'_, '_> {
  /// Refuses the text here and now.
  fn refuse<E: Error>(&mut self, code: &str, pointer: String, message: String) -> E {
    let rule = FieldError::new(code, pointer, message);
    self.found.broken = Some(Box::new((ErrorCode::BadRequest, rule)));
    E::custom("refused")
  }

  /// Refuses it if the rest is JSON at all.
  fn refuse_later(&mut self, code: &str, message: String) {
    if self.found.later.is_none() {
      let rule = FieldError::new(code, self.found.pointer.clone(), message);
      self.found.later = Some(Box::new((ErrorCode::ValidationError, rule)));
    }
  }

  fn deeper<E: Error>(&mut self) -> Result<(), E> {
    self.depth += 1;
    if self.depth <= DEPTH_MAX {
      return Ok(());
    }
    Err(self.refuse("json.depth", String::new(), format!("nested deeper than {DEPTH_MAX}")))
  }

  fn integer<E: Error>(mut self, magnitude: u64) -> Result<(), E> {
    if !self.free && magnitude > INTEGER_MAX {
      let message = format!("{magnitude} is beyond 2^53, where JSON numbers stop being exact");
      self.refuse_later("number.range", message);
    }
    Ok(())
  }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
  type Value = ();

  fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
    reader.deserialize_any(self)
  }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
  type Value = ();

  fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("a JSON value")
  }

  fn visit_unit<E: Error>(self) -> Result<(), E> {
    Ok(())
  }

  fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
    Ok(())
  }

  fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
    Ok(())
  }

  fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
    Ok(())
  }

  fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
    self.integer(number)
  }

  fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
    self.integer(number.unsigned_abs())
  }

  fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
    self.deeper()?;
    if matches!(self.shape, Some(Shape::Struct(_))) {
      self.refuse_later("json.type", "an object stands here, not a list".to_owned());
    }
    let item = self.shape.and_then(Shape::item);
    let length = self.found.pointer.len();
    for index in 0_usize.. {
      self.found.pointer.push_str(&format!("/{index}"));
      let node = Node { found: &mut *self.found, shape: item, depth: self.depth, free: self.free };
      if list.next_element_seed(node)?.is_none() {
        break;
      }
      self.found.pointer.truncate(length);
    }
    self.found.pointer.truncate(length);
    Ok(())
  }

  fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
    self.deeper()?;
    let mut seen: HashSet<String> = HashSet::new();
    let length = self.found.pointer.len();
    while let Some(key) = map.next_key::<String>()? {
      self.found.pointer.push('/');
      self.found.pointer.push_str(&pointer_part(&key));
      if seen.contains(&key) {
        let message = "the name stands twice in one object".to_owned();
        let pointer = self.found.pointer.clone();
        return Err(self.refuse("json.duplicate_key", pointer, message));
      }
      let node = Node {
        found: &mut *self.found,
        shape: self.shape.and_then(|shape| shape.member(&key)),
        depth: self.depth,
        free: self.free || key == "parameters",
      };
      map.next_value_seed(node)?;
      self.found.pointer.truncate(length);
      seen.insert(key);
    }
    Ok(())
  }
}
