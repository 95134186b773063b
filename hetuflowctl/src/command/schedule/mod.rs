//! Schedules: what fires next, and why.

pub mod create;
pub mod explain;
pub mod next;
pub mod set;
pub mod trigger;
