//! Runs processes on a host, exactly as told by a hetuflow server.
//!
//! Rooms: `connection` (the socket), `scheduler` (when), `executor` (attempts), `process` (the
//! operating system), wired by `application`. Nothing here listens on a port.

pub mod application;
pub mod config;
pub mod connection;
pub mod executor;
pub mod process;
pub mod scheduler;
