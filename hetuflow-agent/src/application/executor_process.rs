//! The executor's process, from its start to its end.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::executor::{DeskError, Place, serve};

/// Why the executor's process cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorFailure {
  /// The kernel has refused a signal handler.
  #[error("the system refuses what every executor needs")]
  System(#[from] std::io::Error),
  /// Its folder cannot be had.
  #[error(transparent)]
  Desk(#[from] DeskError),
}

/// Runs an executor for the agent of a state folder, apart from whoever has started it: neither a
/// key on that terminal nor the end of that session reaches it.
///
/// # Errors
/// [`ExecutorFailure`].
pub async fn run_executor(state_dir: &Path) -> Result<(), ExecutorFailure> {
  // It leads a group already only where somebody has started it by hand.
  let _already_apart = rustix::process::setsid();
  let stop = CancellationToken::new();
  let mut terminate = signal(SignalKind::terminate())?;
  let mut hangup = signal(SignalKind::hangup())?;
  let place = Place::new(state_dir);
  // On a thread of the runtime: the one that waits here would have to be woken for each message.
  let tracker = TaskTracker::new();
  let stopped = stop.clone();
  let mut serving = tracker.spawn(async move { serve(&place, stopped).await });
  loop {
    tokio::select! {
      outcome = &mut serving => {
        return Ok(outcome.map_err(std::io::Error::other)??);
      }
      _ = terminate.recv() => stop.cancel(),
      _ = hangup.recv() => {}
    }
  }
}
