//! What is kept until a server has stored it, and its way to the agent.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hetuflow_core::{OutputFrame, TaskInstanceId};
use tokio::time::Instant;

use super::Desk;
use super::outgoing::Outgoing;
use crate::executor::frames::{FromExecutor, put_json, put_output};
use crate::executor::{Ended, Held, HeldPhase, Hold};

/// Output that is with the agent and not stored yet; more stays here.
const WINDOW_BYTES: usize = 8 << 20;
/// Bytes on their way into the socket; no more is put together before they are gone.
const OUT_BYTES: usize = 1 << 20;
/// Between two proofs of life, at most.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// An event that is kept until it is stored.
pub(super) struct Kept {
  instance_id: TaskInstanceId,
  told: Told,
  /// When the agent was told.
  told_at: Option<Instant>,
  _hold: Hold,
}

/// What it tells.
pub(super) enum Told {
  Output(Box<OutputFrame>),
  Ended(Box<Ended>),
}

impl Desk {
  pub(super) fn keep(&mut self, instance_id: TaskInstanceId, told: Told, hold: Hold) {
    self.last_number += 1;
    self.outgoing.push(self.last_number, instance_id, matches!(told, Told::Output(_)));
    self.kept.insert(self.last_number, Kept { instance_id, told, told_at: None, _hold: hold });
    if self.abandoned {
      self.stored([self.last_number]);
    }
  }

  /// A server has these.
  pub(super) fn stored(&mut self, numbers: impl IntoIterator<Item = u64>) {
    let mut settled = Vec::new();
    for number in numbers {
      let Some(kept) = self.kept.remove(&number) else { continue };
      match kept.told {
        Told::Output(frame) => {
          self.window = self.window.saturating_sub(frame.data.len());
          if let Some(at) = kept.told_at {
            self.pieces.note_stored(at.elapsed());
          }
        }
        Told::Ended(_) => {
          self.held.remove(&kept.instance_id);
          settled.push(kept.instance_id);
        }
      }
    }
    if !settled.is_empty() {
      self.journal.settled(settled);
    }
  }

  pub(super) fn say(&mut self, message: &FromExecutor) {
    if self.writer.is_some()
      && let Err(error) = put_json(&mut self.out, message)
    {
      tracing::error!(%error, "a message cannot be written");
    }
  }

  /// Adds to what is being written what the agent has not heard yet, as far as the window goes.
  pub(super) fn fill(&mut self) {
    if self.writer.is_none() || self.out.len() - self.written >= OUT_BYTES {
      return;
    }
    let full = WINDOW_BYTES;
    let is_output = |kept: &BTreeMap<u64, Kept>, number| {
      matches!(kept.get(&number), Some(Kept { told: Told::Output(_), .. }))
    };
    let now = Instant::now();
    while let Some(number) =
      self.outgoing.pop(|number| self.window < full || !is_output(&self.kept, number))
    {
      // What was abandoned is not kept any more.
      let Some(event) = self.kept.get_mut(&number) else { continue };
      event.told_at = Some(now);
      match &event.told {
        Told::Output(frame) => {
          self.window += frame.data.len();
          put_output(&mut self.out, number, frame);
        }
        Told::Ended(ended) => {
          let message = FromExecutor::Ended { number, ended: ended.clone() };
          if let Err(error) = put_json(&mut self.out, &message) {
            tracing::error!(%error, "an end cannot be written");
          }
        }
      }
      if self.out.len() - self.written >= OUT_BYTES {
        break;
      }
    }
    if !self.out.is_empty() && self.ticked.elapsed() >= TICK_INTERVAL {
      self.ticked = Instant::now();
      self.say(&FromExecutor::Tick(self.turns));
    }
  }

  pub(super) fn note_written(&mut self, written: io::Result<usize>) {
    match written {
      Ok(count) => {
        self.written += count;
        if self.written == self.out.len() {
          self.out.clear();
          self.written = 0;
        }
      }
      Err(error) => {
        // Its reader tells when it is gone.
        tracing::debug!(%error, "the agent does not listen any more");
        self.writer = None;
      }
    }
  }

  /// All that is kept is told anew.
  pub(super) fn tell_again(&mut self) {
    self.outgoing = Outgoing::default();
    for (number, kept) in &self.kept {
      self.outgoing.push(*number, kept.instance_id, matches!(kept.told, Told::Output(_)));
    }
  }

  pub(super) fn is_idle(&self) -> bool {
    self.kept.is_empty() && self.held.is_empty()
  }

  /// Only ends are in hand, and what was never started; the journal has both for the next executor.
  pub(super) fn is_written_down(&self) -> bool {
    let rests = |held: &Held| matches!(held.phase, HeldPhase::Ended { .. } | HeldPhase::Waiting(_));
    self.held.values().all(rests) && self.kept.values().all(|k| matches!(k.told, Told::Ended(_)))
  }

  /// Nothing lives, and nobody is there to hear of what is kept; the journal has the ends.
  pub(super) fn is_dead(&self) -> bool {
    let ended = |held: &Held| matches!(held.phase, HeldPhase::Ended { .. });
    self.is_idle() || self.reader.is_none() && self.held.values().all(ended)
  }
}
