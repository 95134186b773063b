//! HTTP, as much of it as a terminal needs.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hetuflow_core::{ErrorCode, ErrorResponse, Scope, Watch};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Fault, Shared, lock, socket};

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
  /// Its method.
  pub method: String,
  /// Its path with the query.
  pub path: String,
  /// Its body.
  pub body: String,
}

/// Takes connections for ever.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
  while let Ok((stream, _)) = listener.accept().await {
    let shared = Arc::clone(&shared);
    tokio::spawn(async move {
      let mut fault = shared.fault.subscribe();
      // A connection lives until it breaks, or the story takes the server down.
      tokio::select! {
        biased;
        _down = fault.wait_for(|fault| *fault == Fault::Down) => {}
        _ended = connection(stream, &shared) => {}
      }
    });
  }
}

struct Head {
  request: Request,
  headers: Vec<(String, String)>,
}

impl Head {
  fn header(&self, name: &str) -> Option<&str> {
    self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
  }

  fn query(&self, name: &str) -> Option<&str> {
    let (_, query) = self.request.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
  }
}

async fn connection(mut stream: TcpStream, shared: &Arc<Shared>) -> Result<()> {
  stream.set_nodelay(true)?;
  loop {
    let head = head(&mut stream).await?;
    lock(&shared.requests).push(head.request.clone());
    match shared.fault() {
      Fault::Refuse(code) => {
        refuse(&mut stream, code).await?;
        continue;
      }
      Fault::Silent => {
        let mut fault = shared.fault.subscribe();
        fault.wait_for(|fault| *fault != Fault::Silent).await?;
      }
      Fault::None | Fault::Gap | Fault::Down => {}
    }
    if head.header("upgrade").is_some_and(|word| word.eq_ignore_ascii_case("websocket")) {
      let key = head.header("sec-websocket-key").context("no key")?.to_owned();
      return socket::serve(stream, &key, shared).await;
    }
    let path = head.request.path.split('?').next().unwrap_or_default().to_owned();
    match (head.request.method.as_str(), path.as_str()) {
      ("GET", path) if path.contains("/task-instances/") && path.ends_with("/logs") => {
        let from = head.query("from_offset").and_then(|text| text.parse().ok()).unwrap_or(0);
        let follow = head.query("follow") == Some("true");
        output(&mut stream, shared, from, follow).await?;
      }
      ("GET", "/api/v1/events/snapshot") => {
        let scope = head.query("scope").unwrap_or("overview");
        let target = head.query("target");
        let watch: Watch =
          serde_json::from_value(json!({ "id": "", "scope": scope, "target": target }))?;
        let frame = lock(&shared.world).frame(&watch, 0);
        answer(&mut stream, 200, &serde_json::to_value(frame)?).await?;
      }
      ("GET", "/api/v1/tasks") => {
        let watch: Watch =
          serde_json::from_value(json!({ "id": "", "scope": Scope::Tasks.as_str() }))?;
        let rows = lock(&shared.world).frame(&watch, 0).put;
        answer(&mut stream, 200, &json!({ "data": rows, "page": {} })).await?;
      }
      ("GET" | "HEAD", _) => refuse(&mut stream, ErrorCode::NotFound).await?,
      _ => answer(&mut stream, 200, &json!({})).await?,
    }
  }
}

async fn head(stream: &mut TcpStream) -> Result<Head> {
  let mut bytes = Vec::new();
  while !bytes.ends_with(b"\r\n\r\n") {
    // One at a time, so that what follows the head stays in the stream.
    bytes.push(stream.read_u8().await?);
    if bytes.len() > HEAD_BYTES_MAX {
      bail!("the head does not end");
    }
  }
  let text = String::from_utf8_lossy(&bytes).into_owned();
  let mut lines = text.lines();
  let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
  let (method, path) = (words.next().context("method")?, words.next().context("path")?);
  let headers: Vec<(String, String)> = lines
    .filter_map(|line| line.split_once(':'))
    .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    .collect();
  let request = Request { method, path, body: String::new() };
  let mut head = Head { request, headers };
  let length = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0_usize);
  let mut body = vec![0; length.min(1 << 20)];
  stream.read_exact(&mut body).await?;
  head.request.body = String::from_utf8_lossy(&body).into_owned();
  Ok(head)
}

async fn answer(stream: &mut TcpStream, status: u16, body: &Value) -> Result<()> {
  let body = body.to_string();
  let head = format!(
    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
    body.len()
  );
  Ok(stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await?)
}

async fn refuse(stream: &mut TcpStream, code: ErrorCode) -> Result<()> {
  let error = ErrorResponse::new(code, format!("the story says {}", code.as_str()));
  answer(stream, code.http_status(), &serde_json::to_value(error)?).await
}

/// Output as records, to its end, or to where the story breaks it.
async fn output(stream: &mut TcpStream, shared: &Shared, from: u64, follow: bool) -> Result<()> {
  let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.hetuflow.output\r\n\
    transfer-encoding: chunked\r\n\r\n";
  stream.write_all(head.as_bytes()).await?;
  let mut changes = shared.seq.subscribe();
  let mut at = from;
  loop {
    let (next, ended, broken) = {
      let mut log = lock(&shared.log);
      let broken = log.break_after.take_if(|after| *after <= at).is_some();
      (log.record(at), log.ended, broken)
    };
    if broken {
      bail!("broken off as the story says");
    }
    match next {
      Some((record, end)) => {
        chunk(stream, &record).await?;
        at = end;
      }
      None if ended || !follow => {
        chunk(stream, &[0; 4]).await?;
        return Ok(stream.write_all(b"0\r\n\r\n").await?);
      }
      None => changes.changed().await?,
    }
  }
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
  let size = format!("{:x}\r\n", bytes.len());
  Ok(stream.write_all(&[size.as_bytes(), bytes, b"\r\n"].concat()).await?)
}
