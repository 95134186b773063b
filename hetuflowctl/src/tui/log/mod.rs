//! The log of a task: kept whole on disk, shown by the window, searched on a thread of its own.
//!
//! [`LogPane`] owns everything. A [`Feeder`], run by the program, hands it what the server sends;
//! [`LogPane::poll`] takes that and what searches found, and never waits. Bytes of tasks reach the
//! screen only as [`glyph::Glyph`]s. Deliberately absent: changing anything on the server.

mod draw;
mod escape;
mod feeder;
mod find;
mod glyph;
mod hand_out;
mod index;
mod keys;
mod layout;
mod level;
mod pane;
mod pretty;
mod prompt;
mod scan;
mod spool;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod times;
mod wrap;

pub use hand_out::{export, page, pipe};
pub use pane::{LogAsk, LogOutcome, LogPane};
pub use target::{LogAttempt, LogTarget};
