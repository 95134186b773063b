//! Calendars: days and hours on which schedules may fire, or may not. Pure: rules as text, an iCalendar
//! file read into rules, and the search for the next open instant.
//!
//! A rule is one of these, all in the zone of the calendar:
//!
//! | text | covers |
//! |---|---|
//! | `2026-12-24`, `2026-12-24..2027-01-02` | these dates, both ends included |
//! | `12-25`, `12-27..01-02` | these days of every year |
//! | `01-MON#3`, `05-MONL` | the third Monday of January, the last one of May |
//! | `easter`, `easter-2`, `easter+39` | days from Easter Sunday |
//! | `SAT-SUN`, `MON,WED` | these days of every week |
//! | `22:00-06:00`, `MON-FRI 09:00-17:00` | hours; past midnight when the end comes first |
//! | `2026-12-24T18:00:00Z..2026-12-25T06:00:00Z` | from an instant up to, not including, another |

mod day;
mod gate;
mod ics;
mod item;
mod rule;

#[cfg(test)]
mod tests;

pub use gate::{Calendar, CalendarGate};
pub use ics::{IcsRules, read_ics};
pub use item::{CalendarItem, check_calendar_name};
pub use rule::CalendarRule;
