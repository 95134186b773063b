//! Whether an agent may run the tasks of a selector class, and what each rule says to it.

use hetuflow_core::{
  AgentEntity, AgentId, AgentStatus, AgentWhy, Requests, RuleWhy, SelectorClass, WhyRule,
};

/// Kinds of rules that one summary names.
const TOLD_MAX: usize = 4;

/// What an agent has in hand, and what else changes with time.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
  /// Tasks.
  pub(super) in_hand: i64,
  /// What they asked for.
  pub(super) carried: Option<Requests>,
  /// The agent that ran it last, for a class that sticks to it.
  pub(super) last: Option<AgentId>,
  /// It is liked less than another one that is waited for.
  pub(super) held: Option<String>,
}

/// What keeps the tasks of a class from an agent.
pub(super) fn judge(agent: &AgentEntity, class: &SelectorClass, load: &Load) -> AgentWhy {
  let rules = rules_of(agent, class, load);
  let decides = rules.iter().find(|one| !one.fits);
  let (rule, text) = match (decides, rules.last()) {
    (Some(one), _) => (one.rule, one.text.clone()),
    (None, Some(last)) => (WhyRule::Free, last.text.clone()),
    (None, None) => (WhyRule::Free, String::new()),
  };
  let fits = rules.iter().all(|one| one.fits || passes(one.rule));
  AgentWhy { agent_id: agent.id.clone(), fits, rule, text, rules }
}

/// Whether a rule that says no says yes as soon as others end, or a short time has passed.
pub(super) fn passes(rule: WhyRule) -> bool {
  matches!(rule, WhyRule::NoFreeSlot | WhyRule::NoRoom | WhyRule::Held)
}

/// How near an agent is to running it, by the rule that decides.
pub(super) fn distance(rule: WhyRule) -> u8 {
  match rule {
    WhyRule::Free => 0,
    WhyRule::Held => 1,
    WhyRule::NoFreeSlot => 2,
    WhyRule::NoRoom => 3,
    WhyRule::Cordoned => 4,
    WhyRule::Offline => 5,
    WhyRule::Needs => 6,
    WhyRule::Selector => 7,
    WhyRule::Sticky => 8,
    WhyRule::Pin => 9,
    WhyRule::Namespace => 10,
    WhyRule::TaskType => 11,
  }
}

/// Whether nothing but room may be missing.
pub(super) fn may_run(agent: &AgentEntity, class: &SelectorClass) -> bool {
  judge(agent, class, &Load::default()).fits
}

/// What cannot change soon is told before what can; the last one is about slots.
fn rules_of(agent: &AgentEntity, class: &SelectorClass, load: &Load) -> Vec<RuleWhy> {
  let mut rules = vec![namespace(agent, class)];
  rules.extend(task_type(agent, class));
  rules.extend(pin(agent, class));
  rules.extend(selector(agent, class));
  rules.extend(sticky(agent, class, load));
  rules.extend(needs(agent, class, load));
  rules.push(told(
    WhyRule::Offline,
    agent.status != AgentStatus::Offline,
    ("is connected", "is offline".to_owned()),
  ));
  let cordoned = match agent.drain_since {
    Some(_) => "is drained: it takes nothing new",
    None => "is cordoned: it takes nothing new",
  };
  rules.push(told(WhyRule::Cordoned, !agent.cordoned, ("takes tasks", cordoned.to_owned())));
  rules.extend(load.held.as_ref().map(|why| told(WhyRule::Held, false, ("", why.clone()))));
  rules.push(slots(agent, load.in_hand));
  rules
}

fn told(rule: WhyRule, fits: bool, (yes, no): (&str, String)) -> RuleWhy {
  RuleWhy { rule, fits, text: if fits { yes.to_owned() } else { no } }
}

fn namespace(agent: &AgentEntity, class: &SelectorClass) -> RuleWhy {
  let (served, wanted) = (&agent.namespaces, class.namespace_id.as_str());
  let fits = served.is_empty() || served.iter().any(|name| name == wanted);
  let text = if fits { "serves the namespace" } else { "does not serve the namespace" };
  RuleWhy { rule: WhyRule::Namespace, fits, text: format!("{text} {wanted}") }
}

fn task_type(agent: &AgentEntity, class: &SelectorClass) -> Option<RuleWhy> {
  let wanted = class.task_type.as_deref()?;
  let fits = agent.capabilities.task_types().serve(Some(wanted));
  let text = if fits { "serves the task type" } else { "does not serve the task type" };
  Some(RuleWhy { rule: WhyRule::TaskType, fits, text: format!("{text} {wanted}") })
}

fn pin(agent: &AgentEntity, class: &SelectorClass) -> Option<RuleWhy> {
  let pin = class.pin.as_ref()?;
  let no = format!("is not {pin}, to which it is pinned");
  Some(told(WhyRule::Pin, *pin == agent.id, ("it is pinned here", no)))
}

fn selector(agent: &AgentEntity, class: &SelectorClass) -> Option<RuleWhy> {
  if class.selector.is_empty() {
    return None;
  }
  let no = match class.selector.unmet(&agent.labels) {
    Some(condition) => {
      let key = &condition.key;
      let has = match agent.labels.get(key) {
        Some(value) => format!("its {key} is {value}"),
        None => format!("it has no label {key}"),
      };
      format!("does not meet {condition}: {has}")
    }
    None => "does not meet the selector: it cannot be read".to_owned(),
  };
  let fits = class.selector.matches(&agent.labels);
  Some(told(WhyRule::Selector, fits, ("meets the selector", no)))
}

fn sticky(agent: &AgentEntity, class: &SelectorClass, load: &Load) -> Option<RuleWhy> {
  class.sticky.as_ref().filter(|sticky| sticky.require)?;
  let last = load.last.as_ref()?;
  let no = format!("it ran on {last} last, and must go there");
  Some(told(WhyRule::Sticky, *last == agent.id, ("it ran here last", no)))
}

/// Whether an empty agent would do, and whether this one does now.
fn needs(agent: &AgentEntity, class: &SelectorClass, load: &Load) -> Vec<RuleWhy> {
  let Some(need) = &class.requests else { return Vec::new() };
  let capacity = agent.capacity();
  let lack = capacity.lack(need, &Requests::none());
  let large = told(
    WhyRule::Needs,
    lack.is_none(),
    (
      "is large enough",
      lack
        .map(|lack| match &lack.total {
          Some(total) => {
            format!("has {total} {} in all, and {} is asked for", lack.what, lack.wanted)
          }
          None => format!("does not tell its {}, and {} is asked for", lack.what, lack.wanted),
        })
        .unwrap_or_default(),
    ),
  );
  if !large.fits {
    return vec![large];
  }
  let carried = load.carried.unwrap_or(Requests::none());
  let lack = capacity.lack(need, &carried);
  let room = told(
    WhyRule::NoRoom,
    lack.is_none(),
    (
      "has room",
      lack
        .map(|lack| {
          let total = lack.total.unwrap_or_default();
          format!(
            "has {} of {total} {} left, and {} is asked for",
            lack.left, lack.what, lack.wanted
          )
        })
        .unwrap_or_default(),
    ),
  );
  vec![large, room]
}

fn slots(agent: &AgentEntity, in_hand: i64) -> RuleWhy {
  let slots = i64::from(agent.capabilities.max_concurrent_tasks);
  let (fits, text) = if in_hand >= slots {
    (false, format!("has {in_hand} tasks in hand and {slots} slots"))
  } else {
    (true, format!("has {} of {slots} slots free", slots - in_hand))
  };
  RuleWhy { rule: WhyRule::NoFreeSlot, fits, text }
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
  kinds.sort_by_key(|(rule, ..)| distance(*rule));
  let words = kinds.iter().take(TOLD_MAX).map(|(rule, count, text)| match (count, rule) {
    (1, _) => format!("1 {text}"),
    (n, WhyRule::Offline) => format!("{n} are offline"),
    (n, WhyRule::Cordoned) => format!("{n} are cordoned"),
    (n, WhyRule::NoFreeSlot | WhyRule::NoRoom) => format!("{n} are full"),
    (n, WhyRule::Namespace) => format!("{n} do not serve the namespace"),
    (n, WhyRule::TaskType) => format!("{n} do not serve the task type"),
    (n, WhyRule::Needs) => format!("{n} are too small for its needs"),
    (n, WhyRule::Pin) => format!("{n} are not the one that it is pinned to"),
    (n, WhyRule::Sticky) => format!("{n} are not the one that it ran on last"),
    (n, WhyRule::Held) => format!("{n} are liked less than another"),
    (n, _) => format!("{n} do not meet the selector"),
  });
  words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
  use std::collections::BTreeMap;

  use hetuflow_core::{AgentCapabilities, AgentId, Cpus, NamespaceId, Selector, StickyTo, Ts};

  use super::*;

  pub(in crate::service) fn agent(name: &str) -> AgentEntity {
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
      selector: Selector::from_iter(pairs),
      task_type: task_type.map(str::to_owned),
      ..SelectorClass::any(NamespaceId::default())
    }
  }

  fn hand(in_hand: i64) -> Load {
    Load { in_hand, ..Load::default() }
  }

  #[test]
  fn needs_pins_and_places_are_rules_too() {
    let mut host = agent("a");
    host.labels.insert("sys_cpus".to_owned(), "4".to_owned());
    let need = |cpu| Some(Requests { cpu: Cpus(cpu), ..Requests::default() });
    let large = SelectorClass { requests: need(5000), ..class(&[], None) };
    let why = judge(&host, &large, &hand(0));
    assert_eq!((why.rule, why.fits), (WhyRule::Needs, false));
    assert_eq!(why.text, "has 4 cpu in all, and 5 is asked for");
    let fair = SelectorClass { requests: need(2000), ..class(&[], None) };
    let carried = Load { carried: need(2500), ..hand(1) };
    let why = judge(&host, &fair, &carried);
    assert_eq!((why.rule, why.fits), (WhyRule::NoRoom, true));
    assert_eq!(why.text, "has 1.5 of 4 cpu left, and 2 is asked for");
    let pinned = SelectorClass { pin: Some(AgentId::new("b").expect("an id")), ..class(&[], None) };
    assert_eq!(judge(&host, &pinned, &hand(0)).text, "is not b, to which it is pinned");
    let to = StickyTo { key: "job:x".to_owned(), require: true };
    let bound = SelectorClass { sticky: Some(to), ..class(&[], None) };
    let last = Load { last: Some(AgentId::new("b").expect("an id")), ..hand(0) };
    assert_eq!(judge(&host, &bound, &last).rule, WhyRule::Sticky);
    assert_eq!(judge(&host, &bound, &hand(0)).rule, WhyRule::Free);
    let names: Vec<&str> = why.rules.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(names, ["namespace", "needs", "no_room", "offline", "cordoned", "no_free_slot"]);
  }

  #[test]
  fn each_rule_is_named() {
    let plain = class(&[], None);
    let mut one = agent("a");
    assert_eq!(judge(&one, &plain, &hand(1)).text, "has 1 of 2 slots free");
    let full = judge(&one, &plain, &hand(2));
    assert_eq!((full.rule, full.fits), (WhyRule::NoFreeSlot, true));
    let us = judge(&one, &class(&[("zone", "us")], None), &hand(0));
    assert_eq!(
      (us.rule, us.text.as_str()),
      (WhyRule::Selector, "does not meet zone=us: its zone is eu")
    );
    assert_eq!(
      judge(&one, &class(&[("gpu", "*")], None), &hand(0)).text,
      "does not meet gpu: it has no label gpu"
    );
    one.cordoned = true;
    assert_eq!(judge(&one, &plain, &hand(0)).rule, WhyRule::Cordoned);
    one.status = AgentStatus::Offline;
    assert_eq!(judge(&one, &plain, &hand(0)).rule, WhyRule::Offline);
    one.capabilities.supported_task_types = vec!["mail".to_owned()];
    assert_eq!(judge(&one, &class(&[], Some("fax")), &hand(0)).rule, WhyRule::TaskType);
    one.namespaces = vec!["other".to_owned()];
    assert_eq!(judge(&one, &plain, &hand(0)).rule, WhyRule::Namespace);
  }

  #[test]
  fn a_summary_counts_and_begins_with_the_nearest() {
    let us = class(&[("zone", "us")], None);
    let (mut gone, mut gone2) = (agent("b"), agent("c"));
    for one in [&mut gone, &mut gone2] {
      one.status = AgentStatus::Offline;
      one.labels.insert("zone".to_owned(), "us".to_owned());
    }
    let all = [
      judge(&agent("a"), &us, &hand(0)),
      judge(&gone, &us, &hand(0)),
      judge(&gone2, &us, &hand(0)),
    ];
    assert_eq!(summary(&all), "2 are offline, 1 does not meet zone=us: its zone is eu");
  }
}
