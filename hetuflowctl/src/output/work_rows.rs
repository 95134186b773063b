//! How work stands in a table: jobs, schedules, fires, tasks, attempts.

use std::time::Duration;

use hetuflow_core::{
  DstGap, DstOverlap, FireEntity, IntervalFrom, JobEntity, QUEUE_MAX_DEFAULT, ScheduleEntity,
  ScheduleKind, TaskEntity, TaskInstanceEntity, Ts, short_id,
};
use serde_json::{Value, json};

use super::cell::Cell;
use super::view::{Column, TableRow};

impl TableRow for JobEntity {
  const KIND: &'static str = "job";
  const COLUMNS: &'static [Column] = &[
    Column::new("NAME"),
    Column::wide("NAMESPACE"),
    Column::new("STATUS"),
    Column::new("VERSION"),
    Column::new("RUNS"),
    Column::new("UPDATED"),
    Column::new("DESCRIPTION"),
    Column::wide("OWNER"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.name),
      Cell::text(self.namespace_id.as_str()),
      Cell::State(self.status.to_string()),
      Cell::Number(self.version),
      Cell::text(self.config.program().as_str()),
      Cell::At(self.updated_at),
      Cell::text(&self.description),
      Cell::text(&self.owner),
      Cell::text(self.id.to_string()),
    ]
  }
}

/// A job as `apply -f` takes it; what only the server knows stands under `status`.
pub fn job_manifest(job: &JobEntity, schedules: &[ScheduleEntity]) -> Value {
  let mut spec =
    json!({ "description": job.description, "status": job.status, "config": job.config });
  let fields = spec.as_object_mut().expect("an object");
  if !job.environment.is_empty() {
    fields.insert("environment".into(), json!(job.environment));
  }
  if !job.owner.is_empty() {
    fields.insert("owner".into(), json!(job.owner));
  }
  if !schedules.is_empty() {
    // By name: the same text wherever the same schedules are.
    let mut schedules: Vec<&ScheduleEntity> = schedules.iter().collect();
    schedules.sort_by(|a, b| a.name.cmp(&b.name));
    let schedules: Vec<Value> = schedules.into_iter().map(schedule_spec).collect();
    fields.insert("schedules".into(), json!(schedules));
  }
  json!({
    "apiVersion": hetuflow_core::API_VERSION,
    "kind": "Job",
    "metadata": { "name": job.name, "namespace": job.namespace_id, "labels": job.labels },
    "spec": spec,
    "status": { "id": job.id, "version": job.version, "created_at": job.created_at, "updated_at": job.updated_at },
  })
}

fn schedule_spec(schedule: &ScheduleEntity) -> Value {
  let mut spec = json!({
    "name": schedule.name,
    "schedule_kind": schedule.schedule_kind,
    "timezone": schedule.timezone,
    "status": schedule.status,
    "overlap_policy": schedule.overlap_policy,
    "misfire_policy": schedule.misfire_policy,
    "misfire_grace_secs": schedule.misfire_grace_secs,
    "catchup_max": schedule.catchup_max,
    "priority": schedule.priority,
  });
  let fields = spec.as_object_mut().expect("an object");
  let mut put = |name: &str, value: Value| {
    if !value.is_null() && value != json!({}) && value != json!("") {
      fields.insert(name.to_owned(), value);
    }
  };
  put("description", json!(schedule.description));
  put("cron_expression", json!(schedule.cron_expression));
  put("interval_secs", json!(schedule.interval_secs));
  let gap = Some(schedule.dst_gap).filter(|gap| *gap != DstGap::Auto);
  put("dst_gap", json!(gap));
  let overlap = Some(schedule.dst_overlap).filter(|overlap| *overlap != DstOverlap::Auto);
  put("dst_overlap", json!(overlap));
  put("jitter_secs", json!(Some(schedule.jitter_secs).filter(|secs| *secs != 0)));
  put("include", json!(Some(&schedule.include).filter(|rules| !rules.is_empty())));
  put("exclude", json!(Some(&schedule.exclude).filter(|rules| !rules.is_empty())));
  let from = Some(schedule.interval_from).filter(|from| *from != IntervalFrom::Start);
  put("interval_from", json!(from));
  put("queue_max", json!(Some(schedule.queue_max).filter(|most| *most != QUEUE_MAX_DEFAULT)));
  put("start_time", json!(schedule.start_time));
  put("end_time", json!(schedule.end_time));
  put("max_count", json!(schedule.max_count));
  put("max_concurrent", json!(schedule.max_concurrent));
  put("parameters", json!(schedule.parameters));
  put("environment", json!(schedule.environment));
  spec
}

impl TableRow for ScheduleEntity {
  const KIND: &'static str = "schedule";
  const COLUMNS: &'static [Column] = &[
    Column::new("NAME"),
    Column::wide("NAMESPACE"),
    Column::new("STATUS"),
    Column::new("WHEN"),
    Column::new("TIMEZONE"),
    Column::new("NEXT"),
    Column::new("LAST"),
    Column::wide("RUNS"),
    Column::wide("OVERLAP"),
    Column::wide("MISFIRE"),
    Column::wide("REASON"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let when = match (self.schedule_kind, &self.cron_expression, self.interval_secs) {
      (ScheduleKind::Cron, Some(expression), _) => expression.clone(),
      (ScheduleKind::Interval, _, Some(secs)) => {
        let every = Duration::from_secs(u64::try_from(secs).unwrap_or(0));
        format!("every {}", hetuflow_core::format_duration(every))
      }
      (kind, ..) => kind.to_string(),
    };
    vec![
      Cell::text(&self.name),
      Cell::text(self.namespace_id.as_str()),
      Cell::State(self.status.to_string()),
      Cell::text(when),
      Cell::text(&self.timezone),
      Cell::maybe(self.next_fire_at, Cell::At),
      Cell::maybe(self.last_run_at, Cell::At),
      Cell::Number(self.run_count),
      Cell::text(self.overlap_policy.as_str()),
      Cell::text(self.misfire_policy.as_str()),
      Cell::maybe(self.status_reason.as_deref(), Cell::text),
      Cell::text(self.id.to_string()),
    ]
  }
}

impl TableRow for TaskEntity {
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
    Column::new("REASON"),
    Column::wide("PRIO"),
    Column::wide("BY"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.id.short()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(self.id.short()),
      Cell::text(self.namespace_id.as_str()),
      Cell::text(&self.job_name),
      Cell::State(self.status.to_string()),
      exit_cell(self.exit_code, self.signal),
      Cell::Number(self.attempt),
      Cell::maybe(self.agent_id.as_ref(), |agent| Cell::text(agent.as_str())),
      Cell::At(self.scheduled_at),
      took(self.started_at, self.completed_at, self.status.is_final()),
      match self.waits_for(Ts::now()) {
        Some(words) => Cell::text(words),
        None => reason_cell(self.reason.as_deref(), self.progress, self.progress_note.as_deref()),
      },
      Cell::Number(self.priority),
      Cell::text(self.trigger_source.as_str()),
      Cell::text(self.id.to_string()),
    ]
  }
}

fn exit_cell(code: Option<i64>, signal: Option<i64>) -> Cell {
  match (code, signal) {
    (_, Some(signal)) => Cell::text(format!("signal {signal}")),
    (Some(code), None) => Cell::Number(code),
    (None, None) => Cell::Empty,
  }
}

/// Why it ended as it did; while nothing is to be said of that, how far it says it is.
fn reason_cell(reason: Option<&str>, progress: Option<f64>, note: Option<&str>) -> Cell {
  match (reason, progress) {
    (Some(reason), _) => Cell::text(reason),
    (None, Some(share)) => {
      let words = format!("{:.0}% {}", share * 100.0, note.unwrap_or_default());
      Cell::text(words.trim_end())
    }
    (None, None) => Cell::Empty,
  }
}

fn took(from: Option<Ts>, to: Option<Ts>, ended: bool) -> Cell {
  if ended && to.is_none() { Cell::Empty } else { Cell::span(from, to) }
}

impl TableRow for TaskInstanceEntity {
  const KIND: &'static str = "attempt";
  const COLUMNS: &'static [Column] = &[
    Column::new("TASK"),
    Column::new("TRY"),
    Column::new("STATE"),
    Column::new("EXIT"),
    Column::new("AGENT"),
    Column::new("STARTED"),
    Column::new("TOOK"),
    Column::new("OUTPUT"),
    Column::new("REASON"),
    Column::wide("LATE-US"),
    Column::wide("PID"),
    Column::new("ID"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(short_id(&self.task_id.0)),
      Cell::Number(self.attempt),
      Cell::State(self.status.to_string()),
      exit_cell(self.exit_code, self.signal),
      Cell::maybe(self.agent_id.as_ref(), |agent| Cell::text(agent.as_str())),
      Cell::maybe(self.started_at, Cell::At),
      took(self.started_at, self.completed_at, self.status.is_final()),
      Cell::Number(self.log_bytes),
      reason_cell(self.reason.as_deref(), self.progress, self.progress_note.as_deref()),
      Cell::maybe(self.start_skew_us, Cell::Number),
      Cell::maybe(self.pid, Cell::Number),
      Cell::text(self.id.to_string()),
    ]
  }
}

impl TableRow for FireEntity {
  const KIND: &'static str = "fire";
  const COLUMNS: &'static [Column] = &[
    Column::new("AT"),
    Column::new("DECISION"),
    Column::new("TASK"),
    Column::new("COUNT"),
    Column::new("REASON"),
    Column::wide("REV"),
    Column::wide("ID"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::At(self.fire_at),
      Cell::State(self.decision.to_string()),
      Cell::maybe(self.task_id, |task| Cell::text(task.short())),
      Cell::Number(self.count),
      Cell::maybe(self.reason.as_deref(), Cell::text),
      Cell::Number(self.schedule_rev),
      Cell::text(self.id.to_string()),
    ]
  }
}
