//! Why a task waits: as the server says it, else as far as its row and the agents tell.

use std::time::Duration;

use hetuflow_core::{AgentRow, AgentStatus, Selector, TaskDetail, TaskStatus, Ts, WhyChange};
use serde::Deserialize;
use serde_json::Value;

use super::draw::Ctx;
use super::model::{Model, Screen};
use super::store::Row;
use super::text::count;
use super::update::Effect;

/// A new question while the task goes on waiting.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The question about the task that is shown.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
  /// The task.
  task: String,
  /// When the server was asked last.
  asked_at: Duration,
  /// What it said.
  said: Option<Reason>,
  /// This server does not know the question.
  unknown: bool,
}

/// Why it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reason {
  /// It is not running, and not ended.
  pub waiting: bool,
  /// One sentence.
  pub text: String,
  /// Tasks with the same demands that come first.
  pub ahead: i64,
  /// It is given up when it has not started by then.
  pub start_deadline_at: Option<Ts>,
  /// What would let it start, the smallest change first.
  pub changes: Vec<WhyChange>,
  /// Each agent that was looked at.
  pub agents: Vec<Fit>,
}

/// One agent, and whether the task may go to it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fit {
  /// Its name.
  pub agent_id: String,
  /// It may run the task: now, or as soon as a slot is free.
  pub fits: bool,
  /// What decides, in one word.
  pub rule: String,
  /// What decides that.
  pub text: String,
}

impl Fit {
  /// Whether it could start the task now.
  pub fn is_free(&self) -> bool {
    self.fits && self.rule == "free"
  }
}

impl Reason {
  fn of(text: String) -> Self {
    Self { waiting: true, text, ..Self::default() }
  }

  /// The sentence, what comes first, and how long it may wait.
  pub fn words(&self, ctx: &Ctx<'_>) -> String {
    let dot = ctx.look.glyphs.dot;
    let mut words = self.text.clone();
    if self.ahead > 0 {
      words.push_str(&format!(" {dot} {} before it", count(self.ahead.unsigned_abs())));
    }
    if let Some(change) = self.changes.first() {
      let steps: Vec<&str> = change.steps.iter().map(|step| step.text.as_str()).collect();
      words.push_str(&format!(" {dot} would start: {}", steps.join(" and ")));
    }
    if let Some(at) = self.start_deadline_at {
      words.push_str(&format!(" {dot} given up {}", ctx.in_words(at)));
    }
    words
  }
}

/// The task of the screen, while it waits.
fn waiting_task(model: &Model) -> Option<&TaskDetail> {
  let Screen::Task(_) = &model.screen else { return None };
  model.task_detail("task").filter(|detail| waits(detail.task.status))
}

fn waits(status: TaskStatus) -> bool {
  matches!(
    status,
    TaskStatus::Pending | TaskStatus::Blocked | TaskStatus::Locked | TaskStatus::WaitingRetry
  )
}

/// Whether the agents are of interest for the task that is shown.
pub fn wants_agents(model: &Model) -> bool {
  waiting_task(model).is_some()
}

/// Asks the server about the task that is shown, again after a while.
pub fn sync(model: &mut Model, effects: &mut Vec<Effect>) {
  let Some(task) = waiting_task(model).map(|detail| detail.task.id.to_string()) else { return };
  let now = model.now;
  let known = &mut model.waiting;
  let is_new = known.task != task;
  if !model.link.up || known.unknown || !is_new && now < known.asked_at + AGAIN_AFTER {
    return;
  }
  let said = known.said.take().filter(|_| !is_new);
  *known = Waiting { task: task.clone(), asked_at: now, said, unknown: false };
  effects.push(Effect::Why(task));
}

/// Takes the answer; none where the server does not know the question.
pub fn answered(model: &mut Model, task: &str, answer: Option<Value>) {
  if model.waiting.task != task {
    return;
  }
  let reason = answer.and_then(|value| Reason::deserialize(value).ok());
  model.waiting.unknown = reason.is_none();
  model.waiting.said = reason.filter(|reason| reason.waiting && !reason.text.is_empty());
}

/// When to ask again.
pub fn next_wake(model: &Model) -> Option<Duration> {
  let asks = waiting_task(model).is_some() && !model.waiting.unknown && model.link.up;
  asks.then_some(model.waiting.asked_at + AGAIN_AFTER)
}

/// Why the shown task waits; none where it does not.
pub fn reason(model: &Model, ctx: &Ctx<'_>) -> Option<Reason> {
  let detail = waiting_task(model)?;
  let task = &detail.task;
  let due = task.eligible_at.unwrap_or(task.scheduled_at).max(task.scheduled_at);
  // Only here the time that is left runs on between two answers.
  if due > ctx.now {
    let what = if task.attempt > 0 { "the next attempt begins" } else { "not due yet: it begins" };
    return Some(Reason::of(format!("{what} {}", ctx.in_words(due))));
  }
  let said = model.waiting.said.as_ref().filter(|_| model.waiting.task == task.id.to_string());
  Some(said.cloned().unwrap_or_else(|| guess(model, detail)))
}

/// What can be told without the server.
fn guess(model: &Model, detail: &TaskDetail) -> Reason {
  let selector = detail.config.get("selector").cloned();
  let selector = selector.and_then(|value| serde_json::from_value::<Selector>(value).ok());
  let selector = selector.unwrap_or_default();
  let rows = model.store.view("find-agents").filter(|view| view.seen);
  let Some(view) = rows else {
    return Reason::of("looking at the agents …".to_owned());
  };
  let agents: Vec<&AgentRow> = view
    .order
    .iter()
    .filter_map(|key| match &view.rows.get(key)?.row {
      Row::Agent(agent) => Some(&**agent),
      _ => None,
    })
    .collect();
  let fits: Vec<Fit> = agents.iter().map(|agent| fit(agent, &selector)).collect();
  let matching = agents.iter().filter(|agent| unmet(agent, &selector).is_none()).count();
  let text = match (agents.len(), matching, fits.iter().filter(|fit| fit.is_free()).count()) {
    (0, ..) => "no agent has ever connected".to_owned(),
    (_, 0, _) => format!("no agent fits: {selector} is wanted"),
    (_, some, 0) => format!("{some} agents fit, none of them can take a task now"),
    (.., free) => format!("{free} agents could take it: it waits for its turn"),
  };
  Reason { agents: fits, ..Reason::of(text) }
}

/// The first condition that an agent does not meet.
fn unmet(agent: &AgentRow, selector: &Selector) -> Option<String> {
  let mut labels = agent.labels.clone();
  labels.entry("agent".to_owned()).or_insert_with(|| agent.id.to_string());
  let condition = selector.unmet(&labels)?;
  let key = &condition.key;
  Some(match labels.get(key) {
    Some(has) => format!("{condition} is wanted, it has {key}={has}"),
    None => format!("{condition} is wanted, it has no {key}"),
  })
}

fn fit(agent: &AgentRow, selector: &Selector) -> Fit {
  let (fits, rule, text) = if let Some(unmet) = unmet(agent, selector) {
    (false, "selector", unmet)
  } else if matches!(agent.status, AgentStatus::Offline | AgentStatus::Error) {
    (false, "offline", agent.status.to_string())
  } else if agent.cordoned {
    (false, "cordoned", "cordoned: it takes nothing new".to_owned())
  } else if agent.running >= agent.slots {
    (true, "no_free_slot", format!("all {} slots are taken", agent.slots))
  } else {
    let free = agent.slots - agent.running;
    (true, "free", format!("{free} of {} slots are free", agent.slots))
  };
  Fit { agent_id: agent.id.to_string(), fits, rule: rule.to_owned(), text }
}
