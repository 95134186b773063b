//! Processes as the operating system sees them: clocks, spawning, trees, control groups, pipes.
//!
//! Nothing here knows tasks. The rest of the crate uses the names below, whatever the system.

mod account;
mod as_user;
mod bare_call;
mod birth;
mod cell;
mod cgroup_places;
mod cgroups;
mod clock;
mod confined;
mod group;
mod ident;
mod inherited;
mod limits;
mod orphans;
mod pipe;
mod spawned;
mod start_code;
mod stat;
mod strays;
mod tree;
mod unix;
mod usage;
mod watch;
mod words;

pub use account::{Account, own_uid};
pub use as_user::{AS_USER, become_user};
pub use cgroups::{Cgroups, InForce, in_force_here};
pub use clock::SteadyClock;
pub use confined::{Confined, Grip, Over};
pub use group::signal_group;
pub use ident::{boot_id, start_ticks};
pub use inherited::{keep_inherited_back, keep_memory_back};
pub use limits::Limits;
pub use orphans::Orphans;
pub use pipe::{Pipe, ReadOutcome, ReadyPipe};
pub use spawned::{Exit, Process, Ready, Spawned};
pub use start_code::let_start_code_go;
pub use unix::{Launch, SpawnError, find_program, is_disk, is_exhausted, spawn};
pub use usage::Usage;
pub use watch::watch;
