//! `job why`: why a job fails, is late, or never runs. Everything that keeps it from well is named,
//! each with the command that says more or puts it right.

use std::time::Duration;

use hetuflow_core::{
  AgentEntity, CLUSTER_SCOPE, FreezeEntity, JobEntity, JobStatus, ScheduleEntity, ScheduleStatus,
  TaskEntity, TaskStatus, Ts,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Name;
use crate::client::{Call, CtlError, path_of};
use crate::command::cluster::freezes_in;
use crate::command::glance::is_online;
use crate::command::object::get;
use crate::command::object::list::{at_most, everything};
use crate::command::session::Session;
use crate::output::{Outcome, View, relative, visible};

/// Runs that are looked at.
const RUNS: u32 = 20;
/// A task that is due for longer is late.
const LATE: Duration = Duration::from_secs(60);

/// One reason.
#[derive(Debug, PartialEq, Serialize)]
struct Reason {
  /// What keeps the job from well.
  what: String,
  /// What to do.
  help: String,
}

/// Everything that is known about a job.
struct Known {
  job: JobEntity,
  schedules: Vec<ScheduleEntity>,
  /// What holds back its schedules.
  paused: Vec<FreezeEntity>,
  /// Newest first.
  runs: Vec<TaskEntity>,
  agents: Vec<AgentEntity>,
  now: Ts,
}

/// Says why.
///
/// # Errors
/// When the job is not there.
pub async fn run(session: &Session, args: &Name) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let call = Call::get(path_of(&["jobs", &job.id.to_string(), "tasks"]));
  let health = session.client()?.fetch::<Value>(Call::get("/system/health")).await;
  let mut paused = health.map(|health| freezes_in(&health)).unwrap_or_default();
  paused.retain(|freeze| freeze.covers(&job.namespace_id));
  let known = Known {
    paused,
    schedules: get::schedules_of(session, &job).await?,
    runs: at_most(session, call, RUNS).await?,
    agents: everything(session.client()?, Call::get("/agents")).await?,
    now: session.look.now,
    job,
  };
  let reasons = reasons(&known);
  let mut text = String::new();
  for reason in &reasons {
    text.push_str(&format!("{}\n  {}\n", visible(&reason.what), visible(&reason.help)));
  }
  if reasons.is_empty() {
    text = format!("job {}: nothing keeps it from running well\n", known.job.name);
  }
  Ok(View::text(text, json!({ "job": known.job.name, "reasons": reasons })).into())
}

fn reasons(known: &Known) -> Vec<Reason> {
  let mut all = Vec::new();
  paused(known, &mut all);
  switched_off(known, &mut all);
  never_fires(known, &mut all);
  waits(known, &mut all);
  fails(known, &mut all);
  all
}

fn switched_off(known: &Known, all: &mut Vec<Reason>) {
  let name = &known.job.name;
  if known.job.status != JobStatus::Enabled {
    let what = format!("the job is {}: its schedules do not fire", known.job.status);
    all.push(Reason { what, help: format!("hetuflowctl job enable {name}") });
  }
  for one in known.schedules.iter().filter(|one| one.status != ScheduleStatus::Enabled) {
    let why = one.status_reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let what = format!("schedule {} is {}{why}", one.name, one.status);
    let verb = if one.status == ScheduleStatus::Paused { "resume" } else { "enable" };
    all.push(Reason { what, help: format!("hetuflowctl schedule {verb} {}", one.name) });
  }
}

fn paused(known: &Known, all: &mut Vec<Reason>) {
  for freeze in &known.paused {
    let help = if freeze.scope == CLUSTER_SCOPE {
      "hetuflowctl cluster resume".to_owned()
    } else {
      format!("hetuflowctl namespace resume {}", freeze.scope)
    };
    all.push(Reason { what: format!("{}: no schedule fires", freeze.told()), help });
  }
}

fn never_fires(known: &Known, all: &mut Vec<Reason>) {
  if known.schedules.is_empty() && known.runs.is_empty() {
    let help = format!("hetuflowctl schedule create --job {} --cron '0 2 * * *'", known.job.name);
    all.push(Reason { what: "it has no schedule and nobody has started it".to_owned(), help });
  }
  let on = known.schedules.iter().filter(|one| one.status == ScheduleStatus::Enabled);
  for one in on {
    match one.next_run_at {
      None => {
        let what = format!("schedule {} has no next fire", one.name);
        all.push(Reason { what, help: format!("hetuflowctl schedule next {}", one.name) });
      }
      Some(next) if next < known.now.minus(LATE) && known.paused.is_empty() => {
        let when = relative(next, known.now);
        let what = format!("schedule {} should have fired {when}: nobody plans it", one.name);
        all.push(Reason { what, help: "hetuflowctl repair check".to_owned() });
      }
      Some(_) => {}
    }
  }
}

fn waits(known: &Known, all: &mut Vec<Reason>) {
  let due = |task: &&TaskEntity| {
    matches!(task.status, TaskStatus::Pending | TaskStatus::Blocked)
      && task.eligible_at.unwrap_or(task.scheduled_at) < known.now.minus(LATE)
  };
  let Some(task) = known.runs.iter().rfind(due) else { return };
  let since = relative(task.eligible_at.unwrap_or(task.scheduled_at), known.now);
  let online: Vec<&AgentEntity> = known.agents.iter().filter(|one| is_online(one)).collect();
  let open = online.iter().filter(|one| !one.cordoned).count();
  let (what, help) = match (online.len(), open) {
    (0, _) => ("no agent is connected", "hetuflowctl agent list"),
    (_, 0) => ("every connected agent is cordoned", "hetuflowctl agent uncordon NAME"),
    _ => ("no agent fits it, or all are full", "hetuflowctl agent list -o wide"),
  };
  let what = format!("task {} is due {since} and waits: {what}", task.id.short());
  all.push(Reason { what, help: help.to_owned() });
}

fn fails(known: &Known, all: &mut Vec<Reason>) {
  let ended: Vec<&TaskEntity> = known.runs.iter().filter(|task| task.status.is_final()).collect();
  let bad = |task: &TaskEntity| matches!(task.status, TaskStatus::Failed | TaskStatus::Lost);
  let count = ended.iter().take_while(|task| bad(task)).count();
  let Some(last) = ended.first().filter(|task| bad(task)) else { return };
  let reason = last.reason.as_deref().unwrap_or("no reason given");
  let same = ended.iter().take(count).filter(|task| task.reason == last.reason).count();
  let when = last.completed_at.map(|at| relative(at, known.now)).unwrap_or_default();
  let what = match count {
    1 => format!("its last run failed {when}: {reason}"),
    _ => format!("its last {count} runs failed, {same} of them with {reason}; the last one {when}"),
  };
  let help = format!("hetuflowctl logs {} --tail 50", last.id.short());
  all.push(Reason { what, help });
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::command::sample;

  fn known() -> Known {
    let (job, schedule) = (sample::job(), sample::schedule());
    let now = schedule.next_run_at.unwrap_or(schedule.created_at).minus(LATE);
    let job = JobEntity { status: JobStatus::Enabled, ..job };
    let schedule = ScheduleEntity { status: ScheduleStatus::Enabled, ..schedule };
    let run = TaskEntity { status: TaskStatus::Succeeded, ..sample::task() };
    Known {
      job,
      schedules: vec![schedule],
      paused: Vec::new(),
      runs: vec![run],
      agents: vec![sample::agent()],
      now,
    }
  }

  #[test]
  fn nothing_is_wrong() {
    assert_eq!(reasons(&known()), Vec::new());
  }

  #[test]
  fn each_reason_is_named() {
    let mut sick = known();
    sick.job.status = JobStatus::Disabled;
    sick.schedules[0].next_run_at = None;
    let failed = TaskEntity {
      status: TaskStatus::Failed,
      reason: Some("exit_code(3)".into()),
      ..sample::task()
    };
    let due = Some(sick.now.minus(LATE * 5));
    let waiting = TaskEntity { status: TaskStatus::Pending, eligible_at: due, ..sample::task() };
    sick.runs = vec![waiting, failed.clone(), failed];
    sick.agents.clear();
    let told: Vec<String> = reasons(&sick).into_iter().map(|one| one.what).collect();
    let parts = [
      "its schedules do not fire",
      "has no next fire",
      "no agent is connected",
      "last 2 runs failed, 2",
    ];
    assert_eq!(told.len(), parts.len(), "{told:?}");
    for (one, part) in told.iter().zip(parts) {
      assert!(one.contains(part), "{one}");
    }
  }
}
