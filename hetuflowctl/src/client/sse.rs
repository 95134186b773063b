//! The events feed as Server-Sent Events, taken up again after a break.

use hetuflow_core::{FeedFrame, Resync, Tick};
use reqwest::Response;

use super::call::Call;
use super::error::CtlError;
use super::http::Client;

/// Longest event; a frame holds one commit of one namespace.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// One thing that the feed said.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedItem {
  /// Changes.
  Frame(FeedFrame),
  /// The feed lives.
  Tick(Tick),
  /// Changes are gone.
  Resync(Resync),
}

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub struct SseParser {
  line: Vec<u8>,
  event: String,
  data: String,
}

impl SseParser {
  /// Takes bytes as they come; gives the events that they complete, as (type, data).
  pub fn push(&mut self, bytes: &[u8]) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for byte in bytes {
      if *byte != b'\n' {
        if self.line.len() < EVENT_BYTES_MAX {
          self.line.push(*byte);
        }
        continue;
      }
      let line = std::mem::take(&mut self.line);
      let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
      if line.is_empty() {
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if !data.is_empty() {
          events.push((event, data));
        }
      } else if let Some(value) = field(&line, "event") {
        self.event = value.to_owned();
      } else if let Some(value) = field(&line, "data") {
        if !self.data.is_empty() {
          self.data.push('\n');
        }
        self.data.push_str(value);
      }
    }
    events
  }
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
  let rest = line.strip_prefix(name)?.strip_prefix(':')?;
  Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// An open feed.
#[derive(Debug)]
pub struct FeedStream {
  response: Response,
  parser: SseParser,
  ready: std::collections::VecDeque<FeedItem>,
}

impl FeedStream {
  /// Opens the feed.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn open(client: &Client, call: Call) -> Result<Self, CtlError> {
    let response = client.open(call.stream("text/event-stream")).await?;
    Ok(Self { response, parser: SseParser::default(), ready: Default::default() })
  }

  /// The next thing; `None` when the connection ended.
  ///
  /// # Errors
  /// When an event is not what it says it is.
  pub async fn next(&mut self) -> Result<Option<FeedItem>, CtlError> {
    loop {
      if let Some(item) = self.ready.pop_front() {
        return Ok(Some(item));
      }
      let Ok(Some(chunk)) = self.response.chunk().await else { return Ok(None) };
      for (event, data) in self.parser.push(&chunk) {
        if let Some(item) = read_item(&event, &data)? {
          self.ready.push_back(item);
        }
      }
    }
  }
}

fn read_item(event: &str, data: &str) -> Result<Option<FeedItem>, CtlError> {
  let item = match event {
    "frame" => serde_json::from_str(data).map(FeedItem::Frame),
    "tick" => serde_json::from_str(data).map(FeedItem::Tick),
    "resync" => serde_json::from_str(data).map(FeedItem::Resync),
    _ => return Ok(None),
  };
  item
    .map(Some)
    .map_err(|error| CtlError::failure(format!("an event of the feed cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn events_may_come_in_any_pieces() {
    let text =
      b": hi\r\nid: 7\r\nevent: tick\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: x\ndata: y\n\n";
    let whole = SseParser::default().push(text);
    assert_eq!(whole, [("tick".into(), "{\"a\":\n1}".into()), ("x".into(), "y".into())]);
    let mut parser = SseParser::default();
    let pieces: Vec<_> = text.iter().flat_map(|byte| parser.push(&[*byte])).collect();
    assert_eq!(pieces, whole);
  }
}
