//! What needs a person, the worst first.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{
  ADHOC_JOB, AgentEntity, AgentRow, AgentStatus, AgentWhy, Attention, JobId, MarkedAs, NamespaceId,
  SelectorClass, Severity, Subject, TaskStatus, Topic, TriggerSource, Ts, format_duration,
};

use super::jobs::problem;
use super::quantiles::{millis, quantiles};
use super::usual::overdue_tasks;
use super::words::end_words;
use crate::infra::bmc::watch_attempts::{self, AttemptTimes};
use crate::infra::bmc::watch_jobs::{self, RecentRun};
use crate::infra::bmc::watch_tasks::{self, DueClass};
use crate::infra::bmc::{job_bmc, watch_agents, watch_schedules};
use crate::infra::db::Conn;
use crate::service::SvcResult;
use crate::service::fit::{Load, judge, may_run, summary};

/// Entries that are told.
const ENTRIES_MAX: usize = 30;
/// Failures of so long ago still count.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Failures and failing jobs that are looked at.
const FAILURES: u64 = 500;
const JOBS_MAX: usize = 50;
/// Runs of a job that are looked at.
const RUNS: u64 = 20;
/// Due tasks that wait longer are stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// A fire that starts later is late, in milliseconds.
const LATE_MS: f64 = 1000.0;
/// Fewer samples say nothing.
const SAMPLES_MIN: u32 = 5;

/// What the first screen has read already.
pub(super) struct Seen<'a> {
  /// One namespace, or all.
  pub(super) namespace: Option<&'a NamespaceId>,
  /// Agents.
  pub(super) agents: &'a [AgentRow],
  /// Times of the newest attempts.
  pub(super) fires: &'a [AttemptTimes],
  /// Now.
  pub(super) now: Ts,
}

/// Looks for everything that needs a person.
///
/// # Errors
/// Any database error.
pub(super) async fn find(conn: &mut Conn, seen: &Seen<'_>) -> SvcResult<Vec<Attention>> {
  let mut all = failing_jobs(conn, seen).await?;
  all.extend(seen.agents.iter().filter_map(|agent| agent_in_trouble(agent, seen.now)));
  all.extend(stuck_queues(conn, seen).await?);
  for one in watch_schedules::broken(conn, seen.namespace).await? {
    let message = problem(&one.schedule, seen.now);
    if message.is_empty() {
      continue;
    }
    let invalid = message.starts_with("invalid");
    let code = if invalid { "schedule_invalid" } else { "schedule_never_fires" };
    all.push(Attention {
      name: format!("{}/{}", one.job_name, one.schedule.name),
      since: one.schedule.updated_at,
      ..entry((code, Severity::Error), (Topic::Schedule, one.schedule.id), (message, 1))
    });
  }
  all.extend(late_fires(seen.fires));
  all.extend(overdue_tasks(conn, seen.namespace, seen.now).await?);
  all.sort_by_key(|one| (std::cmp::Reverse((one.at_risk, one.severity)), one.since));
  all.truncate(ENTRIES_MAX);
  Ok(all)
}

pub(super) fn entry(
  (code, severity): (&str, Severity),
  (kind, id): (Topic, impl ToString),
  (message, at_risk): (String, u64),
) -> Attention {
  let id = id.to_string();
  Attention {
    code: code.to_owned(),
    severity,
    name: id.clone(),
    subject: Subject { kind, id },
    message,
    since: Ts::from_micros(0),
    at_risk,
  }
}

async fn failing_jobs(conn: &mut Conn, seen: &Seen<'_>) -> SvcResult<Vec<Attention>> {
  let since = seen.now.minus(DAY);
  let failures = watch_attempts::failures_since(conn, seen.namespace, (since, FAILURES)).await?;
  let mut names: HashMap<JobId, String> = HashMap::new();
  let mut ids: Vec<JobId> = Vec::new();
  for failure in failures.into_iter().filter(|failure| failure.job_name != ADHOC_JOB) {
    if ids.len() < JOBS_MAX && names.insert(failure.job_id, failure.job_name).is_none() {
      ids.push(failure.job_id);
    }
  }
  if ids.is_empty() {
    return Ok(Vec::new());
  }
  let live: HashMap<JobId, i64> = watch_jobs::live(conn, &ids).await?.into_iter().collect();
  let mut runs: HashMap<JobId, Vec<RecentRun>> = HashMap::new();
  for run in watch_jobs::recent(conn, &ids, (seen.now, RUNS)).await? {
    runs.entry(run.job_id).or_default().push(run);
  }
  let found = ids.iter().filter_map(|id| {
    let live = live.get(id).copied().unwrap_or(0).unsigned_abs();
    let failing = failing(runs.get(id)?, live)?;
    let name = names.get(id)?.clone();
    let (severity, message, since, at_risk) = failing;
    let it = entry(("job_failing", severity), (Topic::Job, id), (message, at_risk));
    Some(Attention { name, since, ..it })
  });
  Ok(found.collect())
}

/// Whether the newest runs of a job failed one after another.
fn failing(runs: &[RecentRun], live: u64) -> Option<(Severity, String, Ts, u64)> {
  let bad = |run: &&RecentRun| match run.marked.as_deref() {
    Some(marked) => marked == MarkedAs::Failed.as_str(),
    None => matches!(run.status, TaskStatus::Failed | TaskStatus::Lost),
  };
  let ended: Vec<&RecentRun> = runs.iter().filter(|run| run.status.is_final()).collect();
  let streak: Vec<&RecentRun> = ended.iter().copied().take_while(bad).collect();
  let (newest, oldest) = (streak.first()?, streak.last()?);
  let cause = match newest.status {
    TaskStatus::Lost => "lost with its agent".to_owned(),
    _ => end_words(newest.exit_code, newest.signal, newest.reason.as_deref(), None),
  };
  let n = streak.len();
  let more = if n as u64 == RUNS { "at least " } else { "" };
  let what = if n == 1 {
    "the last run failed".to_owned()
  } else {
    format!("the last {more}{n} runs failed")
  };
  let message = if cause.is_empty() { what } else { format!("{what}: {cause}") };
  let severity = if n > 1 { Severity::Error } else { Severity::Warning };
  Some((severity, message, oldest.completed_at.unwrap_or(oldest.scheduled_at), n as u64 + live))
}

fn agent_in_trouble(agent: &AgentRow, now: Ts) -> Option<Attention> {
  let running = u64::from(agent.running);
  let seen = agent.last_heartbeat_at.unwrap_or(Ts::from_micros(0));
  let (code, severity, message) = match agent.status {
    AgentStatus::Offline if running > 0 => {
      let message = format!("not heard of, with {running} tasks in hand");
      ("agent_lost", Severity::Error, message)
    }
    AgentStatus::Offline if now.since(seen) < DAY => {
      ("agent_offline", Severity::Warning, "not heard of".to_owned())
    }
    AgentStatus::Error => ("agent_error", Severity::Error, "reports an error".to_owned()),
    _ => return None,
  };
  let it = entry((code, severity), (Topic::Agent, &agent.id), (message, running));
  Some(Attention { since: seen, ..it })
}

async fn stuck_queues(conn: &mut Conn, seen: &Seen<'_>) -> SvcResult<Vec<Attention>> {
  let due = watch_tasks::due_classes(conn, seen.namespace, seen.now.minus(STUCK_AFTER)).await?;
  if due.is_empty() {
    return Ok(Vec::new());
  }
  let ids: Vec<i64> = due.iter().map(|one| one.class_id).collect();
  let classes: HashMap<i64, SelectorClass> =
    job_bmc::list_classes(conn, &ids).await?.into_iter().collect();
  let agents = watch_agents::all(conn).await?;
  let found = due
    .iter()
    .filter_map(|one| Some(stuck(one, classes.get(&one.class_id)?, (&agents, seen.agents))));
  Ok(found.collect())
}

/// Why tasks of a class are not taken.
fn stuck(
  due: &DueClass,
  class: &SelectorClass,
  (agents, rows): (&[AgentEntity], &[AgentRow]),
) -> Attention {
  let fitting: Vec<&AgentEntity> = agents.iter().filter(|agent| may_run(agent, class)).collect();
  let free = |agent: &&AgentEntity| {
    rows.iter().any(|row| row.id == agent.id && !row.cordoned && row.running < row.slots)
  };
  let tasks = due.tasks.unsigned_abs();
  let (wait, them) = if tasks == 1 { ("task waits", "it") } else { ("tasks wait", "them") };
  let wish = demands(class);
  let (severity, message) = if fitting.is_empty() {
    let judged: Vec<AgentWhy> =
      agents.iter().map(|agent| judge(agent, class, &Load::default())).collect();
    let why = summary(&judged);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    (Severity::Error, format!("{tasks} {wait} and no connected agent may run {them}{wish}{why}"))
  } else if fitting.iter().any(free) {
    (Severity::Error, format!("{tasks} {wait} although agents have free slots{wish}"))
  } else {
    let slots: u32 = fitting.iter().map(|agent| agent.capabilities.max_concurrent_tasks).sum();
    (Severity::Warning, format!("{tasks} {wait} for one of {slots} slots{wish}"))
  };
  let it =
    entry(("queue_stuck", severity), (Topic::Namespace, &due.namespace_id), (message, tasks));
  Attention { since: due.oldest, ..it }
}

fn demands(class: &SelectorClass) -> String {
  let labels = class.selector.conditions().iter().map(ToString::to_string);
  let kind = class.task_type.iter().map(|kind| format!("type {kind}"));
  let all: Vec<String> = labels.chain(kind).collect();
  if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn late_fires(times: &[AttemptTimes]) -> Option<Attention> {
  let fired = times.iter().filter(|one| one.attempt <= 1);
  let fired = fired.filter(|one| one.trigger_source == TriggerSource::Schedule);
  let late: Vec<(Ts, f64)> = fired
    .filter_map(|one| Some((one.scheduled_at, millis(one.scheduled_at, one.started_at?))))
    .collect();
  let figures = quantiles(late.iter().map(|(_, ms)| *ms).collect());
  if figures.n < SAMPLES_MIN || figures.p95 <= LATE_MS {
    return None;
  }
  let since = late.iter().filter(|(_, ms)| *ms > LATE_MS).map(|(at, _)| *at).min()?;
  let at_risk = late.iter().filter(|(_, ms)| *ms > LATE_MS).count() as u64;
  let usual = format_duration(Duration::from_millis(figures.p95 as u64));
  let message = format!("{at_risk} of the newest {} fires started late, p95 {usual}", figures.n);
  let subject = (Topic::Schedule, "fires");
  let it = entry(("fires_late", Severity::Warning), subject, (message, at_risk));
  Some(Attention { since, ..it })
}

#[cfg(test)]
mod tests {
  use super::*;

  fn run(status: TaskStatus, code: Option<i64>) -> RecentRun {
    RecentRun {
      job_id: JobId::generate(),
      scheduled_at: Ts::now(),
      status,
      started_at: None,
      completed_at: Some(Ts::now()),
      exit_code: code,
      signal: None,
      reason: code.map(|code| format!("exit_code({code})")),
      marked: None,
    }
  }

  #[test]
  fn a_job_fails_while_its_newest_ends_are_bad() {
    let (bad, good) = (run(TaskStatus::Failed, Some(137)), run(TaskStatus::Succeeded, Some(0)));
    let live = run(TaskStatus::Running, None);
    assert!(failing(&[good.clone(), bad.clone()], 0).is_none());
    assert!(failing(std::slice::from_ref(&live), 1).is_none());
    let seen = RecentRun { marked: Some("succeeded".to_owned()), ..bad.clone() };
    assert!(failing(&[seen, bad.clone()], 0).is_none(), "somebody has said that it is fine");
    let once = failing(&[live.clone(), bad.clone(), good.clone()], 1).expect("failing");
    assert_eq!(
      (once.0, once.1.as_str()),
      (Severity::Warning, "the last run failed: exit 137 (OOM)")
    );
    let often = failing(&[bad.clone(), bad.clone(), bad.clone(), good], 2).expect("failing");
    assert_eq!(often.1, "the last 3 runs failed: exit 137 (OOM)");
    assert_eq!((often.0, often.3), (Severity::Error, 5));
  }

  #[test]
  fn fires_are_late_only_when_many_are() {
    let fire = |secs: u64| AttemptTimes {
      trigger_source: TriggerSource::Schedule,
      scheduled_at: Ts::now(),
      attempt: 1,
      started_at: Some(Ts::now().plus(Duration::from_secs(secs))),
      completed_at: None,
    };
    assert!(late_fires(&[fire(9), fire(9)]).is_none());
    assert!(late_fires(&vec![fire(0); 50]).is_none());
    let late = late_fires(&vec![fire(3); 6]).expect("late");
    assert_eq!((late.code.as_str(), late.at_risk), ("fires_late", 6));
  }
}
