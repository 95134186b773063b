//! Wiring: builds every part, owns every background task by name, and stops them in order.

mod background;
mod identity;
mod logging;
mod open_files;
mod serve;
mod start;
mod verbs;

pub use logging::init_logging;
pub use start::{Application, StartError};
pub use verbs::{Verb, VerbError};
