//! `dev`: server and agents as children of ours, on SQLite in one folder. When we go, they go.

mod child;
mod face;
mod folder;
mod keep;
mod lines;
mod start;

pub use child::run_child;
pub use folder::sibling;
pub use start::run;
