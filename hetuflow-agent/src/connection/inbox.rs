//! Reading: every frame of the server becomes something told, or something for the session.

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use hetuflow_core::{
  AckMessage, AcquireTaskResponse, AgentCommand, AgentRegisterResponse, DispatchTaskRequest,
  DispatchTaskResponse, Envelope, FILE_FRAME, FileFrame, FileTransferStatus, HeartbeatResponse,
  MessageError, MessageKind, Nack, RawMessage, TaskControl, read_message,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio_tungstenite::tungstenite::Message;

use super::answer::refusal;
use super::dial::Socket;
use super::frames::{frame, text_of};
use super::life::Life;
use super::salvage::Salvage;
use super::{Clock, Tell, Told};

/// What the session itself must hear. The queue is bounded by what was sent: one answer to a
/// heartbeat, an ack to a report, the pieces of one question.
#[derive(Debug)]
pub enum Heard {
  /// A registration is answered.
  Registered(Box<AgentRegisterResponse>),
  /// Reports up to this one are durable.
  Acked(u64),
  /// A heartbeat is answered; heard at this instant of the steady clock.
  Heartbeat(HeartbeatResponse, i64),
  /// How far a file is.
  File(Box<FileTransferStatus>),
  /// A piece of a file that a task is to find.
  Piece(Box<FileFrame>),
  /// The grant should be repeated.
  GrantWanted,
  /// An answer to send.
  Answer(Message),
  /// The socket is closed, with the server's code where it gave one.
  Closed(Option<u16>, String),
}

/// The reading half of one connection.
pub struct Inbox<'a> {
  /// The frames.
  pub stream: SplitStream<Socket>,
  /// For the rest of the agent.
  pub tell: &'a Tell,
  /// For the session.
  pub heard: UnboundedSender<Heard>,
  /// Stamps answers.
  pub clock: &'a dyn Clock,
  /// Which connection this is.
  pub connection_epoch: i64,
  /// The server's signs of life.
  pub life: &'a Life,
}

impl Inbox<'_> {
  /// Reads until the socket is closed. Nothing that comes in ends it or panics.
  pub async fn read(mut self) {
    let (code, reason) = loop {
      match self.stream.next().await {
        None => break (None, "the server has closed the connection".to_owned()),
        Some(Err(error)) => break (None, error.to_string()),
        Some(Ok(Message::Close(close))) => {
          let code = close.as_ref().map(|frame| u16::from(frame.code));
          let said = close.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
          break (code, format!("the server says goodbye{}", said.unwrap_or_default()));
        }
        Some(Ok(message)) => self.take(message),
      }
    };
    self.hear(Heard::Closed(code, reason));
  }

  fn hear(&self, heard: Heard) {
    let _session_over = self.heard.send(heard);
  }

  fn answer(&self, message: Option<Message>) {
    if let Some(message) = message {
      self.hear(Heard::Answer(message));
    }
  }

  fn take(&self, message: Message) {
    self.life.note();
    if let Message::Binary(bytes) = &message
      && bytes.first() == Some(&FILE_FRAME)
    {
      return match FileFrame::decode(bytes) {
        Ok(piece) => self.hear(Heard::Piece(Box::new(piece))),
        Err(error) => self.answer(refusal(None, "invalid", &chain(&error))),
      };
    }
    let text = match text_of(message) {
      Ok(Some(text)) => text,
      Ok(None) => return,
      Err(error) => return self.answer(refusal(None, "invalid", &error)),
    };
    match read_message(&text) {
      Ok(message) => {
        let (id, kind) = (message.message_id, message.message_kind);
        if let Err(error) = self.follow(&message) {
          tracing::warn!(%kind, error = %chain(&error), "a message of the server is not readable");
          self.answer(refusal(Some(id), "invalid", &chain(&error)));
        }
      }
      Err(MessageError::UnknownKind { message_id, kind }) => {
        self.answer(refusal(Some(message_id), "unsupported", &format!("kind {kind}")));
      }
      Err(error) => self.answer(refusal(None, "invalid", &chain(&error))),
    }
  }

  fn follow(&self, message: &RawMessage<'_>) -> Result<(), MessageError> {
    let message_id = message.message_id;
    match message.message_kind {
      MessageKind::TaskPollResponse => self.take_tasks(message)?,
      MessageKind::Ack => {
        let ack: AckMessage = message.read()?;
        if let Some(seq) = ack.seq {
          self.hear(Heard::Acked(seq));
        }
      }
      MessageKind::AgentHeartbeatResponse => {
        let heard_us = self.clock.steady_us();
        let answer: HeartbeatResponse = message.read()?;
        answer.commands.iter().for_each(|command| self.take_command(command.clone()));
        self.hear(Heard::Heartbeat(answer, heard_us));
      }
      MessageKind::TaskControl => {
        let control: TaskControl = message.read()?;
        (self.tell)(Told::Control { message_id, control });
      }
      MessageKind::TaskAvailable => self.hear(Heard::GrantWanted),
      MessageKind::AgentRegisterResponse => {
        let answer: AgentRegisterResponse = message.read()?;
        self.hear(Heard::Registered(Box::new(answer)));
      }
      MessageKind::TaskDispatch => self.take_dispatch(message)?,
      MessageKind::AgentCommand => self.take_command(message.read::<AgentCommand>()?),
      MessageKind::Nack => {
        let nack: Nack = message.read()?;
        tracing::warn!(message = %nack.err_msg, "the server has refused a message");
      }
      MessageKind::Error => {
        let text: String = message.payload.get().chars().take(300).collect();
        tracing::warn!(error = %text, "the server has answered with an error");
      }
      MessageKind::FileTransferStatus => {
        let status: FileTransferStatus = message.read()?;
        self.hear(Heard::File(Box::new(status)));
      }
      MessageKind::LogAck | MessageKind::Tick => {}
      kind => self.answer(refusal(Some(message_id), "unsupported", &format!("kind {kind}"))),
    }
    Ok(())
  }

  fn take_tasks(&self, message: &RawMessage<'_>) -> Result<(), MessageError> {
    let message_id = message.message_id;
    let (connection_epoch, mut unreadable) = (self.connection_epoch, Vec::new());
    let answer = match message.read::<AcquireTaskResponse>() {
      Ok(answer) => answer,
      Err(error) => {
        let salvaged = Salvage::from_message(message)?;
        tracing::warn!(error = %chain(&error), "some tasks of the server are not readable");
        self.answer(refusal(Some(message_id), "invalid", &chain(&error)));
        unreadable = salvaged.refused;
        salvaged.answer
      }
    };
    (self.tell)(Told::Tasks { message_id, connection_epoch, answer });
    for update in unreadable {
      (self.tell)(Told::Unreadable { connection_epoch, update: Box::new(update) });
    }
    Ok(())
  }

  /// The push form: one task with its job, acknowledged at once.
  fn take_dispatch(&self, message: &RawMessage<'_>) -> Result<(), MessageError> {
    let mut dispatch: DispatchTaskRequest = message.read()?;
    dispatch.scheduled.task.spec = 0;
    let response = DispatchTaskResponse {
      success: true,
      message: String::new(),
      task_id: dispatch.scheduled.task.id,
      instance_id: Some(dispatch.scheduled.task_instance.id),
    };
    let answer = AcquireTaskResponse {
      specs: vec![dispatch.job],
      tasks: vec![dispatch.scheduled],
      ..AcquireTaskResponse::default()
    };
    let (message_id, connection_epoch) = (message.message_id, self.connection_epoch);
    (self.tell)(Told::Tasks { message_id, connection_epoch, answer });
    let reply = Envelope::new(MessageKind::TaskDispatchResponse, response).reply_to(message_id);
    self.answer(frame(&reply, false));
    Ok(())
  }

  fn take_command(&self, command: AgentCommand) {
    let (id, kind) = (command.command_id, command.command_type);
    if !(self.tell)(Told::Command(command)) {
      self.answer(refusal(
        Some(id),
        "unsupported",
        &format!("command {kind}: not known here, or too many wait"),
      ));
    }
  }
}

/// An error with its causes, in one line.
fn chain(error: &MessageError) -> String {
  let mut text = error.to_string();
  let mut cause = std::error::Error::source(error);
  while let Some(error) = cause {
    text.push_str(&format!(": {error}"));
    cause = error.source();
  }
  text
}
