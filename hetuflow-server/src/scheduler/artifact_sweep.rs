//! Forgets files that are over, and deletes contents that nothing has any more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::ArtifactSvc;

/// Time between two looks where there was nothing to do.
const LOOK: Duration = Duration::from_secs(60);
/// Time between two turns where there may be more.
const PAUSE: Duration = Duration::from_millis(200);

/// The loop over files.
pub struct ArtifactSweep {
  artifacts: Arc<ArtifactSvc>,
}

impl ArtifactSweep {
  /// A loop over the files of a store.
  pub fn new(artifacts: Arc<ArtifactSvc>) -> Self {
    Self { artifacts }
  }

  /// Sweeps until stopped.
  pub async fn run(self, stop: CancellationToken) {
    let mut wait = LOOK;
    loop {
      tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => return,
      }
      wait = match self.artifacts.sweep().await {
        Ok((0, 0)) => LOOK,
        Ok((files, contents)) => {
          tracing::info!(files, contents, "old files were forgotten");
          PAUSE
        }
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot sweep files");
          LOOK
        }
      };
    }
  }
}
