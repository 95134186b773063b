//! Files that agents announce or want: the answer is found beside the connection, which goes on.

use std::sync::Arc;

use axum::extract::ws::Message;
use hetuflow_core::{
  AgentId, Envelope, FileDownload, FileTransferState, FileTransferStatus, FileUpload, MessageError,
  MessageKind, RawMessage,
};
use uuid::Uuid;

use super::link::SocketLink;
use super::upgrade::GatewayState;

/// Takes a message about a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn take(
  state: &Arc<GatewayState>,
  (link, agent): (&Arc<SocketLink>, &AgentId),
  message: &RawMessage<'_>,
) -> Result<(), MessageError> {
  let (state, link, agent) = (Arc::clone(state), Arc::clone(link), agent.clone());
  let (tracker, message_id) = (state.tracker.clone(), message.message_id);
  if message.message_kind == MessageKind::FileTransferStatus {
    let told: FileTransferStatus = message.read()?;
    if told.status == FileTransferState::Lost {
      tracker.spawn(async move {
        if let Err(error) = state.artifacts.note_lost(&agent, &told).await {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot note a lost file");
        }
      });
    }
    return Ok(());
  }
  if message.message_kind == MessageKind::FileDownload {
    let wanted: FileDownload = message.read()?;
    // An agent has one question open; what goes far beyond that is not answered.
    if let Ok(turn) = Arc::clone(&link.downloads).try_acquire_owned() {
      tracker.spawn(async move {
        send_pieces(&state, (&link, &agent), (message_id, &wanted)).await;
        drop(turn);
      });
    }
    return Ok(());
  }
  let upload: FileUpload = message.read()?;
  tracker.spawn(async move {
    // What was sent before this message is durable when it is answered.
    state.reports.settle(&agent).await;
    match state.artifacts.announce(&agent, &upload).await {
      Ok(status) => {
        let answer = Envelope::new(MessageKind::FileTransferStatus, status);
        link.send(&answer.reply_to(message_id));
      }
      // The agent asks again.
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot answer for a file");
      }
    }
  });
  Ok(())
}

/// Answers with a part of a file: how it stands, and behind that the pieces, which are few beside
/// the frames that may wait for the writer.
async fn send_pieces(
  state: &GatewayState,
  (link, agent): (&SocketLink, &AgentId),
  (question, wanted): (Uuid, &FileDownload),
) {
  let (status, pieces) = match state.artifacts.download(agent, wanted).await {
    Ok(answer) => answer,
    Err(error) => {
      tracing::warn!(error = &error as &dyn std::error::Error, "cannot answer for a file");
      let status = FileTransferStatus {
        transfer_id: None,
        instance_id: wanted.instance_id,
        content_hash: wanted.content_hash,
        file_size: 0,
        bytes_transferred: 0,
        status: FileTransferState::Unknown,
        error_message: Some("the server cannot read it now".to_owned()),
      };
      (status, Vec::new())
    }
  };
  let answer = Envelope::new(MessageKind::FileTransferStatus, status).reply_to(question);
  link.send(&answer);
  for piece in pieces {
    let frame = Message::Binary(piece.encode().into());
    if link.sender.send(frame).await.is_err() {
      return;
    }
  }
}
