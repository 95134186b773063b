//! Settings that can be changed while the agent runs.

use std::collections::BTreeMap;

use hetuflow_core::{AgentCapabilities, Labels, MEASURED_LABELS, check_labels, is_reserved_label};
use serde_json::Value;

use super::logging::{self, set_log_level};
use super::open_files::tasks_allowed;
use super::wiring::scheduler_settings;
use crate::config::{Settings, is_setting};
use crate::scheduler::SchedulerSettings;

const SLOTS: &str = "agent.polling.max_concurrent_tasks";
const QUEUE: &str = "agent.polling.queue_depth_max";
const LABELS: &str = "agent.labels";
const LEVEL: &str = "log.level";
/// What can be changed.
const LIVE: [&str; 4] = [SLOTS, QUEUE, LABELS, LEVEL];
/// Most slots, and most that waits for one.
const COUNT_MAX: u64 = 100_000;

/// The settings that can be changed, as they are now.
pub struct LiveSettings {
  slots: SchedulerSettings,
  capabilities: AgentCapabilities,
}

/// What follows from a change.
#[derive(Debug)]
pub struct Change {
  /// The keys that were given.
  pub changed: Vec<String>,
  /// For the scheduler.
  pub slots: Option<SchedulerSettings>,
  /// For the server.
  pub capabilities: Option<AgentCapabilities>,
}

impl LiveSettings {
  /// As they are at the start.
  pub fn new(settings: &Settings, capabilities: AgentCapabilities) -> Self {
    Self { slots: scheduler_settings(settings), capabilities }
  }

  /// Processes at the same time.
  pub fn slots(&self) -> u32 {
    self.slots.max_concurrent
  }

  /// Changes all that is given, or nothing.
  ///
  /// # Errors
  /// Everything that is wrong, in words.
  pub fn change(&mut self, given: &BTreeMap<String, Value>) -> Result<Change, String> {
    let (mut slots, mut capabilities) = (self.slots.clone(), self.capabilities.clone());
    let (mut problems, mut level) = (Vec::new(), None);
    for (key, value) in given {
      let outcome = match key.as_str() {
        SLOTS => read_slots(value).map(|count| {
          slots.max_concurrent = count;
          capabilities.max_concurrent_tasks = count;
        }),
        QUEUE => read_count(value, 0).map(|count| slots.queue_depth_max = count),
        LABELS => read_labels(value).map(|labels| set_labels(&mut capabilities.labels, labels)),
        LEVEL => read_level(value).map(|read| level = Some(read)),
        other => Err(not_live(other)),
      };
      if let Err(problem) = outcome {
        problems.push(format!("{key}: {problem}"));
      }
    }
    if problems.is_empty()
      && let Some(level) = level
      && let Err(problem) = set_log_level(&level)
    {
      problems.push(format!("{LEVEL}: {problem}"));
    }
    if !problems.is_empty() {
      return Err(problems.join("; "));
    }
    let change = Change {
      changed: given.keys().cloned().collect(),
      slots: (slots != self.slots).then(|| slots.clone()),
      capabilities: (capabilities != self.capabilities).then(|| capabilities.clone()),
    };
    (self.slots, self.capabilities) = (slots, capabilities);
    Ok(change)
  }
}

fn not_live(key: &str) -> String {
  if is_setting(key) {
    let live = LIVE.join(", ");
    return format!(
      "is read at the start only: write it into the agent's file and restart the agent; \
       while it runs, {live} can be changed"
    );
  }
  "is no setting of the agent".to_owned()
}

fn read_count(value: &Value, min: u64) -> Result<u32, String> {
  let count = value.as_u64().or_else(|| value.as_str()?.parse().ok());
  let fits = count.filter(|count| (min..=COUNT_MAX).contains(count));
  fits
    .and_then(|count| u32::try_from(count).ok())
    .ok_or_else(|| format!("{value} is no whole number from {min} to {COUNT_MAX}"))
}

fn read_slots(value: &Value) -> Result<u32, String> {
  let count = read_count(value, 1)?;
  let allowed = tasks_allowed();
  if count > allowed {
    return Err(format!("open files (ulimit -n) are enough for {allowed}; a restart raises that"));
  }
  Ok(count)
}

fn read_labels(value: &Value) -> Result<Labels, String> {
  let labels: Labels = serde_json::from_value(value.clone())
    .map_err(|_| "must be an object of texts, as {\"zone\": \"a\"}".to_owned())?;
  if let Some(key) = labels.keys().find(|key| is_reserved_label(key)) {
    return Err(format!("\"{key}\" is told by the agent itself"));
  }
  let mut errors = Vec::new();
  check_labels(&labels, LABELS, &mut errors);
  errors.first().map_or(Ok(labels), |error| Err(error.message.clone()))
}

/// The owner's labels are replaced; what was measured stays.
fn set_labels(labels: &mut Labels, owners: Labels) {
  labels.retain(|key, _| key.starts_with(MEASURED_LABELS));
  labels.extend(owners);
}

fn read_level(value: &Value) -> Result<String, String> {
  let level = value.as_str().ok_or_else(|| format!("{value} is no text"))?;
  logging::read_level(level)?;
  Ok(level.to_owned())
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;
  use crate::config::{Source, load};

  fn live() -> LiveSettings {
    let settings = load(Source::default()).expect("defaults").settings;
    let labels =
      Labels::from([("zone", "a"), ("sys_os", "linux")].map(|(k, v)| (k.into(), v.into())));
    LiveSettings::new(&settings, AgentCapabilities { labels, ..AgentCapabilities::default() })
  }

  fn given(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).expect("an object")
  }

  #[test]
  fn slots_and_labels_change_and_what_is_measured_stays() {
    let mut live = live();
    let change = live
      .change(&given(json!({ SLOTS: 2, "agent.labels": { "disk": "ssd" } })))
      .expect("can be changed");
    assert_eq!(change.slots.expect("slots").max_concurrent, 2);
    let labels = change.capabilities.expect("capabilities").labels;
    let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["disk=ssd", "sys_os=linux"]);
    // Again changes nothing.
    let again = live.change(&given(json!({ SLOTS: "2" }))).expect("can be changed");
    assert!(again.slots.is_none() && again.capabilities.is_none());
  }

  #[test]
  fn what_cannot_change_is_told_in_words_and_changes_nothing() {
    let mut live = live();
    let wrong = given(json!({
      SLOTS: 3, QUEUE: -1, "agent.state_dir": "/x", "agent.colour": 1, "log.level": "hetuflow=loudly",
      "agent.labels": { "sys_os": "x" },
    }));
    let words = live.change(&wrong).expect_err("refused");
    for part in [
      "queue_depth_max: -1 is no whole number from 0",
      "agent.state_dir: is read at the start only",
      "agent.colour: is no setting of the agent",
      "log.level: ",
      "\"sys_os\" is told by the agent itself",
    ] {
      assert!(words.contains(part), "{part} in {words}");
    }
    assert_eq!(live.slots(), 20);
  }
}
