//! Why a task does not run yet: the same rules as the claim, told for one task.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{
  AgentId, AgentWhy, NamespaceId, TaskEntity, TaskStatus, TaskWhy, Ts, WhyReason, WhyRule,
  format_duration,
};

use super::admission::tell_limits;
use super::agent_svc::serves;
use super::fit::{judge, summary};
use super::task_svc::TaskSvc;
use super::{Actor, SvcResult};
use crate::infra::bmc::hot::{self, WaitingRow};
use crate::infra::bmc::watch_agents;
use crate::infra::db::Conn;

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
    let due = matches!(task.status, TaskStatus::Pending | TaskStatus::WaitingRetry);
    let held = match &row {
      Some(row) if due => tell_limits(&mut conn, &mut why, (&task, row), now).await?,
      _ => false,
    };
    if let Some(row) = row.filter(|row| due && !held && row.eligible_at <= now) {
      let class = self.jobs.class(&mut conn, row.class_id).await?;
      let in_hand: HashMap<AgentId, i64> =
        watch_agents::tasks_in_hand(&mut conn).await?.into_iter().collect();
      let agents = watch_agents::all(&mut conn).await?;
      let seen = agents.iter().filter(|agent| serves(agent, actor.namespace_id.as_ref()));
      let agents: Vec<AgentWhy> = seen
        .map(|agent| judge(agent, &class, in_hand.get(&agent.id).copied().unwrap_or(0)))
        .collect();
      self.tell_due(&mut conn, (&mut why, &row, now), agents).await?;
    }
    Ok(why)
  }

  /// What keeps a task that is due from each agent.
  async fn tell_due(
    &self,
    conn: &mut Conn,
    (why, row, now): (&mut TaskWhy, &WaitingRow, Ts),
    mut agents: Vec<AgentWhy>,
  ) -> SvcResult<()> {
    why.ahead = hot::count_ahead(conn, row, now).await?;
    let waited = format_duration(Duration::from_secs(now.since(row.eligible_at).as_secs()));
    let behind = match why.ahead {
      0 => String::new(),
      1 => "; 1 task comes first".to_owned(),
      n if n >= hot::AHEAD_MAX => format!("; {n} tasks or more come first"),
      n => format!("; {n} tasks come first"),
    };
    let fitting = agents.iter().filter(|agent| agent.fits).count();
    let free = agents.iter().any(|agent| agent.rule == WhyRule::Free);
    (why.reason, why.text) = if agents.is_empty() {
      (WhyReason::NoAgentFits, format!("due for {waited}, and no agent is known"))
    } else if fitting == 0 {
      let text = format!("due for {waited}, and no agent may run it: {}", summary(&agents));
      (WhyReason::NoAgentFits, text)
    } else if free {
      (WhyReason::AboutToStart, format!("due for {waited}, and an agent has room for it{behind}"))
    } else {
      let agents = if fitting == 1 { "the one agent" } else { "each agent" };
      let text = format!("due for {waited}, and {agents} that may run it is full{behind}");
      (WhyReason::NoFreeSlot, text)
    };
    agents.sort_by_key(|agent| agent.rule.number());
    why.agents_total = agents.len();
    agents.truncate(AGENTS_MAX);
    why.agents = agents;
    Ok(())
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
    start_deadline_at: row.and_then(|row| row.start_deadline_at).filter(|_| waiting),
    ahead: 0,
    limits: Vec::new(),
    agents: Vec::new(),
    agents_total: 0,
  }
}
