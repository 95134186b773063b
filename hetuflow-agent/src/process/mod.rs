//! Processes as the operating system sees them: clocks, spawning, groups, pipes.
//!
//! Nothing here knows tasks. The rest of the crate uses the names below, whatever the system.

mod clock;
mod group;
mod ident;
mod pipe;
mod spawned;
mod unix;
mod watch;

pub use clock::SteadyClock;
pub use group::{group_is_alive, signal_group};
pub use ident::{boot_id, start_ticks};
pub use pipe::{Pipe, ReadOutcome, ReadyPipe};
pub use spawned::{Exit, Process, Spawned};
pub use unix::{Launch, SpawnError, find_program, spawn};
pub use watch::watch;
