//! Messages between the agent and its executor: a length, a kind, a body.

use std::io;
use std::sync::Arc;

use hetuflow_core::{JobSpec, MessageError, OutputFrame, ScheduledTask};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Command, DefaultLimits, Ended, Held, Surroundings};

/// No message is longer; a longer one is a fault of the other side.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// The length in front of each message.
const LENGTH_BYTES: usize = 4;

/// What the agent says. The first one is always [`ToExecutor::Hello`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToExecutor {
  /// Who has come.
  Hello(Box<Hello>),
  /// A job, for the starts that follow.
  Spec {
    /// Names it.
    number: u64,
    /// All told before are forgotten.
    first: bool,
    /// The job.
    #[serde(serialize_with = "super::spec_out", deserialize_with = "super::spec_in")]
    spec: Arc<JobSpec>,
  },
  /// As [`Command::Start`].
  Start(BriefStart),
  /// As [`Command::Keep`].
  Keep(BriefStart),
  /// Something else to do.
  Command(Command),
  /// These events are stored.
  Stored(Vec<u64>),
  /// Leave as soon as nothing is in hand: a newer program waits to take over.
  Retire,
  /// The agent leaves in order; without anything in hand the executor does, too.
  Bye,
}

/// A start whose job was told before.
#[derive(Debug, Serialize, Deserialize)]
pub struct BriefStart {
  /// The attempt.
  pub task: Box<ScheduledTask>,
  /// The number of its job.
  pub spec: u64,
  /// The server's limits, for what the job does not say.
  pub limits: DefaultLimits,
}

/// The first message of an agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
  /// Its version.
  pub version: String,
  /// Its clock, where it has one already.
  pub shift_us: Option<i64>,
  /// How attempts are run.
  pub surroundings: Surroundings,
}

/// The answer to [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
  /// The executor's version.
  pub version: String,
  /// The clock of all its times.
  pub shift_us: i64,
  /// Names its memory: another one has forgotten what was started before.
  pub journal_id: String,
  /// Its process.
  pub pid: u32,
  /// All that it has in hand.
  pub held: Vec<Held>,
}

/// What the executor says, apart from output, which has a form of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromExecutor {
  /// The first message.
  Welcome(Box<Welcome>),
  /// As [`super::Event::Started`].
  Started {
    /// The attempt.
    instance_id: hetuflow_core::TaskInstanceId,
    /// The process.
    pid: Option<u32>,
    /// When.
    at_us: i64,
  },
  /// As [`super::Event::Frozen`].
  Frozen {
    /// The attempt.
    instance_id: hetuflow_core::TaskInstanceId,
    /// Frozen, else thawed.
    frozen: bool,
    /// When.
    at_us: i64,
  },
  /// As [`super::Event::Progress`].
  Progress {
    /// The attempt.
    instance_id: hetuflow_core::TaskInstanceId,
    /// What it says.
    progress: super::Progress,
    /// When.
    at_us: i64,
  },
  /// As [`super::Event::Ended`].
  Ended {
    /// For [`ToExecutor::Stored`].
    number: u64,
    /// The end.
    ended: Box<Ended>,
  },
  /// How often it has turned: a proof of life.
  Tick(u64),
}

const KIND_JSON: u8 = 1;
const KIND_OUTPUT: u8 = 2;

/// One message as it came.
#[derive(Debug)]
pub enum Frame {
  /// JSON of [`ToExecutor`] or [`FromExecutor`].
  Json(Vec<u8>),
  /// Output, with its number.
  Output(u64, Box<OutputFrame>),
}

/// Adds a message to `out`.
///
/// # Errors
/// When it cannot be written as JSON, which no message of ours is.
pub fn put_json<T: Serialize>(out: &mut Vec<u8>, message: &T) -> serde_json::Result<()> {
  let start = out.len();
  out.extend_from_slice(&[0; LENGTH_BYTES]);
  out.push(KIND_JSON);
  let written = serde_json::to_writer(&mut *out, message);
  if written.is_err() {
    out.truncate(start);
    return written;
  }
  put_length(out, start);
  Ok(())
}

/// Adds output to `out`.
pub fn put_output(out: &mut Vec<u8>, number: u64, frame: &OutputFrame) {
  let start = out.len();
  out.extend_from_slice(&[0; LENGTH_BYTES]);
  out.push(KIND_OUTPUT);
  out.extend_from_slice(&number.to_le_bytes());
  out.extend_from_slice(&frame.encode());
  put_length(out, start);
}

fn put_length(out: &mut [u8], start: usize) {
  let length = u32::try_from(out.len() - start - LENGTH_BYTES).unwrap_or(u32::MAX);
  out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Reads messages; what is read in part is kept between calls.
#[derive(Debug)]
pub struct FrameReader<R> {
  source: R,
  buffer: Vec<u8>,
  start: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
  /// A reader of a socket.
  pub fn new(source: R) -> Self {
    Self { source, buffer: Vec::with_capacity(64 << 10), start: 0 }
  }

  /// The next message; `None` at the end. Cancelling loses nothing.
  ///
  /// # Errors
  /// When the socket breaks or the other side speaks something else.
  pub async fn next(&mut self) -> io::Result<Option<Frame>> {
    loop {
      if let Some(frame) = self.take()? {
        return Ok(Some(frame));
      }
      if self.start > 0 {
        self.buffer.drain(..self.start);
        self.start = 0;
      }
      self.buffer.reserve(64 << 10);
      if self.source.read_buf(&mut self.buffer).await? == 0 {
        return Ok(None);
      }
    }
  }

  fn take(&mut self) -> io::Result<Option<Frame>> {
    let waiting = &self.buffer[self.start..];
    let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > FRAME_BYTES_MAX {
      return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let frame = match body.split_first() {
      Some((&KIND_JSON, json)) => Frame::Json(json.to_vec()),
      Some((&KIND_OUTPUT, rest)) => {
        let (number, bytes) =
          rest.split_first_chunk::<8>().ok_or_else(|| io::Error::other("output without number"))?;
        let frame =
          OutputFrame::decode(bytes).map_err(|error: MessageError| io::Error::other(error))?;
        Frame::Output(u64::from_le_bytes(*number), Box::new(frame))
      }
      _ => return Err(io::Error::other("a message of an unknown kind")),
    };
    self.start += LENGTH_BYTES + length;
    Ok(Some(frame))
  }
}

/// Bytes in JSON, one character for each: small logs are mostly text.
pub mod bytes_as_text {
  use serde::{Deserialize, Deserializer, Serializer};

  /// Writes them.
  ///
  /// # Errors
  /// Those of the writer.
  pub fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
  }

  /// Reads them back.
  ///
  /// # Errors
  /// Those of the reader, and for characters that are no byte.
  pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(input)?;
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
    bytes.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
  }
}

#[cfg(test)]
mod tests {
  use super::super::SmallOutput;
  use super::*;

  #[test]
  fn any_byte_survives_json() {
    let output = SmallOutput { bytes: (0..=255).collect(), index: Some("o256".to_owned()) };
    let text = serde_json::to_string(&output).expect("written");
    assert_eq!(serde_json::from_str::<SmallOutput>(&text).expect("read"), output);
  }

  #[tokio::test]
  async fn messages_arrive_whole_however_they_are_cut() {
    let mut bytes = Vec::new();
    put_json(&mut bytes, &ToExecutor::Stored(vec![1, 2, 3])).expect("written");
    put_json(&mut bytes, &ToExecutor::Bye).expect("written");
    for cut in 0..bytes.len() {
      let (first, second) = bytes.split_at(cut);
      let source = tokio::io::AsyncReadExt::chain(first, second);
      let mut reader = FrameReader::new(source);
      let mut seen = Vec::new();
      while let Some(Frame::Json(json)) = reader.next().await.expect("frames") {
        seen.push(serde_json::from_slice::<ToExecutor>(&json).expect("message"));
      }
      assert!(matches!(&seen[..], [ToExecutor::Stored(n), ToExecutor::Bye] if *n == [1, 2, 3]));
    }
  }

  #[tokio::test]
  async fn nonsense_is_an_error_and_no_panic() {
    for bytes in [&[0_u8; 8][..], &[255; 9], &[1, 0, 0, 0, 9], &[3, 0, 0, 0, 2, 1, 1]] {
      assert!(FrameReader::new(bytes).next().await.is_err(), "{bytes:?}");
    }
  }
}
