//! The output of a task as a stream: from its first attempt or the newest, through retries.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::{Page, Stream, TaskEntity, TaskInstanceEntity, TaskInstanceId, Ts};

use super::line_cut::LogBytes;
use super::log_shape::{Pieces, RawPiece};
use crate::cli::{LogOptions, StreamChoice, Tail};
use crate::client::{Call, Client, CtlError, Exit, LogChunk, LogRequest, LogStream, path_of};

/// Between looks at a task that has no attempt yet: quick at first, then calm.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(500);
/// First window that is looked at for the last lines.
const TAIL_BYTES: u64 = 64 << 10;

struct Follower {
  client: Client,
  task: TaskEntity,
  options: LogOptions,
  seen: Option<TaskInstanceId>,
  open: Option<LogStream>,
  ready: VecDeque<RawPiece>,
  done: bool,
}

/// Pieces of the output of a task's newest attempt; with `follow` of those after it too.
pub fn pieces(client: Client, task: TaskEntity, options: LogOptions) -> Pieces<RawPiece> {
  let follower =
    Follower { client, task, options, seen: None, open: None, ready: VecDeque::new(), done: false };
  stream::try_unfold(follower, |mut follower| async move {
    Ok(follower.next().await?.map(|piece| (piece, follower)))
  })
  .boxed()
}

/// Pieces of one attempt.
pub fn of_attempt(
  client: Client,
  attempt: TaskInstanceEntity,
  options: LogOptions,
) -> Pieces<RawPiece> {
  let number = attempt.attempt;
  let begin = stream::once(async move {
    let stream = open(&client, attempt.id, Some(&attempt), &options).await?;
    Ok::<_, CtlError>(stream::try_unfold(stream, move |mut stream| async move {
      let chunk = stream.next().await?;
      Ok(piece(number, &stream, chunk).map(|piece| (piece, stream)))
    }))
  });
  begin
    .flat_map(|opened| match opened {
      Ok(pieces) => pieces.boxed(),
      Err(error) => stream::iter([Err(error)]).boxed(),
    })
    .boxed()
}

impl Follower {
  async fn next(&mut self) -> Result<Option<RawPiece>, CtlError> {
    loop {
      if let Some(piece) = self.ready.pop_front() {
        return Ok(Some(piece));
      }
      if self.done {
        return Ok(None);
      }
      match &mut self.open {
        Some(open) => {
          let chunk = open.next().await?;
          match piece(self.task.attempt, open, chunk) {
            Some(piece) => return Ok(Some(piece)),
            None => self.open = None,
          }
        }
        None => self.advance().await?,
      }
    }
  }

  /// Finds the next attempt to read, or the end.
  async fn advance(&mut self) -> Result<(), CtlError> {
    let mut wait = LOOK_MIN;
    let limit = self.options.start_timeout.filter(|_| self.seen.is_none());
    let begin = tokio::time::Instant::now();
    loop {
      match self.task.instance_id {
        Some(id) if self.seen != Some(id) => return self.begin(id).await,
        _ if self.task.status.is_final() || !self.options.follow => {
          if self.seen.is_none() && self.task.instance_id.is_none() {
            let words =
              if self.task.status.is_final() { "ended without output" } else { "has not started" };
            self
              .ready
              .push_back(RawPiece::Note(format!("-- task {} {words} --", self.task.id.short())));
          }
          self.done = true;
          return Ok(());
        }
        _ => {}
      }
      if let Some(limit) = limit.filter(|limit| begin.elapsed() >= *limit) {
        return Err(late(&self.task, limit));
      }
      tokio::time::sleep(wait).await;
      wait = (wait * 2).min(LOOK_MAX);
      match self.client.task(&self.task.id.to_string(), None).await {
        Ok(task) => self.task = task,
        Err(error) if error.is_unreachable() && self.options.follow => {}
        Err(error) => return Err(error),
      }
    }
  }

  async fn begin(&mut self, id: TaskInstanceId) -> Result<(), CtlError> {
    let again = self.seen.is_some();
    self.seen = Some(id);
    if again {
      let agent =
        self.task.agent_id.as_ref().map(|agent| format!(" on {agent}")).unwrap_or_default();
      self.ready.push_back(RawPiece::Note(format!("-- attempt {}{agent} --", self.task.attempt)));
      // Offsets and tails belong to the first attempt that was asked for.
      (self.options.from_offset, self.options.tail) = (None, None);
    }
    let attempt = match self.options.tail {
      Some(Tail::Lines(_)) => {
        attempts(&self.client, &self.task).await?.into_iter().find(|one| one.id == id)
      }
      _ => None,
    };
    self.open = Some(open(&self.client, id, attempt.as_ref(), &self.options).await?);
    Ok(())
  }
}

fn late(task: &TaskEntity, limit: Duration) -> CtlError {
  let limit = hetuflow_core::format_duration(limit);
  CtlError::new(Exit::Timeout, format!("task {} has not started within {limit}", task.id.short()))
    .fact(format!("it is {}", task.status))
    .fact("it stays where it is")
}

async fn attempts(client: &Client, task: &TaskEntity) -> Result<Vec<TaskInstanceEntity>, CtlError> {
  let call = Call::get(path_of(&["tasks", &task.id.to_string(), "instances"]));
  client.fetch::<Page<TaskInstanceEntity>>(call).await.map(|page| page.data)
}

async fn open(
  client: &Client,
  id: TaskInstanceId,
  attempt: Option<&TaskInstanceEntity>,
  options: &LogOptions,
) -> Result<LogStream, CtlError> {
  let stream = match options.stream {
    StreamChoice::Out => Some(Stream::Stdout),
    StreamChoice::Err => Some(Stream::Stderr),
    StreamChoice::Both => None,
  };
  let mut request = LogRequest {
    instance_id: id,
    from_offset: options.from_offset.unwrap_or(0),
    follow: options.follow,
    stream,
  };
  if let (Some(Tail::Lines(lines)), Some(attempt)) = (options.tail, attempt) {
    let end = u64::try_from(attempt.log_bytes).unwrap_or(0);
    request.from_offset = tail_begin(client, request, end, lines).await?;
  }
  Ok(LogStream::new(client.clone(), request))
}

/// Where the last lines begin: a window at the end that grows until it holds them.
async fn tail_begin(
  client: &Client,
  request: LogRequest,
  end: u64,
  lines: u64,
) -> Result<u64, CtlError> {
  if lines == 0 {
    return Ok(end);
  }
  let mut window = TAIL_BYTES;
  loop {
    let from = end.saturating_sub(window);
    let request = LogRequest { from_offset: from, follow: false, ..request };
    let mut reader = LogStream::new(client.clone(), request);
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    while (bytes.len() as u64) < end - from {
      match reader.next().await? {
        LogChunk::Bytes(_, piece) => {
          let offset = reader.next_offset().saturating_sub(piece.len() as u64);
          places.push((bytes.len() as u64, offset));
          bytes.extend(piece);
        }
        LogChunk::End => break,
        LogChunk::Break(_) | LogChunk::Gap(_) => {}
      }
    }
    if let Some(at) = nth_line_from_end(&bytes, lines) {
      // Bytes of one stream alone lie apart: their pieces know where.
      let piece = places.iter().rev().find(|(begin, _)| *begin <= at);
      return Ok(piece.map_or(from, |(begin, offset)| offset + (at - begin)));
    }
    if from == 0 {
      return Ok(0);
    }
    window = window.saturating_mul(4);
  }
}

/// Where the n-th line from the end begins; `None` when there are fewer.
fn nth_line_from_end(bytes: &[u8], lines: u64) -> Option<u64> {
  let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
  let mut ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
  let nth = usize::try_from(lines - 1).ok()?;
  ends.nth(nth).map(|(at, _)| at as u64 + 1)
}

/// A chunk with the place and the time that the stream knows of it.
fn piece(attempt: i64, from: &LogStream, chunk: LogChunk) -> Option<RawPiece> {
  Some(match chunk {
    LogChunk::Bytes(stream, bytes) => {
      let offset = from.next_offset().saturating_sub(bytes.len() as u64);
      let at = from.last_at().unwrap_or_else(Ts::now);
      RawPiece::Bytes(attempt, LogBytes { stream, at, offset, bytes })
    }
    LogChunk::Break(down) => {
      RawPiece::Note(format!("-- link was down {:.1} s, nothing lost --", down.as_secs_f64()))
    }
    LogChunk::Gap(bytes) => RawPiece::Lost(bytes),
    LogChunk::End => return None,
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_last_lines() {
    for (text, lines, expected) in [
      ("a\nb\nc\n", 1, Some(4)),
      ("a\nb\nc", 1, Some(4)),
      ("a\nb\nc\n", 2, Some(2)),
      ("a\nb\nc\n", 3, None),
      ("", 1, None),
      ("\n\n\n", 1, Some(2)),
    ] {
      assert_eq!(nth_line_from_end(text.as_bytes(), lines), expected, "{text:?} {lines}");
    }
  }
}
