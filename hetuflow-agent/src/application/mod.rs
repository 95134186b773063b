//! Puts the rooms together, owns everything that runs, and ends it in order.

mod commander;
mod executor_process;
mod identity;
mod live_settings;
mod logging;
mod metrics;
mod open_files;
mod restart;
mod run;
mod settled;
mod wiring;

pub use executor_process::{ExecutorFailure, run_executor};
pub use identity::{IdentityError, StateLock, agent_id, lock_state};
pub use logging::{LogGuard, start_logging};
pub use open_files::{FilesError, allow_open_files};
pub use restart::become_anew;
pub use run::{Agent, ExecutorHome, Left, RunError, run};
pub use settled::settled;

pub use crate::process::{become_user, keep_inherited_back, keep_memory_back};
