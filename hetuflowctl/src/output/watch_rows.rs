//! How the rows of watches stand in a table.

use std::time::Duration;

use hetuflow_core::{
  AgentRow, AgentStatus, EventRow, FireRow, JobRow, Quantiles, ServerRow, TaskRow, TaskStatus, Ts,
};

use super::cell::Cell;
use super::view::{Column, TableRow};

fn millis(millis: i64) -> Cell {
  Cell::Took(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

impl TableRow for TaskRow {
  const KIND: &'static str = "task";
  const COLUMNS: &'static [Column] = &[
    Column::new("TASK"),
    Column::wide("NAMESPACE"),
    Column::new("JOB"),
    Column::new("STATE"),
    Column::new("EXIT"),
    Column::new("TRY"),
    Column::new("AGENT"),
    Column::new("SCHEDULED"),
    Column::new("TOOK"),
    Column::new("WHY"),
    Column::wide("PRIO"),
    Column::wide("BY"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.id.short()
  }
  fn cells(&self) -> Vec<Cell> {
    let exit = match (self.signal, self.exit_code) {
      (Some(signal), _) => Cell::text(format!("signal {signal}")),
      (None, Some(code)) => Cell::Number(i64::from(code)),
      (None, None) => Cell::Empty,
    };
    let took = match (self.run_ms, self.started_at) {
      (Some(run), _) => millis(run),
      (None, Some(from)) if self.status == TaskStatus::Running => Cell::span(Some(from), None),
      _ => Cell::Empty,
    };
    let why =
      if self.why.is_empty() { self.reason.clone().unwrap_or_default() } else { self.why.clone() };
    vec![
      Cell::text(self.id.short()),
      Cell::text(self.namespace_id.as_str()),
      Cell::text(&self.job),
      Cell::State(self.status.to_string()),
      exit,
      Cell::text(format!("{}/{}", self.attempt, self.attempts_max)),
      Cell::maybe(self.agent_id.as_ref(), |agent| Cell::text(agent.as_str())),
      Cell::At(self.scheduled_at),
      took,
      Cell::text(why),
      Cell::Number(i64::from(self.priority)),
      Cell::text(self.trigger_source.as_str()),
      Cell::text(self.id.to_string()),
    ]
  }
}

impl TableRow for JobRow {
  const KIND: &'static str = "job";
  const COLUMNS: &'static [Column] = &[
    Column::new("NAME"),
    Column::wide("NAMESPACE"),
    Column::new("STATUS"),
    Column::new("VERSION"),
    Column::new("LIVE"),
    Column::new("LAST"),
    Column::new("NEXT"),
    Column::new("P50"),
    Column::new("P95"),
    Column::new("SCHEDULES"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let schedules: Vec<&str> = self.schedules.iter().map(|one| one.text.as_str()).collect();
    vec![
      Cell::text(&self.name),
      Cell::text(self.namespace_id.as_str()),
      Cell::State(if self.enabled { "enabled" } else { "disabled" }.to_owned()),
      Cell::Number(i64::from(self.version)),
      Cell::Number(i64::try_from(self.live).unwrap_or(i64::MAX)),
      Cell::maybe(self.last_runs.last(), |state| Cell::State(state.to_string())),
      Cell::maybe(self.next_fire_at, Cell::At),
      quantile(&self.duration, self.duration.p50),
      quantile(&self.duration, self.duration.p95),
      Cell::text(schedules.join("; ")),
      Cell::text(self.id.to_string()),
    ]
  }
}

fn quantile(all: &Quantiles, value: f64) -> Cell {
  if all.n == 0 { Cell::Empty } else { Cell::Took(Duration::from_secs_f64(value.max(0.0) / 1e3)) }
}

impl TableRow for AgentRow {
  const KIND: &'static str = "agent";
  const COLUMNS: &'static [Column] = &[
    Column::new("AGENT"),
    Column::new("STATUS"),
    Column::new("RUNNING"),
    Column::new("CPU%"),
    Column::new("MEM%"),
    Column::new("BEAT"),
    Column::new("HOST"),
    Column::new("VERSION"),
    Column::new("WHY"),
    Column::wide("LABELS"),
    Column::wide("SERVER"),
    Column::wide("CLOCK-MS"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    let status = match self.status {
      AgentStatus::Draining => "draining".to_owned(),
      _ if self.cordoned => "cordoned".to_owned(),
      status => status.to_string(),
    };
    let percent =
      |value: Option<f64>| Cell::maybe(value, |value| Cell::text(format!("{value:.0}")));
    vec![
      Cell::text(self.id.as_str()),
      Cell::State(status),
      Cell::text(format!("{}/{}", self.running, self.slots)),
      percent(self.cpu_percent),
      percent(self.memory_percent),
      Cell::maybe(self.last_heartbeat_at, Cell::At),
      Cell::text(&self.hostname),
      Cell::text(&self.version),
      Cell::text(&self.why),
      Cell::text(super::place_rows::own_labels(&self.labels)),
      Cell::maybe(self.server_id.as_ref(), |server| Cell::text(server.as_str())),
      Cell::maybe(self.clock_offset_ms, |ms| Cell::text(format!("{ms:.1}"))),
    ]
  }
}

impl TableRow for ServerRow {
  const KIND: &'static str = "server";
  const COLUMNS: &'static [Column] = &[
    Column::new("SERVER"),
    Column::new("STATUS"),
    Column::new("ADDRESS"),
    Column::new("VERSION"),
    Column::new("AGENTS"),
    Column::new("BEAT"),
    Column::new("STARTED"),
    Column::wide("FIGURES"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    let figures: Vec<String> =
      self.figures.iter().map(|(name, value)| format!("{name}={value}")).collect();
    vec![
      Cell::text(self.id.as_str()),
      Cell::State(self.status.to_string()),
      Cell::text(&self.address),
      Cell::text(&self.version),
      Cell::Number(i64::from(self.agents)),
      Cell::At(self.last_heartbeat_at),
      Cell::At(self.started_at),
      Cell::text(figures.join(" ")),
    ]
  }
}

impl TableRow for FireRow {
  const KIND: &'static str = "fire";
  const COLUMNS: &'static [Column] = &[
    Column::new("AT"),
    Column::new("SCHEDULE"),
    Column::new("JOB"),
    Column::new("NOTE"),
    Column::wide("NAMESPACE"),
  ];
  fn reference(&self) -> String {
    format!("{}@{}", self.schedule_id, self.at)
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::At(self.at),
      Cell::text(&self.schedule),
      Cell::text(&self.job),
      Cell::text(&self.note),
      Cell::text(self.namespace_id.as_str()),
    ]
  }
}

impl TableRow for EventRow {
  const KIND: &'static str = "event";
  const COLUMNS: &'static [Column] = &[
    Column::new("SEQ"),
    Column::new("TIME"),
    Column::new("TYPE"),
    Column::new("OBJECT"),
    Column::new("DETAIL"),
    Column::wide("NAMESPACE"),
  ];
  fn reference(&self) -> String {
    format!("{}.{}", self.seq, self.index)
  }
  fn cells(&self) -> Vec<Cell> {
    let at: Ts = self.change.at;
    vec![
      Cell::Number(self.seq),
      Cell::At(at),
      Cell::text(&self.change.event_type),
      Cell::text(&self.name),
      Cell::text(&self.detail),
      Cell::text(self.namespace_id.as_str()),
    ]
  }
}
