//! Signs of life: stores those of agents and of this server, and judges silence.
//!
//! The judge must first prove that it could have heard: after a gap of its own, or right after its
//! start, nobody is judged for as long as silence may last.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{ServerId, Ts};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::contact::{Contact, RETURN_LIMIT};
use crate::infra::bmc::server_bmc;
use crate::infra::db::DbError;
use crate::service::{HeartbeatNote, SessionSvc, Store};

/// Longest time between two looks for agents that are to be forgotten.
const STALE_LOOK_MAX: Duration = Duration::from_secs(60);

/// How silence is judged.
#[derive(Debug, Clone, Copy)]
pub struct LivenessSettings {
  /// Silence of an agent after which it is unreachable.
  pub unreachable_after: Duration,
  /// Silence after which an agent with nothing in hand is forgotten; zero is never.
  pub forgotten_after: Duration,
  /// Time between two turns.
  pub turn: Duration,
}

/// The loop over signs of life.
pub struct Liveness {
  store: Store,
  sessions: Arc<SessionSvc>,
  server: ServerId,
  settings: LivenessSettings,
  take_beats: Box<dyn Fn() -> Vec<HeartbeatNote> + Send + Sync>,
  judge_from: Instant,
  /// The last turn, on the clock that silence is judged by.
  last_turn: Option<Ts>,
  any_unreachable: bool,
  /// Told what is stored, where other servers judge the same agents.
  contact: Option<Arc<Contact>>,
  /// When attempts that nobody looks after are looked for again.
  next_orphans: Instant,
  /// When agents that are to be forgotten are looked for again.
  next_stale: Instant,
}

impl Liveness {
  /// A loop that takes waiting signs of life from the gateway through a function.
  pub fn new(
    store: Store,
    sessions: Arc<SessionSvc>,
    server: ServerId,
    settings: LivenessSettings,
    take_beats: Box<dyn Fn() -> Vec<HeartbeatNote> + Send + Sync>,
  ) -> Self {
    let judge_from = Instant::now() + settings.unreachable_after;
    Self {
      store,
      sessions,
      server,
      settings,
      take_beats,
      judge_from,
      last_turn: None,
      any_unreachable: true,
      contact: None,
      next_orphans: judge_from,
      next_stale: judge_from,
    }
  }

  /// The same, which tells what it has stored.
  #[must_use]
  pub fn with_contact(mut self, contact: Arc<Contact>) -> Self {
    self.contact = Some(contact);
    self
  }

  /// Works until stopped.
  pub async fn run(mut self, stop: CancellationToken) {
    let mut last = Instant::now();
    loop {
      tokio::select! {
        () = tokio::time::sleep(self.settings.turn) => {}
        () = stop.cancelled() => return,
      }
      let outcome = self.turn().await;
      // A turn that failed or came late heard nothing for a while.
      if outcome.is_err() || last.elapsed() > self.settings.turn * 3 {
        self.postpone(Duration::ZERO);
      }
      last = Instant::now();
      if let Err(error) = outcome {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot store signs of life");
      }
    }
  }

  /// Nobody is judged for as long as silence may last, and this much longer.
  fn postpone(&mut self, longer: Duration) {
    let until = Instant::now() + self.settings.unreachable_after + longer;
    self.judge_from = self.judge_from.max(until);
  }

  async fn turn(&mut self) -> Result<(), DbError> {
    let heard = Instant::now();
    self.sessions.heartbeats(&(self.take_beats)()).await?;
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      server_bmc::heartbeat(&mut tx, &self.server, now).await.map(|()| now)
    }
    .await;
    let now = tx.end::<_, DbError>(outcome).await?;
    // Those that were sent away are on their way back, and no server has heard them.
    if let Some(contact) = &self.contact
      && contact.stored(heard, Instant::now())
    {
      self.postpone(RETURN_LIMIT);
    }
    // A host that slept, or a clock that was set: timers have not seen it, and nobody could be heard.
    let before = self.last_turn.replace(now).unwrap_or(now);
    if now.since(before) > self.settings.turn * 3 {
      self.postpone(Duration::ZERO);
    }
    if Instant::now() < self.judge_from {
      return Ok(());
    }
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
