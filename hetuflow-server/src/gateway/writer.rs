//! The one task that writes to a connection.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use hetuflow_core::{AckMessage, AckStatus, Envelope, MessageKind};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::codec::write_message;
use super::upgrade::GatewayState;

/// Frames sent before a flush at the latest.
const FLUSH_EVERY: usize = 16;

/// Writes what is queued, and acknowledgements as they come, until the queue ends or holds a farewell.
pub(super) async fn write_loop(
  state: Arc<GatewayState>,
  mut sink: SplitSink<WebSocket, Message>,
  mut receiver: mpsc::Receiver<Message>,
  (mut acks, zstd): (watch::Receiver<u64>, bool),
  hard: CancellationToken,
) {
  let mut closing = false;
  while !closing {
    let mut message = tokio::select! {
      biased;
      changed = acks.changed() => match changed {
        Ok(()) => {
          let seq = *acks.borrow_and_update();
          let ack =
            AckMessage { message_id: Uuid::nil(), status: AckStatus::Ok, details: None, seq: Some(seq) };
          Some(write_message(&Envelope::new(MessageKind::Ack, ack), zstd))
        }
        Err(_) => receiver.recv().await,
      },
      message = receiver.recv() => message,
    };
    if message.is_none() {
      break;
    }
    let mut fed = 0;
    while let Some(one) = message.take() {
      closing |= matches!(one, Message::Close(_));
      state.stats.count_sent();
      let sent = tokio::select! {
        sent = sink.feed(one) => sent,
        () = linger(&hard) => return,
      };
      if sent.is_err() {
        return;
      }
      fed += 1;
      if fed < FLUSH_EVERY && !closing {
        message = receiver.try_recv().ok();
      }
    }
    if sink.flush().await.is_err() {
      return;
    }
  }
  // The peer may be gone already.
  let _gone = sink.close().await;
}

/// Time that a writer gets to say goodbye after its reader has ended.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

async fn linger(hard: &CancellationToken) {
  hard.cancelled().await;
  tokio::time::sleep(LINGER).await;
}
