//! Ownership of background work: each task has a name and a stop policy.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owner of everything that runs in the background.
#[derive(Clone)]
pub struct Background {
  tracker: TaskTracker,
  /// The polite stop: finish the turn, then end.
  pub soft: CancellationToken,
  /// The end of lanes and writers, after nothing new can come.
  pub drain: CancellationToken,
}

impl Background {
  /// Nothing yet.
  pub fn new() -> Self {
    let drain = CancellationToken::new();
    Self { tracker: TaskTracker::new(), soft: drain.child_token(), drain }
  }

  /// Runs a task that must not end by itself; if it does or panics, the server stops and says so.
  pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let (soft, drain) = (self.soft.clone(), self.drain.clone());
    self.tracker.spawn(async move {
      let ended = AssertUnwindSafe(work).catch_unwind().await;
      let stopping = soft.is_cancelled() || drain.is_cancelled();
      match ended {
        Ok(()) if stopping => tracing::debug!(task = name, "background task stopped"),
        Ok(()) => {
          tracing::error!(task = name, "background task {name} ended by itself, stopping");
          soft.cancel();
        }
        Err(_panic) => {
          tracing::error!(task = name, "background task {name} panicked, stopping");
          soft.cancel();
        }
      }
    });
  }

  /// The owner of tasks that come and go, as the writers of connections.
  pub fn tracker(&self) -> TaskTracker {
    self.tracker.clone()
  }

  /// Waits for all tasks, for so long; `false` when some are still running.
  pub async fn join(&self, longest: Duration) -> bool {
    self.tracker.close();
    tokio::time::timeout(longest, self.tracker.wait()).await.is_ok()
  }
}
