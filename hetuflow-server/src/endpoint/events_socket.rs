//! The feed as a WebSocket: the reader says what it wants, then listens. One socket carries one
//! plain feed, and watches.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::response::Response;
use hetuflow_core::{
  Envelope, ErrorCode, FRAME_BYTES_MAX, MessageKind, Subscribe, Tick, Ts, Watch, WatchFrame,
  WebSocketMessage,
};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::auth::StreamRight;
use super::error::ApiError;
use super::events_watches::Watches;
use super::state::ApiState;
use crate::service::{Actor, FeedItem, FeedReader};

/// Longest wait for the first message.
const FIRST_MESSAGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a reader that takes nothing.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a socket with watches says that it lives.
const TICK: Duration = Duration::from_secs(1);
/// The close code of a lost right; readers do not come back with the same token.
const CLOSE_UNAUTHORIZED: u16 = 4001;
/// The close code of a server that goes away.
const CLOSE_AWAY: u16 = 1001;
/// The close code of a broken rule.
const CLOSE_POLICY: u16 = 1008;

type Opened = (Arc<ApiState>, Actor, StreamRight);

/// Upgrades; `feed` is what the address asked for, where it did.
pub(super) fn serve_socket(
  upgrade: WebSocketUpgrade,
  opened: Opened,
  feed: Option<FeedReader>,
) -> Response {
  upgrade
    .max_message_size(FRAME_BYTES_MAX)
    .max_frame_size(FRAME_BYTES_MAX)
    .on_upgrade(|socket| run(socket, opened, feed))
}

async fn run(mut socket: WebSocket, (api, actor, right): Opened, feed: Option<FeedReader>) {
  let watches = Watches::new(Arc::clone(&api.watches));
  let first_by = feed.is_none().then(|| Instant::now() + FIRST_MESSAGE_TIME_MAX);
  let mut talk = Talk { api, actor, right, feed, watches, first_by };
  if let Err(goodbye) = talk.go_on(&mut socket).await
    && let Some((code, why)) = goodbye
  {
    close(&mut socket, code, &why).await;
  }
}

/// What a socket is about.
struct Talk {
  api: Arc<ApiState>,
  actor: Actor,
  right: StreamRight,
  feed: Option<FeedReader>,
  watches: Watches,
  /// The reader must have asked for something by then.
  first_by: Option<Instant>,
}

/// How a talk ends: with a close code and why, or because the reader is gone.
type Goodbye = Option<(u16, String)>;

/// What happens next on a socket.
enum Event {
  Heard(Heard),
  Feed(FeedItem),
  Watch(Box<WatchFrame>),
  Tick,
  Over(Goodbye),
}

/// What the reader said.
enum Heard {
  Feed(Subscribe),
  Watch(Watch),
  Unwatch(String),
  Enough,
  Nothing,
  Bad(&'static str, String),
}

impl Talk {
  /// Talks until it is over, which is the only way out.
  async fn go_on(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, Goodbye> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
      let event = self.wait(socket, &mut ticks).await;
      let sent = match event {
        Event::Heard(heard) => self.obey(socket, heard).await?,
        Event::Watch(frame) => send(socket, MessageKind::Frame, &frame).await,
        Event::Tick => send(socket, MessageKind::Tick, &self.tick()).await,
        Event::Feed(FeedItem::Frame(frame)) => send(socket, MessageKind::Frame, &frame).await,
        Event::Feed(FeedItem::Tick(tick)) => send(socket, MessageKind::Tick, &tick).await,
        Event::Feed(FeedItem::Resync(it)) => send(socket, MessageKind::Resync, &it).await,
        Event::Feed(FeedItem::Closed(why)) => return Err(Some((CLOSE_AWAY, why))),
        Event::Over(goodbye) => return Err(goodbye),
      };
      if !sent {
        return Err(None);
      }
    }
  }

  /// Waits for what happens next; dropping any of the waits loses nothing.
  async fn wait(&mut self, socket: &mut WebSocket, ticks: &mut tokio::time::Interval) -> Event {
    let watching = !self.watches.is_empty();
    let first_by = self.first_by;
    tokio::select! {
      why = self.right.ended() => {
        let stops = why == "the server stops";
        let code = if stops { CLOSE_AWAY } else { CLOSE_UNAUTHORIZED };
        Event::Over(Some((code, why.to_owned())))
      }
      heard = hear(socket) => heard.map_or(Event::Over(None), Event::Heard),
      item = next_item(&mut self.feed) => Event::Feed(item),
      frame = self.watches.next() => Event::Watch(Box::new(frame)),
      _ = ticks.tick(), if watching => Event::Tick,
      () = tokio::time::sleep_until(first_by.unwrap_or_else(Instant::now)), if first_by.is_some() => {
        Event::Over(Some((CLOSE_POLICY, "no subscribe message came".to_owned())))
      }
    }
  }

  /// Does what the reader said; whether it is still there.
  async fn obey(&mut self, socket: &mut WebSocket, heard: Heard) -> Result<bool, Goodbye> {
    let done = match heard {
      Heard::Nothing => return Ok(true),
      Heard::Enough => return Err(Some((CLOSE_AWAY, "unsubscribed".to_owned()))),
      Heard::Bad(code, message) => Err(ApiError::new(ErrorCode::BadRequest, code, "", message)),
      Heard::Feed(wish) => match self.api.feed.subscribe(&self.actor, &wish).await {
        Ok(reader) => {
          self.feed = Some(reader);
          Ok(())
        }
        Err(error) => Err(ApiError::from(error)),
      },
      Heard::Watch(watch) => {
        let added = self.watches.add(&self.actor, &watch);
        added.map_err(|error| error.about(serde_json::json!({ "id": watch.id })))
      }
      Heard::Unwatch(id) => {
        self.watches.remove(&id);
        return Ok(true);
      }
    };
    match done {
      Ok(()) => {
        self.first_by = None;
        Ok(true)
      }
      Err(error) => {
        self.first_by = self.first_by.map(|_| Instant::now() + FIRST_MESSAGE_TIME_MAX);
        Ok(send(socket, MessageKind::Error, &error.into_body()).await)
      }
    }
  }

  /// The number that everything on this socket covers.
  fn tick(&self) -> Tick {
    let watched = self.watches.covered();
    let seq = self.feed.as_ref().map_or(watched, |feed| watched.min(feed.covered()));
    Tick { epoch: self.api.watches.epoch().to_owned(), seq, at: Ts::now() }
  }
}

async fn next_item(feed: &mut Option<FeedReader>) -> FeedItem {
  match feed {
    Some(reader) => reader.next().await,
    None => std::future::pending().await,
  }
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
    Err(error) => return Some(Heard::Bad("message.unreadable", error.to_string())),
  };
  let payload: serde_json::Value = message.read().unwrap_or_default();
  let heard = match message.message_kind {
    MessageKind::Subscribe if payload.get("scope").is_some() => message.read().map(Heard::Watch),
    MessageKind::Subscribe => message.read().map(Heard::Feed),
    MessageKind::Unsubscribe => Ok(match payload["id"].as_str() {
      Some(id) => Heard::Unwatch(id.to_owned()),
      None => Heard::Enough,
    }),
    kind => {
      return Some(Heard::Bad("message.unexpected", format!("{kind} is not for this door")));
    }
  };
  Some(heard.unwrap_or_else(|error| Heard::Bad("subscribe.unreadable", error.to_string())))
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
