//! Schedules: what fires next, and why.

pub mod check;
pub mod create;
mod exclude;
pub mod explain;
pub mod hold;
mod lines;
pub mod next;
pub mod set;
pub mod trigger;
