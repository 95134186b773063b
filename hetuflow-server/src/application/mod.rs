//! Wiring: builds every part, owns every background task by name, and stops them in order.

mod background;
mod doors;
mod identity;
mod logging;
mod open_files;
mod parts;
mod retention;
mod serve;
mod start;
mod start_error;
mod verbs;

pub use logging::init_logging;
pub use start::Application;
pub use start_error::StartError;
pub use verbs::{Verb, VerbError};
