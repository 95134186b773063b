//! Agents, the queue, schedules.

use std::time::Duration;

use hetuflow_core::{AgentEntity, Page, TaskEntity, Ts};

use super::check::Checks;
use crate::client::{Call, Client, CtlError};
use crate::command::glance::is_online;
use crate::command::names::with_suggestion;
use crate::command::object::{Kind, list::everything};
use crate::command::schedule::check;
use crate::command::session::Session;
use crate::output::relative;

/// Agents may be off by so much.
const SKEW_MS_MAX: f64 = 500.0;
/// A task that waits for so long although agents are there is worth a look.
const WAITS: Duration = Duration::from_secs(300);
/// A hand-over takes no longer.
const HAND_OVER: Duration = Duration::from_secs(60);
/// Schedules in one minute.
const HERD: usize = 50;

/// Looks at the work, or at one agent.
///
/// # Errors
/// Not found, where the agent is not there.
pub async fn look(
  session: &Session,
  client: &Client,
  agent: Option<&str>,
  checks: &mut Checks,
) -> Result<(), CtlError> {
  if let Some(name) = agent {
    let one = match client.fetch::<AgentEntity>(Call::get(Kind::Agent.path_of(name))).await {
      Ok(one) => one,
      Err(error) => return Err(with_suggestion(session, Kind::Agent, name, error).await),
    };
    agents(std::slice::from_ref(&one), checks);
    return Ok(());
  }
  match everything::<AgentEntity>(client, Call::get("/agents")).await {
    Ok(all) => {
      agents(&all, checks);
      queue(session, client, all.iter().any(is_online), checks).await;
    }
    Err(error) => checks.fail("agents", error.message.clone(), "hetuflowctl agent list"),
  }
  match check::of_server(session).await {
    Ok(all) => {
      let found = check::check(&all, session.look.now, HERD);
      let bad: Vec<&str> = found
        .iter()
        .filter(|one| one.level == "error" || one.code == "schedule.herd")
        .map(|one| one.message.as_str())
        .collect();
      if bad.is_empty() {
        checks.ok("schedules", format!("{} are enabled, all have a next fire", all.len()));
      } else {
        checks.warn("schedules", bad.join("; "), "hetuflowctl schedule check");
      }
    }
    Err(error) => checks.fail("schedules", error.message.clone(), "hetuflowctl schedule list"),
  }
  Ok(())
}

fn agents(all: &[AgentEntity], checks: &mut Checks) {
  let named = |of: &dyn Fn(&AgentEntity) -> bool| -> Vec<String> {
    all.iter().filter(|one| of(one)).map(|one| one.id.to_string()).collect()
  };
  let online = all.iter().filter(|one| is_online(one)).count();
  let detail = format!("{online} of {} connected", all.len());
  let silent = named(&|one| !is_online(one));
  if online == 0 {
    checks.fail("agents", detail, "start one: hetuflow-agent start; without agents nothing runs");
  } else if silent.is_empty() {
    checks.ok("agents", detail);
  } else {
    let fix = "look at their machines; hetuflowctl agent delete forgets what is gone for good";
    checks.warn("agents", format!("{detail}; silent: {}", silent.join(", ")), fix);
  }
  let held = named(&|one| one.cordoned);
  if !held.is_empty() {
    let fix = format!("hetuflowctl agent uncordon {}", held.join(" "));
    checks.warn("agents.cordoned", format!("take no work: {}", held.join(", ")), fix);
  }
  let off =
    named(&|one| is_online(one) && one.clock_offset_ms.is_some_and(|ms| ms.abs() > SKEW_MS_MAX));
  if !off.is_empty() {
    let detail = format!("more than 500 ms off: {}", off.join(", "));
    checks.warn("agents.clock", detail, "run an NTP client there: chronyc tracking");
  }
  let own = env!("CARGO_PKG_VERSION");
  let old = named(&|one| is_online(one) && one.version != own);
  if !old.is_empty() {
    checks.warn(
      "agents.version",
      format!("not {own}: {}", old.join(", ")),
      "install the same version everywhere",
    );
  }
}

async fn queue(session: &Session, client: &Client, agents: bool, checks: &mut Checks) {
  let now = session.look.now;
  let mut old: Vec<String> = Vec::new();
  let mut waiting = 0;
  for (states, limit) in [("pending", WAITS), ("locked,dispatched", HAND_OVER)] {
    let call = Call::get("/tasks").query("status", states).query("limit", 1000);
    let tasks: Vec<TaskEntity> = match client.fetch::<Page<TaskEntity>>(call).await {
      Ok(page) => page.data,
      Err(error) => {
        checks.fail("queue", error.message.clone(), "hetuflowctl task list");
        return;
      }
    };
    waiting += tasks.len();
    let due =
      |task: &TaskEntity| task.eligible_at.unwrap_or(task.scheduled_at).max(task.created_at);
    let late = tasks.iter().filter(|task| due(task) < now.minus(limit));
    let oldest: Option<&TaskEntity> = late.min_by_key(|task| due(task));
    old.extend(oldest.map(|task| told(task, due(task), now)));
  }
  if old.is_empty() {
    checks.ok("queue", format!("{waiting} wait, none for long"));
  } else {
    let fix = if agents {
      "does an agent meet the job's selector? hetuflowctl agent list -o wide; hetuflowctl repair check"
    } else {
      "start an agent"
    };
    checks.warn("queue", format!("{waiting} wait; oldest: {}", old.join(", ")), fix);
  }
}

fn told(task: &TaskEntity, due: Ts, now: Ts) -> String {
  format!("{}/{} {} {}", task.job_name, task.id.short(), task.status, relative(due, now))
}
