//! Selectors as JSON: one text, an object of short forms, or a list of both.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::condition::{Comparison, Condition, LabelTest, none_of, one_of};
use super::labels::is_label_key;
use super::{Broken, Selector};

/// One value: text, a number, a truth value, or several of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
  Text(String),
  Flag(bool),
  Whole(i64),
  Number(f64),
  Many(Vec<Value>),
}

impl Value {
  fn into_texts(self) -> Vec<String> {
    match self {
      Self::Text(text) => vec![text],
      Self::Flag(flag) => vec![flag.to_string()],
      Self::Whole(number) => vec![number.to_string()],
      Self::Number(number) => vec![number.to_string()],
      Self::Many(all) => all.into_iter().flat_map(Self::into_texts).collect(),
    }
  }
}

/// A condition with its parts named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
  #[serde(alias = "label")]
  key: String,
  #[serde(alias = "op", default = "exists")]
  operator: String,
  #[serde(alias = "value", default)]
  values: Option<Value>,
}

fn exists() -> String {
  "exists".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
  Text(String),
  Named(Named),
}

impl Selector {
  /// Adds a condition in the short form of objects: `x`, `a|b`, `*`, `!x`, `>=1.2`.
  pub fn insert(&mut self, key: impl Into<String>, short: impl Into<String>) {
    let (key, short) = (key.into(), short.into());
    self.0.conditions.retain(|known| known.key != key);
    match Condition::short(&key, &short).filter(|_| is_label_key(&key)) {
      Some(condition) => self.0.conditions.push(condition),
      None => self.0.broken.push(Broken { key: Some(key), text: short, error: None }),
    }
  }

  fn add_named(&mut self, named: Named) {
    let values = named.values.map(Value::into_texts).unwrap_or_default();
    let text = format!("{} {} {}", named.key, named.operator, values.join(","));
    let one = || values.first().filter(|_| values.len() == 1).cloned();
    let test = match named.operator.to_ascii_lowercase().as_str() {
      "in" | "=" => Some(one_of(values)),
      "notin" | "not_in" | "!=" => Some(none_of(values)),
      "exists" if values.is_empty() => Some(LabelTest::Exists),
      "doesnotexist" | "not_exists" | "!" if values.is_empty() => Some(LabelTest::Absent),
      other => Comparison::strip(other)
        .filter(|(_, rest)| rest.is_empty())
        .and_then(|(how, _)| Some(LabelTest::Compare(how, one()?))),
    };
    let condition = test.map(|test| Condition { key: named.key.clone(), test });
    match condition.filter(|one| is_label_key(&one.key) && one.has_good_values()) {
      Some(condition) => self.0.conditions.push(condition),
      None => self.0.broken.push(Broken { key: Some(named.key), text, error: None }),
    }
  }

  /// The short forms by label, where that says it all.
  fn short_forms(&self) -> Option<Vec<(&str, String)>> {
    let mut all = Vec::new();
    for condition in &self.0.conditions {
      if all.iter().any(|(key, _)| *key == condition.key) {
        return None;
      }
      all.push((condition.key.as_str(), condition.to_short()?));
    }
    for broken in &self.0.broken {
      all.push((broken.key.as_deref()?, broken.text.clone()));
    }
    all.sort();
    Some(all)
  }
}

impl Serialize for Selector {
  fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    if let Some(broken) = self.0.broken.iter().find(|broken| broken.key.is_none()) {
      return serializer.serialize_str(&broken.text);
    }
    let Some(all) = self.short_forms() else {
      return serializer.collect_str(self);
    };
    let mut map = serializer.serialize_map(Some(all.len()))?;
    for (key, short) in all {
      map.serialize_entry(key, &short)?;
    }
    map.end()
  }
}

impl<'de> Deserialize<'de> for Selector {
  fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    struct Any;
    impl<'de> Visitor<'de> for Any {
      type Value = Selector;
      fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a selector: text as \"zone=a, gpu\", or an object of labels and values")
      }
      fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Selector, E> {
        Ok(Selector::read(text))
      }
      fn visit_unit<E: serde::de::Error>(self) -> Result<Selector, E> {
        Ok(Selector::default())
      }
      fn visit_none<E: serde::de::Error>(self) -> Result<Selector, E> {
        Ok(Selector::default())
      }
      fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Selector, A::Error> {
        let mut selector = Selector::default();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
          selector.insert(key, value.into_texts().join("|"));
        }
        Ok(selector)
      }
      fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Selector, A::Error> {
        let mut selector = Selector::default();
        while let Some(item) = seq.next_element::<Item>()? {
          match item {
            Item::Text(text) => selector.extend(Selector::read(&text)),
            Item::Named(named) => selector.add_named(named),
          }
        }
        Ok(selector)
      }
    }
    deserializer.deserialize_any(Any)
  }
}
