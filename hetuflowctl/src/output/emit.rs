//! Writes a view to stdout in the form that was asked for. Only this knows the forms.

use std::io::{self, Write};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::emit_live::{write_live, write_screens};
use super::emit_logs::write_logs;
use super::error::show_error;
use super::fault::{Failure, Fault};
use super::look::{Format, Look};
use super::order::sort_rows;
use super::pattern::Pattern;
use super::table::Table;
use super::view::{Column, Outcome, Page, Record, Rows, View};

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
  if let Some(failure) = &outcome.failure {
    let _ = io::stderr().write_all(show_error(failure, look).as_bytes());
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
    View::Logs { pieces, style } => return write_logs(pieces, style, look, out).await,
    View::Live(live) => return write_live(live, look, out).await,
    View::Screen(frames) => return write_screens(frames, look, out).await,
  }
  out.flush()?;
  Ok(None)
}

async fn write_list(mut rows: Rows, look: &Look, out: &mut dyn Write) -> Result<(), EmitError> {
  let mut form = match Form::new(rows.columns, look, out)? {
    Some(form) => form,
    None => return Ok(()),
  };
  // Documents are written whole or not at all; lines go out as they come.
  let sorted_here = rows.sort_here && look.sort.is_some();
  let whole = sorted_here || form.is_whole(look);
  let (mut items, mut next, mut any) = (Vec::new(), None, false);
  while let Some(page) = rows.pages.next().await {
    let Page { rows, next: cursor } = page?;
    next = cursor;
    any |= !rows.is_empty();
    if whole {
      items.extend(rows);
      continue;
    }
    form.write(&rows, look, out)?;
    out.flush()?;
  }
  if sorted_here {
    sort_rows(&mut items, rows.columns, look.sort.as_deref().unwrap_or_default())?;
  }
  if whole {
    form.write_whole(&items, next.as_deref(), look, out)?;
  }
  if !any && matches!(look.format, Format::Table | Format::Wide) {
    look.say("nothing found");
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
  let Some(mut form) = Form::new(columns, look, out)? else { return Ok(()) };
  match (look.format, records) {
    (Format::Json, [one]) => write_json(&one.value, look, out),
    _ if form.is_whole(look) => form.write_whole(records, None, look, out),
    _ => form.write(records, look, out),
  }
}

/// What rows are written with.
pub struct Form {
  table: Table,
  pattern: Option<Pattern>,
}

impl Form {
  /// Reads the form; `None` when only the names of columns were wanted, which are written.
  pub fn new(
    columns: &[Column],
    look: &Look,
    out: &mut dyn Write,
  ) -> Result<Option<Self>, EmitError> {
    if look.asks_for_columns() {
      for column in columns {
        writeln!(out, "{}{}", column.name, if column.wide { "  (-o wide)" } else { "" })?;
      }
      return Ok(None);
    }
    let table = Table::new(columns, look)
      .map_err(|wrong| Fault::usage(wrong).with_help("what they show:  --columns help"))?;
    Ok(Some(Self { table, pattern: Pattern::of(look)? }))
  }

  fn is_whole(&self, look: &Look) -> bool {
    matches!(look.format, Format::Json | Format::Yaml)
      || self.pattern.as_ref().is_some_and(Pattern::is_whole)
  }

  /// Rows of a form that is a document.
  fn write_whole(
    &mut self,
    rows: &[Record],
    next: Option<&str>,
    look: &Look,
    out: &mut dyn Write,
  ) -> Result<(), EmitError> {
    let document = || {
      let items: Vec<&Value> = rows.iter().map(|record| &record.value).collect();
      json!({ "items": items, "next": next })
    };
    match (&self.pattern, look.format) {
      (Some(pattern), _) if pattern.is_whole() => {
        out.write_all(pattern.render(&document(), look)?.as_bytes())?;
        Ok(())
      }
      (_, Format::Json) => write_json(&document(), look, out),
      (_, Format::Yaml) => write_yaml(rows, out),
      _ => self.write(rows, look, out),
    }
  }

  /// Rows of a form that is lines.
  pub fn write(
    &mut self,
    rows: &[Record],
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
      Format::JsonPath | Format::Template => {
        let Some(pattern) = &self.pattern else { return Ok(()) };
        for row in rows {
          out.write_all(pattern.render(&row.value, look)?.as_bytes())?;
        }
      }
      Format::Table | Format::Wide | Format::Tsv => {
        if !rows.is_empty() || look.format == Format::Tsv {
          let cells: Vec<_> = rows.iter().map(|row| row.cells.clone()).collect();
          out.write_all(self.table.render(&cells, look).as_bytes())?;
        }
      }
    }
    Ok(())
  }
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
    Format::JsonPath | Format::Template => {
      if let Some(pattern) = Pattern::of(look)? {
        out.write_all(pattern.render(value, look)?.as_bytes())?;
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
pub fn yaml_of(value: &Value) -> Result<String, Failure> {
  serde_saphyr::to_string(value)
    .map_err(|error| Fault::failure(format!("cannot write YAML: {error}")))
}
