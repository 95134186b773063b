//! Rows of text in columns: fitted to a terminal, whole everywhere else.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::cell::Cell;
use super::look::{Format, Look};
use super::view::Column;

const GAP: usize = 2;
/// No column is cut below this.
const WIDTH_MIN: usize = 8;

/// A table whose columns are chosen; rows may come in parts.
#[derive(Debug)]
pub struct Table {
  chosen: Vec<usize>,
  heads: Vec<&'static str>,
  widths: Option<Vec<usize>>,
  header_done: bool,
}

impl Table {
  /// Chooses columns.
  ///
  /// # Errors
  /// The names that there are, when one was asked for that is not.
  pub fn new(columns: &[Column], look: &Look) -> Result<Self, String> {
    let all = || columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let chosen = match &look.columns {
      Some(names) => names
        .iter()
        .map(|name| {
          let found =
            columns.iter().position(|column| column.name.eq_ignore_ascii_case(name.trim()));
          found.ok_or_else(|| format!("no column \"{name}\"; columns: {}", all()))
        })
        .collect::<Result<_, _>>()?,
      None => {
        let wide = look.format == Format::Wide;
        (0..columns.len()).filter(|at| wide || !columns[*at].wide).collect()
      }
    };
    let chosen: Vec<usize> = chosen;
    let heads = chosen.iter().map(|at| columns[*at].name).collect();
    Ok(Self { chosen, heads, widths: None, header_done: look.no_header })
  }

  /// The text of some rows; the first part decides the widths, so that parts line up.
  pub fn render(&mut self, rows: &[Vec<Cell>], look: &Look) -> String {
    let texts: Vec<Vec<String>> = rows
      .iter()
      .map(|row| {
        self
          .chosen
          .iter()
          .map(|at| row.get(*at).map_or(String::new(), |cell| cell.show(look)))
          .collect()
      })
      .collect();
    if look.format == Format::Tsv {
      return self.tsv(&texts);
    }
    let widths = match self.widths.take() {
      Some(widths) => widths,
      None => self.fit(&texts, look),
    };
    // Only a terminal cuts; elsewhere a long value pushes the rest of its line.
    let fitted = look.out_tty && look.format == Format::Table;
    let mut out = String::new();
    if !self.header_done {
      self.header_done = true;
      let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
      let style = if look.color { Style::new().bold() } else { Style::new() };
      line(&mut out, &heads, &widths, fitted, |_, text| format!("{style}{text}{style:#}"));
    }
    for (row, texts) in rows.iter().zip(&texts) {
      line(&mut out, texts, &widths, fitted, |column, text| match row.get(self.chosen[column]) {
        Some(Cell::State(state)) if look.color => {
          let style = state_style(state);
          format!("{style}{text}{style:#}")
        }
        _ => text.to_owned(),
      });
    }
    self.widths = Some(widths);
    out
  }

  fn tsv(&mut self, texts: &[Vec<String>]) -> String {
    let mut out = String::new();
    if !self.header_done {
      self.header_done = true;
      out.push_str(&self.heads.join("\t"));
      out.push('\n');
    }
    for row in texts {
      let row: Vec<String> = row.iter().map(|text| text.replace(['\t', '\n'], " ")).collect();
      out.push_str(&row.join("\t"));
      out.push('\n');
    }
    out
  }

  /// Natural widths; on a terminal the widest columns are cut until the line fits.
  fn fit(&self, texts: &[Vec<String>], look: &Look) -> Vec<usize> {
    let mut widths: Vec<usize> = self.heads.iter().map(|head| head.width()).collect();
    for row in texts {
      for (width, text) in widths.iter_mut().zip(row) {
        *width = (*width).max(text.width());
      }
    }
    if look.out_tty && look.format == Format::Table {
      let room = look.width.saturating_sub(GAP * widths.len().saturating_sub(1));
      while widths.iter().sum::<usize>() > room {
        let Some(widest) = widths.iter_mut().filter(|width| **width > WIDTH_MIN).max() else {
          break;
        };
        *widest -= 1;
      }
    }
    widths
  }
}

fn line(
  out: &mut String,
  texts: &[String],
  widths: &[usize],
  fitted: bool,
  style: impl Fn(usize, &str) -> String,
) {
  for (at, (text, width)) in texts.iter().zip(widths).enumerate() {
    let text = if fitted { cut(text, *width) } else { text.clone() };
    out.push_str(&style(at, &text));
    if at + 1 < texts.len() {
      out.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width()) + GAP));
    }
  }
  let end = out.trim_end_matches(' ').len();
  out.truncate(end);
  out.push('\n');
}

fn cut(text: &str, width: usize) -> String {
  use unicode_width::UnicodeWidthChar as _;
  if text.width() <= width {
    return text.to_owned();
  }
  let mut used = 1;
  let mut out: String = text
    .chars()
    .take_while(|c| {
      used += c.width().unwrap_or(0);
      used <= width
    })
    .collect();
  out.push('…');
  out
}

/// The colour of a state. Shape and word first: colour only repeats what the word says.
pub fn state_style(state: &str) -> Style {
  let color = match state {
    "succeeded" | "enabled" | "idle" | "online" | "active" | "ok" => AnsiColor::Green,
    "failed" | "lost" | "timeout" | "error" | "offline" | "inactive" | "not_started" => {
      AnsiColor::Red
    }
    "running" | "busy" => AnsiColor::Cyan,
    "waiting_retry" | "unreachable" | "cancelling" | "paused" | "cordoned" | "draining" => {
      AnsiColor::Yellow
    }
    _ => return Style::new(),
  };
  Style::new().fg_color(Some(color.into()))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn wide_characters_keep_columns_straight() {
    let columns = [Column::new("NAME"), Column::new("NOTE")];
    let look = Look { width: 20, ..Look::sample(Format::Table, true) };
    let mut table = Table::new(&columns, &look).expect("fine");
    let rows = [
      vec![Cell::text("北京"), Cell::text("a note that is too long")],
      vec![Cell::text("x"), Cell::Empty],
    ];
    assert_eq!(table.render(&rows, &look), "NAME  NOTE\n北京  a note that i…\nx     -\n");
  }

  #[test]
  fn unknown_columns_are_named() {
    let look = Look { columns: Some(vec!["x".into()]), ..Look::sample(Format::Table, true) };
    let error = Table::new(&[Column::new("NAME")], &look).expect_err("unknown");
    assert_eq!(error, "no column \"x\"; columns: NAME");
  }
}
