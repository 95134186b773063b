//! Puts the rooms together, owns everything that runs, and ends it in order.

mod identity;
mod logging;
mod metrics;
mod run;
mod wiring;

pub use identity::{IdentityError, agent_id};
pub use logging::{LogGuard, start_logging};
pub use run::{Agent, RunError, run};
