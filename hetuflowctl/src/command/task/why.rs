//! `task why`: what holds a task, agent by agent and rule by rule, and what would let it start; or why
//! it ended as it did.

use hetuflow_core::{AgentWhy, RuleWhy, TaskWhy, Ts, WhyChange, WhyRule};

use crate::client::{Call, CtlError, path_of};
use crate::command::object::get;
use crate::command::session::Session;
use crate::output::{Outcome, View, relative, visible};

/// Agents that people are shown; `-o json` has all that the server names.
const SHOWN_MAX: usize = 20;
/// Columns of a line.
const WIDTH: usize = 80;
/// Widest name of an agent.
const NAME_MAX: usize = 24;

/// The rules as columns, the first cause first, with their heads.
const COLUMNS: [(WhyRule, &str); 10] = [
  (WhyRule::Namespace, "ns"),
  (WhyRule::TaskType, "type"),
  (WhyRule::Pin, "pin"),
  (WhyRule::Selector, "labels"),
  (WhyRule::Sticky, "sticky"),
  (WhyRule::Needs, "size"),
  (WhyRule::Offline, "online"),
  (WhyRule::Cordoned, "open"),
  (WhyRule::NoRoom, "room"),
  (WhyRule::NoFreeSlot, "slot"),
];

/// Says why.
///
/// # Errors
/// When it is not there.
pub async fn why(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let task = get::task(session, target).await?;
  let call = Call::get(path_of(&["tasks", &task.id.to_string(), "why"]));
  let why: TaskWhy = session.client()?.fetch(call).await?;
  let text = told(&why, session.look.now);
  let value = serde_json::to_value(&why).expect("our own types are JSON");
  Ok(View::text(text, value).into())
}

fn told(why: &TaskWhy, now: Ts) -> String {
  let mut lines = vec![format!("task {}  {}", why.task_id.short(), why.status)];
  lines.extend(wrapped("why", &why.text));
  if why.waiting {
    let start = match why.earliest_at {
      Some(at) if at > now => format!("not before {at} ({})", relative(at, now)),
      Some(_) => "now".to_owned(),
      None => "nobody can say when".to_owned(),
    };
    lines.push(format!("start  {start}"));
  }
  if let Some(at) = why.start_deadline_at {
    lines.push(format!("until  {at} ({}); then it is given up", relative(at, now)));
  }
  lines.extend(why.facts.iter().flat_map(|fact| wrapped("fact", fact)));
  for rule in &why.beside {
    let until = rule.until.map(|until| format!(" (until {until})")).unwrap_or_default();
    lines.extend(wrapped("beside", &format!("{}{until}", rule.text)));
  }
  lines.extend(why.knob.iter().flat_map(|knob| wrapped("knob", knob)));
  if !why.changes.is_empty() {
    lines.push(String::new());
    lines.push("It would start if you did one of these, the smallest first:".to_owned());
    lines.extend(why.changes.iter().flat_map(change_lines));
  }
  if !why.agents.is_empty() {
    lines.push(String::new());
    lines.extend(table(&why.agents));
    let left = why.agents_total.saturating_sub(SHOWN_MAX.min(why.agents.len()));
    if left > 0 {
      lines.push(format!("and {left} agents more; -o json names up to 200"));
    }
  }
  lines.iter().map(|line| format!("{}\n", visible(line.trim_end()))).collect()
}

/// A sentence behind its head, in lines of 80 columns.
fn wrapped(head: &str, text: &str) -> Vec<String> {
  let (mut lines, mut line) = (Vec::new(), format!("{head:<6}"));
  for word in text.split(' ') {
    if line.chars().count() + word.chars().count() >= WIDTH && line.len() > 7 {
      lines.push(std::mem::replace(&mut line, " ".repeat(6)));
    }
    line.push(' ');
    line.push_str(word);
  }
  lines.push(line);
  lines
}

fn change_lines(change: &WhyChange) -> Vec<String> {
  let mut lines = Vec::new();
  for (at, step) in change.steps.iter().enumerate() {
    lines.push(format!("  {} {}", if at == 0 { "-" } else { "  and" }, step.text));
    lines.extend(step.command.iter().map(|command| format!("      {command}")));
  }
  lines
}

/// Agent by rule: `+` lets it in, `x` does not, and each `x` with its facts below.
fn table(agents: &[AgentWhy]) -> Vec<String> {
  let shown = &agents[..agents.len().min(SHOWN_MAX)];
  let has = |rule: WhyRule| shown.iter().any(|one| one.rules.iter().any(|it| it.rule == rule));
  let columns: Vec<(WhyRule, &str)> = COLUMNS.into_iter().filter(|(rule, _)| has(*rule)).collect();
  let name = shown.iter().map(|one| one.agent_id.as_str().chars().count()).max().unwrap_or(0);
  let name = name.clamp(5, NAME_MAX);
  let heads: String =
    columns.iter().map(|(_, head)| format!("  {}", head.to_uppercase())).collect();
  let mut lines = vec![format!("{:<name$}{heads}", "AGENT")];
  for one in shown {
    let id: String = one.agent_id.as_str().chars().take(NAME_MAX).collect();
    let marks: String = columns
      .iter()
      .map(|(rule, head)| format!("  {:<1$}", mark(one, *rule), head.len()))
      .collect();
    lines.push(format!("{id:<name$}{marks}"));
    let no = one.rules.iter().filter(|rule| !rule.fits);
    lines.extend(no.map(|rule: &RuleWhy| format!("  x {}", rule.text)));
  }
  lines
}

fn mark(agent: &AgentWhy, rule: WhyRule) -> &'static str {
  match agent.rules.iter().find(|one| one.rule == rule) {
    Some(one) if one.fits => "+",
    Some(_) => "x",
    None => ".",
  }
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  fn why() -> TaskWhy {
    serde_json::from_value(json!({
      "task_id": "019aa3e4-7c11-7c52-9d0e-5f0e3d9c41b7", "status": "pending", "waiting": true,
      "since": "2026-11-21T14:00:00Z", "reason": "no_agent_fits",
      "text": "due for 4m, and no agent may run it: 1 is full, 1 does not meet gpu: it has no label gpu",
      "eligible_at": "2026-11-21T14:00:00Z", "start_deadline_at": "2026-11-21T15:00:00Z", "ahead": 0,
      "changes": [{ "agent_id": "a-7", "steps": [
        { "text": "label a-7 gpu=yes", "command": "hetuflowctl agent label a-7 gpu=yes" },
        { "text": "uncordon a-7", "command": "hetuflowctl agent uncordon a-7" }] }],
      "agents": [
        { "agent_id": "b-2", "fits": true, "rule": "no_free_slot", "text": "has 4 tasks in hand and 4 slots",
          "rules": [
            { "rule": "namespace", "fits": true, "text": "serves the namespace default" },
            { "rule": "selector", "fits": true, "text": "meets the selector" },
            { "rule": "offline", "fits": true, "text": "is connected" },
            { "rule": "cordoned", "fits": true, "text": "takes tasks" },
            { "rule": "no_free_slot", "fits": false, "text": "has 4 tasks in hand and 4 slots" }] },
        { "agent_id": "a-7", "fits": false, "rule": "selector", "text": "does not meet gpu: it has no label gpu",
          "rules": [
            { "rule": "namespace", "fits": true, "text": "serves the namespace default" },
            { "rule": "selector", "fits": false, "text": "does not meet gpu: it has no label gpu" },
            { "rule": "offline", "fits": true, "text": "is connected" },
            { "rule": "cordoned", "fits": false, "text": "is cordoned: it takes nothing new" },
            { "rule": "no_free_slot", "fits": true, "text": "has 4 of 4 slots free" }] }],
      "agents_total": 2,
    }))
    .expect("an answer")
  }

  #[test]
  fn what_holds_a_task_is_a_table_of_80_columns() {
    let now = "2026-11-21T14:04:00Z".parse().expect("an instant");
    let text = told(&why(), now);
    insta::assert_snapshot!(text);
    let long = text.lines().map(str::len).max();
    assert!(long.is_some_and(|long| long <= 80), "{text}");
  }

  #[test]
  fn an_end_has_facts_and_a_knob() {
    let mut why = why();
    (why.agents, why.changes, why.waiting) = (Vec::new(), Vec::new(), false);
    (why.start_deadline_at, why.knob) = (None, Some("max_retries (now 0)".to_owned()));
    why.text = "it is failed: its process ended by itself with exit code 3".to_owned();
    why.facts = vec!["it was on a-7, and ran for 2s\u{1b}[31m".to_owned()];
    let text = told(&why, why.since);
    assert!(text.contains("knob   max_retries (now 0)") && !text.contains('\u{1b}'), "{text}");
  }
}
