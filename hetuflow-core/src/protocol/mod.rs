//! Messages between servers, agents and readers, with their checks. No I/O.

mod agent;
mod content_hash;
mod feed;
mod file;
mod log_digest;
mod log_gap;
mod message;
mod output_frame;
mod secret;
mod task;
mod transport;
mod watch;

pub use agent::*;
pub use content_hash::*;
pub use feed::*;
pub use file::*;
pub use log_digest::*;
pub use log_gap::*;
pub use message::*;
pub use output_frame::*;
pub use secret::*;
pub use task::*;
pub use transport::*;
pub use watch::*;
