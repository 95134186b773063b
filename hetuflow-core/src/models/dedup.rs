//! Many requests as one task: throttled, or held back until no more come.

use serde::{Deserialize, Serialize};

use super::key_template::KeyTemplate;
use super::task_config::Seconds;
use crate::types::FieldError;
use crate::wire_enum;

/// Longest window, in seconds: 7 days.
pub const DEDUP_SECS_MAX: u64 = 7 * 86_400;
/// A debounced task waits for so many windows at most, where not said otherwise.
pub const DEDUP_MAX_WINDOWS: u32 = 10;

wire_enum! {
  /// How requests become one task.
  pub enum DedupMode {
    /// The task waits until no request has come for a window; the last one's parameters count.
    Debounce = 1 => "debounce",
    /// The first request makes a task; those within the window are answered with it.
    Throttle = 2 => "throttle",
  }
}

/// Which requests become one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Dedup {
  /// How.
  pub mode: DedupMode,
  /// Requests with the same value of this, as `{{ params.customer }}`; all of the job where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub key: Option<String>,
  /// The window.
  pub window_secs: Seconds,
  /// A debounced task starts after this at the latest; ten windows where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub max_wait_secs: Option<Seconds>,
}

impl Dedup {
  /// The longest that a debounced task is held back.
  pub fn max_wait(&self) -> Seconds {
    let natural = Seconds(self.window_secs.0 * DEDUP_MAX_WINDOWS);
    self.max_wait_secs.unwrap_or(natural)
  }

  /// Checks the times and the key.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    let times = [("window_secs", Some(self.window_secs)), ("max_wait_secs", self.max_wait_secs)];
    for (name, time) in times {
      let Some(Seconds(time)) = time else { continue };
      if time.is_zero() || time.as_secs() > DEDUP_SECS_MAX {
        let message = format!("{} s is out of range", time.as_secs_f64());
        errors.push(
          FieldError::new("duration.invalid", format!("{field}/{name}"), message)
            .with_hint("write a time over 0, at most 7 days"),
        );
      }
    }
    if self.max_wait_secs.is_some_and(|most| most < self.window_secs) {
      let message = "max_wait_secs is shorter than window_secs";
      errors.push(FieldError::new("dedup.wait", format!("{field}/max_wait_secs"), message));
    }
    if let Some(Err(why)) = self.key.as_deref().map(KeyTemplate::parse) {
      errors.push(
        FieldError::new("dedup.key", format!("{field}/key"), why)
          .with_hint("text and {{ params.NAME }}"),
      );
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn broken_rules_are_named() {
    for (text, code) in [
      (r#"{"mode":"throttle","window_secs":0}"#, "duration.invalid"),
      (r#"{"mode":"debounce","window_secs":9,"max_wait_secs":3}"#, "dedup.wait"),
      (r#"{"mode":"debounce","window_secs":9,"key":"{{ x }}"}"#, "dedup.key"),
    ] {
      let dedup: Dedup = serde_json::from_str(text).expect("readable");
      let mut errors = Vec::new();
      dedup.check("/dedup", &mut errors);
      assert_eq!(errors.first().map(|error| error.code.as_str()), Some(code), "{text}");
    }
    let plain: Dedup =
      serde_json::from_str(r#"{"mode":"debounce","window_secs":"3s"}"#).expect("plain");
    assert_eq!(plain.max_wait().0.as_secs(), 30);
  }
}
