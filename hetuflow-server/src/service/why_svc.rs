//! Why a task does not run yet: the same rules as the claim, told for one task.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{
  AgentEntity, AgentId, AgentStatus, AgentWhy, NamespaceId, Requests, STICKY_WEIGHT, SelectorClass,
  TaskEntity, TaskInputEntity, TaskStatus, TaskWhy, Ts, WhyReason, WhyRule, format_duration,
};

use super::admission::tell_limits;
use super::agent_svc::serves;
use super::fit::{Load, distance, judge, summary};
use super::schedule_why::beside_a_run;
use super::task_svc::TaskSvc;
use super::why_blocked::tell_blocked;
use super::why_change::changes;
use super::why_end::tell_end;
use super::{Actor, JobCache, SvcResult};
use crate::infra::bmc::hot::{self, WaitingRow};
use crate::infra::bmc::{broadcast_bmc, sticky_bmc, task_input_bmc, watch_agents};
use crate::infra::db::Conn;

/// Tasks of a broadcast that one answer names.
const FACTS_MAX: usize = 50;
/// Agents that one answer names.
const AGENTS_MAX: usize = 200;

impl TaskSvc {
  /// Says why a task does not run yet.
  ///
  /// # Errors
  /// 404.
  pub async fn why(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<TaskWhy> {
    let task = self.get(actor, namespace, reference).await?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let row = hot::waiting_row(&mut conn, task.id).await?;
    let mut why = told(&task, row.as_ref(), now);
    if task.status.is_on_agent() && task.instance_id.is_none() {
      let children = broadcast_bmc::children(&mut conn, task.id).await?;
      let over = children.iter().filter(|one| one.status.is_final()).count();
      let stops = if task.status == TaskStatus::Cancelling { "is being stopped" } else { "runs" };
      why.text = format!("it {stops} as {} tasks, of which {over} are over", children.len());
      let left = children.iter().filter(|one| !one.status.is_final()).take(FACTS_MAX);
      why.facts = left
        .map(|one| format!("{} is {} on {}", one.task_id.short(), one.status, one.agent_id))
        .collect();
    }
    if task.status.is_final() {
      let spec = self.jobs.spec(&mut conn, task.job_id, task.job_version).await?;
      tell_end(&mut why, &task, task.config.as_ref().unwrap_or(&spec.config));
    }
    if task.status == TaskStatus::Dispatched {
      tell_files(&mut why, &task_input_bmc::of_task(&mut conn, task.id).await?);
    }
    if task.status == TaskStatus::Blocked {
      tell_blocked(&mut conn, &mut why, &task).await?;
    }
    if why.waiting {
      why.beside = beside_a_run(&mut conn, &self.store.calendars, (&task, now)).await?;
    }
    let due = matches!(task.status, TaskStatus::Pending | TaskStatus::WaitingRetry);
    let held = match &row {
      Some(row) if due => tell_limits(&mut conn, &mut why, (&task, row), now).await?,
      _ => false,
    };
    if let Some(row) = row.filter(|row| due && !held && row.eligible_at <= now) {
      let class = self.jobs.class(&mut conn, row.class_id).await?;
      let mut agents = watch_agents::all(&mut conn).await?;
      agents.retain(|agent| serves(agent, actor.namespace_id.as_ref()));
      let held_until = Some(row.eligible_at.plus(self.prefer_hold)).filter(|until| *until > now);
      let loads = loads(&mut conn, &self.jobs, (&class, &agents, held_until)).await?;
      let judged = agents.iter().zip(&loads).map(|(agent, load)| judge(agent, &class, load));
      let judged: Vec<AgentWhy> = judged.collect();
      why.ahead = hot::count_ahead(&mut conn, &row, now).await?;
      tell_due(&mut why, (&row, now, held_until), &judged);
      if matches!(why.reason, WhyReason::NoAgentFits | WhyReason::NoFreeSlot) {
        let all: Vec<(&AgentEntity, &AgentWhy, &Load)> =
          agents.iter().zip(&judged).zip(&loads).map(|((a, why), load)| (a, why, load)).collect();
        why.changes = changes(&class, &all);
      }
      why.agents_total = judged.len();
      why.agents = judged;
      why.agents.sort_by_key(|agent| distance(agent.rule));
      why.agents.truncate(AGENTS_MAX);
    }
    Ok(why)
  }
}

/// The files that its agent has to have before it starts it.
fn tell_files(why: &mut TaskWhy, files: &[TaskInputEntity]) {
  if files.is_empty() {
    return;
  }
  let bytes: i64 = files.iter().map(|file| file.size).sum();
  let what =
    if files.len() == 1 { "its file".to_owned() } else { format!("{} files", files.len()) };
  why.text.push_str(&format!(": it fetches {what} first, {bytes} bytes in all"));
  why.facts = files
    .iter()
    .take(FACTS_MAX)
    .map(|file| format!("{}: {} bytes", file.target.escape_debug(), file.size))
    .collect();
}

/// What changes with time about each agent.
async fn loads(
  conn: &mut Conn,
  jobs: &JobCache,
  (class, agents, held_until): (&SelectorClass, &[AgentEntity], Option<Ts>),
) -> SvcResult<Vec<Load>> {
  let in_hand: HashMap<AgentId, i64> =
    watch_agents::tasks_in_hand(conn).await?.into_iter().collect();
  let mut carried: HashMap<AgentId, Requests> = HashMap::new();
  if class.requests.is_some() {
    let ids: Vec<&AgentId> = agents.iter().map(|agent| &agent.id).collect();
    for (agent, class, count) in hot::carried(conn, &ids).await? {
      let each = jobs.class(conn, class).await?.requests.unwrap_or_default();
      let sum = carried.entry(agent).or_insert(Requests::none());
      *sum = sum.carried(&each, count);
    }
  }
  let last = match &class.sticky {
    Some(sticky) => sticky_bmc::last_agent(conn, &class.namespace_id, &sticky.key).await?,
    None => None,
  };
  let liking = |agent: &AgentEntity| {
    let sticky = if last.as_ref() == Some(&agent.id) { STICKY_WEIGHT } else { 0 };
    sticky + class.liking(&agent.labels)
  };
  let up = |agent: &&AgentEntity| agent.status != AgentStatus::Offline && !agent.cordoned;
  let open = agents.iter().filter(up).filter(|agent| agent.may_serve(class));
  let best = open.max_by_key(|agent| liking(agent));
  let held = |agent: &AgentEntity| {
    let (best, until) = (best.filter(|_| class.is_choosy())?, held_until?);
    let text = format!("is liked less than {}, which is waited for until {until}", best.id);
    (liking(agent) < liking(best)).then_some(text)
  };
  let load = |agent: &AgentEntity| Load {
    in_hand: in_hand.get(&agent.id).copied().unwrap_or(0),
    carried: carried.get(&agent.id).copied(),
    last: last.clone(),
    held: held(agent),
  };
  Ok(agents.iter().map(load).collect())
}

/// What keeps a task that is due from the agents.
fn tell_due(
  why: &mut TaskWhy,
  (row, now, held_until): (&WaitingRow, Ts, Option<Ts>),
  agents: &[AgentWhy],
) {
  let waited = format_duration(Duration::from_secs(now.since(row.eligible_at).as_secs()));
  let behind = match why.ahead {
    0 => String::new(),
    1 => "; 1 task comes first".to_owned(),
    n if n >= hot::AHEAD_MAX => format!("; {n} tasks or more come first"),
    n => format!("; {n} tasks come first"),
  };
  let fitting = agents.iter().filter(|agent| agent.fits).count();
  let any = |rule: WhyRule| agents.iter().any(|agent| agent.rule == rule);
  why.earliest_at = None;
  (why.reason, why.text) = if agents.is_empty() {
    (WhyReason::NoAgentFits, format!("due for {waited}, and no agent is known"))
  } else if fitting == 0 {
    let text = format!("due for {waited}, and no agent may run it: {}", summary(agents));
    (WhyReason::NoAgentFits, text)
  } else if any(WhyRule::Free) {
    why.earliest_at = Some(now);
    (WhyReason::AboutToStart, format!("due for {waited}, and an agent has room for it{behind}"))
  } else if any(WhyRule::Held) {
    why.earliest_at = held_until;
    let text = format!("due for {waited}, and it waits a moment for an agent that it likes more");
    (WhyReason::Held, text)
  } else {
    let agents = if fitting == 1 { "the one agent" } else { "each agent" };
    let text = format!("due for {waited}, and {agents} that may run it is full{behind}");
    (WhyReason::NoFreeSlot, text)
  };
  if row.aged > 0 {
    let rose = format!("; its priority is {}, {} of it by waiting", row.priority, row.aged);
    why.text.push_str(&rose);
  }
}

/// What the task's own state says.
fn told(task: &TaskEntity, row: Option<&WaitingRow>, now: Ts) -> TaskWhy {
  let agent = task.agent_id.as_ref().map_or("its agent", AgentId::as_str);
  let eligible = row.map_or(task.scheduled_at, |row| row.eligible_at);
  let handed = row.and_then(|row| row.locked_at).unwrap_or(task.created_at);
  let started = task.started_at.unwrap_or(handed);
  let until = |at: Ts| format_duration(Duration::from_secs(at.since(now).as_secs() + 1));
  use TaskStatus as S;
  let (waiting, since, reason, text) = match task.status {
    status if status.is_final() => {
      let ended = task.completed_at.unwrap_or(task.created_at);
      (false, ended, WhyReason::Ended, format!("it is {status}"))
    }
    _ if task.unreachable_since.is_some() => {
      let since = task.unreachable_since.unwrap_or(now);
      (false, since, WhyReason::AgentSilent, format!("{agent} has it and is silent"))
    }
    S::Blocked => (true, eligible, WhyReason::Blocked, "it waits for other tasks".to_owned()),
    S::WaitingRetry if eligible > now => {
      let text = format!("attempt {} begins in {}", task.attempt + 1, until(eligible));
      (true, task.created_at, WhyReason::RetryWait, text)
    }
    S::Pending if eligible > now => {
      let text = format!("it is due in {}", until(eligible));
      (true, task.created_at, WhyReason::NotDue, text)
    }
    S::Pending | S::WaitingRetry => {
      (true, eligible, WhyReason::AboutToStart, "it is about to be handed out".to_owned())
    }
    S::Locked => {
      let text = format!("{agent} was given it and has not answered yet");
      (true, handed, WhyReason::Handed, text)
    }
    S::Dispatched => {
      let text = format!("{agent} has it and has not started it yet");
      (true, handed, WhyReason::Handed, text)
    }
    S::Paused => (false, started, WhyReason::OnAgent, format!("it is paused on {agent}")),
    S::Cancelling => {
      (false, started, WhyReason::OnAgent, format!("it is being stopped on {agent}"))
    }
    _ => (false, started, WhyReason::OnAgent, format!("it runs on {agent}")),
  };
  TaskWhy {
    task_id: task.id,
    status: task.status,
    waiting,
    since,
    reason,
    text,
    eligible_at: row.map(|row| row.eligible_at).filter(|_| waiting),
    earliest_at: row.map(|row| row.eligible_at).filter(|_| waiting),
    start_deadline_at: row.and_then(|row| row.start_deadline_at).filter(|_| waiting),
    priority: row.map(|row| row.priority).filter(|_| waiting),
    aged: row.map_or(0, |row| row.aged),
    ahead: 0,
    changes: Vec::new(),
    facts: Vec::new(),
    knob: None,
    limits: Vec::new(),
    beside: Vec::new(),
    agents: Vec::new(),
    agents_total: 0,
  }
}
