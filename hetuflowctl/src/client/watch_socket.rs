//! The socket of watches: questions out, frames and ticks in.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use hetuflow_core::{Envelope, ErrorResponse, MessageKind, Tick, Watch, WatchFrame, read_message};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::{CtlError, Exit};
use super::http::Client;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest message; a window of 500 rows fits many times.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The server closes with this code when the token ended.
const CLOSE_UNAUTHORIZED: u16 = 4001;

/// One thing that the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchItem {
  /// A frame of a watch.
  Frame(Box<WatchFrame>),
  /// The feed lives.
  Tick(Tick),
  /// The answer to [`WatchSocket::ping`] took so long.
  Pong(Duration),
  /// Something that we said was refused.
  Refused(String),
}

/// A connection that carries watches.
#[derive(Debug)]
pub struct WatchSocket {
  socket: WebSocketStream<TcpStream>,
  pinged_at: Option<Instant>,
}

impl WatchSocket {
  /// Connects to the client's server.
  ///
  /// # Errors
  /// When nobody answers there, or the token is refused.
  pub async fn open(client: &Client) -> Result<Self, CtlError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connect(client)).await {
      Ok(outcome) => outcome,
      Err(_) => Err(CtlError::new(Exit::Unreachable, "no answer in time")),
    }
  }

  /// Asks a question; the same id again replaces the former one.
  ///
  /// # Errors
  /// When the connection is gone.
  pub async fn watch(&mut self, watch: &Watch) -> Result<(), CtlError> {
    self.send(MessageKind::Subscribe, watch).await
  }

  /// Takes a question back.
  ///
  /// # Errors
  /// When the connection is gone.
  pub async fn unwatch(&mut self, id: &str) -> Result<(), CtlError> {
    self.send(MessageKind::Unsubscribe, &json!({ "id": id })).await
  }

  /// Measures the way there and back.
  ///
  /// # Errors
  /// When the connection is gone.
  pub async fn ping(&mut self) -> Result<(), CtlError> {
    self.pinged_at = Some(Instant::now());
    self.socket.send(Message::Ping(Vec::new().into())).await.map_err(told)
  }

  /// The next thing that the server says.
  ///
  /// # Errors
  /// When the connection is over.
  pub async fn next(&mut self) -> Result<WatchItem, CtlError> {
    loop {
      let message = match self.socket.next().await {
        Some(message) => message.map_err(told)?,
        None => return Err(CtlError::new(Exit::Unreachable, "the server closed the connection")),
      };
      match message {
        Message::Text(text) => {
          if let Some(item) = read(text.as_str()) {
            return Ok(item);
          }
        }
        Message::Pong(_) => {
          if let Some(at) = self.pinged_at.take() {
            return Ok(WatchItem::Pong(at.elapsed()));
          }
        }
        Message::Close(frame) => return Err(closed(frame.as_ref())),
        Message::Binary(_) | Message::Ping(_) | Message::Frame(_) => {}
      }
    }
  }

  async fn send(&mut self, kind: MessageKind, payload: &impl Serialize) -> Result<(), CtlError> {
    let text = Envelope::new(kind, payload)
      .to_json()
      .map_err(|error| CtlError::failure(error.to_string()))?;
    self.socket.send(Message::Text(text.into())).await.map_err(told)
  }
}

/// What a message says; nothing for kinds that are not ours.
fn read(text: &str) -> Option<WatchItem> {
  let message = read_message(text).ok()?;
  match message.message_kind {
    MessageKind::Frame => message.read().ok().map(|frame| WatchItem::Frame(Box::new(frame))),
    MessageKind::Tick => message.read().ok().map(WatchItem::Tick),
    MessageKind::Error => {
      let error: ErrorResponse = message.read().ok()?;
      Some(WatchItem::Refused(error.err_msg))
    }
    _ => None,
  }
}

async fn connect(client: &Client) -> Result<WatchSocket, CtlError> {
  let server = &client.place.server;
  if server.scheme() != "http" {
    return Err(CtlError::new(Exit::Unreachable, "this build of hetuflowctl talks http only"));
  }
  let host = server.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
  let port = server.port_or_known_default().unwrap_or(80);
  let stream = TcpStream::connect((host, port))
    .await
    .map_err(|error| CtlError::new(Exit::Unreachable, format!("{}", error.kind())))?;
  let _ = stream.set_nodelay(true);
  let base = server.as_str().trim_end_matches('/').replacen("http", "ws", 1);
  let mut request = format!("{base}/api/v1/events").into_client_request().map_err(told)?;
  if let Some(token) = client.token() {
    let value = HeaderValue::from_str(&format!("Bearer {token}"))
      .map_err(|_| CtlError::new(Exit::Unauthorized, "the token is not one line of text"))?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
  }
  let config = WebSocketConfig::default()
    .max_message_size(Some(MESSAGE_BYTES_MAX))
    .max_frame_size(Some(MESSAGE_BYTES_MAX));
  let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(told)?;
  Ok(WatchSocket { socket, pinged_at: None })
}

fn closed(frame: Option<&tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> CtlError {
  let Some(frame) = frame else {
    return CtlError::new(Exit::Unreachable, "the server closed the connection");
  };
  let exit = if u16::from(frame.code) == CLOSE_UNAUTHORIZED {
    Exit::Unauthorized
  } else {
    Exit::Unreachable
  };
  CtlError::new(exit, format!("the server closed the connection: {}", frame.reason.as_str()))
}

fn told(error: Error) -> CtlError {
  match error {
    Error::Http(response) if response.status() == StatusCode::UNAUTHORIZED => {
      CtlError::new(Exit::Unauthorized, "the server does not accept your token")
    }
    Error::Http(response) if response.status() == StatusCode::FORBIDDEN => {
      CtlError::new(Exit::Forbidden, "the token may not read events")
    }
    Error::Http(response) => CtlError::new(
      Exit::Unreachable,
      format!("the server answers HTTP {} to a watch", response.status().as_u16()),
    ),
    Error::Io(error) => CtlError::new(Exit::Unreachable, error.kind().to_string()),
    Error::ConnectionClosed | Error::AlreadyClosed => {
      CtlError::new(Exit::Unreachable, "the connection is closed")
    }
    Error::Protocol(_) => CtlError::new(Exit::Unreachable, "the connection broke off"),
    other => CtlError::new(Exit::Unreachable, other.to_string()),
  }
}
