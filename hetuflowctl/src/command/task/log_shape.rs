//! From the pieces of an output to what is printed: bytes as they are, or picked lines.

use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::line_cut::{LineCut, LogBytes, Source};
use super::line_pick::LinePick;
use crate::cli::{LogOptions, Timestamps};
use crate::client::{CtlError, Exit};
use crate::output::{Format, LogPiece, LogStyle, Look, Stamps, human_bytes};

/// A piece of the output of one task.
#[derive(Debug, Clone, PartialEq)]
pub enum RawPiece {
  /// Bytes of an attempt.
  Bytes(i64, LogBytes),
  /// A word of ours.
  Note(String),
  /// So many bytes are no longer kept.
  Lost(u64),
}

/// A stream of pieces.
pub type Pieces<T> = BoxStream<'static, Result<T, CtlError>>;

/// What stands before each line.
pub fn style(options: &LogOptions, many: bool) -> LogStyle {
  let stamps = match options.timestamps {
    Timestamps::None => Stamps::None,
    Timestamps::Local => Stamps::Local,
    Timestamps::Utc => Stamps::Utc,
    Timestamps::Rfc3339 => Stamps::Rfc3339,
    Timestamps::Since => Stamps::Since,
    Timestamps::Delta => Stamps::Delta,
  };
  LogStyle { raw: options.raw, stamps, prefix: options.prefix || many }
}

/// Whether lines are wanted rather than bytes.
fn by_line(options: &LogOptions, look: &Look, many: bool) -> bool {
  let style = style(options, many);
  style.prefix
    || style.stamps != Stamps::None
    || LinePick::asks(options)
    || !matches!(look.format, Format::Table | Format::Wide | Format::Tsv | Format::None)
}

/// What is printed of one task's output.
///
/// # Errors
/// Usage, where `--grep` cannot be read.
pub fn shape(
  pieces: Pieces<RawPiece>,
  source: Source,
  options: &LogOptions,
  (look, many): (&Look, bool),
) -> Result<Pieces<LogPiece>, CtlError> {
  let pieces = bounded(pieces, options);
  if !by_line(options, look, many) {
    return Ok(
      pieces
        .map(|piece| {
          piece.map(|piece| match piece {
            RawPiece::Bytes(_, LogBytes { stream, bytes, .. }) => {
              LogPiece::Bytes { stream, bytes, label: None }
            }
            RawPiece::Note(note) => LogPiece::Note(note),
            RawPiece::Lost(bytes) => LogPiece::Note(lost(bytes)),
          })
        })
        .boxed(),
    );
  }
  let state = Lines { pieces, cut: LineCut::new(source), pick: LinePick::new(options)? };
  let batches = stream::try_unfold(Some(state), |state| async move {
    let Some(state) = state else { return Ok(None) };
    state.step().await.map(Some)
  });
  Ok(
    batches
      .flat_map(|batch: Result<Vec<LogPiece>, CtlError>| match batch {
        Ok(pieces) => stream::iter(pieces.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
      })
      .boxed(),
  )
}

struct Lines {
  pieces: Pieces<RawPiece>,
  cut: LineCut,
  pick: LinePick,
}

impl Lines {
  /// The next pieces, and what is left.
  async fn step(mut self) -> Result<(Vec<LogPiece>, Option<Self>), CtlError> {
    let lines = match self.pieces.next().await {
      Some(Ok(RawPiece::Bytes(attempt, chunk))) => self.cut.push(attempt, &chunk),
      Some(Ok(RawPiece::Note(note))) => return Ok((vec![LogPiece::Note(note)], Some(self))),
      Some(Ok(RawPiece::Lost(bytes))) => {
        return Ok((vec![LogPiece::Note(lost(bytes))], Some(self)));
      }
      Some(Err(error)) => return Err(error),
      None => {
        let lines = self.cut.finish();
        let rest = lines.into_iter().flat_map(|line| self.pick.push(line));
        return Ok((rest.map(LogPiece::Line).collect(), None));
      }
    };
    let mut wanted = Vec::new();
    for line in lines {
      wanted.extend(self.pick.push(line).into_iter().map(LogPiece::Line));
    }
    let over = self.pick.is_over();
    Ok((wanted, (!over).then_some(self)))
  }
}

fn lost(bytes: u64) -> String {
  format!("-- {} no longer kept --", human_bytes(bytes as f64))
}

/// `--max-bytes` ends the stream; `--strict` ends it with an error where bytes were lost.
fn bounded(pieces: Pieces<RawPiece>, options: &LogOptions) -> Pieces<RawPiece> {
  let left = options.max_bytes.unwrap_or(u64::MAX);
  let strict = options.strict;
  stream::try_unfold(
    (pieces, left, 0_u64, false),
    move |(mut pieces, left, gone, over)| async move {
      if over {
        return Ok(None);
      }
      match pieces.next().await {
        Some(Ok(RawPiece::Bytes(attempt, mut chunk))) => {
          if (chunk.bytes.len() as u64) < left {
            let left = left - chunk.bytes.len() as u64;
            return Ok(Some((vec![RawPiece::Bytes(attempt, chunk)], (pieces, left, gone, false))));
          }
          chunk.bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
          let note = RawPiece::Note("-- stopped: --max-bytes is reached --".to_owned());
          Ok(Some((vec![RawPiece::Bytes(attempt, chunk), note], (pieces, 0, gone, true))))
        }
        Some(Ok(RawPiece::Lost(bytes))) => {
          Ok(Some((vec![RawPiece::Lost(bytes)], (pieces, left, gone + bytes, false))))
        }
        Some(Ok(piece)) => Ok(Some((vec![piece], (pieces, left, gone, false)))),
        Some(Err(error)) => Err(error),
        None if strict && gone > 0 => Err(CtlError::new(
          Exit::Incomplete,
          format!("the output is not complete: {gone} bytes are no longer kept"),
        )),
        None => Ok(None),
      }
    },
  )
  .flat_map(|batch: Result<Vec<RawPiece>, CtlError>| match batch {
    Ok(pieces) => stream::iter(pieces.into_iter().map(Ok).collect::<Vec<_>>()),
    Err(error) => stream::iter(vec![Err(error)]),
  })
  .boxed()
}

/// Lines of several tasks in the order of their times. Every source must end some time.
pub fn by_time(sources: Vec<Pieces<LogPiece>>) -> Pieces<LogPiece> {
  let heads = sources.into_iter().map(|source| (source, None)).collect();
  let state = Merge { heads, begun: false };
  stream::try_unfold(state, |mut state| async move {
    Ok(state.next().await?.map(|piece| (piece, state)))
  })
  .boxed()
}

type Head = (Pieces<LogPiece>, Option<LogPiece>);

struct Merge {
  heads: Vec<Head>,
  begun: bool,
}

impl Merge {
  async fn next(&mut self) -> Result<Option<LogPiece>, CtlError> {
    if !self.begun {
      self.begun = true;
      // All sources are opened at once; afterwards one at a time is read.
      let firsts = join_all(self.heads.iter_mut().map(|(source, _)| source.next())).await;
      for ((_, head), first) in self.heads.iter_mut().zip(firsts) {
        *head = first.transpose()?;
      }
    }
    self.heads.retain(|(_, head)| head.is_some());
    // What has no time goes first: it is a word about the lines after it.
    let time = |head: &Option<LogPiece>| match head {
      Some(LogPiece::Line(line)) => Some(line.at),
      _ => None,
    };
    let first = self.heads.iter().enumerate().min_by_key(|(_, (_, head))| time(head));
    let Some(at) = first.map(|(at, _)| at) else { return Ok(None) };
    let (source, head) = &mut self.heads[at];
    let next = source.next().await.transpose()?;
    Ok(std::mem::replace(head, next))
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Stream, Ts};

  use super::*;
  use crate::output::Wishes;

  fn chunk(millis: i64, text: &str) -> Result<RawPiece, CtlError> {
    let at = Ts::from_millis(millis);
    let bytes = text.as_bytes().to_vec();
    Ok(RawPiece::Bytes(1, LogBytes { stream: Stream::Stdout, at, offset: 0, bytes }))
  }

  fn source(name: &str) -> Source {
    Source { task: name.into(), label: name.into() }
  }

  async fn shown(pieces: Pieces<LogPiece>) -> Vec<String> {
    pieces
      .map(|piece| match piece {
        Ok(LogPiece::Line(line)) => {
          format!("{} {}", line.label, String::from_utf8_lossy(&line.bytes))
        }
        Ok(LogPiece::Bytes { bytes, .. }) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("exit {}", error.exit),
      })
      .collect()
      .await
  }

  #[tokio::test]
  async fn several_are_merged_by_time() {
    let look = Look::new(Wishes::default());
    let options = LogOptions::default();
    let a = stream::iter(vec![chunk(1, "a1\n"), chunk(5, "a2\n")]).boxed();
    let b = stream::iter(vec![chunk(2, "b1\nb2\n"), chunk(9, "b3")]).boxed();
    let sources = vec![
      shape(a, source("a"), &options, (&look, true)).expect("fine"),
      shape(b, source("b"), &options, (&look, true)).expect("fine"),
    ];
    assert_eq!(shown(by_time(sources)).await, ["a a1", "b b1", "b b2", "a a2", "b b3"]);
  }

  #[tokio::test]
  async fn bounds() {
    let look = Look::new(Wishes::default());
    let options = LogOptions { max_bytes: Some(4), ..LogOptions::default() };
    let pieces = stream::iter(vec![chunk(1, "abc"), chunk(2, "def"), chunk(3, "ghi")]).boxed();
    let told = shown(shape(pieces, source("a"), &options, (&look, false)).expect("fine")).await;
    assert_eq!(told[..2], ["abc", "d"]);
    assert!(told[2].contains("--max-bytes"), "{told:?}");
    let options = LogOptions { strict: true, ..LogOptions::default() };
    let pieces = stream::iter(vec![chunk(1, "abc"), Ok(RawPiece::Lost(7))]).boxed();
    let told = shown(shape(pieces, source("a"), &options, (&look, false)).expect("fine")).await;
    assert_eq!(told.last().map(String::as_str), Some("exit 13"), "{told:?}");
  }
}
