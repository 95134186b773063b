//! Limits that tasks share: runs of a job at the same time, starts per time, named semaphores.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key_template::KeyTemplate;
use super::task_config::{Seconds, TaskConfig};
use crate::types::{FieldError, JobId, NamespaceId, ScheduleId, TaskId, Ts, check_name};

/// Most slots of a limit, and most starts of a rate.
pub const LIMIT_SLOTS_MAX: i64 = 1_000_000;
/// Longest span of a rate, in seconds: 31 days.
pub const RATE_SECS_MAX: u64 = 31 * 86_400;
/// Most semaphores that one task needs.
pub const TASK_SEMAPHORES_MAX: usize = 16;
/// How the name of what holds a debounced task back begins; nothing is counted under it.
pub const DEBOUNCE_LIMIT: &str = "debounce:";
/// Longest value of a key, in characters.
pub const LIMIT_KEY_CHARS_MAX: usize = 200;

/// At most so many starts within any span of this length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct RateLimit {
  /// Starts.
  pub rate: i64,
  /// Within this time.
  pub per_secs: Seconds,
}

impl RateLimit {
  /// Checks both numbers.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    check_count(self.rate, (1, &format!("{field}/rate")), errors);
    let per = self.per_secs.0;
    if per < Duration::from_millis(1) || per > Duration::from_secs(RATE_SECS_MAX) {
      let message = format!("{} s is out of range", per.as_secs_f64());
      errors.push(
        FieldError::new("duration.invalid", format!("{field}/per_secs"), message)
          .with_hint("write a time over 0, at most 31 days"),
      );
    }
  }
}

/// What a task needs of a named semaphore while it is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SemaphoreUse {
  /// The semaphore, in the task's namespace.
  pub name: String,
  /// How many of its slots; 1 where not said.
  #[serde(default = "one", skip_serializing_if = "is_one")]
  pub slots: i64,
  /// Its slots are counted apart for each value of this, as `{{ params.customer }}`.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub key: Option<String>,
}

fn one() -> i64 {
  1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(slots: &i64) -> bool {
  *slots == 1
}

/// What one task needs of one limit. The numbers of the limit are looked up when it is admitted,
/// so that a change counts for what waits already; only a run with settings of its own brings its
/// own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LimitDemand {
  /// Which: `job:ID`, `schedule:ID`, `semaphore:NAMESPACE/NAME` or that with `/KEY`.
  pub limit: String,
  /// How many slots.
  #[serde(default = "one", skip_serializing_if = "is_one")]
  pub slots: i64,
  /// Slots that there are, by the run's own settings.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub cap: Option<i64>,
  /// Starts that there may be, by the run's own settings.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub rate: Option<RateLimit>,
}

/// What a limit's name says.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitOf {
  /// Runs of a job.
  Job(JobId),
  /// Runs of a schedule.
  Schedule(ScheduleId),
  /// Holders of a semaphore.
  Semaphore {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// The value of its key.
    key: Option<String>,
  },
}

impl LimitOf {
  /// Reads a limit's name.
  pub fn read(limit: &str) -> Option<Self> {
    let (kind, rest) = limit.split_once(':')?;
    match kind {
      "job" => rest.parse().ok().map(Self::Job),
      "schedule" => rest.parse().ok().map(Self::Schedule),
      "semaphore" => {
        let mut parts = rest.splitn(3, '/').map(str::to_owned);
        let (namespace, name) = (parts.next()?, parts.next()?);
        Some(Self::Semaphore { namespace, name, key: parts.next() })
      }
      _ => None,
    }
  }
}

/// Everything that a task needs before it may be claimed, all or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gate(pub Vec<LimitDemand>);

/// What a task's gate is made from.
#[derive(Debug, Clone, Copy)]
pub struct GateSource<'a> {
  /// The settings that it runs by.
  pub config: &'a TaskConfig,
  /// Whether they are the run's own, in place of its job's.
  pub own: bool,
  /// Its job.
  pub job: JobId,
  /// Its schedule, where that has a limit.
  pub schedule: Option<ScheduleId>,
  /// Its namespace.
  pub namespace: &'a NamespaceId,
  /// Its parameters.
  pub parameters: Option<&'a Value>,
}

impl Gate {
  /// The gate of a new task; `None` where nothing limits it.
  ///
  /// # Errors
  /// A key whose value the parameters do not give.
  pub fn of(source: &GateSource<'_>) -> Result<Option<Self>, FieldError> {
    Self::build(source, |template, field| {
      template.render(source.parameters).map_err(|why| {
        FieldError::new("semaphore.key", field, why).with_hint("give it with the parameters")
      })
    })
  }

  /// As [`Gate::of`] where nobody can be told: what the parameters do not give counts as empty.
  pub fn of_fire(source: &GateSource<'_>) -> Option<Self> {
    let gate =
      Self::build(source, |template, _| Ok(template.render(source.parameters).unwrap_or_default()));
    gate.unwrap_or_default()
  }

  fn build(
    source: &GateSource<'_>,
    value: impl Fn(&KeyTemplate, String) -> Result<String, FieldError>,
  ) -> Result<Option<Self>, FieldError> {
    let config = source.config;
    let mut demands: Vec<LimitDemand> = Vec::new();
    if config.max_concurrent.is_some() || config.rate_limit.is_some() {
      let own = source.own;
      demands.push(LimitDemand {
        limit: format!("job:{}", source.job),
        slots: 1,
        cap: config.max_concurrent.filter(|_| own),
        rate: config.rate_limit.filter(|_| own),
      });
    }
    if let Some(schedule) = source.schedule {
      let limit = format!("schedule:{schedule}");
      demands.push(LimitDemand { limit, slots: 1, cap: None, rate: None });
    }
    for (index, wish) in config.semaphores.iter().enumerate() {
      let mut limit = format!("semaphore:{}/{}", source.namespace, wish.name);
      if let Some(text) = &wish.key {
        let field = format!("/config/semaphores/{index}/key");
        let template = KeyTemplate::parse(text)
          .map_err(|why| FieldError::new("semaphore.key", field.clone(), why))?;
        limit.push('/');
        limit.push_str(&value(&template, field)?);
      }
      // Two templates may come to the same value.
      match demands.iter_mut().find(|known| known.limit == limit) {
        Some(known) => known.slots += wish.slots,
        None => demands.push(LimitDemand { limit, slots: wish.slots, cap: None, rate: None }),
      }
    }
    demands.sort_by(|a, b| a.limit.cmp(&b.limit));
    Ok(Some(Self(demands)).filter(|gate| !gate.0.is_empty()))
  }

  /// The number under which tasks with the same demands wait: above 0, and the same on every
  /// server and in every release (FNV-1a over the JSON).
  pub fn number(&self) -> i64 {
    let text = serde_json::to_vec(self).expect("demands are plain data");
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
      (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 1) as i64).max(1)
  }
}

/// Checks the limits of a config.
pub fn check_limits(config: &TaskConfig, field: &str, errors: &mut Vec<FieldError>) {
  if let Some(slots) = config.max_concurrent {
    check_count(slots, (1, &format!("{field}/max_concurrent")), errors);
  }
  if let Some(rate) = &config.rate_limit {
    rate.check(&format!("{field}/rate_limit"), errors);
  }
  let wishes = &config.semaphores;
  if wishes.len() > TASK_SEMAPHORES_MAX {
    let message = format!("{} semaphores, {TASK_SEMAPHORES_MAX} are allowed", wishes.len());
    errors.push(FieldError::new("semaphore.too_many", format!("{field}/semaphores"), message));
    return;
  }
  for (index, wish) in wishes.iter().enumerate() {
    let here = format!("{field}/semaphores/{index}");
    if let Err(error) = check_name(&wish.name, &format!("{here}/name")) {
      errors.push(error);
    }
    check_count(wish.slots, (1, &format!("{here}/slots")), errors);
    if let Some(Err(why)) = wish.key.as_deref().map(KeyTemplate::parse) {
      errors.push(
        FieldError::new("semaphore.key", format!("{here}/key"), why)
          .with_hint("text and {{ params.NAME }}"),
      );
    }
    if wishes[..index].iter().any(|other| other.name == wish.name && other.key == wish.key) {
      let message = format!("{} stands here twice", wish.name);
      errors.push(FieldError::new("semaphore.twice", here, message).with_hint("slots: 2"));
    }
  }
}

/// A count between a least and the most that there may be.
pub fn check_count(count: i64, (least, field): (i64, &str), errors: &mut Vec<FieldError>) {
  if !(least..=LIMIT_SLOTS_MAX).contains(&count) {
    let message = format!("{count} is not between {least} and {LIMIT_SLOTS_MAX}");
    errors.push(FieldError::new("number.range", field, message));
  }
}

/// A named limit of a namespace, in `sched_semaphore`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SemaphoreEntity {
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its name.
  pub name: String,
  /// What it protects.
  #[serde(default)]
  pub description: String,
  /// Slots that may be taken at the same time, of each key; any number where none is said.
  pub slots: Option<i64>,
  /// Starts within `per_secs`, of each key.
  pub rate: Option<i64>,
  /// The span of the rate, in seconds.
  pub per_secs: Option<f64>,
  /// Who has set it last.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub updated_by: Option<String>,
  /// When it was made.
  pub created_at: Ts,
  /// When it was set.
  pub updated_at: Ts,
}

impl SemaphoreEntity {
  /// Its rate, where it has one.
  pub fn rate_limit(&self) -> Option<RateLimit> {
    let per = Duration::try_from_secs_f64(self.per_secs?).ok()?;
    Some(RateLimit { rate: self.rate?, per_secs: Seconds(per) })
  }
}

/// What a semaphore is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SemaphoreForPut {
  /// What it protects.
  #[serde(skip_serializing_if = "String::is_empty")]
  pub description: String,
  /// Slots that may be taken at the same time; 0 lets nothing start.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub slots: Option<i64>,
  /// Starts within `per_secs`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub rate: Option<i64>,
  /// The span of the rate.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub per_secs: Option<Seconds>,
}

impl SemaphoreForPut {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    super::job::check_text(&self.description, "/description", errors);
    if let Some(slots) = self.slots {
      check_count(slots, (0, "/slots"), errors);
    }
    match (self.rate, self.per_secs) {
      (Some(rate), Some(per_secs)) => RateLimit { rate, per_secs }.check("", errors),
      (None, None) => {}
      (Some(_), None) => {
        let rule = FieldError::new("semaphore.rate", "/per_secs", "rate needs a span");
        errors.push(rule.with_hint("rate: 10, per_secs: 60"));
      }
      (None, Some(_)) => {
        let rule = FieldError::new("semaphore.rate", "/rate", "per_secs is the span of a rate");
        errors.push(rule.with_hint("rate: 10, per_secs: 60"));
      }
    }
    if self.slots.is_none() && self.rate.is_none() {
      let rule = FieldError::new("semaphore.empty", "/slots", "it limits nothing");
      errors.push(rule.with_hint("give slots, or rate and per_secs"));
    }
  }
}

/// One task that has slots of a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LimitHolder {
  /// The task.
  pub task_id: TaskId,
  /// Its job's name.
  pub job_name: String,
  /// How many slots.
  pub slots: i64,
  /// Since when.
  pub taken_at: Ts,
}

/// A limit, how much of it is taken, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct LimitUse {
  /// Which, as `semaphore:NAMESPACE/NAME/KEY` or `job:ID`.
  pub limit: String,
  /// The value of its key, where it is counted by one.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub key: Option<String>,
  /// Slots that there are; any number where none is said.
  pub slots: Option<i64>,
  /// Slots that are taken.
  pub taken: i64,
  /// Starts that there may be.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub rate: Option<RateLimit>,
  /// Starts within the last span of the rate.
  pub started: i64,
  /// Who has slots, the longest first; at most 20.
  pub holders: Vec<LimitHolder>,
}

/// A semaphore and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SemaphoreUsage {
  /// The semaphore.
  pub semaphore: SemaphoreEntity,
  /// Slots taken, over all keys.
  pub taken: i64,
  /// Each key that has slots taken, the fullest first; at most 100.
  pub keys: Vec<LimitUse>,
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  fn config(value: Value) -> TaskConfig {
    serde_json::from_value(value).expect("readable")
  }

  fn gate(config: &TaskConfig, own: bool, parameters: Option<&Value>) -> Option<Gate> {
    let job = "019aa0b0-0000-7000-8000-000000000001".parse().expect("an id");
    let namespace = NamespaceId::default();
    let source = GateSource { config, own, job, schedule: None, namespace: &namespace, parameters };
    Gate::of(&source).expect("a gate")
  }

  #[test]
  fn nothing_limits_a_plain_task() {
    assert_eq!(gate(&config(json!({"command": "x"})), false, None), None);
  }

  #[test]
  fn demands_are_sorted_and_added_up() {
    let limits = json!({"max_concurrent": 2, "semaphores": [
      {"name": "b"}, {"name": "a", "key": "{{ params.x }}"}, {"name": "a", "key": "k", "slots": 3}]});
    let gate = gate(&config(limits), false, Some(&json!({"x": "k"}))).expect("limited");
    let told: Vec<(&str, i64)> = gate.0.iter().map(|one| (one.limit.as_str(), one.slots)).collect();
    let job = "job:019aa0b0-0000-7000-8000-000000000001";
    assert_eq!(told, [(job, 1), ("semaphore:default/a/k", 4), ("semaphore:default/b", 1)]);
    assert!(gate.0.iter().all(|one| one.cap.is_none()), "looked up, not copied");
    for demand in &gate.0 {
      assert!(LimitOf::read(&demand.limit).is_some(), "{demand:?}");
    }
  }

  #[test]
  fn the_number_depends_on_all_demands() {
    let (two, three) = (json!({"max_concurrent": 2}), json!({"max_concurrent": 3}));
    let number = |value: &Value, own| gate(&config(value.clone()), own, None).map(|g| g.number());
    assert_eq!(number(&two, false), number(&three, false));
    assert_ne!(number(&two, true), number(&three, true));
    assert!(number(&two, true) > Some(0));
  }

  #[test]
  fn broken_limits_are_named() {
    for (limits, code) in [
      (json!({"max_concurrent": 0}), "number.range"),
      (json!({"rate_limit": {"rate": 0, "per_secs": 1}}), "number.range"),
      (json!({"rate_limit": {"rate": 1, "per_secs": 0}}), "duration.invalid"),
      (json!({"semaphores": [{"name": "a b"}]}), "name.invalid"),
      (json!({"semaphores": [{"name": "a", "slots": 0}]}), "number.range"),
      (json!({"semaphores": [{"name": "a", "key": "{{ job }}"}]}), "semaphore.key"),
      (json!({"semaphores": [{"name": "a"}, {"name": "a"}]}), "semaphore.twice"),
    ] {
      let mut errors = Vec::new();
      check_limits(&config(limits.clone()), "/config", &mut errors);
      let codes: Vec<&str> = errors.iter().map(|error| error.code.as_str()).collect();
      assert_eq!(codes, [code], "{limits}");
    }
  }
}
