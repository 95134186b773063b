//! Tasks: start, watch, wait, stop, repeat.

pub mod cancel;
mod chosen;
pub mod control;
pub mod count;
mod deed;
mod exit_code;
mod follow;
mod line_cut;
mod line_pick;
mod log_shape;
pub mod logs;
pub mod mark;
pub mod order;
pub mod retry;
pub mod run;
pub mod story;
mod together;
pub mod used;
mod verify;
pub mod wait;
pub mod why;

pub use exit_code::{exit_code, sentence};
