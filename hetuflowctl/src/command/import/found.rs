//! What was found in another scheduler: jobs, their schedules with the source's own rule, and
//! what has to stay behind.

use std::collections::BTreeSet;

use hetuflow_core::{
  ApplyChange, JobForCreate, MisfirePolicy, OverlapPolicy, ScheduleForCreate, TaskConfig,
  check_name,
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::wall::Pattern;

/// Everything of one import.
#[derive(Debug, Default)]
pub struct Found {
  /// The jobs.
  pub jobs: Vec<FoundJob>,
  /// What cannot come along: where it stands and why.
  pub left: Vec<(String, String)>,
  /// What an apply did with the jobs.
  pub applied: Vec<ApplyChange>,
}

/// A job of another scheduler.
#[derive(Debug)]
pub struct FoundJob {
  /// Where it stands: `/etc/crontab:7`.
  pub place: String,
  /// As a job of ours.
  pub job: JobForCreate,
  /// The times, in the order of the job's schedules.
  pub times: Vec<FoundTime>,
  /// What is not quite the same here.
  pub notes: Vec<String>,
}

/// A schedule of another scheduler.
#[derive(Debug)]
pub struct FoundTime {
  /// As it is written there.
  pub theirs: String,
  /// Its zone.
  pub zone: TimeZone,
  /// When it fires by the rules of there; `None` where that cannot be computed.
  pub pattern: Option<Pattern>,
}

/// How a schedule behaves besides its times.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
  /// While an earlier run lives.
  pub overlap: OverlapPolicy,
  /// Missed instants.
  pub misfire: MisfirePolicy,
}

impl FoundJob {
  /// A job without schedules yet.
  pub fn new(place: String, name: &str, config: TaskConfig) -> Self {
    let job = JobForCreate { name: name.to_owned(), config, ..JobForCreate::default() };
    Self { place, job, times: Vec::new(), notes: Vec::new() }
  }

  /// Adds a cron schedule.
  pub fn add(&mut self, (cron, zone_name): (String, &str), manners: Manners, time: FoundTime) {
    self.job.schedules.push(ScheduleForCreate {
      cron_expression: Some(cron),
      timezone: Some(zone_name.to_owned()),
      overlap_policy: Some(manners.overlap),
      misfire_policy: Some(manners.misfire),
      ..ScheduleForCreate::default()
    });
    self.times.push(time);
  }

  /// Adds a word on what is not quite the same.
  pub fn note(&mut self, text: impl Into<String>) {
    self.notes.push(text.into());
  }

  /// As a manifest.
  pub fn manifest(&self) -> Value {
    let mut spec = json!(self.job);
    let fields = spec.as_object_mut().expect("a job is an object");
    for outside in ["name", "namespace_id", "labels"] {
      fields.remove(outside);
    }
    fields.retain(|_, value| !matches!(value, Value::String(text) if text.is_empty()));
    fields.retain(|_, value| value != &json!({}));
    if let Some(schedules) = fields.get_mut("schedules").and_then(Value::as_array_mut) {
      for schedule in schedules.iter_mut().filter_map(Value::as_object_mut) {
        schedule.retain(|_, value| !value.is_null() && *value != json!("") && *value != json!({}));
      }
    }
    let mut metadata = json!({ "name": self.job.name, "labels": self.job.labels });
    if let Some(namespace) = &self.job.namespace_id {
      metadata["namespace"] = json!(namespace);
    }
    json!({ "apiVersion": hetuflow_core::API_VERSION, "kind": "Job", "metadata": metadata, "spec": spec })
  }
}

impl Found {
  /// Leaves something behind.
  pub fn leave(&mut self, place: impl Into<String>, why: impl Into<String>) {
    self.left.push((place.into(), why.into()));
  }

  /// Gives every job and every schedule a name of its own, and the label of its source.
  pub fn settle(&mut self, source: &str) {
    let mut names = BTreeSet::new();
    for found in &mut self.jobs {
      found.job.name = own_name(&found.job.name, &mut names);
      found.job.labels.insert("imported-from".to_owned(), source.to_owned());
    }
  }
}

/// A text as a name; what does not belong in one becomes a dash.
pub fn name_of(text: &str) -> String {
  let dashed: String = text
    .chars()
    .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
    .collect();
  let name: String = dashed.trim_matches(['-', '.', '_']).chars().take(100).collect();
  check_name(&name, "").unwrap_or_else(|_| "job".to_owned())
}

fn own_name(wanted: &str, taken: &mut BTreeSet<String>) -> String {
  let wanted = match wanted {
    "adhoc" => "adhoc-job",
    other => other,
  };
  let mut name = wanted.to_owned();
  let mut number = 2;
  while !taken.insert(name.clone()) {
    name = format!("{wanted}-{number}");
    number += 1;
  }
  name
}
