//! Signs of life: stores those of agents and of this server, and says from when silence may be judged.
//!
//! The judge must first prove that it could have heard: after a gap of its own, or right after its
//! start, nobody is judged for as long as silence may last.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{ServerId, Ts};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::contact::{Contact, RETURN_LIMIT};
use super::judge::Judge;
use crate::infra::bmc::server_bmc;
use crate::infra::db::DbError;
use crate::service::{HeartbeatNote, SessionSvc, Store};

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
  /// Told what is stored, where other servers judge the same agents.
  contact: Option<Arc<Contact>>,
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
      contact: None,
    }
  }

  /// The same, which tells what it has stored.
  #[must_use]
  pub fn with_contact(mut self, contact: Arc<Contact>) -> Self {
    self.contact = Some(contact);
    self
  }

  /// Works until stopped.
  pub async fn run(self, stop: CancellationToken) {
    let (stored, from) = watch::channel(self.judge_from);
    let judge = Judge::new(Arc::clone(&self.sessions), self.settings, from);
    tokio::join!(judge.run(stop.clone()), self.store_signs(stored, stop));
  }

  async fn store_signs(mut self, stored: watch::Sender<Instant>, stop: CancellationToken) {
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
      match outcome {
        Ok(()) => _ = stored.send_replace(self.judge_from),
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot store signs of life");
        }
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
    Ok(())
  }
}
