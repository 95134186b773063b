//! The full-screen terminal face: one model, one loop, one socket.
//!
//! `input` and `link` feed [`Msg`]s to `update`, which changes the model and answers with effects;
//! `view` draws the model into a buffer; `runtime` does the effects and writes the frame. Nothing
//! but `runtime`, `link`, `terminal` and `outside` does I/O.

mod act;
mod actions;
mod asking;
mod chrome;
mod command_line;
mod complete;
mod draw;
mod effects;
mod find;
mod glyphs;
mod keys;
mod link;
mod link_state;
pub mod log;
pub mod look;
mod marks;
mod memory;
mod menus;
mod model;
mod moving;
mod open;
mod outside;
mod over;
mod overlay;
mod pace;
mod questions;
mod record;
mod runtime;
mod scene;
mod screen;
mod signals;
mod snapshot;
mod store;
mod terminal;
#[cfg(test)]
mod test_data;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod update;
mod view;
mod waiting;
mod widget;

#[cfg(test)]
pub use look::Theme;
pub use look::{Depth, Look, Role};
pub use open::{Options, Wanted, open, print_keys};
