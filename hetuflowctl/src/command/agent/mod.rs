//! Agents as a fleet: labels, drains, orders, figures.

pub mod drain;
pub mod label;
pub mod order;

use hetuflow_core::{AgentEntity, AgentMetrics, is_measured_label};

use super::names::expand;
use super::object::{self, Kind};
use super::session::Session;
use crate::client::CtlError;
use crate::output::{Outcome, View, human_bytes, visible};

/// Shows agents, and on stderr what is in force on each host and how it fares.
///
/// # Errors
/// When one is not there.
pub async fn get(session: &Session, names: &[String]) -> Result<Outcome, CtlError> {
  let mut agents: Vec<AgentEntity> = Vec::new();
  for name in expand(names)? {
    agents.push(object::get::one(session, Kind::Agent, &name).await?);
  }
  let outcome = Outcome::from(View::things(&agents));
  Ok(agents.iter().flat_map(notes).map(|line| visible(&line)).fold(outcome, Outcome::note))
}

/// What a table has no room for.
fn notes(agent: &AgentEntity) -> Vec<String> {
  let mut lines = Vec::new();
  let told = &agent.capabilities.metadata;
  if let Some(limits) = told.get("sys_limits") {
    let keeper = told.get("sys_cgroup").map_or("none", String::as_str);
    lines.push(format!("{}  limits in force: {limits}; control groups: {keeper}", agent.id));
  }
  let measured: Vec<String> = agent
    .labels
    .iter()
    .filter(|(key, _)| is_measured_label(key))
    .map(|(key, value)| format!("{key}={value}"))
    .collect();
  if !measured.is_empty() {
    lines.push(format!("{}  host: {}", agent.id, measured.join(" ")));
  }
  let figures = agent.statistics.clone().and_then(|told| serde_json::from_value(told).ok());
  if let Some(figures) = figures {
    lines.push(format!("{}  {}", agent.id, load_words(&figures)));
  }
  lines
}

/// Load and health in one line.
pub fn load_words(figures: &AgentMetrics) -> String {
  format!(
    "cpu {:.0} %, memory {:.0} %, disk {:.0} %, load {:.2}, {} running, {} done ({:.1} % well), up {}s",
    figures.cpu_usage,
    figures.memory_usage,
    figures.disk_usage,
    figures.load1,
    figures.active_tasks,
    figures.total_executed,
    figures.success_rate * 100.0,
    figures.uptime
  )
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
  human_bytes(count as f64)
}
