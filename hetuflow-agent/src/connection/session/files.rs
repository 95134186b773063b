//! Files on their way through a connection: behind everything else that it carries.

use futures_util::SinkExt;
use hetuflow_core::MessageKind;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Session;
use crate::connection::frames::message;
use crate::connection::link::Link;
use crate::connection::uploads::Said;
use crate::connection::{Told, WantedFile};

/// Pieces of files sent in one turn, so that what is heard and what is due is not kept waiting.
const PIECES_PER_TURN: usize = 16;

impl Session<'_> {
  /// Files go behind everything else, a few pieces in a turn.
  pub(super) async fn send_files(&mut self, now: Instant) -> Result<(), Error> {
    let Link { outbox, uploads, .. } = &mut *self.link;
    for instance_id in outbox.take_filed() {
      uploads.add(instance_id, now);
    }
    if uploads.is_idle() {
      return Ok(());
    }
    uploads.note_acked(outbox, now);
    for told in uploads.messages(now) {
      let message = match told {
        Said::Have(upload) => message(MessageKind::FileUpload, upload, false),
        Said::Lost(status) => message(MessageKind::FileTransferStatus, status, false),
      };
      if let Some(message) = message {
        self.sink.feed(message).await?;
      }
    }
    for _ in 0..PIECES_PER_TURN {
      let Link { outbox, uploads, .. } = &mut *self.link;
      if !outbox.takes_piece() {
        break;
      }
      let Some(piece) = uploads.next_piece(now) else { break };
      let seq = outbox.piece(Box::new(piece));
      uploads.note_sent(seq);
      let frame = outbox.chunk().map(Message::binary);
      outbox.note_sent(1, now);
      if let Some(frame) = frame {
        self.sink.feed(frame).await?;
      }
      // On the same thread tasks are started and reports are made.
      tokio::task::yield_now().await;
    }
    Ok(())
  }

  pub(super) fn want(&mut self, files: Vec<WantedFile>) {
    let now = Instant::now();
    files.into_iter().for_each(|file| self.link.downloads.want(file, now));
  }

  /// Asks for the next part of a file that a task waits for, and tells which have come.
  pub(super) async fn fetch_files(&mut self, now: Instant) -> Result<(), Error> {
    if let Some(question) = self.link.downloads.question(now)
      && let Some(message) = message(MessageKind::FileDownload, question, false)
    {
      self.sink.feed(message).await?;
    }
    for fetched in self.link.downloads.take_told() {
      (self.link.tell)(Told::Fetched(fetched));
    }
    Ok(())
  }
}
