//! `--stdin`: one JSON question per line, one JSON answer per line, in the same order.

use std::io::{BufRead as _, BufReader, Read as _};

use futures_util::stream;
use hetuflow_core::{DstGap, DstOverlap, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::{CtlError, Exit};
use crate::output::{LogPiece, LogStyle, Outcome, View};

/// Longest question.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Answers are sent on together up to this size, while more questions wait.
const BATCH_BYTES: usize = 32 << 10;

/// One question; what is absent is as the flags say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
  /// The expression.
  pub expr: String,
  /// Its zone.
  #[serde(default)]
  pub tz: Option<String>,
  /// Strictly after this instant.
  #[serde(default)]
  pub from: Option<String>,
  /// How many; a bad number is told as such.
  #[serde(default)]
  pub count: Option<i64>,
  /// What becomes of a time that the clocks leave out.
  #[serde(default)]
  pub dst_gap: Option<DstGap>,
  /// What becomes of a time that the clocks show twice.
  #[serde(default)]
  pub dst_overlap: Option<DstOverlap>,
}

/// Answers every line of stdin until it ends. A bad question has `error` for an answer and harms
/// no other.
pub fn answer_all(
  answer: impl Fn(&Question) -> Result<Value, CtlError> + Send + 'static,
) -> Outcome {
  let (sender, receiver) = mpsc::channel::<Result<LogPiece, CtlError>>(4);
  // Reading blocks, so a thread of its own does it; it ends with the process at the latest.
  std::thread::spawn(move || {
    let mut reader = BufReader::new(std::io::stdin());
    let mut batch = Vec::new();
    loop {
      let mut line = Vec::new();
      match reader.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line) {
        Ok(0) => break,
        Ok(_) => batch.extend(answer_line(&line, &answer).to_string().into_bytes()),
        Err(error) => {
          let _ = sender.blocking_send(Err(error.into()));
          break;
        }
      }
      batch.push(b'\n');
      if line.len() as u64 > LINE_BYTES_MAX && !line.ends_with(b"\n") {
        skip_line(&mut reader);
      }
      // Somebody who asks one question at a time gets each answer at once.
      let more = reader.buffer().contains(&b'\n') && batch.len() < BATCH_BYTES;
      if !more && sender.blocking_send(Ok(piece(std::mem::take(&mut batch)))).is_err() {
        return;
      }
    }
    if !batch.is_empty() {
      let _ = sender.blocking_send(Ok(piece(batch)));
    }
  });
  let pieces = stream::unfold(receiver, |mut receiver| async move {
    receiver.recv().await.map(|piece| (piece, receiver))
  });
  View::logs(pieces, LogStyle { raw: true, ..LogStyle::default() }).into()
}

fn piece(bytes: Vec<u8>) -> LogPiece {
  LogPiece::Bytes { stream: Stream::Stdout, bytes, label: None }
}

fn skip_line(reader: &mut impl std::io::BufRead) {
  let mut rest = Vec::new();
  while matches!(reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut rest), Ok(read) if read > 0)
    && !rest.ends_with(b"\n")
  {
    rest.clear();
  }
}

fn answer_line(line: &[u8], answer: &impl Fn(&Question) -> Result<Value, CtlError>) -> Value {
  let question = if line.len() as u64 > LINE_BYTES_MAX {
    Err(CtlError::new(Exit::Invalid, "the line is longer than 64 KiB"))
  } else {
    serde_json::from_slice::<Question>(line).map_err(|error| {
      let mut told = CtlError::new(Exit::Invalid, format!("not a question: {error}"));
      told.code = "json.invalid".to_owned();
      told
    })
  };
  match question.and_then(|question| answer(&question)) {
    Ok(value) => value,
    Err(error) => json!({ "error": { "code": error.code, "message": error.message } }),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn every_line_has_an_answer() {
    let echo = |question: &Question| Ok(json!({ "expr": question.expr }));
    assert_eq!(answer_line(br#"{"expr":"@daily"}"#, &echo), json!({ "expr": "@daily" }));
    for bad in [&b""[..], b"\n", b"[1]", b"\xff", b"{\"expr\":1}", b"{\"expr\":\"x\",\"zone\":1}"] {
      let told = answer_line(bad, &echo);
      assert_eq!(told["error"]["code"], "json.invalid", "{bad:?}");
    }
    let long = vec![b' '; 70_000];
    assert_eq!(answer_line(&long, &echo)["error"]["code"], "invalid");
  }
}
