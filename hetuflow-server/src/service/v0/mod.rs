//! The older interface as a thin layer over the same use cases: tasks by their type, agents, cron
//! jobs. It keeps nothing of its own and is no second scheduler.

mod agents;
mod cron_jobs;
mod tasks;

use std::sync::Arc;

pub use tasks::V0TaskWish;

use super::{LogSvc, Store, TaskSvc};

/// Use cases in the older words.
#[derive(Clone)]
pub struct V0Svc {
  store: Store,
  tasks: Arc<TaskSvc>,
  logs: LogSvc,
}

impl V0Svc {
  /// Over a store, and the service that makes tasks.
  pub fn new(store: Store, tasks: Arc<TaskSvc>) -> Self {
    let logs = LogSvc::new(store.clone());
    Self { store, tasks, logs }
  }
}
