//! Throw-away PostgreSQL: a real cluster from installed binaries, gone when its owner is.
//!
//! The cluster's processes hang on a small shell (`cluster.sh`) that reads a pipe from us: when we
//! drop it, exit or are killed, the pipe ends and the shell stops PostgreSQL and removes the data.
//! That holds for `kill -9` too, and does not depend on which thread started it.

mod cluster;
mod database;
mod install;
mod shared;

pub use cluster::{Durability, Postgres};
pub use database::{Admin, Database, Tablespace};
pub use install::Install;
pub use shared::{ADMIN_VARIABLE, shared};
