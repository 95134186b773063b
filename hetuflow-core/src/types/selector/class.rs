//! What decides who may run a task, as one number.

use serde::{Deserialize, Serialize};

use super::{Labels, Selector};
use crate::types::NamespaceId;

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
