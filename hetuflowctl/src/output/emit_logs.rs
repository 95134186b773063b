//! Writes task output: bytes as they are, or line by line with what was asked for.

use std::io::{self, Write};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hetuflow_core::Stream;
use serde_json::{Value, json};

use super::emit::EmitError;
use super::fault::Failure;
use super::line_style::LineStyle;
use super::look::{Format, Look};
use super::sanitize::{Sanitizer, visible};
use super::view::{LogLine, LogPiece, LogStyle};

/// A line of one label that has no end yet is written in parts of this length.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Writes the pieces; the exit code that they name.
pub async fn write_logs(
  mut pieces: BoxStream<'static, Result<LogPiece, Failure>>,
  style: LogStyle,
  look: &Look,
  out: &mut dyn Write,
) -> Result<Option<u8>, EmitError> {
  let mut writer = Writer::new(style, look);
  let mut exit = None;
  let mut failure = None;
  while let Some(piece) = pieces.next().await {
    match piece {
      Ok(LogPiece::Exit(code)) => exit = Some(code),
      Ok(LogPiece::Note(note)) => {
        // A word on stderr comes after what was printed before it.
        out.flush()?;
        look.say(note);
      }
      Ok(piece) => writer.write(piece, out)?,
      Err(error) => {
        failure = Some(error);
        break;
      }
    }
  }
  writer.finish(failure.is_some(), out)?;
  match failure {
    Some(error) => Err(error.into()),
    None => Ok(exit),
  }
}

struct Writer<'a> {
  look: &'a Look,
  sanitize: bool,
  labels: Labels,
  /// Each stream has its own state: half a character of one is not completed by the other.
  streams: [Sanitizer; 2],
  style: LineStyle,
  items: Vec<Value>,
  /// Bytes were written as they are: the form is theirs, not ours.
  plain: bool,
}

impl<'a> Writer<'a> {
  fn new(style: LogStyle, look: &'a Look) -> Self {
    Self {
      look,
      sanitize: look.out_tty && !style.raw,
      labels: Labels::default(),
      streams: [Sanitizer::new(look.color), Sanitizer::new(look.color)],
      style: LineStyle::new(style),
      items: Vec::new(),
      plain: false,
    }
  }

  fn write(&mut self, piece: LogPiece, out: &mut dyn Write) -> Result<(), EmitError> {
    if self.look.format == Format::None {
      return Ok(());
    }
    match piece {
      LogPiece::Bytes { stream: Stream::System, bytes, .. } => {
        let words = String::from_utf8_lossy(&bytes);
        self.look.say(format!("-- agent: {} --", visible(words.trim_end())));
      }
      LogPiece::Bytes { stream, bytes, label } => {
        self.plain = true;
        if self.sanitize {
          let mut text = String::new();
          self.streams[usize::from(stream == Stream::Stderr)].push(&bytes, &mut text);
          self.labels.write(label.as_deref(), text.as_bytes(), out)?;
        } else {
          self.labels.write(label.as_deref(), &bytes, out)?;
        }
        out.flush()?;
      }
      LogPiece::Line(line) => self.line(&line, out)?,
      LogPiece::Note(_) | LogPiece::Exit(_) => {}
    }
    Ok(())
  }

  fn line(&mut self, line: &LogLine, out: &mut dyn Write) -> Result<(), EmitError> {
    match self.look.format {
      Format::Json | Format::Yaml => self.items.push(value_of(line)),
      Format::Jsonl => {
        writeln!(out, "{}", value_of(line))?;
        out.flush()?;
      }
      _ => {
        out.write_all(self.style.head(line, self.look).as_bytes())?;
        if self.sanitize {
          let mut text = String::new();
          let mut sanitizer = Sanitizer::new(self.look.color);
          sanitizer.push(&line.bytes, &mut text);
          sanitizer.finish(&mut text);
          out.write_all(text.as_bytes())?;
        } else {
          out.write_all(&line.bytes)?;
        }
        out.write_all(b"\n")?;
        out.flush()?;
      }
    }
    Ok(())
  }

  fn finish(&mut self, failed: bool, out: &mut dyn Write) -> Result<(), EmitError> {
    if self.sanitize {
      for stream in &mut self.streams {
        let mut text = String::new();
        stream.finish(&mut text);
        out.write_all(text.as_bytes())?;
      }
    }
    self.labels.finish(out)?;
    // A document is whole or not there.
    if self.look.format == Format::Json && !failed && !self.plain {
      writeln!(out, "{}", json!({ "items": self.items, "next": null }))?;
    }
    if self.look.format == Format::Yaml && !failed && !self.plain {
      out.write_all(super::emit::yaml_of(&json!(self.items))?.as_bytes())?;
    }
    out.flush()?;
    Ok(())
  }
}

/// A line for programs; bytes that are no text are replaced.
fn value_of(line: &LogLine) -> Value {
  let mut value = json!({
    "ts": line.at,
    "task": line.task,
    "stream": stream_word(line.stream),
    "attempt": line.attempt,
    "offset": line.offset,
    "line": String::from_utf8_lossy(&line.bytes),
  });
  if line.context {
    value["context"] = Value::Bool(true);
  }
  value
}

const fn stream_word(stream: Stream) -> &'static str {
  match stream {
    Stream::Stdout => "out",
    Stream::Stderr => "err",
    Stream::System => "system",
  }
}

/// Puts a label before each line where there are several sources.
#[derive(Default)]
struct Labels {
  held: std::collections::BTreeMap<String, Vec<u8>>,
}

impl Labels {
  /// The last lines, which have no end of their own.
  fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
    for (label, held) in std::mem::take(&mut self.held) {
      if !held.is_empty() {
        write!(out, "{label} │ ")?;
        out.write_all(&held)?;
        out.write_all(b"\n")?;
      }
    }
    Ok(())
  }

  fn write(&mut self, label: Option<&str>, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let Some(label) = label else { return out.write_all(bytes) };
    let held = self.held.entry(label.to_owned()).or_default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
      held.extend_from_slice(line);
      // A line is written whole, or in parts when it is very long.
      if line.ends_with(b"\n") || held.len() > HELD_BYTES_MAX {
        write!(out, "{label} │ ")?;
        out.write_all(held)?;
        if !held.ends_with(b"\n") {
          out.write_all(b"\n")?;
        }
        held.clear();
      }
    }
    Ok(())
  }
}
