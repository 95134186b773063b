//! What only the start of a process has used is let go once it is over.

use std::time::Duration;

use crate::process::let_start_code_go;

/// By then a process runs as it will run.
const START_TAKES: Duration = Duration::from_secs(3);

/// Runs it, and lets go of what its start has used.
pub async fn settled<T>(run: impl Future<Output = T>) -> T {
  let mut run = std::pin::pin!(run);
  tokio::select! {
    outcome = &mut run => outcome,
    () = tokio::time::sleep(START_TAKES) => {
      let_start_code_go();
      run.await
    }
  }
}
