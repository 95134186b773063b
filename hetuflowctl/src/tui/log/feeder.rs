//! Reads output from the server and hands it to the pane; takes it up again after a break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hetuflow_core::{Stream, Ts};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::target::LogAttempt;
use crate::client::{Client, LogChunk, LogRequest, LogStream};

/// Pieces on the way to the pane, each of at most 256 KiB: a slow pane slows the server.
const ON_THE_WAY_MAX: usize = 8;
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What the pane hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
  /// Bytes of one stream, and when they were read, in microseconds since 1970.
  Bytes(Stream, i64, Vec<u8>),
  /// The link was down so long, until this instant; nothing was lost.
  Gap(Duration, i64),
  /// Bytes that are no longer kept.
  Lost(u64),
  /// The next attempt begins.
  Attempt(LogAttempt),
  /// There is no link now.
  Offline(String),
  /// All there is.
  Ended,
  /// There will be no more, and why.
  Failed(String),
}

/// Work for the program's runtime: runs until the output ends or the pane lets go of its receiver.
#[derive(Debug)]
pub struct Feeder {
  attempts: Vec<LogAttempt>,
  sender: Sender<Feed>,
  wake: Arc<Notify>,
}

impl Feeder {
  /// A feeder of these attempts, and what it will say.
  pub fn new(attempts: Vec<LogAttempt>, wake: Arc<Notify>) -> (Self, Receiver<Feed>) {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY_MAX);
    (Self { attempts, sender, wake }, receiver)
  }

  /// Reads. Safe to drop at any time: a new feeder begins anew.
  pub async fn run(self, client: Client) {
    let several = self.attempts.len() > 1;
    for attempt in &self.attempts {
      if several && self.say(Feed::Attempt(attempt.clone())).await.is_none() {
        return;
      }
      if self.read(&client, attempt).await.is_none() {
        return;
      }
    }
    self.say(Feed::Ended).await;
  }

  async fn say(&self, feed: Feed) -> Option<()> {
    self.sender.send(feed).await.ok()?;
    self.wake.notify_one();
    Some(())
  }

  /// One attempt to its end; `None` when there is nothing more to do at all.
  async fn read(&self, client: &Client, attempt: &LogAttempt) -> Option<()> {
    let (mut next, mut wait, mut down) = (attempt.from, WAIT_MIN, None::<Instant>);
    loop {
      let request = LogRequest {
        instance_id: attempt.instance_id,
        from_offset: next,
        follow: true,
        stream: None,
      };
      let mut stream = LogStream::new(client.clone(), request);
      let error = loop {
        let chunk = tokio::select! {
          chunk = stream.next() => chunk,
          () = self.sender.closed() => return None,
        };
        match chunk {
          Err(error) => break error,
          Ok(LogChunk::End) => return Some(()),
          Ok(LogChunk::Break(time)) => self.gap(time).await?,
          Ok(LogChunk::Gap(bytes)) => self.say(Feed::Lost(bytes)).await?,
          Ok(LogChunk::Bytes(kind, bytes)) => {
            if let Some(since) = down.take() {
              self.gap(since.elapsed()).await?;
            }
            (next, wait) = (stream.next_offset(), WAIT_MIN);
            let at = stream.last_at().unwrap_or_else(Ts::now);
            self.say(Feed::Bytes(kind, at.micros(), bytes)).await?;
          }
        }
      };
      if !error.is_unreachable() {
        self.say(Feed::Failed(error.message.clone())).await?;
        return None;
      }
      if down.is_none() {
        down = Some(Instant::now());
        self.say(Feed::Offline(error.message.clone())).await?;
      }
      tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = self.sender.closed() => return None,
      }
      wait = (wait * 2).min(WAIT_MAX);
    }
  }

  async fn gap(&self, time: Duration) -> Option<()> {
    self.say(Feed::Gap(time, Ts::now().micros())).await
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Codec, OutputFrame, TaskInstanceId};
  use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
  use tokio::net::{TcpListener, TcpStream};
  use url::Url;
  use uuid::Uuid;

  use super::*;
  use crate::client::{Origin, Place};

  fn record(offset: u64, stream: Stream, raw: &[u8]) -> Vec<u8> {
    let frame = OutputFrame {
      instance_id: TaskInstanceId(Uuid::from_u128(1)),
      fence: 1,
      seq: 1,
      offset,
      stream_offset: offset,
      at: Ts::from_micros(1_000_000 + offset as i64),
      raw_len: raw.len() as u32,
      stream,
      codec: Codec::Plain,
      data: raw.to_vec(),
    };
    let bytes = frame.encode();
    [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()
  }

  /// Takes a request and gives its first line.
  async fn request(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = listener.accept().await.expect("a client");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
      head.push(socket.read_u8().await.expect("a request"));
    }
    let text = String::from_utf8(head).expect("text");
    (socket, text.lines().next().unwrap_or_default().to_owned())
  }

  async fn answer(socket: &mut TcpStream, body: &[u8]) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.hetuflow.output\r\n\
      transfer-encoding: chunked\r\n\r\n";
    let size = format!("{:x}\r\n", body.len());
    let whole = [head.as_bytes(), size.as_bytes(), body, b"\r\n"].concat();
    socket.write_all(&whole).await.expect("sent");
  }

  #[tokio::test]
  async fn goes_on_at_the_next_byte_after_a_break() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Url::parse(&format!("http://{}", listener.local_addr().expect("bound")));
    let origin = Origin { server: server.ok(), ..Origin::default() };
    let place = Place::settle(&origin).expect("settled");
    let client = Client::with_token(place, None, Duration::from_secs(5), 0).expect("a client");
    let attempt = LogAttempt {
      instance_id: TaskInstanceId(Uuid::from_u128(1)),
      number: 1,
      agent: None,
      from: 0,
    };
    let (feeder, mut feed) = Feeder::new(vec![attempt], Arc::new(Notify::new()));
    let served = async {
      let (mut socket, line) = request(&listener).await;
      assert!(line.contains("from_offset=0&follow=true"), "{line}");
      answer(&mut socket, &record(0, Stream::Stdout, b"one\ntw")).await;
      drop(socket);
      let (mut socket, line) = request(&listener).await;
      assert!(line.contains("from_offset=6&"), "{line}");
      // A piece that begins before the byte that was asked for, then a hole, then the end.
      let pieces =
        [record(4, Stream::Stdout, b"two\n"), record(20, Stream::Stderr, b"late\n"), vec![0; 4]];
      answer(&mut socket, &pieces.concat()).await;
      socket.write_all(b"0\r\n\r\n").await.expect("sent");
    };
    let heard = async {
      let mut all = Vec::new();
      while let Some(item) = feed.recv().await {
        all.push(match item {
          Feed::Gap(..) => Feed::Gap(Duration::ZERO, 0),
          other => other,
        });
      }
      all
    };
    let (heard, (), ()) = tokio::join!(heard, served, feeder.run(client));
    let expected = [
      Feed::Bytes(Stream::Stdout, 1_000_000, b"one\ntw".to_vec()),
      Feed::Gap(Duration::ZERO, 0),
      Feed::Bytes(Stream::Stdout, 1_000_004, b"o\n".to_vec()),
      Feed::Lost(12),
      Feed::Bytes(Stream::Stderr, 1_000_020, b"late\n".to_vec()),
      Feed::Ended,
    ];
    assert_eq!(heard, expected);
  }
}
