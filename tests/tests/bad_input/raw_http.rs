//! B035, B053, B054: requests that no library would send, byte by byte.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{House, quiet};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What must become of a request.
#[derive(Debug, Clone, Copy)]
enum Outcome {
  /// One answer with this status, and the connection is closed.
  Closed(u16),
  /// An answer with this status; the connection may live on.
  Answered(u16),
}
use Outcome::{Answered, Closed};

/// Row, request (`{A}` is host and token, `{J}` the same for a JSON body), outcome.
fn cases() -> Vec<(&'static str, Vec<u8>, Outcome)> {
  let case = |row, text: &str, outcome| (row, text.as_bytes().to_vec(), outcome);
  let many: String = (0..200).map(|i| format!("X-{i}: y\r\n")).collect();
  let post = "POST /api/v1/jobs HTTP/1.1\r\n{J}";
  let me = "GET /api/v1/auth/me HTTP/1.1\r\n{A}";
  let full = "{\"name\":\"raw\",\"config\":{\"command\":\"x\"}}";
  let twice = format!("{post}Content-Length: {}\r\nContent-Length: 5\r\n\r\n{full}", full.len());
  let large = format!("{post}Content-Length: 1048577\r\n\r\n{}", "x".repeat(1_048_577));
  let argv = format!("{post}Content-Length: 3145728\r\n\r\n{}", "x".repeat(3 << 20));
  let smuggled = "0\r\n\r\nDELETE /api/v1/jobs/base HTTP/1.1\r\n{A}\r\n";
  vec![
    // Ten bytes are the body, which is not whole; the rest is no request.
    case("B035", &format!("{post}Content-Length: 10\r\n\r\n{full}"), Answered(400)),
    case("B035", &format!("{post}Content-Length: -1\r\n\r\n{full}"), Closed(400)),
    ("B035", twice.into_bytes(), Closed(400)),
    ("B035", large.into_bytes(), Closed(413)),
    ("B042", argv.into_bytes(), Closed(413)),
    case("B035", &format!("{post}Content-Length: 99999999999999999999\r\n\r\n{full}"), Closed(400)),
    // One answer, to the first request alone: what follows is not taken for a request.
    case(
      "B035",
      &format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"),
      Closed(400),
    ),
    case(
      "B035",
      &format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{smuggled}"),
      Closed(400),
    ),
    case("B035", &format!("{post}Transfer-Encoding: gzip\r\n\r\nxx"), Closed(400)),
    case("B035", &format!("{post}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{full}"), Closed(400)),
    case("B053", "PUT /api/v1/jobs HTTP/1.1\r\n{A}\r\n", Answered(405)),
    case("B053", "GET //api/v1/jobs HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "GET /api/v1/jobs/%2e%2e/tasks HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "GET /api/v1/../../etc/passwd HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "GET /api/v1/jobs/%00 HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "GET /api/v1/jobs/%ff HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "GET /api/v1/jobs/ HTTP/1.1\r\n{A}\r\n", Answered(404)),
    case("B053", "F\0O / HTTP/1.1\r\n{A}\r\n", Closed(400)),
    case("B053", "GET /\r\n\r\n", Closed(400)),
    case(
      "B053",
      &format!("GET /api/v1/jobs?name={} HTTP/1.1\r\n{{A}}\r\n", "a".repeat(20 << 10)),
      Answered(414),
    ),
    case("B054", &format!("{me}{many}\r\n"), Closed(431)),
    case("B054", &format!("{me}X: {}\r\n\r\n", "y".repeat(70_000)), Closed(431)),
    case("B054", &format!("{me}X: a\rb\r\n\r\n"), Closed(400)),
    case("B054", &format!("{me}X: a\r\n b\r\n\r\n"), Closed(400)),
    case("B054", &format!("{me}X: a\0b\r\n\r\n"), Closed(400)),
    case("B078", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}", Closed(400)),
  ]
}

/// The rows of this file's cases.
pub fn rows() -> Vec<&'static str> {
  cases().into_iter().map(|(row, ..)| row).chain(["B035"]).collect()
}

/// Sends bytes, reads until the answer is there or the connection ends; whether it has ended.
async fn ask(address: &str, request: &[u8], until_closed: bool) -> Result<(String, bool)> {
  let mut socket = TcpStream::connect(address).await?;
  let (mut reader, mut writer) = socket.split();
  // A server that has refused already may reset the rest of a large request.
  let send = async { drop(writer.write_all(request).await) };
  let read = async {
    let (mut all, mut part) = (Vec::new(), vec![0; 64 << 10]);
    loop {
      match reader.read(&mut part).await {
        Ok(0) | Err(_) => return (all, true),
        Ok(length) => all.extend_from_slice(&part[..length]),
      }
      if !until_closed && all.windows(4).any(|window| window == b"\r\n\r\n") {
        return (all, false);
      }
    }
  };
  let both = async { tokio::join!(send, read).1 };
  let (all, closed) = tokio::time::timeout(LIMIT, both).await.context("no answer in time")?;
  Ok((String::from_utf8_lossy(&all).into_owned(), closed))
}

#[tokio::test]
async fn every_request_is_refused_once() -> Result<()> {
  let mut house = House::open(0).await?;
  let address = house.cluster.server(0).url().trim_start_matches("http://").to_owned();
  let host = format!("Host: {address}\r\nAuthorization: Bearer {}\r\n", house.cluster.token());
  let json = format!("{host}Content-Type: application/json\r\n");
  let before = house.counts().await?;
  let mut wrong = Vec::new();
  for (row, request, outcome) in cases() {
    let text = String::from_utf8(request)?.replace("{A}", &host).replace("{J}", &json);
    let shown: String = text.replace(house.cluster.token(), "…").chars().take(160).collect();
    let (status, close) = match outcome {
      Closed(status) => (status, true),
      Answered(status) => (status, false),
    };
    let checked = async {
      let (answer, _closed) = ask(&address, text.as_bytes(), close).await?;
      let line = answer.lines().next().unwrap_or_default();
      ensure!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line:?}, not {status}");
      ensure!(!close || answer.matches("HTTP/1.1 ").count() == 1, "several answers: {answer}");
      ensure!(!answer.contains("panicked"), "{answer}");
      Ok(())
    };
    if let Err(error) = checked.await {
      wrong.push(format!("{row} {shown:?}: {error:#}"));
    }
    ensure!(house.counts().await? == before, "{row} {shown:?} left something");
  }
  ensure!(wrong.is_empty(), "{} requests:\n{}", wrong.len(), wrong.join("\n"));

  // B035: a body that never ends, from a peer that goes away in the middle of it.
  let mut socket = TcpStream::connect(&address).await?;
  let begin = format!("POST /api/v1/jobs HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\n");
  socket.write_all(format!("{begin}5\r\n{{\"nam\r\n").as_bytes()).await?;
  socket.shutdown().await?;
  let mut answer = String::new();
  let read = tokio::time::timeout(LIMIT, socket.read_to_string(&mut answer)).await;
  read.context("the connection stays open")??;
  ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
  ensure!(house.counts().await? == before);
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}
