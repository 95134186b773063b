//! Tasks: start, watch, wait, stop, repeat.

pub mod cancel;
pub mod control;
mod exit_code;
mod follow;
pub mod logs;
pub mod order;
pub mod retry;
pub mod run;
pub mod wait;

pub use exit_code::{exit_code, sentence};
