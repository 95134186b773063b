//! Watches over the event socket: one WebSocket, any number of questions.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hetuflow_core::{
  Envelope, ErrorResponse, FRAME_BYTES_MAX, MessageKind, Watch, WatchFrame, WebSocketMessage,
};
use reqwest::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::{CtlError, Exit};
use super::http::Client;

/// Longest wait for the connection and its upgrade.
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
/// The server says something every second; after this much silence it is taken for gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// The close code of a token that is no longer valid.
const CLOSE_UNAUTHORIZED: u16 = 4001;

/// One thing that the socket said.
#[derive(Debug)]
pub enum Heard {
  /// A frame of a watch.
  Frame(Box<WatchFrame>),
  /// The connection is over; ask again on a new one.
  Closed,
}

/// An open socket.
#[derive(Debug)]
pub struct WatchSocket {
  inner: WebSocketStream<TcpStream>,
  ready: VecDeque<WatchFrame>,
}

impl WatchSocket {
  /// Opens a socket and asks the questions.
  ///
  /// # Errors
  /// When the server cannot be reached, or refuses the token.
  pub async fn open(client: &Client, watches: &[Watch]) -> Result<Self, CtlError> {
    let opened = tokio::time::timeout(OPEN_TIME_MAX, connect(client)).await;
    let mut socket = opened.map_err(|_| away(client, "no answer in time"))??;
    for watch in watches {
      socket.ask(watch).await?;
    }
    Ok(socket)
  }

  async fn ask(&mut self, watch: &Watch) -> Result<(), CtlError> {
    let payload = serde_json::to_value(watch).expect("our own types are JSON");
    let message: WebSocketMessage = Envelope::new(MessageKind::Subscribe, payload);
    let text = message.to_json().map_err(|error| CtlError::failure(error.to_string()))?;
    self.inner.send(Message::text(text)).await.map_err(|error| broken(&error))
  }

  /// The next thing.
  ///
  /// # Errors
  /// When the server refuses a question, or the token.
  pub async fn next(&mut self) -> Result<Heard, CtlError> {
    loop {
      if let Some(frame) = self.ready.pop_front() {
        return Ok(Heard::Frame(Box::new(frame)));
      }
      let message = match tokio::time::timeout(SILENCE_MAX, self.inner.next()).await {
        Ok(Some(Ok(message))) => message,
        Ok(Some(Err(_)) | None) | Err(_) => return Ok(Heard::Closed),
      };
      match message {
        Message::Text(text) => self.take(text.as_str())?,
        Message::Close(Some(frame)) if u16::from(frame.code) == CLOSE_UNAUTHORIZED => {
          return Err(CtlError::new(Exit::Unauthorized, "the token is no longer valid"));
        }
        Message::Close(_) => return Ok(Heard::Closed),
        _ => {}
      }
    }
  }

  fn take(&mut self, text: &str) -> Result<(), CtlError> {
    let unreadable = |error: String| {
      CtlError::failure(format!("a message of the event socket cannot be read: {error}"))
        .help("hetuflowctl version --check-server")
    };
    let message =
      hetuflow_core::read_message(text).map_err(|error| unreadable(error.to_string()))?;
    match message.message_kind {
      MessageKind::Frame => {
        let frame = message.read::<WatchFrame>().map_err(|error| unreadable(error.to_string()))?;
        self.ready.push_back(frame);
        Ok(())
      }
      MessageKind::Error => match message.read::<ErrorResponse>() {
        Ok(refusal) => Err(CtlError::of_response(refusal, None)),
        Err(error) => Err(unreadable(error.to_string())),
      },
      _ => Ok(()),
    }
  }
}

async fn connect(client: &Client) -> Result<WatchSocket, CtlError> {
  let server = &client.place.server;
  if server.scheme() != "http" {
    return Err(away(client, "this build of hetuflowctl talks http only"));
  }
  let base = server.as_str().trim_end_matches('/').replacen("http", "ws", 1);
  let mut request = format!("{base}/api/v1/events")
    .into_client_request()
    .map_err(|error| CtlError::usage(error.to_string()))?;
  if let Some(token) = client.token() {
    let value = HeaderValue::from_str(&format!("Bearer {token}"))
      .map_err(|error| CtlError::usage(error.to_string()))?;
    request.headers_mut().insert(AUTHORIZATION.as_str(), value);
  }
  let places = server.socket_addrs(|| None)?;
  let stream = TcpStream::connect(places.as_slice())
    .await
    .map_err(|error| away(client, &error.to_string()))?;
  // Small messages must not wait for more.
  let _ = stream.set_nodelay(true);
  let config = WebSocketConfig::default()
    .read_buffer_size(16 << 10)
    .max_message_size(Some(FRAME_BYTES_MAX))
    .max_frame_size(Some(FRAME_BYTES_MAX));
  match client_async_with_config(request, stream, Some(config)).await {
    Ok((inner, _)) => Ok(WatchSocket { inner, ready: VecDeque::new() }),
    Err(Error::Http(response)) => Err(refused(client, *response)),
    Err(error) => Err(away(client, &error.to_string())),
  }
}

/// The answer of a server that does not upgrade.
fn refused(client: &Client, response: impl Into<Refusal>) -> CtlError {
  let Refusal { status, body } = response.into();
  match serde_json::from_slice::<ErrorResponse>(&body) {
    Ok(answer) => CtlError::of_response(answer, None),
    Err(_) if status == 401 => CtlError::new(Exit::Unauthorized, "the token is not accepted"),
    Err(_) => away(client, &format!("HTTP {status} in place of an event socket")),
  }
}

struct Refusal {
  status: u16,
  body: Vec<u8>,
}

impl From<Response> for Refusal {
  fn from(response: Response) -> Self {
    let status = response.status().as_u16();
    Self { status, body: response.into_body().unwrap_or_default() }
  }
}

fn away(client: &Client, why: &str) -> CtlError {
  let place = client.place.server.as_str().trim_end_matches('/');
  CtlError::new(Exit::Unreachable, format!("no event socket answers at {place}"))
    .fact(why.to_owned())
    .fact(format!("the address comes from {}", client.place.server_origin))
    .help("hetuflowctl status")
}

fn broken(error: &Error) -> CtlError {
  CtlError::new(Exit::Unreachable, format!("the event socket broke: {error}"))
}
