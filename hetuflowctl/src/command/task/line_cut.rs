//! Cuts the chunks of an output into lines that know their time and place.

use hetuflow_core::{Stream, Ts};

use crate::output::LogLine;

/// A longer line is cut into parts of this length.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes of one stream, with their place and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBytes {
  /// Which stream.
  pub stream: Stream,
  /// When they were captured.
  pub at: Ts,
  /// Where they begin in the merged output.
  pub offset: u64,
  /// The bytes.
  pub bytes: Vec<u8>,
}

/// Whose lines they are.
#[derive(Debug, Clone)]
pub struct Source {
  /// The task, by its short id.
  pub task: String,
  /// `JOB/TASK`.
  pub label: String,
}

/// One line that may still grow.
#[derive(Debug, Default)]
struct Open {
  line: Option<LogLine>,
}

/// Cuts the output of one task.
#[derive(Debug)]
pub struct LineCut {
  source: Source,
  open: [Open; 2],
}

impl LineCut {
  /// For a task.
  pub fn new(source: Source) -> Self {
    Self { source, open: Default::default() }
  }

  /// The lines that these bytes complete. The agent's own words are lines of stream `system`.
  pub fn push(&mut self, attempt: i64, chunk: &LogBytes) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let mut offset = chunk.offset;
    for part in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
      let slot = &mut self.open[usize::from(chunk.stream == Stream::Stderr)].line;
      let line = slot.get_or_insert_with(|| LogLine {
        at: chunk.at,
        stream: chunk.stream,
        task: self.source.task.clone(),
        label: self.source.label.clone(),
        attempt,
        offset,
        bytes: Vec::new(),
        context: false,
      });
      line.bytes.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
      if part.ends_with(b"\n") || line.bytes.len() >= LINE_BYTES_MAX {
        lines.extend(slot.take());
      }
      offset += part.len() as u64;
    }
    lines
  }

  /// The last lines, which have no end of their own.
  pub fn finish(&mut self) -> Vec<LogLine> {
    self.open.iter_mut().filter_map(|open| open.line.take()).collect()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn lines_of_two_streams_do_not_mix() {
    let mut cut = LineCut::new(Source { task: "t".into(), label: "j/t".into() });
    let chunk = |stream, millis, offset, text: &str| LogBytes {
      stream,
      at: Ts::from_millis(millis),
      offset,
      bytes: text.as_bytes().to_vec(),
    };
    let first = cut.push(1, &chunk(Stream::Stdout, 1, 0, "one\ntw"));
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].offset, first[0].bytes.as_slice()), (0, b"one".as_slice()));
    let second = cut.push(1, &chunk(Stream::Stderr, 2, 6, "oops\n"));
    assert_eq!((second[0].stream, second[0].offset), (Stream::Stderr, 6));
    let third = cut.push(1, &chunk(Stream::Stdout, 3, 11, "o\nx"));
    assert_eq!((third[0].offset, third[0].bytes.as_slice()), (4, b"two".as_slice()));
    assert_eq!(third[0].at, Ts::from_millis(1));
    let rest = cut.finish();
    assert_eq!((rest.len(), rest[0].bytes.as_slice()), (1, b"x".as_slice()));
  }
}
