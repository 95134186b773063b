//! The sending half of a connection as the broker sees it: a bounded queue in front of the writer.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message};
use hetuflow_core::{
  AcquireTaskResponse, AgentCommand, Envelope, InstanceHead, JobSpec, MessageKind, ScheduledTask,
  TaskControl, TaskHead,
};
use tokio::sync::{Semaphore, mpsc};

use super::codec::write_message;
use crate::broker::{AgentLink, Assignment};

/// Frames that may wait for the writer; beyond that the link takes no more tasks.
pub(super) const OUTGOING_MAX: usize = 256;
/// Largest frame of tasks before compression.
const TASKS_BYTES_MAX: usize = 900 << 10;
/// Most tasks in one frame.
const TASKS_PER_FRAME: usize = 250;

/// Parts of files that are sent to one agent at the same time. It asks for one after the other; the
/// next question may come before the end of the last answer is noted.
const DOWNLOADS_MAX: usize = 3;

/// Close code: a newer connection of the same agent took over.
pub(super) const CLOSE_SUPERSEDED: u16 = 4010;

/// The queue in front of a connection's writer.
pub(super) struct SocketLink {
  pub(super) sender: mpsc::Sender<Message>,
  pub(super) zstd: bool,
  /// Parts of files that may be sent.
  pub(super) downloads: Arc<Semaphore>,
}

impl SocketLink {
  pub(super) fn new(sender: mpsc::Sender<Message>, zstd: bool) -> Self {
    Self { sender, zstd, downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)) }
  }

  /// Queues a message; `false` when the queue is full or the writer gone.
  pub(super) fn send<P: serde::Serialize>(&self, envelope: &Envelope<P>) -> bool {
    self.sender.try_send(write_message(envelope, self.zstd)).is_ok()
  }

  /// Queues the end of the connection.
  pub(super) fn close_with(&self, code: u16, reason: &str) {
    let reason = close_reason(reason);
    let frame = CloseFrame { code, reason: reason.into() };
    // A full queue means a dead peer; the reader's own limits end it.
    let _full = self.sender.try_send(Message::Close(Some(frame)));
  }

  fn frames(&self, tasks: &[Assignment]) -> Vec<Message> {
    let mut frames = Vec::new();
    for chunk in tasks.chunks(TASKS_PER_FRAME) {
      self.frames_of(chunk, &mut frames);
    }
    frames
  }

  /// One frame, or two halves where one would be too large.
  fn frames_of(&self, tasks: &[Assignment], frames: &mut Vec<Message>) {
    let answer = answer_of(tasks);
    let envelope = Envelope::new(MessageKind::TaskPollResponse, &answer);
    let text = envelope.to_json().expect("protocol messages are plain data");
    if text.len() > TASKS_BYTES_MAX && tasks.len() > 1 {
      let (first, second) = tasks.split_at(tasks.len() / 2);
      self.frames_of(first, frames);
      self.frames_of(second, frames);
      return;
    }
    frames.push(match hetuflow_core::pack_message(text, self.zstd) {
      hetuflow_core::Frame::Text(text) => Message::Text(text.into()),
      hetuflow_core::Frame::Binary(bytes) => Message::Binary(bytes.into()),
    });
  }
}

/// A reason that a close frame can carry: at most 120 bytes, printable.
pub(super) fn close_reason(reason: &str) -> String {
  let mut text = String::new();
  for c in reason.chars().flat_map(|c| c.escape_debug()) {
    if text.len() + c.len_utf8() > 120 {
      break;
    }
    text.push(c);
  }
  text
}

impl AgentLink for SocketLink {
  fn dispatch(&self, tasks: Vec<Assignment>) -> bool {
    let frames = self.frames(&tasks);
    let Ok(places) = self.sender.try_reserve_many(frames.len()) else { return false };
    for (place, frame) in places.zip(frames) {
      place.send(frame);
    }
    true
  }

  fn control(&self, control: TaskControl) -> bool {
    self.send(&Envelope::new(MessageKind::TaskControl, control))
  }

  fn command(&self, command: AgentCommand) -> bool {
    // The answer names the message: it is the command's own id.
    let message_id = command.command_id;
    self.send(&Envelope { message_id, ..Envelope::new(MessageKind::AgentCommand, command) })
  }

  fn close(&self, reason: &str) {
    self.close_with(CLOSE_SUPERSEDED, reason);
  }
}

/// The tasks with what their jobs run told once each.
fn answer_of(tasks: &[Assignment]) -> AcquireTaskResponse {
  let mut places: HashMap<*const JobSpec, usize> = HashMap::new();
  let mut answer = AcquireTaskResponse::default();
  for one in tasks {
    let spec = *places.entry(Arc::as_ptr(&one.spec)).or_insert_with(|| {
      answer.specs.push(JobSpec::clone(&one.spec));
      answer.specs.len() - 1
    });
    let task = &one.task;
    answer.tasks.push(ScheduledTask {
      task_instance: InstanceHead { id: task.instance_id },
      task: TaskHead {
        id: task.task_id,
        spec,
        scheduled_at: task.scheduled_at,
        eligible_at: (task.eligible_at != task.scheduled_at).then_some(task.eligible_at),
        trigger_source: task.trigger_source,
        timezone: one.timezone.as_deref().map(str::to_owned),
        prev_success_at: one.prev_success_at,
        parameters: task.parameters.clone(),
        config: task.config.as_ref().map(|config| config.0.clone()),
        environment: task.environment.as_ref().map(|environment| environment.0.clone()),
      },
      fence: task.fence,
      attempt: i32::try_from(task.attempt).unwrap_or(i32::MAX),
      deadline_at: task.start_deadline_at,
      secrets: one.secrets.clone(),
      inputs: one.inputs.clone(),
    });
  }
  answer
}
