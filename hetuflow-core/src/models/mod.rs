//! Things as they are stored and as people ask for them: entities, inputs, filters, pages.

mod agent;
mod apply;
mod artifact;
mod fleet;
mod hold;
mod identity_check;
mod job;
mod key_template;
mod limit;
mod log_grep;
mod log_verify;
mod page;
mod placement;
mod resource_limits;
mod rhythm;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod schedule_update;
mod secret;
mod task;
mod task_config;
mod v0;
mod why;

pub use agent::*;
pub use apply::*;
pub use artifact::*;
pub use fleet::*;
pub use hold::*;
pub use identity_check::{SECRET_NAME_HINT, SECRET_NAME_MAX, is_secret_name};
pub use job::*;
pub use key_template::KeyTemplate;
pub use limit::*;
pub use log_grep::*;
pub use log_verify::*;
pub use page::*;
pub use resource_limits::{ResourceLimits, tighter};
pub use rhythm::{COUNTED_MAX, Rhythm, cron_seed};
pub use schedule::*;
pub use schedule_update::ScheduleForUpdate;
pub use secret::*;
pub use task::*;
pub use task_config::*;
pub use v0::*;
pub use why::*;
