//! A WebSocket client that sends what an agent never would.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::House;

/// How long any frame may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What came.
#[derive(Debug)]
pub enum Heard {
  /// A message.
  Message(Value),
  /// A farewell with its code and words.
  Close(u16, String),
  /// The end of the connection.
  End,
}

/// One connection.
pub struct Socket {
  stream: WebSocketStream<TcpStream>,
  /// The `agent_epoch` that it registers with.
  pub epoch: i64,
}

/// Microseconds since 1970.
fn now_us() -> i64 {
  jiff::Timestamp::now().as_microsecond()
}

/// An envelope as text.
pub fn message(kind: &str, payload: &Value) -> String {
  let id = uuid::Uuid::now_v7();
  json!({ "message_id": id, "timestamp": 0, "message_kind": kind, "payload": payload }).to_string()
}

/// A frame as bytes, masked with zeros: first byte, declared length, data.
pub fn frame(first: u8, length: u64, data: &[u8]) -> Vec<u8> {
  let mut bytes = vec![first];
  match u16::try_from(length) {
    Ok(short @ 0..126) => bytes.push(0x80 | short as u8),
    Ok(short) => {
      bytes.push(0x80 | 126);
      bytes.extend_from_slice(&short.to_be_bytes());
    }
    Err(_) => {
      bytes.push(0x80 | 127);
      bytes.extend_from_slice(&length.to_be_bytes());
    }
  }
  bytes.extend_from_slice(&[0; 4]);
  bytes.extend_from_slice(data);
  bytes
}

/// A token that one agent can use.
pub async fn agent_token(house: &House) -> Result<String> {
  let body = json!({ "name": uuid::Uuid::now_v7().to_string(), "kind": "agent" });
  let token = house.cluster.api().post_ok("/auth/tokens", &body).await?;
  Ok(token["secret"].as_str().context("no secret")?.to_owned())
}

impl Socket {
  /// Connects to `path` of a server, with these headers.
  ///
  /// # Errors
  /// The server's status and body, where it refuses.
  pub async fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self> {
    let address = url.trim_start_matches("http://");
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    for (name, value) in headers {
      let name = HeaderName::from_bytes(name.as_bytes())?;
      request.headers_mut().insert(name, HeaderValue::from_str(value)?);
    }
    let stream = TcpStream::connect(address).await?;
    let opened = tokio::time::timeout(LIMIT, tokio_tungstenite::client_async(request, stream));
    match opened.await.context("no answer to the upgrade")? {
      Ok((stream, _)) => Ok(Self { stream, epoch: now_us() }),
      Err(Error::Http(response)) => {
        let body = response.body().clone().unwrap_or_default();
        bail!("{}: {}", response.status().as_u16(), String::from_utf8_lossy(&body));
      }
      Err(error) => Err(error.into()),
    }
  }

  /// Connects as an agent's process does.
  pub async fn agent(url: &str, token: &str) -> Result<Self> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("sec-websocket-protocol", "hetuflow.v1")];
    Self::open(url, "/api/v1/gateway/ws", &headers).await
  }

  /// The registration of an agent, with these fields over the plain ones.
  pub fn registration(&self, id: &str, fields: &Value) -> String {
    let mut payload = json!({
      "agent_id": id, "agent_epoch": self.epoch, "protocol_version": 1, "hostname": "probe",
      // Labels that no job asks for, and no slots: it is never given work.
      "capabilities": { "max_concurrent_tasks": 1, "labels": {} },
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
      payload[name] = value.clone();
    }
    message("agent_register", &payload)
  }

  /// Connects and registers.
  pub async fn registered(url: &str, token: &str, id: &str) -> Result<Self> {
    let mut socket = Self::agent(url, token).await?;
    let first = socket.registration(id, &json!({}));
    socket.say(&first).await?;
    match socket.hear().await? {
      Heard::Message(answer) if answer["message_kind"] == "agent_register_response" => Ok(socket),
      other => bail!("not registered: {other:?}"),
    }
  }

  /// Sends a text frame.
  pub async fn say(&mut self, text: &str) -> Result<()> {
    Ok(self.stream.send(Message::text(text)).await?)
  }

  /// Sends bytes as they are.
  pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
    Ok(self.stream.get_mut().write_all(bytes).await?)
  }

  /// Hangs up with a reset, so that nothing more is said.
  pub fn reset(self) -> Result<()> {
    Ok(self.stream.into_inner().set_zero_linger()?)
  }

  /// The next thing that comes; acknowledgements of reports and pongs are passed over.
  pub async fn hear(&mut self) -> Result<Heard> {
    loop {
      let next = tokio::time::timeout(LIMIT, self.stream.next()).await.context("nothing came")?;
      match next {
        Some(Ok(Message::Text(text))) => {
          let message: Value = serde_json::from_str(text.as_str())?;
          if message["message_kind"] != "ack" {
            return Ok(Heard::Message(message));
          }
        }
        Some(Ok(Message::Close(Some(frame)))) => {
          ensure!(frame.reason.len() <= 120, "{} bytes of reason", frame.reason.len());
          return Ok(Heard::Close(frame.code.into(), frame.reason.to_string()));
        }
        Some(Ok(_)) => {}
        None | Some(Err(_)) => return Ok(Heard::End),
      }
    }
  }

  /// The connection still lives: a heartbeat is answered. What came before that is given back.
  pub async fn lives(&mut self) -> Result<Vec<Value>> {
    let beat = json!({ "agent_id": "probe", "timestamp": 1, "status": "idle", "sent_at_us": 1 });
    self.say(&message("agent_heartbeat", &beat)).await?;
    let mut before = Vec::new();
    loop {
      match self.hear().await? {
        Heard::Message(answer) if answer["message_kind"] == "agent_heartbeat_response" => {
          return Ok(before);
        }
        Heard::Message(answer) => before.push(answer),
        other => bail!("the connection ended: {other:?}, after {before:?}"),
      }
    }
  }
}
