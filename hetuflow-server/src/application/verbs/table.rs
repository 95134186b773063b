//! Rows in columns, as plain text.

use std::fmt;

/// A table.
pub(super) struct Table {
  rows: Vec<Vec<String>>,
}

impl Table {
  /// With these columns.
  pub(super) fn new(columns: &[&str]) -> Self {
    Self { rows: vec![columns.iter().map(|&name| name.to_owned()).collect()] }
  }

  /// One more row. What people wrote is data: control characters are not passed to a terminal.
  pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
    let clean = |cell: String| match cell.is_empty() {
      true => "-".to_owned(),
      false => cell.chars().map(|c| if c.is_control() { '·' } else { c }).collect(),
    };
    self.rows.push(cells.into_iter().map(clean).collect());
  }
}

impl fmt::Display for Table {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let columns = self.rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
      self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (index, row) in self.rows.iter().enumerate() {
      let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
      let line = cells.collect::<Vec<_>>().join("  ");
      if index > 0 {
        f.write_str("\n")?;
      }
      f.write_str(line.trim_end())?;
    }
    Ok(())
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn columns_are_as_wide_as_their_widest_cell() {
    let mut table = Table::new(&["ID", "NAME"]);
    table.row(["1".to_owned(), "a\u{1b}[2J".to_owned()]);
    table.row(["1234".to_owned(), String::new()]);
    assert_eq!(table.to_string(), "ID    NAME\n1     a·[2J\n1234  -");
  }
}
