//! Two engines behind one door: PostgreSQL, and SQLite in a file.
//!
//! Every connection is a guard that knows whether it is clean. A guard that is dropped in the
//! middle of a statement or a transaction is detached from its pool and closed, because the pool
//! would otherwise hand out a connection that is still inside somebody's transaction.

mod binder;
mod clock;
mod connect;
mod error;
mod guard;
mod lease;
mod listen;
mod migrate;
mod row;

pub use clock::DbClock;
pub use connect::{Db, DbOptions};
pub use error::DbError;
pub use guard::{Conn, Engine};
pub use listen::{listen, notify};
pub use migrate::{MigrationState, migrate, migration_state, revert};
pub use row::{AnyRow, Row1};
