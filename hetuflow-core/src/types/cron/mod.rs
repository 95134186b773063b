//! Cron expressions: what a schedule's text means and when it fires.
//!
//! The dialect is Debian cron (five fields, names, lists, ranges, steps, `L`, `LW`, `nL`, `n#k`,
//! `@daily` and friends) with extensions that never change what a plain five-field expression
//! means: seconds first (6 fields), a year last (7 fields), `?` in a day field, `15W`, `N/step`
//! (from N to the end of the field), `H` and `~` (a value chosen by a hash of the schedule, so
//! that a thousand "daily" jobs do not start together).
//!
//! Weekdays are Unix in every form: 0 and 7 are Sunday, 1 is Monday, also with seconds first.
//! (Quartz counts Sunday as 1; names mean the same in both.)
//!
//! Day of month and weekday are OR-ed, unless one of them starts with `*` (or is `?`): then both
//! must match.
//!
//! Daylight saving time: an expression whose minute or hour starts with `*` is a *wall pattern*
//! and fires at every real moment whose wall clock matches: both copies of a repeated hour,
//! nothing inside a gap. Every other expression is a *fixed time*: inside a gap it fires once, at
//! the first instant after the gap (several such times collapse into one); a repeated time fires
//! at its first copy only.
//!
//! Everything here is pure: no clock, no file, no host time zone. The engine searches by day with
//! bit sets instead of stepping through time, and reads offsets from a table that is written once
//! for a zone, so the next fire costs some tens of nanoseconds, allocates nothing, and is bounded by
//! a walk over the months of one 400-year calendar cycle.

mod civil;
mod count;
mod day_rule;
mod describe;
mod error;
mod expression;
mod field;
mod item;
mod next;
mod note;
mod value;
mod wall;
mod zone;
mod zone_hint;
mod zone_table;

#[cfg(test)]
mod tests;

pub use error::CronError;
pub use expression::{CronExpression, cron_fields};
pub use next::CronFire;
pub use note::ClockNote;
pub use zone::{CronZone, parse_time_zone, tz_database_version, version_with_tz_database};
