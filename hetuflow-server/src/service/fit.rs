//! Whether an agent may run the tasks of a selector class, and which rule says no.

use hetuflow_core::{AgentEntity, AgentStatus, AgentWhy, SelectorClass, WhyRule};

/// Kinds of rules that one summary names.
const TOLD_MAX: usize = 4;

/// What keeps the tasks of a class from an agent that has so many tasks in hand.
pub(super) fn judge(agent: &AgentEntity, class: &SelectorClass, in_hand: i64) -> AgentWhy {
  let (rule, text) = rule_of(agent, class, in_hand);
  let fits = matches!(rule, WhyRule::Free | WhyRule::NoFreeSlot);
  AgentWhy { agent_id: agent.id.clone(), fits, rule, text }
}

/// Whether nothing but a free slot may be missing.
pub(super) fn may_run(agent: &AgentEntity, class: &SelectorClass) -> bool {
  judge(agent, class, 0).fits
}

/// What cannot change soon is told before what can.
fn rule_of(agent: &AgentEntity, class: &SelectorClass, in_hand: i64) -> (WhyRule, String) {
  let served = &agent.namespaces;
  if !served.is_empty() && !served.iter().any(|name| name == class.namespace_id.as_str()) {
    let text = format!("does not serve the namespace {}", class.namespace_id);
    return (WhyRule::Namespace, text);
  }
  if !agent.capabilities.task_types().serve(class.task_type.as_deref()) {
    let wanted = class.task_type.as_deref().unwrap_or_default();
    return (WhyRule::TaskType, format!("does not serve the task type {wanted}"));
  }
  if let Some(text) = unmet(agent, class) {
    return (WhyRule::Selector, text);
  }
  if agent.status == AgentStatus::Offline {
    return (WhyRule::Offline, "is offline".to_owned());
  }
  if agent.cordoned {
    return (WhyRule::Cordoned, "is cordoned: it takes nothing new".to_owned());
  }
  let slots = i64::from(agent.capabilities.max_concurrent_tasks);
  if in_hand >= slots {
    return (WhyRule::NoFreeSlot, format!("has {in_hand} tasks in hand and {slots} slots"));
  }
  (WhyRule::Free, format!("has {} of {slots} slots free", slots - in_hand))
}

/// The first condition that the agent's labels do not meet.
fn unmet(agent: &AgentEntity, class: &SelectorClass) -> Option<String> {
  if let Some(condition) = class.selector.unmet(&agent.labels) {
    let key = &condition.key;
    let has = match agent.labels.get(key) {
      Some(value) => format!("its {key} is {value}"),
      None => format!("it has no label {key}"),
    };
    return Some(format!("does not meet {condition}: {has}"));
  }
  // One that cannot be read is met by nobody.
  let unread = !class.selector.matches(&agent.labels);
  unread.then(|| "does not meet the selector: it cannot be read".to_owned())
}

/// How many agents each rule keeps away, in a few words: `2 are offline, 1 does not meet …`.
pub(super) fn summary(agents: &[AgentWhy]) -> String {
  let mut kinds: Vec<(WhyRule, usize, &str)> = Vec::new();
  for agent in agents.iter().filter(|agent| agent.rule != WhyRule::Free) {
    match kinds.iter_mut().find(|(rule, ..)| *rule == agent.rule) {
      Some((_, count, _)) => *count += 1,
      None => kinds.push((agent.rule, 1, &agent.text)),
    }
  }
  // What is nearest to running comes first.
  kinds.sort_by_key(|(rule, ..)| rule.number());
  let words = kinds.iter().take(TOLD_MAX).map(|(rule, count, text)| match (count, rule) {
    (1, _) => format!("1 {text}"),
    (n, WhyRule::Offline) => format!("{n} are offline"),
    (n, WhyRule::Cordoned) => format!("{n} are cordoned"),
    (n, WhyRule::NoFreeSlot) => format!("{n} are full"),
    (n, WhyRule::Namespace) => format!("{n} do not serve the namespace"),
    (n, WhyRule::TaskType) => format!("{n} do not serve the task type"),
    (n, _) => format!("{n} do not meet the selector"),
  });
  words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
  use std::collections::BTreeMap;

  use hetuflow_core::{AgentCapabilities, AgentId, NamespaceId, Selector, Ts};

  use super::*;

  fn agent(name: &str) -> AgentEntity {
    AgentEntity {
      id: AgentId::new(name).expect("an id"),
      description: String::new(),
      status: AgentStatus::Idle,
      capabilities: AgentCapabilities { max_concurrent_tasks: 2, ..Default::default() },
      labels: BTreeMap::from([("zone".to_owned(), "eu".to_owned())]),
      given_labels: BTreeMap::new(),
      namespaces: Vec::new(),
      statistics: None,
      hostname: String::new(),
      os_info: String::new(),
      version: String::new(),
      boot_id: String::new(),
      journal_id: String::new(),
      agent_epoch: 1,
      connection_epoch: 1,
      server_id: None,
      acked_seq: 0,
      clock_offset_ms: None,
      cordoned: false,
      drain_since: None,
      drain_deadline: None,
      drain_reason: None,
      drain_then: None,
      drained_at: None,
      last_heartbeat_at: None,
      created_at: Ts::now(),
      updated_at: Ts::now(),
      version_skew: None,
    }
  }

  fn class(selector: &[(&str, &str)], task_type: Option<&str>) -> SelectorClass {
    let pairs = selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    SelectorClass {
      namespace_id: NamespaceId::default(),
      selector: Selector::from_iter(pairs),
      task_type: task_type.map(str::to_owned),
    }
  }

  #[test]
  fn each_rule_is_named() {
    let plain = class(&[], None);
    let mut one = agent("a");
    assert_eq!(judge(&one, &plain, 1).text, "has 1 of 2 slots free");
    let full = judge(&one, &plain, 2);
    assert_eq!((full.rule, full.fits), (WhyRule::NoFreeSlot, true));
    let us = judge(&one, &class(&[("zone", "us")], None), 0);
    assert_eq!(
      (us.rule, us.text.as_str()),
      (WhyRule::Selector, "does not meet zone=us: its zone is eu")
    );
    assert_eq!(
      judge(&one, &class(&[("gpu", "*")], None), 0).text,
      "does not meet gpu: it has no label gpu"
    );
    one.cordoned = true;
    assert_eq!(judge(&one, &plain, 0).rule, WhyRule::Cordoned);
    one.status = AgentStatus::Offline;
    assert_eq!(judge(&one, &plain, 0).rule, WhyRule::Offline);
    one.capabilities.supported_task_types = vec!["mail".to_owned()];
    assert_eq!(judge(&one, &class(&[], Some("fax")), 0).rule, WhyRule::TaskType);
    one.namespaces = vec!["other".to_owned()];
    assert_eq!(judge(&one, &plain, 0).rule, WhyRule::Namespace);
  }

  #[test]
  fn a_summary_counts_and_begins_with_the_nearest() {
    let us = class(&[("zone", "us")], None);
    let (mut gone, mut gone2) = (agent("b"), agent("c"));
    for one in [&mut gone, &mut gone2] {
      one.status = AgentStatus::Offline;
      one.labels.insert("zone".to_owned(), "us".to_owned());
    }
    let all = [judge(&agent("a"), &us, 0), judge(&gone, &us, 0), judge(&gone2, &us, 0)];
    assert_eq!(summary(&all), "2 are offline, 1 does not meet zone=us: its zone is eu");
  }
}
