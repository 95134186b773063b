//! Hints between servers on one PostgreSQL, at most 20 a second: NOTIFY takes a lock at commit.

use std::time::Duration;

use hetuflow_core::ServerId;
use tokio_util::sync::CancellationToken;

use crate::infra::db;
use crate::service::Store;

/// Least time between two hints.
const PAUSE: Duration = Duration::from_millis(50);
/// Wait before a failed listener is built anew.
const RECONNECT: Duration = Duration::from_secs(1);

/// The two loops of hints.
#[derive(Clone)]
pub struct RemoteWake {
  store: Store,
  server: ServerId,
}

impl RemoteWake {
  /// Hints of this server.
  pub fn new(store: Store, server: ServerId) -> Self {
    Self { store, server }
  }

  /// Tells the others, until stopped.
  pub async fn run_notify(self, stop: CancellationToken) {
    if self.store.db.is_sqlite() {
      return;
    }
    loop {
      tokio::select! {
        () = self.store.bus.remote.notified() => {}
        () = stop.cancelled() => return,
      }
      if let Err(error) = db::notify(&self.store.db, self.server.as_str()).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "cannot notify other servers");
      }
      tokio::time::sleep(PAUSE).await;
    }
  }

  /// Hears the others, until stopped.
  pub async fn run_listen(self, stop: CancellationToken) {
    if self.store.db.is_sqlite() {
      return;
    }
    loop {
      let heard = db::listen(&self.store.db, |sender| {
        if sender != self.server.as_str() {
          self.store.bus.wake_all();
        }
      });
      tokio::select! {
        outcome = heard => {
          if let Err(error) = outcome {
            tracing::warn!(error = &error as &dyn std::error::Error, "listening failed");
          }
        }
        () = stop.cancelled() => return,
      }
      // What was said in between is found by looking.
      self.store.bus.wake_all();
      tokio::select! {
        () = tokio::time::sleep(RECONNECT) => {}
        () = stop.cancelled() => return,
      }
    }
  }
}
