//! The output of one attempt as framed records, taken up again after a break at the next byte.

use std::time::{Duration, Instant};

use hetuflow_core::{
  CHUNK_BYTES_MAX, OUTPUT_HEADER_BYTES, OutputFrame, Stream, TaskInstanceId, Ts,
};
use reqwest::Response;

use super::call::{Call, path_of};
use super::error::{CtlError, Exit};
use super::http::Client;

const RECORD_BYTES_MAX: usize = OUTPUT_HEADER_BYTES + CHUNK_BYTES_MAX + 4096;
/// Breaks in a row without a byte between them, after which we give up when not following.
const BREAKS_MAX: u32 = 5;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One piece of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChunk {
  /// Bytes of one stream.
  Bytes(Stream, Vec<u8>),
  /// The link was down so long, and nothing was lost.
  Break(Duration),
  /// Bytes that are no longer kept.
  Gap(u64),
  /// All there is.
  End,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct LogRequest {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Begin at this byte of the merged output.
  pub from_offset: u64,
  /// Go on until the attempt is final.
  pub follow: bool,
  /// Only this stream.
  pub stream: Option<Stream>,
}

/// An attempt's output.
#[derive(Debug)]
pub struct LogStream {
  client: Client,
  request: LogRequest,
  next_offset: u64,
  last_at: Option<Ts>,
  response: Option<Response>,
  buffer: Vec<u8>,
  taken: usize,
  broken_since: Option<Instant>,
  breaks: u32,
}

impl LogStream {
  /// Prepares; nothing is sent before the first chunk is asked for.
  pub fn new(client: Client, request: LogRequest) -> Self {
    Self {
      client,
      request,
      next_offset: request.from_offset,
      last_at: None,
      response: None,
      buffer: Vec::new(),
      taken: 0,
      broken_since: None,
      breaks: 0,
    }
  }

  /// The byte after the last that was handed out.
  pub fn next_offset(&self) -> u64 {
    self.next_offset
  }

  /// When the last bytes that were handed out had been read from their pipe.
  pub fn last_at(&self) -> Option<Ts> {
    self.last_at
  }

  async fn connect(&mut self) -> Result<(), CtlError> {
    let id = self.request.instance_id.to_string();
    let stream = match self.request.stream {
      Some(Stream::Stdout) => Some("stdout"),
      Some(Stream::Stderr) => Some("stderr"),
      _ => None,
    };
    let call = Call::get(path_of(&["task-instances", &id, "logs"]))
      .query("from_offset", self.next_offset)
      .query("follow", self.request.follow)
      .query_some("stream", stream)
      .stream("application/vnd.hetuflow.output");
    let response = self.client.open(call).await?;
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/vnd.hetuflow.output")) {
      return Err(
        CtlError::new(Exit::Unreachable, "what answers does not send task output")
          .fact(format!("content type {}", kind.unwrap_or("not given"))),
      );
    }
    self.response = Some(response);
    self.buffer.clear();
    self.taken = 0;
    Ok(())
  }

  /// The next piece. Safe to drop between pieces, not inside one.
  ///
  /// # Errors
  /// When the attempt is not known, or the way to it stays broken.
  pub async fn next(&mut self) -> Result<LogChunk, CtlError> {
    loop {
      if self.response.is_none() {
        match self.connect().await {
          Ok(()) => {
            if let Some(since) = self.broken_since.take() {
              return Ok(LogChunk::Break(since.elapsed()));
            }
          }
          Err(error) if error.is_unreachable() && self.broken_since.is_some() => {
            self.pause(error).await?;
            continue;
          }
          Err(error) => return Err(error),
        }
      }
      match self.record()? {
        Some(record) if record.is_empty() => return Ok(LogChunk::End),
        Some(record) => {
          if let Some(chunk) = self.chunk(&record)? {
            return Ok(chunk);
          }
        }
        None => self.read_more().await?,
      }
    }
  }

  async fn read_more(&mut self) -> Result<(), CtlError> {
    let Some(response) = &mut self.response else { return Ok(()) };
    if let Ok(Some(bytes)) = response.chunk().await {
      self.buffer.drain(..self.taken);
      self.taken = 0;
      self.buffer.extend_from_slice(&bytes);
      return Ok(());
    }
    self.response = None;
    self.broken_since.get_or_insert_with(Instant::now);
    let error = CtlError::new(
      Exit::Unreachable,
      "the connection ends again and again before the output does",
    );
    self.pause(error).await
  }

  async fn pause(&mut self, error: CtlError) -> Result<(), CtlError> {
    self.breaks += 1;
    if self.breaks > BREAKS_MAX && !self.request.follow {
      return Err(error);
    }
    let wait = Duration::from_millis(100) * 2_u32.pow(self.breaks.min(6));
    tokio::time::sleep(wait.min(WAIT_MAX)).await;
    Ok(())
  }

  /// The next whole record that has arrived; empty for the end mark.
  fn record(&mut self) -> Result<Option<Vec<u8>>, CtlError> {
    let here = &self.buffer[self.taken..];
    let Some((head, rest)) = here.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > RECORD_BYTES_MAX {
      return Err(CtlError::failure(format!(
        "a record of {length} bytes in the output: this is not its form"
      )));
    }
    let Some(record) = rest.get(..length) else { return Ok(None) };
    let record = record.to_vec();
    self.taken += 4 + length;
    Ok(Some(record))
  }

  fn chunk(&mut self, record: &[u8]) -> Result<Option<LogChunk>, CtlError> {
    let unreadable =
      |error| CtlError::failure(format!("a piece of the output cannot be read: {error}"));
    let frame = OutputFrame::decode(record).map_err(unreadable)?;
    let end = frame.offset + u64::from(frame.raw_len);
    if end <= self.next_offset {
      return Ok(None);
    }
    let mut raw = frame.unpack().map_err(unreadable)?;
    let skip = usize::try_from(self.next_offset.saturating_sub(frame.offset)).unwrap_or(raw.len());
    // With one stream asked for, the bytes of the other are missing by intent.
    let hole =
      if self.request.stream.is_none() { frame.offset.saturating_sub(self.next_offset) } else { 0 };
    if hole > 0 {
      // The record is read again after the hole is told.
      self.taken -= 4 + record.len();
      self.next_offset = frame.offset;
      return Ok(Some(LogChunk::Gap(hole)));
    }
    self.next_offset = end;
    self.last_at = Some(frame.at);
    self.breaks = 0;
    raw.drain(..skip);
    if self.request.stream.is_some_and(|wanted| wanted != frame.stream) {
      return Ok(None);
    }
    Ok(Some(LogChunk::Bytes(frame.stream, raw)))
  }
}
