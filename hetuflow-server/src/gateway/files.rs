//! Files that agents announce: the answer is found beside the connection, which goes on.

use std::sync::Arc;

use hetuflow_core::{
  AgentId, Envelope, FileTransferState, FileTransferStatus, FileUpload, MessageError, MessageKind,
  RawMessage,
};

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
