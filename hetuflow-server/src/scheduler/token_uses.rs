//! Stores when tokens were used last, off the path of requests.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::TokenSvc;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(10);

/// The loop over uses of tokens.
pub struct TokenUses {
  tokens: Arc<TokenSvc>,
}

impl TokenUses {
  /// A loop over what the service has seen.
  pub fn new(tokens: Arc<TokenSvc>) -> Self {
    Self { tokens }
  }

  /// Works until stopped, and once more then.
  pub async fn run(self, stop: CancellationToken) {
    loop {
      tokio::select! {
        () = tokio::time::sleep(LOOK) => self.store().await,
        () = stop.cancelled() => return self.store().await,
      }
    }
  }

  async fn store(&self) {
    if let Err(error) = self.tokens.store_uses().await {
      tracing::debug!(error = &error as &dyn std::error::Error, "cannot note uses of tokens");
    }
  }
}
