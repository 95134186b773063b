//! A namespace in virtual time: what is asked, and what would happen.

use serde::{Deserialize, Serialize};

use super::job::JobForCreate;
use super::task_config::Seconds;
use crate::protocol::Quantiles;
use crate::types::{FieldError, Labels, NamespaceId, Ts};

/// Simulated time where nobody says otherwise, in seconds: a week.
pub const SIMULATED_SECS_DEFAULT: u64 = 7 * 86_400;
/// Longest simulated time, in seconds: 31 days.
pub const SIMULATED_SECS_MAX: u64 = 31 * 86_400;
/// How long a run takes where its job has no history and nobody says otherwise, in seconds.
pub const DURATION_SECS_DEFAULT: u64 = 60;

/// What to simulate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SimulateRequest {
  /// The namespace; the token's or the default one where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub namespace_id: Option<NamespaceId>,
  /// Manifests that are taken as if they were applied.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub jobs: Vec<JobForCreate>,
  /// As for an apply.
  #[serde(skip_serializing_if = "Labels::is_empty")]
  pub scope: Labels,
  /// As for an apply.
  #[serde(skip_serializing_if = "std::ops::Not::not")]
  pub prune: bool,
  /// The first instant; now where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub from: Option<Ts>,
  /// How long, up to 31 days; 7 days where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub duration: Option<Seconds>,
  /// Runs at the same time; the slots of the agents that are there where not said, 0 is no limit.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub slots: Option<i64>,
  /// How long a run takes whose job has no history; 60 s where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub run: Option<Seconds>,
  /// The same seed and the same world give the same answer; 1 where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub seed: Option<u64>,
}

impl SimulateRequest {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    let bad = |field: &str, message: String| FieldError::new("number.range", field, message);
    let secs = self.duration.map_or(SIMULATED_SECS_DEFAULT, |duration| duration.0.as_secs());
    if !(60..=SIMULATED_SECS_MAX).contains(&secs) {
      errors.push(bad("/duration", "duration is 1 minute to 31 days".to_owned()));
    }
    if self.slots.is_some_and(|slots| !(0..=1_000_000).contains(&slots)) {
      errors.push(bad("/slots", "slots is 0 to 1,000,000".to_owned()));
    }
    if self.run.is_some_and(|run| run.0.as_secs() > SIMULATED_SECS_MAX) {
      errors.push(bad("/run", "run is at most 31 days".to_owned()));
    }
  }
}

/// The most there was of something, and when first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SimulatedPeak {
  /// How many.
  pub count: i64,
  /// When; none where there was nothing.
  pub at: Option<Ts>,
}

/// The load, minute by minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SimulatedLoad {
  /// Runs that started.
  pub started: Vec<u32>,
  /// Most runs at the same time.
  pub running: Vec<u32>,
  /// Most runs that waited for a slot.
  pub waiting: Vec<u32>,
}

/// What happened to one schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SimulatedSchedule {
  /// The schedule.
  pub schedule: String,
  /// Its job.
  pub job: String,
  /// How its runs overlap, as its policy says.
  pub overlap_policy: String,
  /// How long its runs took, in seconds: the middle.
  pub p50_secs: f64,
  /// The same: 95 of 100 took no longer.
  pub p95_secs: f64,
  /// Runs of the past that this was learned from; 0 is the default.
  pub learned_from: u32,
  /// Instants.
  pub fires: i64,
  /// Runs that started.
  pub runs: i64,
  /// Instants left out, because an earlier run was alive.
  pub skipped: i64,
  /// Runs that waited for an earlier run.
  pub queued: i64,
  /// Runs that were stopped for a newer one.
  pub stopped: i64,
  /// How late runs started, in milliseconds.
  pub late: Quantiles,
  /// Seconds that its runs took together.
  pub busy_secs: f64,
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Simulation {
  /// The first instant.
  pub from: Ts,
  /// The last instant.
  pub until: Ts,
  /// The seed.
  pub seed: u64,
  /// Runs at the same time; 0 is no limit.
  pub slots: i64,
  /// Agents whose slots these are; none where they were given.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agents: Option<i64>,
  /// Instants.
  pub fires: i64,
  /// Runs that started.
  pub runs: i64,
  /// Instants left out, because an earlier run was alive.
  pub skipped: i64,
  /// Runs that waited for an earlier run.
  pub queued: i64,
  /// Runs that were stopped for a newer one.
  pub stopped: i64,
  /// Runs that were not over at the end, or had not begun.
  pub unfinished: i64,
  /// Most runs at the same time.
  pub peak_running: SimulatedPeak,
  /// Most runs that waited for a slot.
  pub peak_waiting: SimulatedPeak,
  /// How much of the slots was in use, 0 to 1; none without a limit.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub in_use: Option<f64>,
  /// How late runs started, in milliseconds.
  pub late: Quantiles,
  /// The load.
  pub load: SimulatedLoad,
  /// One row per schedule, those with most trouble first.
  pub schedules: Vec<SimulatedSchedule>,
  /// Schedules that could not be simulated, and why.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub left_out: Vec<String>,
}
