//! The watches of one socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hetuflow_core::{ErrorCode, WATCHES_PER_SOCKET_MAX, Watch, WatchFrame};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use crate::service::{Actor, WatchReader, WatchSvc};

/// Longest name of a watch, in bytes.
const ID_BYTES_MAX: usize = 100;

type Step = Pin<Box<dyn Future<Output = (WatchReader, Option<WatchFrame>)> + Send>>;

/// What a socket watches.
pub(super) struct Watches {
  hub: Arc<WatchSvc>,
  open: Vec<Open>,
  steps: FuturesUnordered<Step>,
}

struct Open {
  id: String,
  stop: CancellationToken,
  covered: Arc<AtomicI64>,
}

impl Watches {
  /// None yet.
  pub(super) fn new(hub: Arc<WatchSvc>) -> Self {
    Self { hub, open: Vec::new(), steps: FuturesUnordered::new() }
  }

  /// Whether nothing is watched.
  pub(super) fn is_empty(&self) -> bool {
    self.open.is_empty()
  }

  /// Begins a watch; one of the same name ends.
  ///
  /// # Errors
  /// 400 for too many or a bad name, 403 and 404 for what the reader may not see.
  pub(super) fn add(&mut self, actor: &Actor, watch: &Watch) -> Result<(), ApiError> {
    let bad = |code, message: String| ApiError::new(ErrorCode::BadRequest, code, "/id", message);
    if watch.id.is_empty() || watch.id.len() > ID_BYTES_MAX {
      return Err(bad("watch.id", format!("a watch has a name of 1 to {ID_BYTES_MAX} bytes")));
    }
    let reader = self.hub.watch(actor, watch).map_err(ApiError::from)?;
    self.remove(&watch.id);
    if self.open.len() >= WATCHES_PER_SOCKET_MAX {
      let message = format!("a socket holds {WATCHES_PER_SOCKET_MAX} watches at most");
      return Err(bad("watch.too_many", message));
    }
    let id = watch.id.clone();
    self.open.push(Open { id, stop: reader.stopper(), covered: reader.covered() });
    self.steps.push(step(reader));
    Ok(())
  }

  /// Ends a watch; whether there was one.
  pub(super) fn remove(&mut self, id: &str) -> bool {
    let Some(at) = self.open.iter().position(|open| open.id == id) else { return false };
    // A question that is being asked is heard out: its connection is worth more than its answer.
    self.open.swap_remove(at).stop.cancel();
    true
  }

  /// The journal's number up to which all of them know everything.
  pub(super) fn covered(&self) -> i64 {
    let all = self.open.iter().map(|open| open.covered.load(Ordering::Relaxed));
    all.min().unwrap_or(0)
  }

  /// The next frame of any of them; waits for ever where there are none. Cancelling it loses
  /// nothing.
  pub(super) async fn next(&mut self) -> WatchFrame {
    loop {
      match self.steps.next().await {
        Some((reader, Some(frame))) => {
          self.steps.push(step(reader));
          return frame;
        }
        Some((_ended, None)) => {}
        None => return std::future::pending().await,
      }
    }
  }
}

fn step(mut reader: WatchReader) -> Step {
  Box::pin(async move {
    let frame = reader.next().await;
    (reader, frame)
  })
}
