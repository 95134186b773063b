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
pub mod why;

pub use exclude::note as left_out_note;
