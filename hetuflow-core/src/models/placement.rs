//! Where a task of a job may go, as its settings say.

use super::task_config::TaskConfig;
use crate::types::{FieldError, JobId, NamespaceId, SelectorClass, StickyTo, check_preferences};

impl TaskConfig {
  /// What decides which agents may run a task of a job with these settings, and in which order.
  pub fn class(&self, namespace: &NamespaceId, job: JobId) -> SelectorClass {
    SelectorClass {
      namespace_id: namespace.clone(),
      selector: self.selector.clone(),
      task_type: self.task_type.clone(),
      requests: self.requests.filter(|requests| !requests.is_plain()),
      pin: self.pin.clone(),
      prefer: self.prefer.clone(),
      sticky: self.sticky.as_ref().map(|sticky| StickyTo {
        key: match &sticky.key {
          Some(key) => format!("key:{key}"),
          None => format!("job:{job}"),
        },
        require: sticky.require,
      }),
      agent_choice: self.agent_choice,
      broadcast: self.broadcast.is_some(),
    }
  }

  /// Checks every rule of placement and names each that is broken.
  pub(super) fn check_placement(&self, field: &str, errors: &mut Vec<FieldError>) {
    self.selector.check(&format!("{field}/selector"), errors);
    check_preferences(&self.prefer, &format!("{field}/prefer"), errors);
    if let Some(requests) = &self.requests {
      requests.check(&format!("{field}/requests"), errors);
    }
    if let Some(broadcast) = &self.broadcast {
      broadcast.check(&format!("{field}/broadcast"), errors);
      if self.pin.is_some() || self.sticky.is_some() {
        let message = "a broadcast goes to many agents; pin and sticky are for one";
        errors.push(FieldError::new("policy.conflict", format!("{field}/broadcast"), message));
      }
    } else if self.stagger_secs.is_some() {
      let message = "stagger_secs is for a broadcast";
      errors.push(
        FieldError::new("policy.incomplete", format!("{field}/stagger_secs"), message)
          .with_hint("broadcast: all"),
      );
    }
    if let Some(sticky) = &self.sticky {
      sticky.check(&format!("{field}/sticky"), errors);
    }
  }
}
