//! Messages as WebSocket frames.

use hetuflow_core::{
  Envelope, Frame, MessageKind, TaskInstanceUpdate, pack_message, unpack_message,
};
use serde::Serialize;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// A frame stays below this, so that no server refuses it.
const BATCH_BYTES_MAX: usize = 900 << 10;
/// Most updates in one batch.
pub const BATCH_ITEMS_MAX: usize = 500;
/// What an update takes without its texts.
const UPDATE_BYTES: usize = 640;

/// A batch that borrows its updates; the same JSON as `TaskReportBatch`.
#[derive(Serialize)]
struct Batch<'a> {
  agent_epoch: i64,
  seq_from: u64,
  items: Vec<BatchItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum BatchItem<'a> {
  Update(&'a TaskInstanceUpdate),
}

/// Any message as a frame.
pub fn frame<P: Serialize>(envelope: &Envelope<P>, zstd: bool) -> Option<Message> {
  match envelope.to_json() {
    Ok(text) => Some(match pack_message(text, zstd) {
      Frame::Text(text) => Message::text(text),
      Frame::Binary(bytes) => Message::binary(bytes),
    }),
    Err(error) => {
      tracing::error!(%error, kind = %envelope.message_kind, "a message cannot be written");
      None
    }
  }
}

/// A message of a kind with a payload.
pub fn message<P: Serialize>(kind: MessageKind, payload: P, zstd: bool) -> Option<Message> {
  frame(&Envelope::new(kind, payload), zstd)
}

/// As many of the updates as fit into one frame, and how many those are.
pub fn batch<'a>(
  agent_epoch: i64,
  seq_from: u64,
  updates: impl Iterator<Item = &'a TaskInstanceUpdate>,
  zstd: bool,
) -> (usize, Option<Message>) {
  let mut bytes = 0;
  let fits = updates.take_while(|update| {
    bytes += weight(update);
    // The first always goes: its texts are bounded where they are made.
    bytes <= BATCH_BYTES_MAX || bytes == weight(update)
  });
  let items: Vec<_> = fits.map(BatchItem::Update).collect();
  let count = items.len();
  (count, message(MessageKind::TaskReportBatch, Batch { agent_epoch, seq_from, items }, zstd))
}

/// An upper bound of an update's JSON.
fn weight(update: &TaskInstanceUpdate) -> usize {
  let texts = [&update.output, &update.reason, &update.error_message, &update.output_index];
  let texts = texts.into_iter().flatten().map(|text| escaped_bytes(text)).sum::<usize>();
  UPDATE_BYTES + texts + artifacts_weight(update)
}

/// An upper bound of what its files take.
pub fn artifacts_weight(update: &TaskInstanceUpdate) -> usize {
  let one = |note: &hetuflow_core::ArtifactNote| {
    let reason = note.reason.as_deref().map_or(0, escaped_bytes);
    160 + escaped_bytes(&note.name) + reason
  };
  update.artifacts.iter().map(one).sum()
}

/// What a text takes in JSON.
fn escaped_bytes(text: &str) -> usize {
  let cost = |byte| match byte {
    0..=0x1f => 6,
    b'"' | b'\\' => 2,
    _ => 1,
  };
  text.bytes().map(cost).sum()
}

/// The text of a received frame; `None` for what is not a message, with the reason.
///
/// # Errors
/// One sentence about what is wrong with the frame.
pub fn text_of(message: Message) -> Result<Option<Utf8Bytes>, String> {
  match message {
    Message::Text(text) => Ok(Some(text)),
    Message::Binary(bytes) => {
      unpack_message(&bytes).map(|text| Some(text.into())).map_err(|error| error.to_string())
    }
    Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Ok(None),
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{
    ReportItem, TaskId, TaskInstanceId, TaskInstanceStatus, TaskReportBatch, Ts, read_message,
  };

  use super::*;

  fn update(output: &str) -> TaskInstanceUpdate {
    let (id, task) = (TaskInstanceId::generate(), TaskId::generate());
    let mut update = TaskInstanceUpdate::new(id, task, TaskInstanceStatus::Failed, Ts::now());
    update.set_output(output.as_bytes().to_vec());
    update
  }

  #[test]
  fn a_batch_is_what_the_protocol_says() {
    let updates = [update("a"), update("b")];
    let (count, message) = batch(7, 42, updates.iter(), true);
    let text = text_of(message.expect("written")).expect("readable").expect("a message");
    let batch: TaskReportBatch = read_message(&text).expect("envelope").read().expect("batch");
    assert_eq!((count, batch.agent_epoch, batch.seq_from), (2, 7, 42));
    let items: Vec<_> = updates.into_iter().map(|one| ReportItem::Update(Box::new(one))).collect();
    assert_eq!(batch.items, items);
  }

  #[test]
  fn no_batch_is_over_the_limit() {
    let ugly = "\u{1b}".repeat(4096);
    let updates: Vec<_> = (0..500).map(|_| update(&ugly)).collect();
    let (count, message) = batch(7, 1, updates.iter(), false);
    let bytes = message.expect("written").len();
    assert!(count > 20 && bytes < BATCH_BYTES_MAX + 1000, "{count} updates in {bytes} bytes");
  }
}
