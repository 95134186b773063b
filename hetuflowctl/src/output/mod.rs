//! Everything that reaches a person or a pipe: views in every form, errors, progress, prompts.
//!
//! Stdout carries only the data that was asked for; all talk goes to stderr.

mod calendar_rows;
mod cell;
mod describe;
mod emit;
mod emit_live;
mod emit_logs;
mod error;
mod fault;
mod limit_rows;
mod line_style;
mod look;
mod order;
mod pager;
mod pattern;
mod place_rows;
mod progress;
mod prompt;
mod sanitize;
mod table;
mod view;
mod watch_rows;
mod work_rows;

pub use cell::{Cell, relative, show_duration};
pub use describe::describe;
pub use emit::emit;
pub use error::show_error;
pub use fault::{Failure, Fault};
pub use limit_rows::Holder;
pub use look::{Format, Look, TimeStyle, Wishes};
pub use pager::{is_wanted as pager_is_wanted, show as show_in_pager};
pub use pattern::human_bytes;
pub use progress::Progress;
pub use prompt::{ask, ask_word, choose, read_secret};
pub use sanitize::visible;
pub use view::{
  Column, Live, LiveFrame, LogLine, LogPiece, LogStyle, Outcome, Page, Record, Rows, Screen,
  Stamps, TableRow, View,
};
pub use work_rows::job_manifest;

#[cfg(test)]
mod tests;
