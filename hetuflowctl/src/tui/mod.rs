//! The full-screen terminal face: one model, one loop, one socket.
//!
//! `input` and `link` feed [`Msg`]s to `update`, which changes the model and answers with effects;
//! `view` draws the model into a buffer; `runtime` does the effects and writes the frame. Nothing
//! but `runtime`, `link` and `terminal` does I/O.

pub mod log;
mod look;
mod text;

pub use look::{Depth, Glyphs, Look, Role, Theme};
