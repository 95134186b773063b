//! What a task asks of its place beside labels: room, an order of agents, and where it ran before.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FieldError, Selector, check_name};
use crate::wire_enum;

/// Most processors that a task can ask for.
pub const REQUEST_CPUS_MAX: i64 = 10_000;
/// Most memory that a task can ask for, in MiB.
pub const REQUEST_MEMORY_MB_MAX: i64 = 1 << 30;
/// Most slots that a task can ask for.
pub const REQUEST_SLOTS_MAX: i64 = 100_000;
/// Most preferences of a task.
pub const PREFERENCES_MAX: usize = 32;
/// Heaviest preference; the lightest is the same below zero.
pub const PREFERENCE_WEIGHT_MAX: i64 = 100;
/// How heavy it is that an agent ran it last: more than all preferences together.
pub const STICKY_WEIGHT: i64 = 1_000_000;

/// Processors, in thousandths; written as a number of processors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "with-openapi", schema(value_type = f64))]
pub struct Cpus(pub i64);

impl Cpus {
  /// From a number of processors; `None` for what is no such number.
  pub fn of(cpus: f64) -> Option<Self> {
    let fits = cpus.is_finite() && (0.0..=1e9).contains(&cpus);
    fits.then(|| Self((cpus * 1000.0).round() as i64))
  }
}

impl std::fmt::Display for Cpus {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    (self.0 as f64 / 1000.0).fmt(f)
  }
}

impl Serialize for Cpus {
  fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    if self.0 % 1000 == 0 {
      return serializer.serialize_i64(self.0 / 1000);
    }
    serializer.serialize_f64(self.0 as f64 / 1000.0)
  }
}

impl<'de> Deserialize<'de> for Cpus {
  fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    let cpus = f64::deserialize(deserializer)?;
    Self::of(cpus).ok_or_else(|| D::Error::custom("not a number of processors"))
  }
}

/// What a task takes of its agent while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Requests {
  /// Processors.
  #[serde(skip_serializing_if = "is_no_cpu")]
  pub cpu: Cpus,
  /// Memory, in MiB.
  #[serde(skip_serializing_if = "is_zero")]
  pub memory_mb: i64,
  /// Slots, of those that the agent runs tasks in.
  #[serde(skip_serializing_if = "is_one")]
  pub slots: i64,
}

fn is_no_cpu(cpu: &Cpus) -> bool {
  cpu.0 == 0
}

fn is_zero(count: &i64) -> bool {
  *count == 0
}

fn is_one(count: &i64) -> bool {
  *count == 1
}

impl Default for Requests {
  fn default() -> Self {
    Self { cpu: Cpus(0), memory_mb: 0, slots: 1 }
  }
}

impl Requests {
  /// Whether it asks for no more than every task takes.
  pub fn is_plain(&self) -> bool {
    *self == Self::default()
  }

  /// So many tasks with these needs, beside what is carried already.
  #[must_use]
  pub fn carried(mut self, each: &Self, count: i64) -> Self {
    self.cpu.0 = self.cpu.0.saturating_add(each.cpu.0.saturating_mul(count));
    self.memory_mb = self.memory_mb.saturating_add(each.memory_mb.saturating_mul(count));
    self.slots = self.slots.saturating_add(each.slots.saturating_mul(count));
    self
  }

  /// Nothing at all.
  pub const fn none() -> Self {
    Self { cpu: Cpus(0), memory_mb: 0, slots: 0 }
  }

  /// Checks every rule and names each that is broken.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    let mut range = |name: &str, value: String, fits: bool, allowed: String| {
      if !fits {
        let message = format!("{name} is {value}, {allowed} is allowed");
        errors.push(FieldError::new("number.range", format!("{field}/{name}"), message));
      }
    };
    let cpus = (0..=REQUEST_CPUS_MAX * 1000).contains(&self.cpu.0);
    range("cpu", self.cpu.to_string(), cpus, format!("0 to {REQUEST_CPUS_MAX}"));
    let memory = (0..=REQUEST_MEMORY_MB_MAX).contains(&self.memory_mb);
    let allowed = format!("0 to {REQUEST_MEMORY_MB_MAX}");
    range("memory_mb", self.memory_mb.to_string(), memory, allowed);
    let slots = (1..=REQUEST_SLOTS_MAX).contains(&self.slots);
    range("slots", self.slots.to_string(), slots, format!("1 to {REQUEST_SLOTS_MAX}"));
  }
}

/// What an agent has in all, for tasks that ask for it. What it does not tell it does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
  /// Processors.
  pub cpu: Option<Cpus>,
  /// Memory, in MiB.
  pub memory_mb: Option<i64>,
  /// Slots.
  pub slots: i64,
}

/// What a task would lack on an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
  /// `cpu`, `memory_mb` or `slots`.
  pub what: &'static str,
  /// How much it asks for.
  pub wanted: String,
  /// How much is left.
  pub left: String,
  /// How much there is in all; none where the agent does not tell.
  pub total: Option<String>,
  /// Whether also the empty agent would not do.
  pub never: bool,
}

impl Capacity {
  /// How many more tasks with these needs fit beside what is carried.
  pub fn room_for(&self, need: &Requests, carried: &Requests) -> i64 {
    let room = |total: i64, carried: i64, need: i64| match need {
      0 => i64::MAX,
      need => (total - carried).max(0) / need,
    };
    let cpu = room(self.cpu.unwrap_or_default().0, carried.cpu.0, need.cpu.0);
    let memory = room(self.memory_mb.unwrap_or_default(), carried.memory_mb, need.memory_mb);
    cpu.min(memory).min(room(self.slots, carried.slots, need.slots))
  }

  /// The first thing that a task would lack.
  pub fn lack(&self, need: &Requests, carried: &Requests) -> Option<Lack> {
    let cpus = |cpu: i64| Cpus(cpu).to_string();
    let whole = |count: i64| count.to_string();
    let told = [
      ("cpu", self.cpu.map(|cpu| cpu.0), carried.cpu.0, need.cpu.0),
      ("memory_mb", self.memory_mb, carried.memory_mb, need.memory_mb),
      ("slots", Some(self.slots), carried.slots, need.slots),
    ];
    let short = |(_, total, carried, need): &(&str, Option<i64>, i64, i64)| {
      *need > 0 && total.unwrap_or(0) - carried < *need
    };
    // What it never has is told before what it has not now.
    let never = |one: &&(&'static str, Option<i64>, i64, i64)| one.1.unwrap_or(0) < one.3;
    let found = told.iter().filter(|one| short(one)).find(never);
    let (what, total, carried, need) = found.or_else(|| told.iter().find(|one| short(one)))?;
    let words: fn(i64) -> String = if *what == "cpu" { cpus } else { whole };
    Some(Lack {
      what,
      wanted: words(*need),
      left: words((total.unwrap_or(0) - carried).max(0)),
      total: total.map(words),
      never: total.unwrap_or(0) < *need,
    })
  }
}

wire_enum! {
  /// In which order agents that fit are given tasks.
  pub enum AgentChoice {
    /// Most free slots first.
    MostFree = 0 => "most_free",
    /// Whoever was given nothing for longest.
    RoundRobin = 1 => "round_robin",
    /// Fewest tasks in hand first.
    LeastTasks = 2 => "least_tasks",
    /// Least loaded host first, by its last heartbeat.
    Resource = 3 => "resource",
    /// Fewest labels and task types of its own first, so that special agents stay free.
    Capability = 4 => "capability",
  }
}

/// Agents that are liked more, or less, than others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Preference {
  /// Which.
  pub selector: Selector,
  /// How much: 1 to 100, or below zero for agents that are liked less.
  #[serde(default = "one")]
  pub weight: i64,
}

const fn one() -> i64 {
  1
}

/// Checks preferences.
pub fn check_preferences(prefer: &[Preference], field: &str, errors: &mut Vec<FieldError>) {
  if prefer.len() > PREFERENCES_MAX {
    let message = format!("{} preferences, at most {PREFERENCES_MAX} are allowed", prefer.len());
    errors.push(FieldError::new("prefer.too_many", field, message));
  }
  for (index, one) in prefer.iter().enumerate() {
    one.selector.check(&format!("{field}/{index}/selector"), errors);
    let weight = one.weight;
    if weight == 0 || weight.abs() > PREFERENCE_WEIGHT_MAX {
      let max = PREFERENCE_WEIGHT_MAX;
      let message = format!("weight is {weight}, -{max} to -1 and 1 to {max} are allowed");
      errors.push(FieldError::new("number.range", format!("{field}/{index}/weight"), message));
    }
  }
}

/// The task goes where it ran last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Sticky {
  /// What is meant by it: its job where none is named, else all tasks with this word.
  pub key: Option<String>,
  /// Nowhere else, rather than first there.
  pub require: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StickyParts {
  #[serde(default = "by_job")]
  by: String,
  #[serde(default)]
  require: bool,
}

fn by_job() -> String {
  "job".to_owned()
}

impl Sticky {
  fn by(&self) -> String {
    self.key.as_ref().map_or_else(by_job, |key| format!("key:{key}"))
  }

  fn read<E: serde::de::Error>(by: &str, require: bool) -> Result<Self, E> {
    match by.split_once(':') {
      None if by == "job" => Ok(Self { key: None, require }),
      Some(("key", key)) => Ok(Self { key: Some(key.to_owned()), require }),
      _ => Err(E::custom("sticky is \"job\" or \"key:NAME\"")),
    }
  }

  /// Checks the name.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    if let Some(key) = &self.key {
      errors.extend(check_name(key, field).err());
    }
  }
}

impl Serialize for Sticky {
  fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    if !self.require {
      return serializer.serialize_str(&self.by());
    }
    StickyParts { by: self.by(), require: true }.serialize(serializer)
  }
}

impl<'de> Deserialize<'de> for Sticky {
  fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
      Text(String),
      Parts(StickyParts),
    }
    match Form::deserialize(deserializer)? {
      Form::Text(by) => Self::read(&by, false),
      Form::Parts(parts) => Self::read(&parts.by, parts.require),
    }
  }
}

/// What a task sticks to, by its full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StickyTo {
  /// `job:ID` or `key:NAME`.
  pub key: String,
  /// Nowhere else.
  #[serde(default)]
  pub require: bool,
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::*;

  #[test]
  fn requests_are_read_and_written() {
    let read = |json| serde_json::from_str::<Requests>(json);
    let some = read(r#"{"cpu":0.5,"memory_mb":512}"#).expect("needs");
    assert_eq!(some, Requests { cpu: Cpus(500), memory_mb: 512, slots: 1 });
    assert_eq!(serde_json::to_string(&some).expect("plain"), r#"{"cpu":0.5,"memory_mb":512}"#);
    assert!(read("{}").expect("nothing").is_plain());
    for wrong in [r#"{"cpu":-1}"#, r#"{"mem":1}"#, r#"{"cpu":"x"}"#] {
      assert!(read(wrong).is_err(), "{wrong}");
    }
    let mut errors = Vec::new();
    read(r#"{"slots":0,"memory_mb":-1}"#).expect("numbers").check("/requests", &mut errors);
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["/requests/memory_mb", "/requests/slots"]);
  }

  #[test]
  fn what_is_lacking_is_told() {
    let host = Capacity { cpu: Some(Cpus(4000)), memory_mb: None, slots: 3 };
    let need = |cpu, memory_mb, slots| Requests { cpu: Cpus(cpu), memory_mb, slots };
    let none = Requests::none();
    assert_eq!(host.lack(&need(4000, 0, 3), &none), None);
    let lack = host.lack(&need(500, 0, 1), &need(3900, 0, 1)).expect("too full");
    assert_eq!((lack.what, lack.never, lack.left.as_str()), ("cpu", false, "0.1"));
    let lack = host.lack(&need(500, 64, 4), &need(3900, 0, 1)).expect("never");
    assert_eq!((lack.what, lack.never, lack.total), ("memory_mb", true, None));
    assert_eq!(host.room_for(&need(1000, 0, 1), &none), 3);
    assert_eq!(host.room_for(&need(1500, 0, 1), &none), 2);
    assert_eq!(host.room_for(&need(0, 1, 1), &none), 0);
  }

  #[test]
  fn sticky_has_short_and_long_forms() {
    for (json, written) in [
      (r#""job""#, r#""job""#),
      (r#"{"by":"job"}"#, r#""job""#),
      (r#"{"require":true}"#, r#"{"by":"job","require":true}"#),
      (r#""key:cache-a""#, r#""key:cache-a""#),
    ] {
      let read: Sticky = serde_json::from_str(json).expect(json);
      assert_eq!(serde_json::to_string(&read).expect("plain"), written);
    }
    assert!(serde_json::from_str::<Sticky>(r#""flow""#).is_err());
  }

  proptest! {
    #[test]
    fn room_is_what_can_be_carried(cpu in 0_i64..9000, memory in 0_i64..900, slots in 0_i64..9,
        need in (0_i64..3000, 0_i64..300, 1_i64..4), count in 0_i64..4) {
      let host = Capacity { cpu: Some(Cpus(cpu)), memory_mb: Some(memory), slots };
      let need = Requests { cpu: Cpus(need.0), memory_mb: need.1, slots: need.2 };
      let carried = Requests::none().carried(&need, count);
      let room = host.room_for(&need, &carried);
      prop_assert_eq!(room == 0, host.lack(&need, &carried).is_some());
      let full = carried.carried(&need, room);
      prop_assert_eq!(host.room_for(&need, &full), 0);
      if room > 0 {
        prop_assert!(full.cpu.0 <= cpu && full.memory_mb <= memory && full.slots <= slots);
      }
    }
  }
}
