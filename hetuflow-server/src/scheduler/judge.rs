//! Judges silence. It has its own pace: however long it takes to give up many attempts, signs of life
//! are stored meanwhile.

use std::sync::Arc;

use hetuflow_core::Ts;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LivenessSettings;
use crate::infra::db::DbError;
use crate::service::SessionSvc;

/// Longest time between two looks for agents that are to be forgotten.
const STALE_LOOK_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// The loop over silence.
pub(super) struct Judge {
  sessions: Arc<SessionSvc>,
  settings: LivenessSettings,
  /// Since when it may judge; told each time that signs of life are stored.
  from: watch::Receiver<Instant>,
  any_unreachable: bool,
  /// When attempts that nobody looks after are looked for again.
  next_orphans: Instant,
  /// When agents that are to be forgotten are looked for again.
  next_stale: Instant,
}

impl Judge {
  /// A judge who hears through `from` what was stored.
  pub(super) fn new(
    sessions: Arc<SessionSvc>,
    settings: LivenessSettings,
    from: watch::Receiver<Instant>,
  ) -> Self {
    let first = Instant::now() + settings.unreachable_after;
    let (next_orphans, next_stale) = (first, first);
    Self { sessions, settings, from, any_unreachable: true, next_orphans, next_stale }
  }

  /// Works until stopped, once behind each time that signs of life are stored.
  pub(super) async fn run(mut self, stop: CancellationToken) {
    loop {
      tokio::select! {
        stored = self.from.changed() => if stored.is_err() { return },
        () = stop.cancelled() => return,
      }
      if Instant::now() < *self.from.borrow_and_update() {
        continue;
      }
      if let Err(error) = self.turn().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "silence cannot be judged");
      }
    }
  }

  async fn turn(&mut self) -> Result<(), DbError> {
    let silent = self.sessions.sweep_silent(self.settings.unreachable_after).await?;
    if silent > 0 {
      tracing::warn!(agents = silent, at = %Ts::now(), "agents are silent");
    }
    if Instant::now() >= self.next_orphans {
      self.next_orphans = Instant::now() + self.settings.unreachable_after;
      let orphans = self.sessions.sweep_orphans().await?;
      if orphans > 0 {
        tracing::warn!(attempts = orphans, "attempts of agents that are offline are unreachable");
      }
      // Another server may have called some unreachable, and be gone.
      self.any_unreachable = true;
    }
    self.forget_stale().await?;
    if silent > 0 || self.any_unreachable {
      let (lost, left) = self.sessions.sweep_lost().await?;
      self.any_unreachable = left > 0;
      if lost > 0 {
        tracing::warn!(attempts = lost, "attempts are lost");
      }
    }
    Ok(())
  }

  async fn forget_stale(&mut self) -> Result<(), DbError> {
    let after = self.settings.forgotten_after;
    if after.is_zero() || Instant::now() < self.next_stale {
      return Ok(());
    }
    self.next_stale = Instant::now() + (after / 10).clamp(self.settings.turn, STALE_LOOK_MAX);
    let agents = self.sessions.forget_stale(after).await?;
    if agents > 0 {
      tracing::info!(agents, "agents that nobody has heard of for long are forgotten");
    }
    Ok(())
  }
}
