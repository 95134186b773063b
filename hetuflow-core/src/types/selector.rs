//! Which agents may run a task: label conditions and task types, and the class they fall into.
//!
//! The few distinct classes are matched against an agent's labels in memory; the database only
//! ever sees the class's number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FieldError, NamespaceId, pointer_part};

/// Longest label key and value, in bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most labels on one thing.
pub const LABELS_MAX: usize = 64;

/// Labels of an agent, a job or a task.
pub type Labels = BTreeMap<String, String>;

/// Conditions that an agent must meet, all of them.
///
/// A value is a plain text, a list in `a|b` form, `*` for any value, `!x` for not, or a prefix
/// or suffix with one `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Selector(pub BTreeMap<String, String>);

impl Selector {
  /// Whether the labels meet every condition. The agent's id counts as label `agent`.
  pub fn matches(&self, labels: &Labels) -> bool {
    self.0.iter().all(|(key, wanted)| {
      let value = labels.get(key).map(String::as_str);
      match wanted.strip_prefix('!') {
        Some(unwanted) => !value.is_some_and(|value| any_matches(unwanted, value)),
        None => value.is_some_and(|value| any_matches(wanted, value)),
      }
    })
  }

  /// Checks keys and patterns.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    if self.0.len() > LABELS_MAX {
      errors.push(FieldError::new(
        "selector.too_large",
        field,
        format!("{} conditions, at most {LABELS_MAX} are allowed", self.0.len()),
      ));
    }
    for (key, value) in &self.0 {
      let here = format!("{field}/{}", pointer_part(key));
      check_label_key(key, "selector.syntax", &here, errors);
      let pattern = value.strip_prefix('!').unwrap_or(value);
      let wrong = pattern.is_empty()
        || value.len() > LABEL_BYTES_MAX
        || pattern.contains('!')
        || pattern.chars().any(char::is_control)
        || pattern.split('|').any(|part| part.is_empty() || part.matches('*').count() > 1);
      if wrong {
        errors.push(
          FieldError::new(
            "selector.syntax",
            here,
            format!("\"{}\" is not a label condition", shorten(value)),
          )
          .with_hint("write a value, a|b for a choice, !x for not, or one * as prefix or suffix"),
        );
      }
    }
  }
}

/// Checks labels of a thing.
pub fn check_labels(labels: &Labels, field: &str, errors: &mut Vec<FieldError>) {
  if labels.len() > LABELS_MAX {
    errors.push(FieldError::new(
      "labels.too_many",
      field,
      format!("{} labels, at most {LABELS_MAX} are allowed", labels.len()),
    ));
  }
  for (key, value) in labels {
    let here = format!("{field}/{}", pointer_part(key));
    check_label_key(key, "labels.key", &here, errors);
    if value.len() > LABEL_BYTES_MAX || value.chars().any(char::is_control) {
      errors.push(FieldError::new(
        "labels.value",
        here,
        format!("label values are printable text of at most {LABEL_BYTES_MAX} bytes"),
      ));
    }
  }
}

fn check_label_key(key: &str, code: &str, field: &str, errors: &mut Vec<FieldError>) {
  let fine = !key.is_empty()
    && key.len() <= LABEL_BYTES_MAX
    && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'));
  if !fine {
    errors.push(
      FieldError::new(code, field, format!("\"{}\" is not a label name", shorten(key)))
        .with_hint("letters, digits and . _ - / only, at most 128 bytes"),
    );
  }
}

fn shorten(text: &str) -> String {
  text.chars().take(40).flat_map(char::escape_default).collect()
}

fn any_matches(wanted: &str, value: &str) -> bool {
  wanted.split('|').any(|part| match part.split_once('*') {
    None => part == value,
    Some((head, tail)) => {
      value.len() >= head.len() + tail.len() && value.starts_with(head) && value.ends_with(tail)
    }
  })
}

/// The task types that an agent serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskTypes {
  /// Whatever comes: an agent that named none and does not say that its list is whole.
  Any,
  /// These alone.
  These(Vec<String>),
}

impl TaskTypes {
  /// Whether a task of this type may go there; a task without a type goes anywhere.
  pub fn serve(&self, wanted: Option<&str>) -> bool {
    match (self, wanted) {
      (_, None) | (Self::Any, _) => true,
      (Self::These(served), Some(wanted)) => served.iter().any(|one| one == wanted),
    }
  }
}

/// What decides who may run a task: all tasks with equal demands form one class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SelectorClass {
  /// The namespace whose agents may serve it.
  pub namespace_id: NamespaceId,
  /// Label conditions.
  #[serde(default)]
  pub selector: Selector,
  /// The task type an agent must serve; `None` is any agent.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub task_type: Option<String>,
}

impl SelectorClass {
  /// The class's number: FNV-1a over its canonical JSON, stable across servers and releases.
  pub fn class_id(&self) -> i64 {
    let text = serde_json::to_vec(self).expect("a class is plain text");
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
      (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash as i64
  }

  /// Whether an agent with these labels, namespaces and task types may serve the class.
  ///
  /// No namespaces at all means any.
  pub fn admits(&self, labels: &Labels, namespaces: &[NamespaceId], types: &TaskTypes) -> bool {
    let namespace = namespaces.is_empty() || namespaces.contains(&self.namespace_id);
    namespace && types.serve(self.task_type.as_deref()) && self.selector.matches(labels)
  }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
  }

  #[test]
  fn conditions_mean_what_they_say() {
    let agent = labels(&[("zone", "eu-1"), ("gpu", "a100")]);
    for (key, value, fits) in [
      ("zone", "eu-1", true),
      ("zone", "eu-2|eu-1", true),
      ("zone", "eu-*", true),
      ("zone", "*-1", true),
      ("zone", "!us-*", true),
      ("zone", "!eu-*", false),
      ("gpu", "*", true),
      ("disk", "*", false),
      ("disk", "!ssd", true),
      ("zone", "", false),
    ] {
      let selector = Selector(labels(&[(key, value)]));
      assert_eq!(selector.matches(&agent), fits, "{key}={value}");
    }
  }

  #[test]
  fn broken_conditions_are_named() {
    for (key, value) in [("a b", "x"), ("", "x"), ("a", ""), ("a", "!!x"), ("a", "x**")] {
      let mut errors = Vec::new();
      Selector(labels(&[(key, value)])).check("/selector", &mut errors);
      assert_eq!(errors.len(), 1, "{key}={value}: {errors:?}");
      assert_eq!(errors[0].code, "selector.syntax");
    }
  }

  #[test]
  fn an_empty_list_of_types_is_any_or_none() {
    let whole = TaskTypes::These(vec!["mail".to_owned()]);
    assert!(whole.serve(Some("mail")) && whole.serve(None) && !whole.serve(Some("fax")));
    assert!(!TaskTypes::These(Vec::new()).serve(Some("mail")));
    assert!(TaskTypes::Any.serve(Some("mail")));
  }

  proptest! {
    #[test]
    fn equal_demands_have_one_class(key in "[a-z]{1,8}", value in "[a-z]{1,8}") {
      let class = SelectorClass {
        namespace_id: NamespaceId::default(),
        selector: Selector(labels(&[(&key, &value)])),
        task_type: None,
      };
      prop_assert_eq!(class.class_id(), class.clone().class_id());
      let other = SelectorClass { task_type: Some(value), ..class.clone() };
      prop_assert_ne!(class.class_id(), other.class_id());
      prop_assert!(class.admits(&labels(&[(&key, class.selector.0[&key].as_str())]), &[], &TaskTypes::Any));
    }
  }
}
