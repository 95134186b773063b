//! The first screen.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::{
  AgentRow, AgentStatus, EventRow, Overview, Quantiles, ServerStatus, TaskRow, Topic,
  TriggerSource, Ts,
};

use super::agents::agent_rows;
use super::answer::Found;
use super::attention;
use super::events;
use super::fires::next_fires;
use super::hub::WatchSvc;
use super::quantiles::{millis, quantiles};
use super::question::Question;
use super::servers::server_rows;
use super::tasks::task_row;
use crate::infra::bmc::watch_attempts::{self, AttemptTimes};
use crate::infra::bmc::{watch_jobs, watch_tasks};
use crate::infra::db::Conn;
use crate::service::SvcResult;

/// Attempts that latencies come from.
const ATTEMPTS: u64 = 1000;
/// Rows of each list on the screen.
const ROWS: usize = 12;
/// Events on the screen.
const EVENTS: usize = 20;
/// Attempts that ran longer are not counted on the day that they end.
const REACH: Duration = Duration::from_secs(24 * 3600);

/// All that the first screen shows.
///
/// # Errors
/// Any database error.
pub(super) async fn find(
  hub: &WatchSvc,
  conn: &mut Conn,
  question: &Question,
  (now, seq): (Ts, i64),
) -> SvcResult<Found> {
  let namespace = question.namespace.as_ref();
  let counts = watch_tasks::live_counts(conn, namespace).await?;
  let agents = agent_rows(conn, question.own.as_ref()).await?;
  let up = |agent: &&AgentRow| agent.status != AgentStatus::Offline;
  let (slots_used, slots) = agents
    .iter()
    .filter(up)
    .fold((0, 0), |(used, slots), agent| (used + agent.running, slots + agent.slots));
  let ids = watch_tasks::longest_running(conn, namespace, ROWS as u64).await?;
  let mut running: Vec<TaskRow> =
    watch_tasks::by_ids(conn, &ids).await?.into_iter().map(task_row).collect();
  running.sort_by_key(|task| (task.started_at, task.id));
  let mut events = events::newest(conn, namespace, (seq, EVENTS), is_news).await?;
  events::name(conn, &mut events).await?;
  let times = watch_attempts::newest_times(conn, namespace, ATTEMPTS).await?;
  let (fire_late, wait, run) = latencies(&times);
  let servers = server_rows(hub, conn, now).await?;
  let rates = hub.rates.lock().await.read(conn, namespace, now).await?;
  let seen = attention::Seen { namespace, agents: &agents, fires: &times, now };
  let attention = attention::find(conn, &seen).await?;
  let midnight = Ts::from_micros(now.micros() - now.micros().rem_euclid(24 * 3_600_000_000));
  let today = watch_attempts::ends_since(conn, namespace, (midnight, REACH)).await?;
  let overview = Overview {
    counts: counts.into_iter().map(|(status, n)| (status.to_string(), n.unsigned_abs())).collect(),
    oldest_pending_at: watch_tasks::oldest_due(conn, namespace, now).await?,
    slots_used,
    slots,
    rates,
    fire_late,
    wait,
    run,
    today: today.into_iter().map(|(status, n)| (status.to_string(), n.unsigned_abs())).collect(),
    attention,
    running,
    agents: worst_first(agents),
    fires: next_fires(hub, conn, namespace, (now, ROWS)).await?,
    events,
    servers_up: servers.iter().filter(|row| row.status == ServerStatus::Active).count() as u32,
    servers: servers.len() as u32,
    jobs: jobs_by_state(watch_jobs::by_status(conn, namespace).await?),
  };
  Ok(Found::object(&overview).ageing())
}

/// Failures and what people did.
fn is_news(row: &EventRow) -> bool {
  match row.change.subject.kind {
    Topic::Task | Topic::TaskInstance => {
      matches!(row.change.event_type.as_str(), "task.failed" | "task.lost" | "task.expired")
    }
    _ => true,
  }
}

fn worst_first(mut agents: Vec<AgentRow>) -> Vec<AgentRow> {
  agents.sort_by_key(|agent| {
    let rank = match (agent.status, agent.running) {
      (AgentStatus::Offline, 1..) => 0,
      (AgentStatus::Error, _) => 1,
      (AgentStatus::Offline, _) => 2,
      _ if agent.cordoned => 3,
      _ => 4,
    };
    (rank, std::cmp::Reverse(agent.running))
  });
  agents.truncate(ROWS);
  agents
}

/// Switched on or not: a job that was only made counts as switched off.
fn jobs_by_state(rows: Vec<(String, i64)>) -> BTreeMap<String, u64> {
  let mut jobs = BTreeMap::from([("enabled".to_owned(), 0), ("disabled".to_owned(), 0)]);
  for (status, n) in rows {
    let state = if status == "enabled" { "enabled" } else { "disabled" };
    *jobs.entry(state.to_owned()).or_default() += n.unsigned_abs();
  }
  jobs
}

/// How late fires started, how long tasks waited, how long runs took.
fn latencies(times: &[AttemptTimes]) -> (Quantiles, Quantiles, Quantiles) {
  let first = |one: &&AttemptTimes| one.attempt <= 1;
  let wait = |one: &AttemptTimes| one.started_at.map(|at| millis(one.scheduled_at, at));
  let fired =
    times.iter().filter(first).filter(|one| one.trigger_source == TriggerSource::Schedule);
  let run = times.iter().filter_map(|one| Some(millis(one.started_at?, one.completed_at?)));
  (
    quantiles(fired.filter_map(wait).collect()),
    quantiles(times.iter().filter(first).filter_map(wait).collect()),
    quantiles(run.collect()),
  )
}
