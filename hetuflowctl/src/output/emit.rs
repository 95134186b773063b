//! Writes a view to stdout in the form that was asked for. Only this knows the forms.

use std::io::{self, Write};

use futures_util::StreamExt as _;
use hetuflow_core::Stream;
use serde_json::{Value, json};

use super::fault::{Failure, Fault};
use super::look::{Format, Look};
use super::sanitize::Sanitizer;
use super::table::Table;
use super::view::{Column, LogPiece, Outcome, Page, Record, Rows, View};

/// Why nothing more is written.
#[derive(Debug)]
pub enum EmitError {
  /// The reader of stdout is gone: that is not an error.
  Closed,
  /// The view itself failed.
  Command(Failure),
}

impl From<io::Error> for EmitError {
  fn from(error: io::Error) -> Self {
    match error.kind() {
      io::ErrorKind::BrokenPipe => Self::Closed,
      _ => Self::Command(Fault::failure(format!("cannot write to stdout: {error}"))),
    }
  }
}

impl From<Failure> for EmitError {
  fn from(error: Failure) -> Self {
    Self::Command(error)
  }
}

/// Writes a view; the exit code.
///
/// # Errors
/// When the view's own stream fails or the disk is full.
pub async fn emit(outcome: Outcome, look: &Look, out: &mut dyn Write) -> Result<u8, Failure> {
  let exit = match write_view(outcome.view, look, out).await {
    Ok(exit) => exit.unwrap_or(outcome.exit),
    Err(EmitError::Closed) => return Ok(0),
    Err(EmitError::Command(error)) => return Err(error),
  };
  for note in &outcome.notes {
    look.say(note);
  }
  Ok(exit)
}

async fn write_view(view: View, look: &Look, out: &mut dyn Write) -> Result<Option<u8>, EmitError> {
  match view {
    View::Nothing => {}
    View::Raw(bytes) => out.write_all(&bytes)?,
    View::List(rows) => write_list(rows, look, out).await?,
    View::Things(columns, records) => write_things(columns, &records, look, out)?,
    View::Text { text, value, names } => write_text(&text, &value, &names, look, out)?,
    View::Logs { pieces, raw } => {
      let exit = write_logs(pieces, raw, look, out).await?;
      out.flush()?;
      return Ok(exit);
    }
  }
  out.flush()?;
  Ok(None)
}

async fn write_list(mut rows: Rows, look: &Look, out: &mut dyn Write) -> Result<(), EmitError> {
  // Documents are written whole or not at all; lines go out as they come.
  let whole = matches!(look.format, Format::Json | Format::Yaml);
  let mut table = Table::new(rows.columns, look).map_err(Fault::usage)?;
  let (mut items, mut next, mut any) = (Vec::new(), None, false);
  while let Some(page) = rows.pages.next().await {
    let Page { rows, next: cursor } = page?;
    next = cursor;
    if whole {
      items.extend(rows);
      continue;
    }
    any |= !rows.is_empty();
    write_rows(&rows, &mut table, look, out)?;
    out.flush()?;
  }
  match look.format {
    Format::Json => {
      let items: Vec<Value> = items.into_iter().map(|record| record.value).collect();
      write_json(&json!({ "items": items, "next": next }), look, out)?;
    }
    Format::Yaml => write_yaml(&items, out)?,
    Format::Table | Format::Wide if !any => look.say("nothing found"),
    _ => {}
  }
  if next.is_some() {
    look.say("there are more: --limit 0 lists all");
  }
  Ok(())
}

fn write_things(
  columns: &'static [Column],
  records: &[Record],
  look: &Look,
  out: &mut dyn Write,
) -> Result<(), EmitError> {
  match (look.format, records) {
    (Format::Json, [one]) => write_json(&one.value, look, out),
    (Format::Json, many) => {
      let items: Vec<&Value> = many.iter().map(|record| &record.value).collect();
      write_json(&json!({ "items": items, "next": null }), look, out)
    }
    (Format::Yaml, records) => write_yaml(records, out),
    _ => {
      let mut table = Table::new(columns, look).map_err(Fault::usage)?;
      write_rows(records, &mut table, look, out)
    }
  }
}

fn write_rows(
  rows: &[Record],
  table: &mut Table,
  look: &Look,
  out: &mut dyn Write,
) -> Result<(), EmitError> {
  match look.format {
    Format::None | Format::Json | Format::Yaml => {}
    Format::Name => {
      for row in rows {
        writeln!(out, "{}", row.name)?;
      }
    }
    Format::Jsonl => {
      for row in rows {
        writeln!(out, "{}", row.value)?;
      }
    }
    Format::Table | Format::Wide | Format::Tsv => {
      if !rows.is_empty() {
        let cells: Vec<_> = rows.iter().map(|row| row.cells.clone()).collect();
        out.write_all(table.render(&cells, look).as_bytes())?;
      }
    }
  }
  Ok(())
}

fn write_text(
  text: &str,
  value: &Value,
  names: &[String],
  look: &Look,
  out: &mut dyn Write,
) -> Result<(), EmitError> {
  match look.format {
    Format::Table | Format::Wide | Format::Tsv => {
      out.write_all(text.as_bytes())?;
      if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
      }
    }
    Format::Json => write_json(value, look, out)?,
    Format::Jsonl => match value {
      Value::Array(items) => {
        for item in items {
          writeln!(out, "{item}")?;
        }
      }
      one => writeln!(out, "{one}")?,
    },
    Format::Yaml => out.write_all(yaml_of(value)?.as_bytes())?,
    Format::Name => {
      for name in names {
        writeln!(out, "{name}")?;
      }
    }
    Format::None => {}
  }
  Ok(())
}

fn write_json(value: &Value, look: &Look, out: &mut dyn Write) -> Result<(), EmitError> {
  let text =
    if look.out_tty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
  let text = text.map_err(|error| Fault::failure(error.to_string()))?;
  writeln!(out, "{text}")?;
  Ok(())
}

fn write_yaml(records: &[Record], out: &mut dyn Write) -> Result<(), EmitError> {
  let mut whole = String::new();
  for (index, record) in records.iter().enumerate() {
    if index > 0 {
      whole.push_str("---\n");
    }
    whole.push_str(&yaml_of(record.manifest.as_ref().unwrap_or(&record.value))?);
  }
  out.write_all(whole.as_bytes())?;
  Ok(())
}

/// YAML that means the same to YAML 1.1 readers and to `apply`.
fn yaml_of(value: &Value) -> Result<String, Failure> {
  serde_saphyr::to_string(value)
    .map_err(|error| Fault::failure(format!("cannot write YAML: {error}")))
}

async fn write_logs(
  mut pieces: futures_util::stream::BoxStream<'static, Result<LogPiece, Failure>>,
  raw: bool,
  look: &Look,
  out: &mut dyn Write,
) -> Result<Option<u8>, EmitError> {
  let sanitize = look.out_tty && !raw;
  let mut lines = Labels::default();
  // Each stream has its own state: half a character of one is not completed by the other.
  let mut streams = [Sanitizer::new(look.color), Sanitizer::new(look.color)];
  let mut exit = None;
  let mut failure = None;
  while let Some(piece) = pieces.next().await {
    match piece {
      Ok(LogPiece::Bytes { stream: Stream::System, bytes, .. }) => {
        look.say(format!(
          "-- agent: {} --",
          String::from_utf8_lossy(&bytes).trim_end().escape_debug()
        ));
      }
      Ok(LogPiece::Bytes { stream, bytes, label }) => {
        if sanitize {
          let mut text = String::new();
          streams[usize::from(stream == Stream::Stderr)].push(&bytes, &mut text);
          lines.write(label.as_deref(), text.as_bytes(), out)?;
        } else {
          lines.write(label.as_deref(), &bytes, out)?;
        }
        out.flush()?;
      }
      Ok(LogPiece::Note(note)) => look.say(note),
      Ok(LogPiece::Exit(code)) => exit = Some(code),
      Err(error) => {
        failure = Some(error);
        break;
      }
    }
  }
  if sanitize {
    for stream in &mut streams {
      let mut text = String::new();
      stream.finish(&mut text);
      out.write_all(text.as_bytes())?;
    }
  }
  lines.finish(out)?;
  match failure {
    Some(error) => Err(error.into()),
    None => Ok(exit),
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
      if line.ends_with(b"\n") || held.len() > 64 << 10 {
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
