//! Making the socket: address, TCP, upgrade.

use std::net::IpAddr;
use std::time::Duration;

use hetuflow_core::{FRAME_BYTES_MAX, SUBPROTOCOL_PLAIN, SUBPROTOCOL_ZSTD};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError};
use url::Url;

use super::ConnectionSettings;
use super::names::Names;

/// The socket.
pub type Socket = WebSocketStream<TcpStream>;

/// A socket, and whether compressed messages may be sent over it.
pub struct Dialled {
  /// The socket.
  pub socket: Socket,
  /// The server speaks zstd, too.
  pub zstd: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
  /// The scheme needs what was left out of this build.
  #[error("{0}: this build has no TLS; use http:// or ws://")]
  NoTls(String),
  /// The URL has no host, or the token cannot stand in a header.
  #[error("{0}")]
  Unusable(String),
  /// Its name has no address.
  #[error(
    "the server's name {host} cannot be resolved: {source} (is it right? does this host's resolver work?)"
  )]
  Name {
    /// The name.
    host: String,
    /// Why.
    source: std::io::Error,
  },
  /// No connection in time.
  #[error("no connection to {address} within {limit:?}")]
  Timeout {
    /// Where.
    address: String,
    /// How long was waited.
    limit: Duration,
  },
  /// The system said no.
  #[error("no connection to {address}: {source}")]
  Io {
    /// Where.
    address: String,
    /// Why.
    source: std::io::Error,
  },
  /// The server answered, but not with an upgrade.
  #[error("{address} answered HTTP {status}{hint}")]
  Refused {
    /// Where.
    address: String,
    /// With which status.
    status: u16,
    /// What that usually means.
    hint: &'static str,
  },
  /// What came back is no WebSocket.
  #[error("{address} does not speak WebSocket: {source}")]
  Protocol {
    /// Where.
    address: String,
    /// What was wrong.
    source: Box<WsError>,
  },
}

/// The gateway's URL of a server: `http://HOST` becomes `ws://HOST/api/v1/gateway/ws?agent_id=ID`.
fn gateway_url(server: &Url, agent_id: &str) -> Result<Url, DialError> {
  let scheme = match server.scheme() {
    "http" | "ws" => "ws",
    other => return Err(DialError::NoTls(other.to_owned())),
  };
  let mut text = server.clone();
  if text.set_scheme(scheme).is_err() || !text.has_host() {
    return Err(DialError::Unusable(format!("{server} names no host")));
  }
  let path = text.path().trim_end_matches('/').to_owned();
  if !path.ends_with("/ws") {
    text.set_path(&format!("{path}/api/v1/gateway/ws"));
  }
  text.set_query(None);
  text.set_fragment(None);
  text.query_pairs_mut().append_pair("agent_id", agent_id);
  Ok(text)
}

/// Whether a server is on this very host: nothing can listen in, and compression only costs.
pub fn is_loopback(server: &Url) -> bool {
  match server.host_str() {
    Some("localhost") => true,
    Some(host) => {
      host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
    None => false,
  }
}

fn request(url: &Url, token: &str) -> Result<Request, DialError> {
  let broken = |error: &dyn std::fmt::Display| DialError::Unusable(error.to_string());
  let mut request = url.as_str().into_client_request().map_err(|error| broken(&error))?;
  // The first one that the server knows is taken.
  // Packed also on loopback: large plain frames cost more to gather than zstd costs to make.
  let protocols = format!("{SUBPROTOCOL_ZSTD}, {SUBPROTOCOL_PLAIN}");
  let headers = request.headers_mut();
  headers.insert(
    SEC_WEBSOCKET_PROTOCOL,
    HeaderValue::from_str(&protocols).map_err(|error| broken(&error))?,
  );
  if !token.is_empty() {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
      DialError::Unusable("the token holds characters that no header can".to_owned())
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
  }
  Ok(request)
}

fn config() -> WebSocketConfig {
  WebSocketConfig::default()
    .read_buffer_size(32 << 10)
    .write_buffer_size(64 << 10)
    .max_write_buffer_size(16 << 20)
    .max_message_size(Some(FRAME_BYTES_MAX))
    .max_frame_size(Some(FRAME_BYTES_MAX))
}

/// Dials a server.
///
/// # Errors
/// [`DialError`] in words for an operator; nothing of the token in it.
pub async fn dial(
  settings: &ConnectionSettings,
  names: &mut Names,
  server: &Url,
  agent_id: &str,
) -> Result<Dialled, DialError> {
  let url = gateway_url(server, agent_id)?;
  let request = request(&url, &settings.token)?;
  let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
  let port = url.port_or_known_default().unwrap_or(80);
  let address = format!("{host}:{port}");
  // A resolver that hangs leaves half of the time to the address that was good last.
  let limit = settings.connect_timeout;
  let found = match names.find(&host, port, limit / 2).await {
    Ok(found) => found,
    Err(source) => return Err(DialError::Name { host, source }),
  };
  let dialling = async {
    let tcp = TcpStream::connect(found.as_slice()).await.map_err(WsError::Io)?;
    tcp.set_nodelay(true).map_err(WsError::Io)?;
    if let Ok(address) = tcp.peer_addr() {
      names.note_good(&host, address);
    }
    tokio_tungstenite::client_async_with_config(request, tcp, Some(config())).await
  };
  let (socket, response) = match tokio::time::timeout(limit, dialling).await {
    Err(_) => return Err(DialError::Timeout { address, limit }),
    Ok(Err(error)) => return Err(explain(address, error)),
    Ok(Ok(made)) => made,
  };
  let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|v| v.to_str().ok());
  Ok(Dialled { socket, zstd: chosen == Some(SUBPROTOCOL_ZSTD) })
}

fn explain(address: String, error: WsError) -> DialError {
  match error {
    WsError::Io(source) => DialError::Io { address, source },
    WsError::Http(response) => {
      let status = response.status().as_u16();
      let hint = match status {
        401 | 403 => " (is the agent's token right? see agent.token_file)",
        404 => " (is this a hetuflow server?)",
        _ => "",
      };
      DialError::Refused { address, status, hint }
    }
    tungstenite::Error::Url(error) => DialError::Unusable(error.to_string()),
    other => DialError::Protocol { address, source: Box::new(other) },
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn base_urls_become_gateway_urls() {
    for (server, expected) in [
      ("http://h:8080", "ws://h:8080/api/v1/gateway/ws?agent_id=a-1"),
      ("http://h:8080/", "ws://h:8080/api/v1/gateway/ws?agent_id=a-1"),
      ("ws://[::1]:9/x/", "ws://[::1]:9/x/api/v1/gateway/ws?agent_id=a-1"),
      ("http://h/ws", "ws://h/ws?agent_id=a-1"),
    ] {
      let server = Url::parse(server).expect("url");
      assert_eq!(gateway_url(&server, "a-1").expect("usable").as_str(), expected);
    }
    let tls = Url::parse("https://h").expect("url");
    assert!(gateway_url(&tls, "a").expect_err("no TLS").to_string().contains("no TLS"));
  }

  #[test]
  fn the_token_is_a_header_and_never_part_of_the_url() {
    let server = Url::parse("http://10.0.0.1:8080").expect("url");
    let url = gateway_url(&server, "a").expect("usable");
    let request = request(&url, "s3cret").expect("usable");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer s3cret");
    assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], "hetuflow.v1+zstd, hetuflow.v1");
    assert!(!request.uri().to_string().contains("s3cret"));
    assert!(!format!("{request:?}").contains("s3cret"));
    assert!(super::request(&url, "a\nb").is_err());
  }
}
