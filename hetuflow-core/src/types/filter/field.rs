//! The fields that each list can be filtered and sorted by.

use super::error::{FilterError, shown};
use super::suggest::did_you_mean;

/// A list that can be filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterScope {
  /// Tasks.
  Tasks,
  /// Jobs.
  Jobs,
  /// Schedules.
  Schedules,
  /// Agents.
  Agents,
  /// The journal.
  Events,
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FilterField {
  /// Where it stands.
  State,
  /// The job's name.
  Job,
  /// Its own name.
  Name,
  /// The agent.
  Agent,
  /// The namespace.
  Namespace,
  /// Higher goes first.
  Priority,
  /// Time since it was due, changed or seen.
  Age,
  /// How long it ran or runs.
  Run,
  /// How long it waited or waits.
  Wait,
  /// Exit code.
  Exit,
  /// Signal.
  Signal,
  /// Why it ended as it did.
  Reason,
  /// Number of the newest attempt.
  Attempt,
  /// What made it.
  Trigger,
  /// Its id, short or whole.
  Id,
  /// Not before.
  Since,
  /// Not after.
  Until,
  /// The kind of change, as `task.failed`.
  Type,
  /// The kind of thing or of schedule.
  Kind,
  /// Who looks after it.
  Owner,
  /// Who changed it last.
  By,
  /// The host's name.
  Host,
  /// The host's system.
  Os,
  /// The version.
  Version,
  /// The server that holds it.
  Server,
  /// The time zone.
  Timezone,
  /// Tasks on it.
  Running,
  /// Tasks that it may run at once.
  Slots,
  /// Processor use.
  Cpu,
  /// Memory use.
  Memory,
  /// The next fire, for sorting.
  Next,
  /// A label.
  Label(String),
}

/// What values a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
  /// One of some words; a word may stand for several.
  Words(&'static [(&'static str, &'static [&'static str])]),
  /// Text, with `*`.
  Text,
  /// The value of a label: text, or a version.
  Label,
  /// A whole number.
  Whole,
  /// A number.
  Number,
  /// A duration.
  Duration,
  /// An instant.
  Instant,
  /// Only for sorting.
  Order,
}

type Row = (&'static str, &'static [&'static str], FilterField, Shape);

use FilterField as F;

const TASK_STATES: Shape = Shape::Words(&[
  ("pending", &["pending"]),
  ("queued", &["pending"]),
  ("blocked", &["blocked"]),
  ("locked", &["locked"]),
  ("dispatched", &["dispatched"]),
  ("waiting_retry", &["waiting_retry"]),
  ("retry", &["waiting_retry"]),
  ("running", &["running"]),
  ("paused", &["paused"]),
  ("cancelling", &["cancelling"]),
  ("failed", &["failed"]),
  ("lost", &["lost"]),
  ("skipped", &["skipped"]),
  ("expired", &["expired"]),
  ("cancelled", &["cancelled"]),
  ("succeeded", &["succeeded"]),
  ("ok", &["succeeded"]),
  ("bad", &["failed", "lost", "expired"]),
  ("doing", &["locked", "dispatched", "running"]),
  (
    "live",
    &[
      "pending",
      "blocked",
      "locked",
      "dispatched",
      "waiting_retry",
      "running",
      "paused",
      "cancelling",
    ],
  ),
  ("final", &["failed", "lost", "skipped", "expired", "cancelled", "succeeded"]),
]);

const JOB_STATES: Shape = Shape::Words(&[
  ("created", &["created"]),
  ("disabled", &["disabled"]),
  ("enabled", &["enabled"]),
]);

const SCHEDULE_STATES: Shape = Shape::Words(&[
  ("created", &["created"]),
  ("paused", &["paused"]),
  ("expired", &["expired"]),
  ("disabled", &["disabled"]),
  ("enabled", &["enabled"]),
]);

const SCHEDULE_KINDS: Shape = Shape::Words(&[
  ("cron", &["cron"]),
  ("interval", &["interval"]),
  ("daemon", &["daemon"]),
  ("event", &["event"]),
  ("flow", &["flow"]),
]);

const AGENT_STATES: Shape = Shape::Words(&[
  ("idle", &["idle"]),
  ("busy", &["busy"]),
  ("connecting", &["connecting"]),
  ("disconnecting", &["disconnecting"]),
  ("draining", &["draining"]),
  ("cordoned", &["cordoned"]),
  ("offline", &["offline"]),
  ("error", &["error"]),
  ("up", &["idle", "busy", "connecting", "draining", "cordoned", "online"]),
  ("online", &["idle", "busy", "online"]),
]);

const TRIGGERS: Shape = Shape::Words(&[
  ("schedule", &["schedule"]),
  ("manual", &["manual"]),
  ("event", &["event"]),
  ("webhook", &["webhook"]),
  ("flow", &["flow"]),
  ("backfill", &["backfill"]),
  ("retry", &["retry"]),
  ("catchup", &["catchup"]),
  ("sql", &["sql"]),
  ("legacy", &["legacy"]),
]);

const TOPICS: Shape = Shape::Words(&[
  ("job", &["job"]),
  ("schedule", &["schedule"]),
  ("task", &["task"]),
  ("task_instance", &["task_instance"]),
  ("agent", &["agent"]),
  ("server", &["server"]),
  ("namespace", &["namespace"]),
  ("audit", &["audit"]),
]);

const TASKS: &[Row] = &[
  ("state", &["status"], F::State, TASK_STATES),
  ("job", &[], F::Job, Shape::Text),
  ("name", &[], F::Job, Shape::Text),
  ("agent", &["agent_id"], F::Agent, Shape::Text),
  ("namespace", &["ns", "namespace_id"], F::Namespace, Shape::Text),
  ("prio", &["priority"], F::Priority, Shape::Whole),
  ("age", &[], F::Age, Shape::Duration),
  ("run", &["duration"], F::Run, Shape::Duration),
  ("wait", &["queued"], F::Wait, Shape::Duration),
  ("exit", &["exit_code"], F::Exit, Shape::Whole),
  ("signal", &[], F::Signal, Shape::Whole),
  ("reason", &[], F::Reason, Shape::Text),
  ("attempt", &["try"], F::Attempt, Shape::Whole),
  ("trigger", &["trigger_source"], F::Trigger, TRIGGERS),
  ("id", &[], F::Id, Shape::Text),
  ("since", &[], F::Since, Shape::Instant),
  ("until", &[], F::Until, Shape::Instant),
];

const JOBS: &[Row] = &[
  ("state", &["status"], F::State, JOB_STATES),
  ("name", &["job"], F::Name, Shape::Text),
  ("namespace", &["ns", "namespace_id"], F::Namespace, Shape::Text),
  ("owner", &[], F::Owner, Shape::Text),
  ("by", &["updated_by"], F::By, Shape::Text),
  ("version", &[], F::Version, Shape::Whole),
  ("age", &["updated"], F::Age, Shape::Duration),
  ("id", &[], F::Id, Shape::Text),
  ("since", &[], F::Since, Shape::Instant),
  ("until", &[], F::Until, Shape::Instant),
];

const SCHEDULES: &[Row] = &[
  ("state", &["status"], F::State, SCHEDULE_STATES),
  ("name", &["schedule"], F::Name, Shape::Text),
  ("job", &[], F::Job, Shape::Text),
  ("namespace", &["ns", "namespace_id"], F::Namespace, Shape::Text),
  ("kind", &[], F::Kind, SCHEDULE_KINDS),
  ("tz", &["timezone"], F::Timezone, Shape::Text),
  ("prio", &["priority"], F::Priority, Shape::Whole),
  ("by", &["updated_by"], F::By, Shape::Text),
  ("reason", &[], F::Reason, Shape::Text),
  ("age", &["updated"], F::Age, Shape::Duration),
  ("id", &[], F::Id, Shape::Text),
  ("next", &[], F::Next, Shape::Order),
  ("since", &[], F::Since, Shape::Instant),
  ("until", &[], F::Until, Shape::Instant),
];

const AGENTS: &[Row] = &[
  ("state", &["status"], F::State, AGENT_STATES),
  ("name", &["agent", "id"], F::Name, Shape::Text),
  ("host", &["hostname"], F::Host, Shape::Text),
  ("os", &[], F::Os, Shape::Text),
  ("version", &[], F::Version, Shape::Text),
  ("server", &["server_id"], F::Server, Shape::Text),
  ("type", &["task_type"], F::Type, Shape::Text),
  ("running", &[], F::Running, Shape::Whole),
  ("slots", &[], F::Slots, Shape::Whole),
  ("cpu", &[], F::Cpu, Shape::Number),
  ("memory", &["mem"], F::Memory, Shape::Number),
  ("age", &["seen"], F::Age, Shape::Duration),
  ("since", &[], F::Since, Shape::Instant),
  ("until", &[], F::Until, Shape::Instant),
];

const EVENTS: &[Row] = &[
  ("type", &[], F::Type, Shape::Text),
  ("kind", &["topic"], F::Kind, TOPICS),
  ("name", &["job"], F::Name, Shape::Text),
  ("id", &[], F::Id, Shape::Text),
  ("agent", &["agent_id"], F::Agent, Shape::Text),
  ("namespace", &["ns", "namespace_id"], F::Namespace, Shape::Text),
  ("state", &["status"], F::State, Shape::Text),
  ("exit", &["exit_code"], F::Exit, Shape::Whole),
  ("signal", &[], F::Signal, Shape::Whole),
  ("reason", &[], F::Reason, Shape::Text),
  ("by", &["user"], F::By, Shape::Text),
  ("age", &[], F::Age, Shape::Duration),
  ("since", &[], F::Since, Shape::Instant),
  ("until", &[], F::Until, Shape::Instant),
];

impl FilterScope {
  fn rows(self) -> &'static [Row] {
    match self {
      Self::Tasks => TASKS,
      Self::Jobs => JOBS,
      Self::Schedules => SCHEDULES,
      Self::Agents => AGENTS,
      Self::Events => EVENTS,
    }
  }

  /// Names of the fields that it can be filtered by.
  pub fn names(self) -> Vec<&'static str> {
    self.rows().iter().filter(|row| row.3 != Shape::Order).map(|row| row.0).collect()
  }

  const fn has_labels(self) -> bool {
    matches!(self, Self::Tasks | Self::Jobs | Self::Agents)
  }

  /// Finds a field by its name.
  pub(super) fn field(
    self,
    name: &str,
    (column, code): (usize, &'static str),
  ) -> Result<(FilterField, Shape), FilterError> {
    let lower = name.to_ascii_lowercase();
    if let Some(key) = name.strip_prefix("label.").filter(|_| self.has_labels()) {
      if key.is_empty() {
        return Err(FilterError::new(code, column, "label. needs a name").hint("label.tier=gold"));
      }
      return Ok((F::Label(key.to_owned()), Shape::Label));
    }
    let known = |row: &&Row| row.0 == lower || row.1.contains(&lower.as_str());
    if let Some((_, _, field, shape)) = self.rows().iter().find(known) {
      return Ok((field.clone(), *shape));
    }
    let all = self.rows().iter().flat_map(|row| row.1.iter().chain([&row.0])).copied();
    let names = self.names().join(", ");
    let hint = match did_you_mean(&lower, all) {
      Some(hint) => format!("{hint} fields are {names}"),
      None => format!("fields are {names}"),
    };
    Err(FilterError::new(code, column, format!("no field \"{}\" here", shown(name))).hint(hint))
  }
}

impl FilterField {
  /// Its name, as it is written.
  pub fn name(&self) -> String {
    if let F::Label(key) = self {
      return format!("label.{key}");
    }
    let all = [TASKS, JOBS, SCHEDULES, AGENTS, EVENTS];
    let known = all.into_iter().flatten().find(|row| row.2 == *self);
    known.map_or_else(String::new, |row| row.0.to_owned())
  }

  /// Whether it moves with the clock.
  pub const fn is_timed(&self) -> bool {
    matches!(self, F::Age | F::Run | F::Wait | F::Since | F::Until)
  }
}
