//! The harness of hetuflow's stories: real binaries, real PostgreSQL, nothing left behind.
//!
//! A story boots a [`cluster::Cluster`] in a temporary directory, talks to it through [`api::Api`]
//! or [`cluster::Cluster::ctl`], waits for conditions with [`wait::until`], and ends with
//! [`cluster::Cluster::finish`]. What the tasks themselves saw is in a [`truth::TruthLog`].
//!
//! Deliberately absent: sleeping for a guessed time, retries of whole tests, and any way to pass
//! without PostgreSQL. A missing PostgreSQL is a failure that says how to install it.

pub mod api;
pub mod bad_disk;
pub mod bench;
pub mod binaries;
pub mod clocks;
pub mod cluster;
pub mod fake_feed;
pub mod net;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod terminal;
pub mod tmpfs;
pub mod truth;
pub mod wait;
