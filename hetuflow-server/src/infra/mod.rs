//! The database and nothing else: pools, guards, migrations, and all SQL of the server.

pub mod bmc;
pub mod bus;
pub mod db;
