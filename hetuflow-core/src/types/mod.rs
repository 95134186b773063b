//! Words without I/O: ids, instants, enums, states, errors, and the pure rules on them.

mod backoff;
mod broadcast;
pub mod calendar;
pub mod config_text;
pub mod cron;
mod demands;
mod dst;
mod duration_text;
mod enums;
mod error;
pub mod filter;
mod id;
mod interval;
mod jitter;
mod name;
mod plain_text;
mod retry_condition;
mod selector;
mod status;
mod ts;
mod wire_enum;

pub use backoff::{Backoff, full_jitter};
pub use broadcast::{BROADCAST_AGENTS_MAX, Broadcast, BroadcastSuccess};
pub use calendar::{
  Calendar, CalendarGate, CalendarItem, CalendarRule, IcsRules, check_calendar_name, read_ics,
};
pub use cron::{
  ClockNote, CronError, CronExpression, CronFire, CronZone, cron_fields, parse_time_zone,
  tz_database_version, version_with_tz_database,
};
pub use demands::{
  AgentChoice, Capacity, Cpus, Lack, PREFERENCE_WEIGHT_MAX, Preference, Requests, STICKY_WEIGHT,
  Sticky, StickyTo, check_preferences,
};
pub use dst::{DstGap, DstOverlap};
pub use duration_text::{BadQuantity, format_duration, parse_duration, parse_size};
pub use enums::*;
pub use error::{ErrorCode, ErrorResponse, FieldError, pointer_part};
pub use filter::{
  Candidates, Filter, FilterError, FilterField, FilterScope, SortKey, did_you_mean, parse_sort,
};
pub use id::*;
pub use interval::{check_interval, count_intervals, next_interval, previous_interval};
pub use jitter::{JITTER_SECS_MAX, jitter_of};
pub use name::{NAME_CHARS_MAX, check_name};
pub use plain_text::{WordsError, grouped, split_words};
pub use retry_condition::{
  RETRY_CONDITION_HINT, RETRY_CONDITIONS_MAX, RetryCondition, check_conditions,
};
pub use selector::{
  Comparison, Condition, LABEL_BYTES_MAX, LABELS_MAX, LabelTest, Labels, SELECTOR_BYTES_MAX,
  SELECTOR_VALUES_MAX, Selector, SelectorClass, SelectorError, TaskTypes, Version, check_labels,
};
pub use status::{
  InstanceEvent, TaskEvent, TaskInstanceStatus, TaskStatus, instance_transition, task_transition,
};
pub use ts::{Ts, TsError};
pub use wire_enum::UnknownName;
