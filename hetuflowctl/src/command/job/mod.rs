//! Jobs: their runs, their versions, copies.

pub mod change;
pub mod export;
pub mod history;
pub mod stats;
pub mod update;
pub mod versions;
pub mod why;
