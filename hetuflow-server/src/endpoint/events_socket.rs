//! The feed as a WebSocket: the reader says what it wants, then listens.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::response::Response;
use hetuflow_core::{
  Envelope, ErrorCode, ErrorResponse, FRAME_BYTES_MAX, MessageKind, Subscribe, WebSocketMessage,
};
use serde::Serialize;

use super::auth::StreamRight;
use super::error::ApiError;
use super::state::ApiState;
use crate::service::{Actor, FeedItem, FeedReader};

/// Longest wait for the first message.
const FIRST_MESSAGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a reader that takes nothing.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// The close code of a lost right; readers do not come back with the same token.
const CLOSE_UNAUTHORIZED: u16 = 4001;
/// The close code of a server that goes away.
const CLOSE_AWAY: u16 = 1001;
/// The close code of a broken rule.
const CLOSE_POLICY: u16 = 1008;

type Opened = (Arc<ApiState>, Actor, StreamRight);

/// Upgrades; `wish` is what the address asked for, where it did.
pub(super) fn serve_socket(
  upgrade: WebSocketUpgrade,
  opened: Opened,
  wish: Option<Subscribe>,
) -> Response {
  upgrade
    .max_message_size(FRAME_BYTES_MAX)
    .max_frame_size(FRAME_BYTES_MAX)
    .on_upgrade(|socket| run(socket, opened, wish))
}

async fn run(mut socket: WebSocket, (api, actor, mut right): Opened, wish: Option<Subscribe>) {
  let mut wish = wish;
  loop {
    let wanted = match wish.take() {
      Some(wanted) => wanted,
      None => match first_wish(&mut socket).await {
        Some(wanted) => wanted,
        None => return,
      },
    };
    match api.feed.subscribe(&actor, &wanted).await {
      Ok(mut reader) => match follow(&mut socket, &mut reader, &mut right).await {
        Some(next) => wish = Some(next),
        None => return,
      },
      Err(error) => {
        let body = ApiError::from(error).into_body();
        send(&mut socket, MessageKind::Error, &body).await;
      }
    }
  }
}

/// Waits for a subscription; `None` when the reader went away or said nothing in time.
async fn first_wish(socket: &mut WebSocket) -> Option<Subscribe> {
  let asked = async {
    loop {
      if let Heard::Wish(wish) = hear(socket).await? {
        return Some(wish);
      }
    }
  };
  match tokio::time::timeout(FIRST_MESSAGE_TIME_MAX, asked).await {
    Ok(wish) => wish,
    Err(_) => {
      close(socket, CLOSE_POLICY, "no subscribe message came").await;
      None
    }
  }
}

/// Sends what happens until the reader wants something else (`Some`), or it is over.
async fn follow(
  socket: &mut WebSocket,
  reader: &mut FeedReader,
  right: &mut StreamRight,
) -> Option<Subscribe> {
  loop {
    let item = {
      let mut next = pin!(reader.next());
      loop {
        tokio::select! {
          item = &mut next => break item,
          why = right.ended() => {
            let stops = why == "the server stops";
            let code = if stops { CLOSE_AWAY } else { CLOSE_UNAUTHORIZED };
            close(socket, code, why).await;
            return None;
          }
          heard = hear(socket) => match heard? {
            Heard::Wish(wish) => return Some(wish),
            Heard::Enough => {
              close(socket, CLOSE_AWAY, "unsubscribed").await;
              return None;
            }
            Heard::Nothing => {}
          },
        }
      }
    };
    let sent = match &item {
      FeedItem::Frame(frame) => send(socket, MessageKind::Frame, frame).await,
      FeedItem::Tick(tick) => send(socket, MessageKind::Tick, tick).await,
      FeedItem::Resync(resync) => send(socket, MessageKind::Resync, resync).await,
      FeedItem::Closed(why) => {
        close(socket, CLOSE_AWAY, why).await;
        false
      }
    };
    if !sent {
      return None;
    }
  }
}

/// What the reader said.
enum Heard {
  Wish(Subscribe),
  Enough,
  Nothing,
}

/// Hears one message; `None` when the connection is over. Safe to drop while it waits.
async fn hear(socket: &mut WebSocket) -> Option<Heard> {
  let message = match socket.recv().await? {
    Ok(message) => message,
    Err(error) => {
      if let Some(code) = close_code(&error) {
        close(socket, code, "the frame cannot be read").await;
      }
      return None;
    }
  };
  let text = match message {
    Message::Text(text) => text,
    Message::Close(_) => return None,
    _ => return Some(Heard::Nothing),
  };
  let message = match hetuflow_core::read_message(text.as_str()) {
    Ok(message) => message,
    Err(error) => {
      complain(socket, "message.unreadable", error.to_string()).await;
      return Some(Heard::Nothing);
    }
  };
  match message.message_kind {
    MessageKind::Subscribe => match message.read::<Subscribe>() {
      Ok(wish) => Some(Heard::Wish(wish)),
      Err(error) => {
        complain(socket, "subscribe.unreadable", error.to_string()).await;
        Some(Heard::Nothing)
      }
    },
    MessageKind::Unsubscribe => Some(Heard::Enough),
    kind => {
      complain(socket, "message.unexpected", format!("{kind} is not for this door")).await;
      Some(Heard::Nothing)
    }
  }
}

/// The close code (RFC 6455 §7.4) for what could not be read; `None` where nobody hears it.
fn close_code(error: &axum::Error) -> Option<u16> {
  use tokio_tungstenite::tungstenite::Error;
  match std::error::Error::source(error)?.downcast_ref::<Error>()? {
    Error::Capacity(_) => Some(1009),
    Error::Utf8(_) => Some(1007),
    Error::Protocol(_) => Some(1002),
    _ => None,
  }
}

async fn complain(socket: &mut WebSocket, code: &str, message: String) {
  let error = ApiError::new(ErrorCode::BadRequest, code, "", message);
  let body: ErrorResponse = error.into_body();
  send(socket, MessageKind::Error, &body).await;
}

/// Sends one envelope; `false` when the reader is gone or takes nothing.
async fn send(socket: &mut WebSocket, kind: MessageKind, payload: &impl Serialize) -> bool {
  let Ok(payload) = serde_json::to_value(payload) else { return false };
  let envelope: WebSocketMessage = Envelope::new(kind, payload);
  let Ok(text) = envelope.to_json() else { return false };
  let sent = tokio::time::timeout(SEND_TIME_MAX, socket.send(Message::text(text))).await;
  matches!(sent, Ok(Ok(())))
}

async fn close(socket: &mut WebSocket, code: u16, why: &str) {
  let frame = CloseFrame { code, reason: why.to_owned().into() };
  // A reader that is gone already needs no farewell.
  let _gone = tokio::time::timeout(SEND_TIME_MAX, socket.send(Message::Close(Some(frame)))).await;
}
