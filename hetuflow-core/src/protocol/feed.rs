//! The one feed that terminals and pages live on (WIRE §2.5, §2.6.4).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{NamespaceId, Ts};
use crate::wire_enum;

wire_enum! {
  /// What a reader can ask to hear about.
  pub enum Topic {
    /// Jobs.
    Job = 1 => "job",
    /// Schedules.
    Schedule = 2 => "schedule",
    /// Tasks.
    Task = 3 => "task",
    /// Attempts.
    TaskInstance = 4 => "task_instance",
    /// Agents.
    Agent = 5 => "agent",
    /// Servers.
    Server = 6 => "server",
    /// Namespaces.
    Namespace = 7 => "namespace",
    /// Tokens, and who did what.
    Audit = 8 => "audit",
  }
}

/// A reader says what it wants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscribe {
  /// Topics; none means all.
  pub topics: Vec<Topic>,
  /// One namespace; none means all that the token may see.
  pub namespace_id: Option<NamespaceId>,
  /// Go on after this number.
  pub since_seq: Option<i64>,
  /// Send what exists first.
  pub snapshot: bool,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Subject {
  /// The kind of thing.
  pub kind: Topic,
  /// Its id.
  pub id: String,
}

/// One change, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Change {
  /// When.
  pub at: Ts,
  /// What about.
  pub subject: Subject,
  /// What happened, as `task.succeeded`.
  #[serde(rename = "type")]
  pub event_type: String,
  /// The fields that changed.
  #[serde(default, skip_serializing_if = "Value::is_null")]
  #[cfg_attr(feature = "with-openapi", schema(value_type = Object))]
  pub data: Value,
}

/// All changes of one namespace in one commit; `seq` order is commit order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FeedFrame {
  /// Changes when the journal starts anew; numbers of two epochs are not comparable.
  pub epoch: String,
  /// The number before this one in this feed; another value than the last seen means a hole.
  pub prev_seq: i64,
  /// The number.
  pub seq: i64,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The changes.
  pub events: Vec<Change>,
}

/// Events are gone, or came faster than the reader took them: read a snapshot and go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resync {
  /// The epoch to go on in.
  pub epoch: String,
  /// The number to go on from: everything after it follows.
  pub from_seq: i64,
  /// Why, for people.
  pub reason: String,
  /// The first number that still exists, where the journal was cut; the numbers between the last
  /// one that the reader has and this one are gone. Not each of them was ever used.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub first_seq: Option<i64>,
  /// How many commits the reader misses, where that is known.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub missed: Option<i64>,
}

/// The feed lives; sent once when the reader has all that there was when it came, and then when
/// nothing else was for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
  /// The epoch.
  pub epoch: String,
  /// The newest number.
  pub seq: i64,
  /// The server's clock.
  pub at: Ts,
}
