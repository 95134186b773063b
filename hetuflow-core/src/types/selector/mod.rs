//! Which agents may run a task: label conditions and task types, and the class they fall into.
//!
//! The few distinct classes are matched against an agent's labels in memory; the database only
//! ever sees the class's number.
//!
//! ```text
//! selector  := [ condition { "," condition } ]                   all of them
//! condition := key | "!" key                                     it is there, it is not there
//!            | key "=" value { "|" value } | key "!=" value      also met where it is not there
//!            | key ("in" | "notin") "(" value { "," value } ")"
//!            | key (">" | ">=" | "<" | "<=") version
//! value     := plain characters, or "…" with \" and \\; one * in it stands for any characters
//! ```

mod class;
mod condition;
mod labels;
mod parse;
#[cfg(test)]
mod tests;
mod version;
mod wire;

use std::fmt;

pub use class::{SelectorClass, TaskTypes};
pub use condition::{Comparison, Condition, LabelTest, SELECTOR_VALUES_MAX};
pub use labels::{LABEL_BYTES_MAX, LABELS_MAX, Labels, check_labels};
pub use parse::{SELECTOR_BYTES_MAX, SelectorError};
pub use version::Version;

use super::{FieldError, pointer_part};
use labels::{bad_key, is_label_key, shorten};

/// Conditions that an agent must meet, all of them. The agent's id counts as label `agent`.
///
/// What cannot be read is kept as it came, so that [`Selector::check`] can name it; such a selector
/// matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
pub struct Selector(Parts);

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Parts {
  conditions: Vec<Condition>,
  broken: Vec<Broken>,
}

/// What could not be read: an entry of an object, or a whole text with the place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Broken {
  key: Option<String>,
  text: String,
  error: Option<SelectorError>,
}

impl Selector {
  /// Reads the text form.
  ///
  /// # Errors
  /// [`SelectorError`] with the first wrong byte.
  pub fn parse(text: &str) -> Result<Self, SelectorError> {
    Ok(Self(Parts { conditions: parse::parse(text)?, broken: Vec::new() }))
  }

  /// Reads the text form; what is wrong with it is told by [`Selector::check`].
  pub fn read(text: &str) -> Self {
    Self::parse(text).unwrap_or_else(|error| {
      let broken = Broken { key: None, text: text.to_owned(), error: Some(error) };
      Self(Parts { conditions: Vec::new(), broken: vec![broken] })
    })
  }

  /// Its conditions.
  pub fn conditions(&self) -> &[Condition] {
    &self.0.conditions
  }

  /// Whether it asks for nothing.
  pub fn is_empty(&self) -> bool {
    self.0.conditions.is_empty() && self.0.broken.is_empty()
  }

  /// Adds the conditions of another one.
  pub fn extend(&mut self, other: Self) {
    self.0.conditions.extend(other.0.conditions);
    self.0.broken.extend(other.0.broken);
  }

  /// Adds the conditions of another one, in place of its own on the same labels.
  pub fn replace(&mut self, other: Self) {
    let keys: Vec<&str> = other.0.conditions.iter().map(|one| one.key.as_str()).collect();
    self.0.conditions.retain(|own| !keys.contains(&own.key.as_str()));
    self.extend(other);
  }

  /// Whether the labels meet every condition.
  pub fn matches(&self, labels: &Labels) -> bool {
    self.0.broken.is_empty() && self.unmet(labels).is_none()
  }

  /// The first condition that the labels do not meet.
  pub fn unmet(&self, labels: &Labels) -> Option<&Condition> {
    self.0.conditions.iter().find(|condition| !condition.matches(labels))
  }

  /// Names everything that is wrong.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    let count = self.0.conditions.len() + self.0.broken.len();
    if count > LABELS_MAX {
      errors.push(FieldError::new(
        "selector.too_large",
        field,
        format!("{count} conditions, at most {LABELS_MAX} are allowed"),
      ));
    }
    errors.extend(self.0.broken.iter().map(|broken| broken.told(field)));
  }
}

impl Broken {
  fn told(&self, field: &str) -> FieldError {
    if let Some(error) = &self.error {
      let told = FieldError::new("selector.syntax", field, error.to_string());
      return FieldError { span: Some(error.span), ..told.with_hint(error.hint.clone()) };
    }
    let key = self.key.as_deref().unwrap_or_default();
    let here = format!("{field}/{}", pointer_part(key));
    if !is_label_key(key) {
      return bad_key(key, "selector.syntax", &here);
    }
    let message = format!("\"{}\" is not a label condition", shorten(&self.text));
    FieldError::new("selector.syntax", here, message).with_hint(
      "write a value, a|b for a choice, !x for not, >=1.2 for versions, or one * for any characters",
    )
  }
}

impl fmt::Display for Selector {
  /// The text form.
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, condition) in self.0.conditions.iter().enumerate() {
      f.write_str(if index > 0 { ", " } else { "" })?;
      condition.fmt(f)?;
    }
    Ok(())
  }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Selector {
  /// From labels and the short forms of what is asked of them.
  fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
    let mut selector = Self::default();
    for (key, short) in pairs {
      selector.insert(key, short);
    }
    selector
  }
}
