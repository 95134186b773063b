//! A tree into types, by serde, so that the accepted fields are exactly those of the types.
//!
//! Serde stops at the first error. To tell all of them, the broken part is noted, taken out, and
//! the rest is read again.

use std::cell::RefCell;
use std::collections::BTreeSet;

use hetuflow_core::config_text::nearest;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, Visitor};

use super::files::Source;
use super::problem::Problem;
use super::scalar::Word;
use super::tree::{Data, Node};

/// Most problems of one document.
const PROBLEMS_MAX: usize = 50;

/// A type that was read from what is good in a document.
#[derive(Debug)]
pub struct Partial<T> {
  /// The value.
  pub value: T,
  /// The parts that were left out: rules that these broke are not told twice.
  pub left_out: BTreeSet<usize>,
}

/// Reads a type; every problem is added. `None` when it cannot be made at all.
pub fn read<T: DeserializeOwned>(
  source: &Source,
  node: &Node,
  problems: &mut Vec<Problem>,
) -> Option<Partial<T>> {
  let state = State { source, unknown: RefCell::default(), skip: RefCell::default() };
  let mut found = Vec::new();
  let value = loop {
    state.unknown.borrow_mut().clear();
    match T::deserialize(Reader { node, state: &state, free_text: false }) {
      Ok(value) => break Some(value),
      Err(error) => {
        let at = error.node.unwrap_or(node.id);
        let place = find(node, at).unwrap_or(node);
        found.push(error.problem(source, place));
        if at == node.id || found.len() >= PROBLEMS_MAX || !state.skip.borrow_mut().insert(at) {
          break None;
        }
      }
    }
  };
  problems.extend(found);
  let mut left_out = state.skip.into_inner();
  for (id, problem) in state.unknown.into_inner() {
    left_out.insert(id);
    problems.push(problem);
  }
  value.map(|value| Partial { value, left_out })
}

fn find(node: &Node, id: usize) -> Option<&Node> {
  if node.id == id {
    return Some(node);
  }
  match &node.data {
    Data::Plain(_) | Data::Text(_) => None,
    Data::List(items) => items.iter().find_map(|item| find(item, id)),
    Data::Map(entries) => {
      entries.iter().find_map(|(key, value)| find(key, id).or_else(|| find(value, id)))
    }
  }
}

struct State<'s> {
  source: &'s Source,
  unknown: RefCell<Vec<(usize, Problem)>>,
  skip: RefCell<BTreeSet<usize>>,
}

/// Why a node cannot be read.
#[derive(Debug)]
pub struct ReadError {
  node: Option<usize>,
  message: String,
}

impl ReadError {
  fn at(node: &Node, message: impl Into<String>) -> Self {
    Self { node: Some(node.id), message: message.into() }
  }

  fn or_at(mut self, node: &Node) -> Self {
    self.node.get_or_insert(node.id);
    self
  }

  fn problem(self, source: &Source, place: &Node) -> Problem {
    // A whole mapping is wrong at its first key: one caret is enough there.
    let width = if matches!(place.data, Data::Plain(_) | Data::Text(_)) { place.width } else { 1 };
    let problem =
      Problem::at(&source.name, place.begin, width, "manifest.type", self.message.clone());
    let names = self.message.split_once("expected one of ").map(|(_, names)| names.split(", "));
    let near = names.zip(place.text()).and_then(|(names, text)| nearest(text, names));
    match near {
      Some(near) => problem.hint(format!("did you mean  {near} ?")),
      None => problem,
    }
  }
}

impl std::fmt::Display for ReadError {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str(&self.message)
  }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
  fn custom<T: std::fmt::Display>(message: T) -> Self {
    Self { node: None, message: message.to_string() }
  }
}

#[derive(Clone, Copy)]
struct Reader<'n, 's> {
  node: &'n Node,
  state: &'n State<'s>,
  /// Unquoted words are text here, as the values of an environment.
  free_text: bool,
}

impl<'n> Reader<'n, '_> {
  fn child(self, node: &'n Node) -> Self {
    Self { node, ..self }
  }

  fn is_null(self) -> bool {
    matches!(&self.node.data, Data::Plain(text) if Word::read(text) == Word::Null)
  }

  fn text<'d, V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, ReadError> {
    match &self.node.data {
      Data::Text(text) => visitor.visit_str(text),
      Data::Plain(text) => match Word::read(text).not_text() {
        None => visitor.visit_str(text),
        Some(kind) => Err(ReadError::at(
          self.node,
          format!("expected string, got {kind}; quote it: \"{text}\""),
        )),
      },
      Data::List(_) => Err(ReadError::at(self.node, "expected string, got a list")),
      Data::Map(_) => Err(ReadError::at(self.node, "expected string, got a mapping")),
    }
  }
}

impl<'de, 'n> de::Deserializer<'de> for Reader<'n, '_> {
  type Error = ReadError;

  fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
    let read = match &self.node.data {
      Data::Text(text) => visitor.visit_str(text),
      Data::Plain(text) if self.free_text && Word::read(text) != Word::Null => {
        visitor.visit_str(text)
      }
      Data::Plain(text) => match Word::read(text) {
        Word::Null => visitor.visit_unit(),
        Word::Bool(flag) => visitor.visit_bool(flag),
        Word::Int(number) => visitor.visit_i64(number),
        Word::Big(number) => visitor.visit_u64(number),
        Word::Float(number) => visitor.visit_f64(number),
        Word::OldBool | Word::OddNumber => {
          let kind = Word::read(text).not_text().unwrap_or("text");
          Err(ReadError::at(
            self.node,
            format!("a {kind} to some readers of YAML; quote it: \"{text}\""),
          ))
        }
        Word::Text => visitor.visit_str(text),
      },
      Data::List(items) => visitor.visit_seq(Items { left: items.iter(), reader: self }),
      Data::Map(entries) => {
        visitor.visit_map(Entries { left: entries.iter(), value: None, known: None, reader: self })
      }
    };
    read.map_err(|error| error.or_at(self.node))
  }

  fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
    self.text(visitor).map_err(|error| error.or_at(self.node))
  }

  fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
    self.deserialize_str(visitor)
  }

  fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
    if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
  }

  fn deserialize_newtype_struct<V: Visitor<'de>>(
    self,
    _name: &'static str,
    visitor: V,
  ) -> Result<V::Value, ReadError> {
    visitor.visit_newtype_struct(self).map_err(|error| error.or_at(self.node))
  }

  fn deserialize_struct<V: Visitor<'de>>(
    self,
    _name: &'static str,
    fields: &'static [&'static str],
    visitor: V,
  ) -> Result<V::Value, ReadError> {
    match &self.node.data {
      Data::Map(entries) => {
        let entries =
          Entries { left: entries.iter(), value: None, known: Some(fields), reader: self };
        visitor.visit_map(entries).map_err(|error| error.or_at(self.node))
      }
      // A mapping with nothing in it is written as nothing.
      _ if self.is_null() => {
        let nothing = Entries { left: [].iter(), value: None, known: Some(fields), reader: self };
        visitor.visit_map(nothing).map_err(|error| error.or_at(self.node))
      }
      _ => Err(ReadError::at(self.node, format!("expected a mapping with {}", fields.join(", ")))),
    }
  }

  serde::forward_to_deserialize_any! {
    bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq
    tuple tuple_struct map enum identifier ignored_any
  }
}

struct Items<'n, 's> {
  left: std::slice::Iter<'n, Node>,
  reader: Reader<'n, 's>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
  type Error = ReadError;

  fn next_element_seed<T: DeserializeSeed<'de>>(
    &mut self,
    seed: T,
  ) -> Result<Option<T::Value>, ReadError> {
    for item in self.left.by_ref() {
      if self.reader.state.skip.borrow().contains(&item.id) {
        continue;
      }
      return seed
        .deserialize(self.reader.child(item))
        .map(Some)
        .map_err(|error| error.or_at(item));
    }
    Ok(None)
  }
}

struct Entries<'n, 's> {
  left: std::slice::Iter<'n, (Node, Node)>,
  value: Option<(&'n Node, bool)>,
  known: Option<&'static [&'static str]>,
  reader: Reader<'n, 's>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_> {
  type Error = ReadError;

  fn next_key_seed<K: DeserializeSeed<'de>>(
    &mut self,
    seed: K,
  ) -> Result<Option<K::Value>, ReadError> {
    for (key, value) in self.left.by_ref() {
      if self.reader.state.skip.borrow().contains(&value.id) {
        continue;
      }
      let name = key.text().unwrap_or_default();
      if let Some(known) = self.known
        && !known.contains(&name)
      {
        let problem = unknown(self.reader.state.source, key, known);
        self.reader.state.unknown.borrow_mut().push((key.id, problem));
        continue;
      }
      self.value =
        Some((value, self.known.is_some() && name == "environment" || self.reader.free_text));
      return seed
        .deserialize(name.into_deserializer())
        .map(Some)
        .map_err(|error: ReadError| error.or_at(key));
    }
    Ok(None)
  }

  fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
    let (value, free_text) = self.value.take().expect("a value is asked for after its key");
    let reader = Reader { free_text, ..self.reader.child(value) };
    seed.deserialize(reader).map_err(|error| error.or_at(value))
  }
}

fn unknown(source: &Source, key: &Node, known: &[&str]) -> Problem {
  let name = key.text().unwrap_or_default();
  let problem =
    Problem::at(&source.name, key.begin, key.width, "manifest.unknown_field", "unknown field");
  match nearest(name, known.iter().copied()) {
    Some(near) => problem.hint(format!("did you mean  {near} ?")),
    None => problem.hint(format!("known: {}", known.join(", "))),
  }
}
