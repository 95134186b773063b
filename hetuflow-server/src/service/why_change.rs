//! The smallest change that would let a waiting task start: computed from the same rules as the
//! claim, agent by agent.

use hetuflow_core::{
  AgentEntity, AgentWhy, Capacity, Condition, LabelTest, Requests, SelectorClass, WhyChange,
  WhyRule, WhyStep, is_reserved_label,
};

use super::fit::{Load, distance};

/// Changes that one answer names.
const CHANGES_MAX: usize = 3;
/// Steps of one change; what takes more is no small change.
const STEPS_MAX: usize = 4;

/// A step with how much it is to ask for: 1 is a command at hand, 3 somebody's file on a host.
type Step = (u32, WhyStep);

/// The smallest changes, the smallest first; none where an agent could take the task as it is.
pub(super) fn changes(
  class: &SelectorClass,
  agents: &[(&AgentEntity, &AgentWhy, &Load)],
) -> Vec<WhyChange> {
  if agents.iter().any(|(_, why, _)| why.rule == WhyRule::Free) {
    return Vec::new();
  }
  if agents.is_empty() {
    let text = "start an agent".to_owned();
    let step = WhyStep { text, command: Some("hetuflowctl help agent".to_owned()) };
    return vec![WhyChange { agent_id: None, steps: vec![step] }];
  }
  let mut all: Vec<(u32, u8, WhyChange)> = Vec::new();
  for (agent, why, load) in agents {
    let Some(steps) = steps(agent, (class, why), load) else { continue };
    let cost = steps.iter().map(|(cost, _)| cost).sum();
    let steps: Vec<WhyStep> = steps.into_iter().map(|(_, step)| step).collect();
    if steps.is_empty() || steps.len() > STEPS_MAX {
      continue;
    }
    let change = WhyChange { agent_id: Some(agent.id.clone()), steps };
    all.push((cost, distance(why.rule), change));
  }
  all.sort_by(|a, b| {
    let key = |one: &(u32, u8, WhyChange)| (one.0, one.1, one.2.agent_id.clone());
    key(a).cmp(&key(b))
  });
  all.into_iter().take(CHANGES_MAX).map(|(.., change)| change).collect()
}

/// All that has to change for one agent; none where that cannot be asked for.
fn steps(
  agent: &AgentEntity,
  (class, why): (&SelectorClass, &AgentWhy),
  load: &Load,
) -> Option<Vec<Step>> {
  let mut steps = Vec::new();
  for rule in why.rules.iter().filter(|rule| !rule.fits) {
    match rule.rule {
      WhyRule::Selector => {
        let unmet = class.selector.conditions().iter();
        for condition in unmet.filter(|one| !one.matches(&agent.labels)) {
          steps.push((1, label(agent, condition)?));
        }
      }
      WhyRule::Cordoned => {
        let command = format!("hetuflowctl agent uncordon {}", agent.id);
        steps.push((1, step(format!("uncordon {}", agent.id), Some(command))));
      }
      WhyRule::NoFreeSlot => steps.push((1, slots(agent, load.in_hand))),
      WhyRule::Offline => steps.push((2, step(format!("start agent {}", agent.id), None))),
      WhyRule::Needs => {
        steps.extend(smaller(agent, class, &agent.capacity()));
      }
      WhyRule::NoRoom => steps.push((2, room(agent, class, load)?)),
      WhyRule::Namespace => {
        let text = format!("let {} serve the namespace {}", agent.id, class.namespace_id);
        steps.push((3, step(format!("{text}: agent.namespaces in its settings"), None)));
      }
      WhyRule::TaskType => {
        let name = class.task_type.as_deref().unwrap_or_default();
        let text = format!("let {} serve the task type {name}", agent.id);
        steps.push((3, step(format!("{text}: [agent.task_types] in its settings"), None)));
      }
      // Another agent than the one that was asked for is not what is wanted, unless that is gone.
      WhyRule::Pin => {
        steps.push((8, step(format!("pin it to {} in place of its agent", agent.id), None)));
      }
      WhyRule::Sticky => {
        steps.push((8, step("take require from its sticky".to_owned(), None)));
      }
      WhyRule::Held | WhyRule::Free => {}
    }
  }
  Some(steps)
}

fn step(text: String, command: Option<String>) -> WhyStep {
  WhyStep { text, command }
}

/// A label that would meet a condition; none for one that nobody gives.
fn label(agent: &AgentEntity, condition: &Condition) -> Option<WhyStep> {
  let key = &condition.key;
  if is_reserved_label(key) {
    return None;
  }
  let word = match &condition.test {
    LabelTest::In(values) => format!("{key}={}", values.first()?.replace('*', "")),
    LabelTest::Exists => format!("{key}=yes"),
    LabelTest::Absent | LabelTest::NotIn(_) => {
      // What the agent's own file says can be overridden, and not taken away.
      let own = agent.capabilities.labels.contains_key(key);
      match &condition.test {
        LabelTest::NotIn(_) if own => format!("{key}=other"),
        _ if own => return None,
        _ => format!("{key}-"),
      }
    }
    LabelTest::Compare(how, version) => {
      use hetuflow_core::Comparison as C;
      match how {
        C::AtLeast | C::AtMost => format!("{key}={version}"),
        C::Greater => format!("{key}={version}.1"),
        C::Less => format!("{key}=0"),
      }
    }
  };
  let mut labels = agent.labels.clone();
  match word.split_once('=') {
    Some((key, value)) => labels.insert(key.to_owned(), value.to_owned()),
    None => labels.remove(key),
  };
  // A change that would not help is not told.
  let helps = condition.matches(&labels);
  let quoted = if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.clone() };
  let command = format!("hetuflowctl agent label {} {quoted}", agent.id);
  helps.then(|| step(format!("label {} {word}", agent.id), Some(command)))
}

fn slots(agent: &AgentEntity, in_hand: i64) -> WhyStep {
  let more = in_hand + 1 - i64::from(agent.capabilities.max_concurrent_tasks);
  let setting = format!("agent.polling.max_concurrent_tasks={}", in_hand + 1);
  let command = format!("hetuflowctl agent command {} update_config -p {setting}", agent.id);
  let more = if more <= 1 { "one more slot".to_owned() } else { format!("{more} more slots") };
  step(format!("{more} on {}, or wait for one of its tasks", agent.id), Some(command))
}

/// What the task may ask for at most.
fn smaller(agent: &AgentEntity, class: &SelectorClass, has: &Capacity) -> Vec<Step> {
  let Some(need) = &class.requests else { return Vec::new() };
  let mut parts = Vec::new();
  if need.cpu.0 > has.cpu.unwrap_or_default().0 {
    parts.push(format!("requests.cpu {}", has.cpu.unwrap_or_default()));
  }
  if need.memory_mb > has.memory_mb.unwrap_or_default() {
    parts.push(format!("requests.memory_mb {}", has.memory_mb.unwrap_or_default()));
  }
  if need.slots > has.slots {
    parts.push(format!("requests.slots {}", has.slots));
  }
  let text = format!("let it ask for {} at most, all that {} has", parts.join(" and "), agent.id);
  vec![(2, step(text, None))]
}

fn room(agent: &AgentEntity, class: &SelectorClass, load: &Load) -> Option<WhyStep> {
  let carried = load.carried.unwrap_or(Requests::none());
  let lack = agent.capacity().lack(class.requests.as_ref()?, &carried)?;
  let text = format!(
    "wait for a task with needs on {} to end: {} {} is left of {}",
    agent.id,
    lack.left,
    lack.what,
    lack.total.unwrap_or_default()
  );
  Some(step(text, None))
}

#[cfg(test)]
mod tests {
  use super::super::fit::judge;
  use super::super::fit::tests::agent;
  use super::*;
  use hetuflow_core::{Cpus, Selector};

  fn class(selector: &str) -> SelectorClass {
    let selector = Selector::parse(selector).expect("a selector");
    SelectorClass { selector, ..SelectorClass::any(hetuflow_core::NamespaceId::default()) }
  }

  fn told(class: &SelectorClass, agents: &[AgentEntity], in_hand: i64) -> Vec<WhyChange> {
    let load = Load { in_hand, ..Load::default() };
    let judged: Vec<AgentWhy> = agents.iter().map(|agent| judge(agent, class, &load)).collect();
    let all: Vec<(&AgentEntity, &AgentWhy, &Load)> =
      agents.iter().zip(&judged).map(|(agent, why)| (agent, why, &load)).collect();
    changes(class, &all)
  }

  fn words(changes: &[WhyChange]) -> Vec<String> {
    let line = |change: &WhyChange| {
      change.steps.iter().map(|step| step.text.clone()).collect::<Vec<_>>().join(" + ")
    };
    changes.iter().map(line).collect()
  }

  /// Does what the steps of a change say to an agent.
  fn apply(agent: &mut AgentEntity, change: &WhyChange) {
    for step in &change.steps {
      let Some(command) = &step.command else {
        assert!(step.text.starts_with("start agent"), "{step:?}");
        agent.status = hetuflow_core::AgentStatus::Idle;
        continue;
      };
      let args: Vec<&str> = command.splitn(5, ' ').collect();
      match args[2] {
        "uncordon" => agent.cordoned = false,
        "label" => match args[4].trim_matches('\'').split_once('=') {
          Some((key, value)) => drop(agent.labels.insert(key.to_owned(), value.to_owned())),
          None => drop(agent.labels.remove(args[4].trim_end_matches('-'))),
        },
        _ => {
          let slots = args[4].rsplit('=').next().and_then(|text| text.parse().ok());
          agent.capabilities.max_concurrent_tasks = slots.expect("a number");
        }
      }
    }
  }

  #[test]
  fn the_smallest_change_is_named_first() {
    let (mut a, mut b, c) = (agent("a"), agent("b"), agent("c"));
    a.cordoned = true;
    b.labels.insert("gpu".to_owned(), "a100".to_owned());
    b.status = hetuflow_core::AgentStatus::Offline;
    let all = [a, b, c];
    assert_eq!(words(&told(&class("zone=eu"), &all[..2], 0)), ["uncordon a", "start agent b"]);
    assert_eq!(
      words(&told(&class("gpu"), &all, 0)),
      ["label c gpu=yes", "start agent b", "label a gpu=yes + uncordon a"]
    );
    assert!(told(&class("zone=eu"), &all, 0).is_empty(), "c can take it");
    let full = told(&class("zone=eu"), &all[2..], 2);
    assert_eq!(words(&full), ["one more slot on c, or wait for one of its tasks"]);
    assert_eq!(words(&told(&class("sys_os=minix"), &all, 0)), [""; 0]);
    assert_eq!(words(&told(&class("gpu"), &[], 0)), ["start an agent"]);
    let mut large = class("");
    large.requests = Some(Requests { cpu: Cpus(8000), ..Requests::default() });
    let mut host = agent("d");
    host.labels.insert("sys_cpus".to_owned(), "4".to_owned());
    let change = words(&told(&large, &[host], 0));
    assert_eq!(change, ["let it ask for requests.cpu 4 at most, all that d has"]);
  }

  const CONDITIONS: [&str; 12] = [
    "",
    "gpu",
    "!zone",
    "zone=us",
    "zone in (us,ap)",
    "zone!=eu",
    "cuda>=12.2",
    "cuda>11",
    "cuda<9",
    "cuda<=3",
    "note=\"a b\"",
    "rack=r*",
  ];

  /// What is told is done, step by step, and the task could start: for every mixture of causes.
  #[test]
  fn a_change_frees_the_task() {
    let label = |one: &str| one.trim_start_matches('!').chars().take(3).collect::<String>();
    let pairs = CONDITIONS.iter().flat_map(|a| CONDITIONS.iter().map(move |b| (a, b)));
    let mut seen = 0;
    for (first, second) in pairs.filter(|(a, b)| !a.is_empty() && label(a) != label(b)) {
      let text = [*first, *second].map(str::to_owned).into_iter().filter(|one| !one.is_empty());
      let class = class(&text.collect::<Vec<_>>().join(","));
      for causes in 0..16_i64 {
        let mut one = agent("a");
        (one.cordoned, one.capabilities.labels) = (causes & 1 == 1, Default::default());
        if causes & 2 == 2 {
          one.status = hetuflow_core::AgentStatus::Offline;
        }
        let in_hand = causes >> 2;
        let before = judge(&one, &class, &Load { in_hand, ..Load::default() });
        let changes = told(&class, std::slice::from_ref(&one), in_hand);
        if changes.is_empty() {
          // Too many steps for a small change, or none is needed.
          let wrong = before.rules.iter().filter(|rule| !rule.fits).count();
          assert!(before.rule == WhyRule::Free || wrong >= 4, "{before:?}");
          continue;
        }
        for change in &changes {
          apply(&mut one, change);
        }
        let after = judge(&one, &class, &Load { in_hand, ..Load::default() });
        assert_eq!(after.rule, WhyRule::Free, "{}: {changes:?} {after:?}", class.selector);
        seen += 1;
      }
    }
    assert!(seen > 500, "{seen}");
  }
}
