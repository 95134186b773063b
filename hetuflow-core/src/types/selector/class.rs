//! What decides who may run a task, as one number.

use serde::{Deserialize, Serialize};

use super::{Labels, Selector};
use crate::types::{AgentChoice, AgentId, NamespaceId, Preference, Requests, StickyTo};

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
  /// What a task takes of its agent, where that is more than any task takes.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub requests: Option<Requests>,
  /// The one agent that may run it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub pin: Option<AgentId>,
  /// Agents that are liked more, or less.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub prefer: Vec<Preference>,
  /// It goes where this ran last.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub sticky: Option<StickyTo>,
  /// The order of agents; the server's where none is named.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agent_choice: Option<AgentChoice>,
  /// No agent claims it: it makes a task for each of many agents.
  #[serde(default, skip_serializing_if = "is_false")]
  pub broadcast: bool,
}

const fn is_false(flag: &bool) -> bool {
  !*flag
}

impl SelectorClass {
  /// A class of all agents that serve a namespace.
  pub fn any(namespace_id: NamespaceId) -> Self {
    Self {
      namespace_id,
      selector: Selector::default(),
      task_type: None,
      requests: None,
      pin: None,
      prefer: Vec::new(),
      sticky: None,
      agent_choice: None,
      broadcast: false,
    }
  }

  /// Whether all agents that may serve it are alike to it, and none has to be counted.
  pub fn is_simple(&self) -> bool {
    self.requests.is_none() && !self.is_choosy() && !self.broadcast
  }

  /// Whether it likes some agents more than others.
  pub fn is_choosy(&self) -> bool {
    !self.prefer.is_empty() || self.sticky.is_some()
  }

  /// How much its preferences like an agent with these labels.
  pub fn liking(&self, labels: &Labels) -> i64 {
    let met = self.prefer.iter().filter(|one| one.selector.matches(labels));
    met.map(|one| one.weight).sum()
  }

  /// The class's number: FNV-1a over its canonical JSON, stable across servers and releases.
  /// That of a class with needs is below zero, so that one small index finds what agents carry.
  pub fn class_id(&self) -> i64 {
    let text = serde_json::to_vec(self).expect("a class is plain text");
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
      (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let plain = (hash >> 1) as i64;
    if self.requests.is_some() { !plain } else { plain }
  }

  /// Whether an agent with these labels, namespaces and task types may serve the class, as far as
  /// that does not change with what it carries.
  ///
  /// No namespaces at all means any.
  pub fn admits(&self, labels: &Labels, namespaces: &[NamespaceId], types: &TaskTypes) -> bool {
    let namespace = namespaces.is_empty() || namespaces.contains(&self.namespace_id);
    namespace
      && self.is_pinned_to(labels)
      && types.serve(self.task_type.as_deref())
      && self.selector.matches(labels)
  }

  /// Whether it is pinned to the agent with these labels, or to none.
  pub fn is_pinned_to(&self, labels: &Labels) -> bool {
    let agent = labels.get("agent").map(String::as_str);
    self.pin.as_ref().is_none_or(|pin| agent == Some(pin.as_str()))
  }
}
